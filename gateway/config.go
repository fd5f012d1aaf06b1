package gateway

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"regexp"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"otpost/gateway/store"
	"otpost/gateway/webhook"
)

// Defaults and bounds of a Config.
const (
	defaultRetention   = 30 * 24 * time.Hour
	defaultReportWait  = 24 * time.Hour
	defaultUnsureAfter = time.Minute
	defaultSubmitTime  = 6 * time.Second // a circuit-switched modem sends 6 to 10 a minute
	defaultMaxParts    = 10
	maxLife            = 7 * 24 * time.Hour
	minResendLife      = 20 * time.Second // less life than this is not worth a second send
	bootGrace          = time.Minute      // a modem that is still starting counts as one that can send
	maxModems          = 64               // a set of modems is a bit mask
)

// Config is what a Gateway works with.
type Config struct {
	KV       store.KV
	Secrets  *store.Secrets
	Render   Renderer
	Random   io.Reader // nil: crypto/rand
	Log      *slog.Logger
	Registry prometheus.Registerer
	StoreLow func() bool // free space is below the reserve; nil: never

	Retention   time.Duration  // how long final messages, events and inbound texts are kept; 0: 30 days
	ReportWait  time.Duration  // how long a sent message waits for its report; 0: 24 hours
	UnsureAfter time.Duration  // a hand-over without verdict for so long is uncertain, though still waited for; 0: 1 minute
	UnsureCode  Uncertainty    // for codes that do not say; empty: ResendOnce
	UnsureText  Uncertainty    // for texts that do not say; empty: Keep
	Location    *time.Location // where a SIM's day and month begin; nil: UTC
	MaxParts    int            // the longest text that is taken; 0: 10

	Webhooks      []webhook.Endpoint
	WebhookSender WebhookSender // nil: over HTTP
}

// Route is a modem and what may go through it.
type Route struct {
	Modem      Modem
	Prefixes   []string      // "+44"; empty: any
	PerMinute  int           // parts in any 60 seconds; 0: the modem's own pace
	PerDay     int           // parts a day; 0: no limit
	PerMonth   int           // parts a month; 0: no limit
	SubmitTime time.Duration // what a part is expected to take until it has been measured; 0: 6 s
	Balance    Balance       // how the SIM's credit is asked for
}

// An InvalidError is a mistake of the caller: a value that can never be accepted.
type InvalidError struct {
	Field  string // "text", "ttl", "to", "modem", …
	Reason string // what is wrong and what to do
}

func (e *InvalidError) Error() string { return e.Field + ": " + e.Reason }

func (c *Config) fill() error {
	if c.KV == nil || c.Secrets == nil || c.Render == nil {
		return errors.New("gateway needs a store, its secrets and a renderer")
	}
	if c.Random == nil {
		c.Random = rand.Reader
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.WebhookSender == nil {
		c.WebhookSender = webhook.NewSender("otpost", nil)
	}
	if c.StoreLow == nil {
		c.StoreLow = func() bool { return false }
	}
	if c.Location == nil {
		c.Location = time.UTC
	}
	orElse(&c.Retention, defaultRetention)
	orElse(&c.ReportWait, defaultReportWait)
	orElse(&c.UnsureAfter, defaultUnsureAfter)
	orElse(&c.UnsureCode, ResendOnce)
	orElse(&c.UnsureText, Keep)
	orElse(&c.MaxParts, defaultMaxParts)
	return c.check()
}

func (c *Config) check() error {
	for name, d := range map[string]time.Duration{"retention": c.Retention, "report wait": c.ReportWait, "unsure after": c.UnsureAfter} {
		if d < 0 {
			return &InvalidError{name, fmt.Sprintf("%v is negative", d)}
		}
	}
	for _, u := range []Uncertainty{c.UnsureCode, c.UnsureText} {
		if u != ResendOnce && u != Keep {
			return &InvalidError{"uncertain", fmt.Sprintf("%q is neither %q nor %q", u, ResendOnce, Keep)}
		}
	}
	return c.checkWebhooks()
}

func (c *Config) checkWebhooks() error {
	names := map[string]bool{}
	for _, e := range c.Webhooks {
		if err := e.Check(); err != nil {
			return &InvalidError{"webhooks", err.Error()}
		}
		if names[e.Name] {
			return &InvalidError{"webhooks", fmt.Sprintf("two endpoints are named %q", e.Name)}
		}
		names[e.Name] = true
	}
	return nil
}

var (
	prefixForm = regexp.MustCompile(`^\+[1-9][0-9]{0,14}$`)
	phoneForm  = regexp.MustCompile(`^\+[1-9][0-9]{6,14}$`)
	modemForm  = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$`)
)

func (r *Route) fill() error {
	if r.Modem == nil {
		return &InvalidError{"modem", "a route needs one"}
	}
	name := r.Modem.Name()
	if !modemForm.MatchString(name) {
		return &InvalidError{"modem", fmt.Sprintf("%q is not a name: letters, digits, '.', '_' and '-' only", name)}
	}
	for _, p := range r.Prefixes {
		if !prefixForm.MatchString(p) {
			return &InvalidError{"prefixes", fmt.Sprintf("%q of modem %s is no prefix: write it like \"+44\"", p, name)}
		}
	}
	if r.PerMinute < 0 || r.PerDay < 0 || r.PerMonth < 0 || r.SubmitTime < 0 {
		return &InvalidError{"modem", fmt.Sprintf("modem %s has a negative limit", name)}
	}
	orElse(&r.SubmitTime, defaultSubmitTime)
	return r.Balance.fill(r.Modem)
}

// check refuses a draft that could never be sent. It returns how many parts its text is thought to need.
func (d *Draft) check(now time.Time, maxParts int) (int, error) {
	switch {
	case !phoneForm.MatchString(d.To):
		return 0, &InvalidError{"to", "not a phone number in E.164 form"}
	case d.Lane < 0 || int(d.Lane) >= Lanes:
		return 0, &InvalidError{"priority", "no such lane"}
	case !d.NotAfter.After(now):
		return 0, &InvalidError{"ttl", "the message would be dead on arrival: give it more time"}
	case d.NotAfter.Sub(now) > maxLife:
		return 0, &InvalidError{"ttl", "longer than 7 days: send it later"}
	case d.Unsure != "" && d.Unsure != ResendOnce && d.Unsure != Keep:
		return 0, &InvalidError{"uncertain", "neither resend_once nor keep"}
	}
	switch d.Kind {
	case KindCode:
		if d.Ref == "" || d.Text != "" {
			return 0, &InvalidError{"text", "a code message carries a reference and no text"}
		}
		return 1, nil
	case KindText:
		if d.Text == "" {
			return 0, &InvalidError{"text", "empty"}
		}
		if n := Parts(d.Text); n > maxParts {
			return 0, &InvalidError{"text", fmt.Sprintf("needs %d parts, at most %d are sent: shorten it", n, maxParts)}
		}
		return Parts(d.Text), nil
	}
	return 0, &InvalidError{"kind", "neither code nor text"}
}

func orElse[T comparable](p *T, v T) {
	var zero T
	if *p == zero {
		*p = v
	}
}
