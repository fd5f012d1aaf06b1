package console_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base64"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"otpost/api"
	"otpost/driver"
	"otpost/driver/sim"
	"otpost/gateway"
	"otpost/gateway/store"
	"otpost/gateway/store/keys"
	"otpost/gateway/webhook"
	"otpost/otp"
)

// hostile is what somebody may write into a text, a network's name, or an answer to a USSD code.
const hostile = `<script>alert(1)</script><img src=x onerror=alert(2)>"'&{{.}}`

const (
	phone   = "+447400123456"
	masked  = "+44********56"
	account = "client-4711"
	pin     = "739154"
)

// station is a modem that takes everything at once; its words are hostile.
type station struct {
	mu    sync.Mutex
	texts []string      // under mu
	came  chan struct{} // closed and replaced when one is sent; under mu
}

func (*station) Name() string { return "modem1" }

func (*station) Status() driver.Status {
	return driver.Status{Name: "modem1", State: driver.StateReady, ICCID: "8944110068341234567", IMEI: "867567021234567", Reports: true, SignalDBm: -71,
		Operator: hostile, Manufacturer: hostile, Model: "M", Revision: "R", Device: "/dev/ttyUSB0", Registration: "home", LastError: "no prompt", Resets: map[string]uint64{"at": 2},
		Since: time.Now(), LastGood: time.Now()}
}

func (s *station) Send(_ context.Context, m driver.Submit) driver.Result {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.texts = append(s.texts, m.Text)
	close(s.came)
	s.came = make(chan struct{})
	now := time.Now()
	return driver.Result{Outcome: driver.Accepted, References: []uint8{7}, Parts: 1, ICCID: "8944110068341234567", Submitted: now, Done: now}
}

// sent is every text so far, and what is closed when another is sent.
func (s *station) sent() ([]string, chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.texts), s.came
}

// control stands in for the drivers.
type control struct{}

func (control) Reset(context.Context, string) error                  { return nil }
func (control) USSD(context.Context, string, string) (string, error) { return hostile, nil }
func (control) Trace(string) ([]driver.TraceLine, error)             { return make([]driver.TraceLine, 2), nil }
func (w *world) Write(b []byte) (int, error) {
	w.logMu.Lock()
	defer w.logMu.Unlock()
	return w.log.Write(b)
}
func (w *world) logged() string { w.logMu.Lock(); defer w.logMu.Unlock(); return w.log.String() }
func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// world is a daemon's API and console over a real queue and real rules.
type world struct {
	t     testing.TB
	api   *api.Server
	queue *gateway.Gateway
	rules *otp.Service
	modem *station
	kv    store.KV
	key   map[api.Scope]string

	logMu sync.Mutex
	log   bytes.Buffer // under logMu
}

// sealed is a store with its secrets.
type sealed interface {
	store.KV
	Secrets() *store.Secrets
}

// newWorld makes one over a store; simulated says whether there are phones to look at.
func newWorld(t testing.TB, kv sealed, simulated bool) *world {
	t.Helper()
	w := &world{t: t, modem: &station{came: make(chan struct{})}, kv: kv, key: map[api.Scope]string{}}
	hook := webhook.Endpoint{Name: "portal", URL: "https://portal.example/hooks?<b>", Secrets: []webhook.Secret{
		must(webhook.ParseSecret("whsec_" + base64.StdEncoding.EncodeToString(bytes.Repeat([]byte("k"), 32))))}}
	log := slog.New(slog.NewJSONHandler(w, &slog.HandlerOptions{Level: slog.LevelDebug}))
	w.queue = must(gateway.New(gateway.Config{KV: kv, Secrets: kv.Secrets(), Webhooks: []webhook.Endpoint{hook}, Log: log,
		Render: func(tx store.Txn, now time.Time, m gateway.Message) (string, error) {
			return w.rules.Render(tx, now, m)
		}}))
	if err := w.queue.Attach(gateway.Route{Modem: w.modem, PerMinute: 100_000, PerDay: 1000, SubmitTime: time.Millisecond}); err != nil {
		t.Fatal(err)
	}
	policy := otp.DefaultPolicy()
	policy.Countries = []string{"GB"}
	policy.PIN.MemoryKiB, policy.PIN.Time = 8, 1
	w.rules = must(otp.New(otp.Config{KV: kv, Secrets: kv.Secrets(), Keys: must(keys.Generate(rand.Reader)), Outbox: w.queue, Policy: policy, Random: rand.Reader}))
	cfg := api.Config{Rules: w.rules, Gateway: w.queue, KV: kv, Secrets: kv.Secrets(), Log: log, Modems: control{}, Version: "test"}
	if simulated {
		cfg.Network = sim.NewNetwork(sim.NetworkConfig{})
	}
	w.api = must(api.New(cfg))
	for _, s := range api.Scopes() {
		_, w.key[s], _ = w.api.Keys().Create(context.Background(), time.Now(), api.KeySpec{Name: string(s), Scopes: []api.Scope{s}})
	}
	return w
}

