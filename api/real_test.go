package api

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"otpost/api/wire"
	"otpost/driver"
	"otpost/gateway"
	"otpost/gateway/store"
	"otpost/gateway/store/keys"
	"otpost/otp"
)

// handset is a modem and the phones behind it: what is sent arrives at once.
type handset struct {
	mu    sync.Mutex
	texts map[string][]string // by number, oldest first
	came  chan struct{}       // closed and replaced when one arrives
}

func newHandset() *handset { return &handset{texts: map[string][]string{}, came: make(chan struct{})} }

func (h *handset) Name() string { return "modem1" }

func (h *handset) Status() driver.Status {
	return driver.Status{Name: "modem1", State: driver.StateReady, ICCID: "8944110068341234567", IMEI: "867567021234567", Reports: true, SignalDBm: -71}
}

func (h *handset) Send(_ context.Context, s driver.Submit) driver.Result {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.texts[s.To] = append(h.texts[s.To], s.Text)
	close(h.came)
	h.came = make(chan struct{})
	now := time.Now()
	return driver.Result{Outcome: driver.Accepted, References: make([]uint8, 1), Parts: 1, ICCID: "8944110068341234567", Submitted: now, Done: now}
}

func (h *handset) count(to string) int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.texts[to])
}

var sixDigits = regexp.MustCompile(`\b[0-9]{6}\b`)

// text waits for the n-th text to a number (from 0).
func (h *handset) text(t testing.TB, to string, n int) string {
	t.Helper()
	limit := time.After(20 * time.Second)
	for {
		h.mu.Lock()
		texts, came := slices.Clone(h.texts[to]), h.came
		h.mu.Unlock()
		if len(texts) > n {
			return texts[n]
		}
		select {
		case <-came:
		case <-limit:
			t.Fatalf("%s got %d texts, want %d", to, len(texts), n+1)
		}
	}
}

func (h *handset) code(t testing.TB, to string, n int) string {
	t.Helper()
	return sixDigits.FindString(h.text(t, to, n))
}

// realKit is a kit over real rules and a running queue with one modem.
type realKit struct {
	*kit
	phone *handset
	queue *gateway.Gateway
}

func newRealKit(t testing.TB, change ...func(*Config)) *realKit {
	t.Helper()
	return newRealKitOn(t, store.NewMemory(), change...)
}

// newRealKitOn is a realKit on a store that is there already.
func newRealKitOn(t testing.TB, kv *store.Memory, change ...func(*Config)) *realKit {
	t.Helper()
	ring := must(keys.Generate(rand.Reader))
	var rules *otp.Service
	phone := newHandset()
	queue := must(gateway.New(gateway.Config{KV: kv, Secrets: kv.Secrets(), Render: func(tx store.Txn, now time.Time, m gateway.Message) (string, error) {
		return rules.Render(tx, now, m)
	}}))
	if err := queue.Attach(gateway.Route{Modem: phone, PerMinute: 100_000, SubmitTime: time.Millisecond}); err != nil {
		t.Fatal(err)
	}
	policy := otp.DefaultPolicy()
	policy.Countries = []string{"GB"}
	policy.PIN.MemoryKiB, policy.PIN.Time = 8, 1
	rules = must(otp.New(otp.Config{KV: kv, Secrets: kv.Secrets(), Keys: ring, Outbox: queue, Policy: policy, Random: rand.Reader}))
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- queue.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("gateway: %v", err)
		}
	})
	<-queue.Ready()
	queue.Changed(phone.Status())
	k := newKit(t, append([]func(*Config){func(c *Config) {
		c.Rules, c.Gateway, c.KV, c.Secrets = rules, queue, kv, kv.Secrets()
	}}, change...)...)
	k.kv = kv
	return &realKit{kit: k, phone: phone, queue: queue}
}

// ask makes a request with the portal's key and reads the answer into a T.
func ask[T any](t testing.TB, k *kit, want int, method, target, body string, header ...string) T {
	t.Helper()
	var out T
	r := k.do(method, target, k.tokens[ScopePortal], body, header...)
	if r.StatusCode != want {
		t.Fatalf("%s %s: %d, want %d: %s", method, target, r.StatusCode, want, r.body)
	}
	if len(r.body) > 0 {
		d := json.NewDecoder(strings.NewReader(string(r.body)))
		d.DisallowUnknownFields()
		if err := d.Decode(&out); err != nil {
			t.Fatalf("%s %s: %v: %s", method, target, err, r.body)
		}
	}
	return out
}

