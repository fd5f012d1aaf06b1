// Package webhook posts events to endpoints by the rules of Standard Webhooks: signed, https only, no redirects, never to
// a private address unless that is allowed. It keeps no state: which event goes when is the caller's.
package webhook

import (
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
)

// An Endpoint is where events go.
type Endpoint struct {
	Name         string   // for metrics, logs and commands
	URL          string   // https://…; http:// only together with AllowPrivate
	Secrets      []Secret // one, or two while the secret is changed: the new one first; all of them sign
	Events       []string // types, or prefixes ending in ".", that it wants; empty: all
	AllowPrivate bool     // its host may be on this machine or network
}

// A Secret signs. It prints redacted. Its form is "whsec_" and base64 of 24 to 64 bytes.
type Secret struct{ value string }

// ParseSecret reads a secret in the form of Standard Webhooks.
func ParseSecret(s string) (Secret, error) {
	rest, ok := strings.CutPrefix(s, "whsec_")
	if !ok {
		return Secret{}, errors.New("webhook secret does not begin with whsec_")
	}
	if n := len(rest) * 3 / 4; n < 24 || n > 66 {
		return Secret{}, errors.New("webhook secret is not 24 to 64 bytes long")
	}
	if _, err := standardwebhooks.NewWebhook(s); err != nil {
		return Secret{}, errors.New("webhook secret is not base64 after whsec_")
	}
	return Secret{s}, nil
}

// String hides the secret, LogValue and GoString too.
func (Secret) String() string       { return "whsec_…" }
func (Secret) GoString() string     { return "whsec_…" }
func (Secret) LogValue() slog.Value { return slog.StringValue("whsec_…") }

var (
	nameForm  = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$`)
	eventForm = regexp.MustCompile(`^[a-z_]+(\.[a-z_]*)?$`)
)

// Check says what is wrong with the endpoint's configuration.
func (e Endpoint) Check() error {
	if !nameForm.MatchString(e.Name) {
		return fmt.Errorf("webhook %q: not a name: letters, digits, '.', '_' and '-' only", e.Name)
	}
	u, err := url.Parse(e.URL)
	switch {
	case err != nil || u.Host == "":
		return fmt.Errorf("webhook %s: not a URL with a host", e.Name)
	case u.Scheme != "https" && (u.Scheme != "http" || !e.AllowPrivate):
		return fmt.Errorf("webhook %s: URL must begin with https://", e.Name)
	case u.User != nil || u.Fragment != "":
		return fmt.Errorf("webhook %s: URL must hold neither a password nor a fragment", e.Name)
	case len(e.Secrets) == 0 || len(e.Secrets) > 2:
		return fmt.Errorf("webhook %s: needs one secret, or two while it is changed", e.Name)
	case slices.Contains(e.Secrets, Secret{}):
		return fmt.Errorf("webhook %s: a secret is empty", e.Name)
	}
	if ip, err := netip.ParseAddr(u.Hostname()); err == nil && !e.AllowPrivate && !Public(ip) {
		return fmt.Errorf("webhook %s: %s is a private address: allow it in the configuration if that is meant", e.Name, ip)
	}
	for _, t := range e.Events {
		if !eventForm.MatchString(t) {
			return fmt.Errorf("webhook %s: %q is not an event type like message.sent, nor a prefix like \"message.\"", e.Name, t)
		}
	}
	return nil
}

// Wants says whether the endpoint asked for events of the type.
func (e Endpoint) Wants(kind string) bool {
	return len(e.Events) == 0 || slices.ContainsFunc(e.Events, func(t string) bool {
		return kind == t || strings.HasSuffix(t, ".") && strings.HasPrefix(kind, t)
	})
}

// special are the ranges that no public service is in, beyond those that netip knows.
var special = []string{
	"0.0.0.0/8", "100.64.0.0/10", "192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "198.18.0.0/15", "198.51.100.0/24",
	"203.0.113.0/24", "240.0.0.0/4", "64:ff9b::/96", "64:ff9b:1::/48", "100::/64", "2001::/23", "2001:db8::/32", "2002::/16",
}

// Public says whether an address is one of the open internet.
func Public(ip netip.Addr) bool {
	ip = ip.Unmap()
	if !ip.IsGlobalUnicast() || ip.IsPrivate() || ip.IsLoopback() || ip.IsLinkLocalUnicast() || ip.Zone() != "" {
		return false
	}
	return !slices.ContainsFunc(special, func(s string) bool { return netip.MustParsePrefix(s).Contains(ip) })
}

// GiveUp is how long an event is tried.
const GiveUp = 72 * time.Hour

// schedule are the pauses after the first failures; the last one repeats until GiveUp.
var schedule = [...]time.Duration{
	5 * time.Second, 30 * time.Second, 2 * time.Minute, 10 * time.Minute, 30 * time.Minute, time.Hour, 2 * time.Hour, 4 * time.Hour, 8 * time.Hour,
}

// Delay returns how long to wait after so many failures (from 1), spread by a fifth either way. spread is in [0, 1).
func Delay(failures int, spread float64) time.Duration {
	d := schedule[min(max(failures, 1), len(schedule))-1]
	return time.Duration(float64(d) * (0.8 + 0.4*spread))
}
