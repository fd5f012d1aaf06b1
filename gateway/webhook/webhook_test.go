package webhook

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
)

const secretA, secretB = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"

func secret(t *testing.T, s string) Secret {
	t.Helper()
	v, err := ParseSecret(s)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestSend(t *testing.T) {
	tests := []struct {
		name   string
		answer http.HandlerFunc
		want   Result
	}{
		{"taken", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(204) }, Result{OK: true, Status: 204, Reason: "ok"}},
		{"gone", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(410) }, Result{Gone: true, Status: 410, Reason: "gone"}},
		{"redirect is not followed", func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path != "/" {
				panic("followed")
			}
			http.Redirect(w, r, "/elsewhere", http.StatusTemporaryRedirect)
		}, Result{Status: 307, Reason: "redirect"}},
		{"busy", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Retry-After", "120")
			w.WriteHeader(503)
		}, Result{Status: 503, Reason: "status", RetryAfter: 2 * time.Minute}},
		{"retry-after is bounded", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Retry-After", "99999999")
			w.WriteHeader(429)
		}, Result{Status: 429, Reason: "status", RetryAfter: time.Hour}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			srv := httptest.NewTLSServer(tt.answer)
			defer srv.Close()
			e := Endpoint{Name: "portal", URL: srv.URL + "/", Secrets: []Secret{secret(t, secretA)}, AllowPrivate: true}
			got := sender(srv).Send(context.Background(), e, "evt_1", time.Now(), []byte(`{}`))
			got.Took = 0
			if got != tt.want {
				t.Errorf("Send = %+v, want %+v", got, tt.want)
			}
		})
	}
}

func sender(srv *httptest.Server) *Sender {
	pool := x509.NewCertPool()
	pool.AddCert(srv.Certificate())
	return NewSender("otpost/test", &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12})
}

// Both secrets verify while one replaces the other, and a changed body does not.
func TestRotation(t *testing.T) {
	var header http.Header
	var body []byte
	srv := httptest.NewTLSServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		header = r.Header.Clone()
		body, _ = io.ReadAll(r.Body)
	}))
	defer srv.Close()
	e := Endpoint{Name: "portal", URL: srv.URL, Secrets: []Secret{secret(t, secretB), secret(t, secretA)}, AllowPrivate: true}
	if r := sender(srv).Send(context.Background(), e, "evt_1", time.Now(), []byte(`{"type":"message.sent"}`)); !r.OK {
		t.Fatalf("Send = %+v", r)
	}
	for _, s := range []string{secretA, secretB} {
		wh, err := standardwebhooks.NewWebhook(s)
		if err != nil {
			t.Fatal(err)
		}
		if err := wh.Verify(body, header); err != nil {
			t.Errorf("Verify: %v", err)
		}
		if wh.Verify(append(body, ' '), header) == nil {
			t.Error("a changed body verifies")
		}
	}
}

func TestPrivateAddressIsRefusedWhenDialled(t *testing.T) {
	reached := false
	srv := httptest.NewTLSServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { reached = true }))
	defer srv.Close()
	// The name passes any check of the URL; only the address that it resolves to gives it away.
	e := Endpoint{Name: "portal", URL: strings.Replace(srv.URL, "127.0.0.1", "localhost", 1), Secrets: []Secret{secret(t, secretA)}}
	if err := e.Check(); err != nil {
		t.Fatalf("Check: %v", err)
	}
	if r := sender(srv).Send(context.Background(), e, "evt_1", time.Now(), nil); r.Reason != "forbidden-address" || reached {
		t.Errorf("Send = %+v, reached %v", r, reached)
	}
}

func TestUntrustedCertificate(t *testing.T) {
	srv := httptest.NewTLSServer(http.NotFoundHandler())
	defer srv.Close()
	e := Endpoint{Name: "portal", URL: srv.URL, Secrets: []Secret{secret(t, secretA)}, AllowPrivate: true}
	if r := NewSender("otpost/test", nil).Send(context.Background(), e, "evt_1", time.Now(), nil); r.Reason != "tls" {
		t.Errorf("Send = %+v, want a tls failure", r)
	}
}