const (
	mobile = "+447400123456"
	masked = "+44********56"
	pin    = "739154"
)

// enrolled is an account with SMS codes on.
func (k *realKit) enrolled(t testing.TB, account, phone string) {
	t.Helper()
	base := "/v1/accounts/" + account
	ask[struct{}](t, k.kit, 204, "PUT", base+"/pin", `{"pin":"`+pin+`"}`)
	n := k.phone.count(phone)
	ask[wire.Challenge](t, k.kit, 202, "POST", base+"/sms/enable", `{"phone":"`+phone+`"}`)
	ask[wire.Account](t, k.kit, 200, "POST", base+"/sms/enable/verify", fmt.Sprintf(`{"code":%q,"pin":%q}`, k.phone.code(t, phone, n), pin))
}

// The whole story of DESIGN 4 over HTTP.
func TestStory(t *testing.T) {
	k := newRealKit(t)
	const base = "/v1/accounts/client-4711"
	ask[wire.Problem](t, k.kit, 404, "GET", base, "")
	if p := ask[wire.Problem](t, k.kit, 409, "POST", base+"/sms/enable", `{"phone":"`+mobile+`"}`); p.Code != "pin-not-set" {
		t.Errorf("enable without a PIN: %s", p.Code)
	}
	if p := ask[wire.Problem](t, k.kit, 422, "PUT", base+"/pin", `{"pin":"1234"}`); p.Code != "weak-pin" {
		t.Errorf("PIN 1234: %s", p.Code)
	}
	ask[struct{}](t, k.kit, 204, "PUT", base+"/pin", `{"pin":"`+pin+`"}`)
	if p := ask[wire.Problem](t, k.kit, 422, "POST", base+"/sms/enable", `{"phone":"letters"}`); p.Code != "invalid-phone" {
		t.Errorf("a phone of letters: %s", p.Code)
	}
	if p := ask[wire.Problem](t, k.kit, 403, "POST", base+"/sms/enable", `{"phone":"+33612345678"}`); p.Code != "country-not-allowed" {
		t.Errorf("a French phone: %s", p.Code)
	}
	c := ask[wire.Challenge](t, k.kit, 202, "POST", base+"/sms/enable", `{"phone":"+44 7400 123456","client_ip":"198.51.100.7","locale":"en"}`)
	if c.Status != "pending" || c.Purpose != "sms.enable" || c.Phone != masked || c.Message.ID == "" {
		t.Errorf("challenge: %+v", c)
	}
	code := k.phone.code(t, mobile, 0)
	if p := ask[wire.Problem](t, k.kit, 400, "POST", base+"/sms/enable/verify", `{"code":"12345","pin":"`+pin+`"}`); p.Code != "invalid-request" {
		t.Errorf("a code of 5 digits: %s", p.Code)
	}
	wrong := ask[wire.Problem](t, k.kit, 422, "POST", base+"/sms/enable/verify", fmt.Sprintf(`{"code":%q,"pin":"000001"}`, code))
	if wrong.Code != "verification-failed" || wrong.AttemptsLeft == nil {
		t.Errorf("a wrong PIN: %+v", wrong)
	}
	a := ask[wire.Account](t, k.kit, 200, "POST", base+"/sms/enable/verify", fmt.Sprintf(`{"code":%q,"pin":%q}`, code[:3]+" "+code[3:], pin))
	if a.Grade != 1 || a.Identities.SMS.Status != "enabled" || !a.PINSet || a.Identities.SMS.EnabledAt.IsZero() {
		t.Errorf("account: %+v", a)
	}
	if p := ask[wire.Problem](t, k.kit, 410, "POST", base+"/sms/enable/verify", fmt.Sprintf(`{"code":%q,"pin":%q}`, code, pin)); p.Code != "challenge-over" && p.Code != "sms-already-enabled" {
		t.Errorf("the code again: %+v", p)
	}
	withdrawal(t, k)
	if a := ask[wire.Account](t, k.kit, 200, "PUT", base+"/grade", `{"grade":3}`); a.Grade != 3 {
		t.Errorf("grade: %+v", a)
	}
	ask[wire.Challenge](t, k.kit, 202, "POST", base+"/sms/disable", `{}`)
	a = ask[wire.Account](t, k.kit, 200, "POST", base+"/sms/disable/verify", fmt.Sprintf(`{"code":%q}`, k.phone.code(t, mobile, 2)))
	if a.Grade != 3 || a.Identities.SMS.Status != "disabled" {
		t.Errorf("after disable: %+v", a)
	}
	ask[struct{}](t, k.kit, 204, "DELETE", base, "")
	ask[wire.Problem](t, k.kit, 404, "GET", base, "")
}