// run lets the queue work until the test is over.
func (w *world) run() *world {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- w.queue.Run(ctx) }()
	w.t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			w.t.Errorf("gateway: %v", err)
		}
	})
	<-w.queue.Ready()
	w.queue.Changed(w.modem.Status())
	return w
}

// browser keeps cookies as a browser does, and comes from one address.
type browser struct {
	w       *world
	peer    string
	host    string
	cookies map[string]string
	csrf    string // of the page last seen
}

func (w *world) browser() *browser {
	return &browser{w: w, peer: "198.51.100.7:4711", host: "otpost.example:8475", cookies: map[string]string{}}
}

// signedIn is a browser that has signed in with the key of a scope.
func (w *world) signedIn(s api.Scope) *browser {
	w.t.Helper()
	b := w.browser()
	if r := b.post("sign-in", url.Values{"key": {w.key[s]}}); r.StatusCode != http.StatusSeeOther {
		w.t.Fatalf("sign-in with the scope %s: %d %s", s, r.StatusCode, r.text)
	}
	b.get("")
	return b
}

// page is an answer, read.
type page struct {
	*http.Response
	text string
}

var csrfField = regexp.MustCompile(`name="csrf" value="([^"]+)"`)

func (b *browser) do(r *http.Request) page {
	r.RemoteAddr, r.Host = b.peer, b.host
	for name, value := range b.cookies {
		r.AddCookie(&http.Cookie{Name: name, Value: value})
	}
	rec := httptest.NewRecorder()
	b.w.api.Handler().ServeHTTP(rec, r)
	res := rec.Result()
	for _, c := range res.Cookies() {
		b.cookies[c.Name] = c.Value
		if c.MaxAge < 0 {
			delete(b.cookies, c.Name)
		}
	}
	p := page{res, strings.ReplaceAll(string(must(io.ReadAll(res.Body))), "&#43;", "+")} // html/template writes it so
	if m := csrfField.FindStringSubmatch(p.text); m != nil {
		b.csrf = m[1]
	}
	return p
}

// get asks for a page below /console/; header is "Name: value" lines.
func (b *browser) get(path string, header ...string) page {
	return b.do(withHeader(httptest.NewRequest(http.MethodGet, "/console/"+path, nil), header))
}

// post sends a form as it is.
func (b *browser) post(path string, form url.Values, header ...string) page {
	r := httptest.NewRequest(http.MethodPost, "/console/"+path, strings.NewReader(form.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return b.do(withHeader(r, header))
}

// press sends a form with the page's token.
func (b *browser) press(path string, form url.Values) page {
	if form == nil {
		form = url.Values{}
	}
	form.Set("csrf", b.csrf)
	return b.post(path, form)
}

func withHeader(r *http.Request, header []string) *http.Request {
	for _, h := range header {
		name, value, _ := strings.Cut(h, ": ")
		r.Header.Set(name, value)
	}
	return r
}

// wants checks a status and pieces of the page.
func (p page) wants(t testing.TB, what string, status int, pieces ...string) {
	t.Helper()
	if p.StatusCode != status {
		t.Errorf("%s: %d, want %d: %s", what, p.StatusCode, status, p.text)
	}
	for _, s := range pieces {
		if !strings.Contains(p.text, s) {
			t.Errorf("%s: the page lacks %q:\n%s", what, s, p.text)
		}
	}
}

// to is where an answer leads.
func (p page) to(t testing.TB, what, path string) {
	t.Helper()
	if p.StatusCode != http.StatusSeeOther || p.Header.Get("Location") != path {
		t.Errorf("%s: %d to %q, want 303 to %q: %s", what, p.StatusCode, p.Header.Get("Location"), path, p.text)
	}
}