func TestCheck(t *testing.T) {
	good := Endpoint{Name: "portal", URL: "https://portal.example/hooks", Secrets: []Secret{secret(t, secretA)}}
	tests := []struct {
		name   string
		change func(*Endpoint)
		want   string
	}{
		{"good", func(*Endpoint) {}, ""},
		{"not https", func(e *Endpoint) { e.URL = "http://portal.example/" }, "webhook portal: URL must begin with https://"},
		{"http at home", func(e *Endpoint) { e.URL, e.AllowPrivate = "http://127.0.0.1:9/", true }, ""},
		{"no host", func(e *Endpoint) { e.URL = "https:///x" }, "webhook portal: not a URL with a host"},
		{"password", func(e *Endpoint) { e.URL = "https://u:p@portal.example/" }, "webhook portal: URL must hold neither a password nor a fragment"},
		{"private address", func(e *Endpoint) { e.URL = "https://10.0.0.1/" }, "webhook portal: 10.0.0.1 is a private address: allow it in the configuration if that is meant"},
		{"loopback in other clothes", func(e *Endpoint) { e.URL = "https://[::ffff:127.0.0.1]/" }, "webhook portal: ::ffff:127.0.0.1 is a private address: allow it in the configuration if that is meant"},
		{"no secret", func(e *Endpoint) { e.Secrets = nil }, "webhook portal: needs one secret, or two while it is changed"},
		{"empty secret", func(e *Endpoint) { e.Secrets = []Secret{{}} }, "webhook portal: a secret is empty"},
		{"bad name", func(e *Endpoint) { e.Name = "a b" }, `webhook "a b": not a name: letters, digits, '.', '_' and '-' only`},
		{"bad event", func(e *Endpoint) { e.Events = []string{"Message"} }, `webhook portal: "Message" is not an event type like message.sent, nor a prefix like "message."`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			e := good
			tt.change(&e)
			got := ""
			if err := e.Check(); err != nil {
				got = err.Error()
			}
			if got != tt.want {
				t.Errorf("Check = %q, want %q", got, tt.want)
			}
		})
	}
}

func TestPublic(t *testing.T) {
	for address, want := range map[string]bool{
		"93.184.216.34": true, "2606:2800:220:1::1": true, "127.0.0.1": false, "10.1.2.3": false, "172.16.0.1": false,
		"192.168.1.1": false, "169.254.169.254": false, "100.64.0.1": false, "0.0.0.0": false, "::1": false, "fe80::1": false,
		"fd00::1": false, "::ffff:10.0.0.1": false, "224.0.0.1": false, "64:ff9b::a00:1": false, "2002:a00:1::1": false, "255.255.255.255": false,
	} {
		if got := Public(netip.MustParseAddr(address)); got != want {
			t.Errorf("Public(%s) = %v, want %v", address, got, want)
		}
	}
}

func TestSecretIsRedacted(t *testing.T) {
	e := Endpoint{Secrets: []Secret{secret(t, secretA)}}
	for _, format := range []string{"%v", "%+v", "%#v", "%s"} {
		if s := fmt.Sprintf(format, e); strings.Contains(s, "MfKQ9r8") {
			t.Errorf("%s prints the secret: %s", format, s)
		}
	}
	for _, bad := range []string{"", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_short", "whsec_" + strings.Repeat("!", 32)} {
		if _, err := ParseSecret(bad); err == nil {
			t.Errorf("ParseSecret(%q) took it", bad)
		}
	}
}

// The schedule is a table, so that no conversion can cut its factors short.
func TestDelay(t *testing.T) {
	want := []time.Duration{5 * time.Second, 30 * time.Second, 2 * time.Minute, 10 * time.Minute, 30 * time.Minute, time.Hour, 2 * time.Hour, 4 * time.Hour, 8 * time.Hour, 8 * time.Hour}
	for i, d := range want {
		if got := Delay(i+1, 0.5); got != d {
			t.Errorf("Delay(%d) = %v, want %v", i+1, got, d)
		}
		if low, high := Delay(i+1, 0), Delay(i+1, 0.999); low < d*79/100 || high > d*121/100 || low >= high {
			t.Errorf("Delay(%d) spreads from %v to %v", i+1, low, high)
		}
	}
}

func TestWants(t *testing.T) {
	e := Endpoint{Events: []string{"message.", "account.sms_enabled"}}
	for kind, want := range map[string]bool{"message.sent": true, "account.sms_enabled": true, "account.sms_enabled_x": false, "modem.up": false} {
		if got := e.Wants(kind); got != want {
			t.Errorf("Wants(%s) = %v", kind, got)
		}
	}
	if !(Endpoint{}).Wants("modem.up") {
		t.Error("an endpoint without a choice wants everything")
	}
}