// withdrawal confirms one: the PIN first, then the code with the same transaction.
func withdrawal(t *testing.T, k *realKit) {
	t.Helper()
	const transaction = `{"amount":"250.00","currency":"EUR","payee":"DE89370400440532013000"}`
	if p := ask[wire.Problem](t, k.kit, 422, "POST", "/v1/challenges", `{"account":"client-4711","purpose":"withdrawal","pin":"000001","transaction":`+transaction+`}`); p.Code != "verification-failed" {
		t.Errorf("a withdrawal with a wrong PIN: %+v", p)
	}
	c := ask[wire.Challenge](t, k.kit, 202, "POST", "/v1/challenges", `{"account":"client-4711","purpose":"withdrawal","pin":"`+pin+`","transaction":`+transaction+`}`)
	text := k.phone.text(t, mobile, 1)
	if !strings.Contains(text, "250.00") {
		t.Errorf("the text does not say what is paid: %s", text)
	}
	one := "/v1/challenges/" + c.ID
	code := sixDigits.FindString(strings.ReplaceAll(text, "250.00", ""))
	if p := ask[wire.Problem](t, k.kit, 429, "POST", one+"/resend", ""); p.Code != "resend-too-early" || p.RetryAfter < 1 {
		t.Errorf("resend at once: %+v", p)
	}
	ask[wire.Problem](t, k.kit, 422, "POST", one+"/verify", fmt.Sprintf(`{"code":%q,"transaction":%s}`, code, strings.Replace(transaction, "250", "950", 1)))
	v := ask[wire.Challenge](t, k.kit, 200, "POST", one+"/verify", fmt.Sprintf(`{"code":%q,"transaction":%s}`, code, transaction))
	if v.Status != "verified" {
		t.Errorf("challenge: %+v", v)
	}
	if p := ask[wire.Problem](t, k.kit, 410, "POST", one+"/verify", fmt.Sprintf(`{"code":%q,"transaction":%s}`, code, transaction)); p.Code != "challenge-over" || p.ChallengeStatus != "verified" {
		t.Errorf("the code again: %+v", p)
	}
	ask[wire.Problem](t, k.kit, 404, "GET", "/v1/challenges/chl_00000000000000000000000000", "")
}

var filterAll = gateway.Filter{Limit: 200}

// settle waits until every message is out of the queue.
func (k *realKit) settle(t testing.TB) {
	t.Helper()
	for _, status := range []gateway.Status{gateway.Queued, gateway.Sending} {
		for {
			ms, _, err := k.queue.Messages(context.Background(), gateway.Filter{Status: status})
			if err != nil {
				t.Fatal(err)
			}
			if len(ms) == 0 {
				break
			}
			k.phone.mu.Lock()
			came := k.phone.came
			k.phone.mu.Unlock()
			select {
			case <-came:
			case <-time.After(10 * time.Millisecond): // the last one may have come before we looked
			}
		}
	}
}

func atoi(s string) int { return must(strconv.Atoi(s)) }

func mustRequest(method, target string) *http.Request {
	return httptest.NewRequest(method, target, nil)
}

// callerOf is the id of the key with a scope.
func callerOf(t testing.TB, k *realKit, scope Scope) string {
	t.Helper()
	return must(k.keys.Authenticate(t.Context(), time.Now(), k.tokens[scope], netip.Addr{})).id
}
