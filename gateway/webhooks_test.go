package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"otpost/gateway/store"
	"otpost/gateway/webhook"
)

// A fakeEndpoint takes what is posted and answers as it is told.
type fakeEndpoint struct {
	mu     sync.Mutex
	answer func(account string, n int) webhook.Result
	got    []string // "account type", taken ones only
	ids    []string
	tries  []time.Time
}

func (f *fakeEndpoint) Send(_ context.Context, _ webhook.Endpoint, id string, now time.Time, body []byte) webhook.Result {
	f.mu.Lock()
	defer f.mu.Unlock()
	var e struct{ Type, Account string }
	if err := json.Unmarshal(body, &e); err != nil {
		panic(err)
	}
	r := webhook.Result{OK: true, Status: 200, Reason: "ok"}
	if f.answer != nil {
		r = f.answer(e.Account, len(f.tries))
	}
	f.tries = append(f.tries, now)
	if r.OK {
		f.got = append(f.got, strings.TrimSpace(e.Account+" "+e.Type))
		f.ids = append(f.ids, id)
	}
	return r
}

func (f *fakeEndpoint) taken() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]string(nil), f.got...)
}

func withHook(f *fakeEndpoint) func(*testing.T) *bench {
	return func(t *testing.T) *bench {
		secret, err := webhook.ParseSecret("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
		if err != nil {
			t.Fatal(err)
		}
		b := newBench(t, 1)
		b.config = func(c *Config) {
			c.Webhooks = []webhook.Endpoint{{Name: "portal", URL: "https://portal.example/", Secrets: []webhook.Secret{secret}, Events: []string{"message.", "account."}}}
			c.WebhookSender = f
		}
		return b
	}
}

func (b *bench) emit(account, kind string) {
	b.t.Helper()
	err := b.kv.Update(context.Background(), func(tx store.Txn) error {
		return b.g.Emit(tx, time.Now(), Event{Type: kind, Account: account})
	})
	if err != nil {
		b.t.Errorf("Emit: %v", err)
	}
}

func TestWebhookOrderPerAccount(t *testing.T) {
	busy := webhook.Result{Status: 409, Reason: "status"}
	f := &fakeEndpoint{}
	failing := true
	f.answer = func(account string, _ int) webhook.Result {
		if account == "alice" && failing {
			return busy
		}
		return webhook.Result{OK: true, Status: 200, Reason: "ok"}
	}
	inBubble(t, withHook(f), func(t *testing.T, b *bench) {
		b.emit("alice", "account.a1")
		b.emit("alice", "account.a2")
		b.emit("bob", "account.b1")
		b.emit("", "modem.up") // not wanted
		synctest.Wait()
		if diff := cmp.Diff([]string{"bob account.b1"}, f.taken()); diff != "" {
			t.Errorf("while alice fails (-want +got):\n%s", diff)
		}
		f.mu.Lock()
		failing = false
		f.mu.Unlock()
		sleep(time.Minute)
		if diff := cmp.Diff([]string{"bob account.b1", "alice account.a1", "alice account.a2"}, f.taken()); diff != "" {
			t.Errorf("in the end (-want +got):\n%s", diff)
		}
	})
}

func TestWebhookBacksOffForThreeDays(t *testing.T) {
	f := &fakeEndpoint{answer: func(string, int) webhook.Result { return webhook.Result{Reason: "connect"} }}
	inBubble(t, withHook(f), func(t *testing.T, b *bench) {
		began := time.Now()
		b.emit("alice", "account.a1")
		sleep(10 * 24 * time.Hour)
		last := f.tries[len(f.tries)-1].Sub(began)
		if n := len(f.tries); n < 12 || n > 25 || last < webhook.GiveUp || last > webhook.GiveUp+10*time.Hour {
			t.Errorf("%d tries, the last after %v", n, last)
		}
		log, err := b.g.WebhookLog(context.Background(), "portal", 1)
		if err != nil || len(log) != 1 || log[0].Outcome != "gave-up" || log[0].Attempt != len(f.tries) {
			t.Errorf("WebhookLog = %+v, %v", log, err)
		}
		views, err := b.g.Webhooks(context.Background())
		if err != nil || views[0].Pending != 0 {
			t.Errorf("Webhooks = %+v, %v", views, err)
		}
	})
}

// viewsKV counts the views of a store.
type viewsKV struct {
	store.KV
	n atomic.Int64
}

func (k *viewsKV) View(ctx context.Context, f func(store.Txn) error) error {
	k.n.Add(1)
	return k.KV.View(ctx, f)
}

// While an endpoint that is down is left alone, what happens meanwhile does not have its outbox read again and again; and when
// it is back, everything comes, in order.
func TestWebhookDownCostsNothing(t *testing.T) {
	down := true
	f := &fakeEndpoint{answer: func(string, int) webhook.Result { return webhook.Result{OK: !down, Status: 503, Reason: "status"} }}
	k := &viewsKV{}
	counted := func(t *testing.T) *bench {
		b := withHook(f)(t)
		config := b.config
		b.config = func(c *Config) {
			config(c)
			k.KV, c.KV = c.KV, k
		}
		return b
	}
	inBubble(t, counted, func(t *testing.T, b *bench) {
		account := func(i int) string { return fmt.Sprint("client-", i%150) }
		for i := range 300 {
			b.emit(account(i), fmt.Sprint("account.a", i))
			sleep(time.Second)
		}
		if n := k.n.Load(); n > 6*int64(len(f.tries)) || len(f.tries) > 30 {
			t.Errorf("300 events had the store read %d times, with %d tries", n, len(f.tries))
		}
		f.mu.Lock()
		down = false
		f.mu.Unlock()
		sleep(12 * time.Hour)
		got := f.taken()
		first := func(i int) int { return slices.Index(got, fmt.Sprint(account(i), " account.a", i)) }
		for i := range 150 {
			if a, b := first(i), first(i+150); a < 0 || b < a {
				t.Errorf("the events of %s came as number %d and %d", account(i), a, b)
			}
		}
		if len(got) != 300 {
			t.Errorf("%d events came", len(got))
		}
	})
}

func TestWebhookSurvivesRestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fakeEndpoint{answer: func(_ string, n int) webhook.Result {
			return webhook.Result{OK: n > 0, Status: 200, Reason: "status"}
		}}
		b := withHook(f)(t)
		b.start()
		b.emit("alice", "account.a1")
		synctest.Wait()
		b.kill()()
		b.start()
		sleep(time.Minute)
		if diff := cmp.Diff([]string{"alice account.a1"}, f.taken()); diff != "" {
			t.Errorf("taken (-want +got):\n%s", diff)
		}
		b.end()
	})
}

func TestWebhookGone(t *testing.T) {
	f := &fakeEndpoint{answer: func(string, int) webhook.Result { return webhook.Result{Gone: true, Status: 410, Reason: "gone"} }}
	inBubble(t, withHook(f), func(t *testing.T, b *bench) {
		for i := range 5 {
			b.emit(fmt.Sprint("account", i), "account.a1")
		}
		sleep(time.Hour)
		b.emit("bob", "account.b1")
		sleep(time.Hour)
		if len(f.tries) != 1 {
			t.Errorf("%d tries after a 410", len(f.tries))
		}
		views, err := b.g.Webhooks(context.Background())
		if err != nil || views[0].Off.IsZero() || views[0].Pending != 0 {
			t.Errorf("Webhooks = %+v, %v", views, err)
		}
		if _, err := b.g.ReplayWebhook(context.Background(), "portal", time.Time{}.AddDate(1999, 0, 0)); !errors.Is(err, ErrEndpointOff) {
			t.Errorf("ReplayWebhook to an endpoint that is off: %v", err)
		}
		if err := b.g.EnableWebhook(context.Background(), "portal"); err != nil {
			t.Fatal(err)
		}
		f.mu.Lock()
		f.answer = nil
		f.mu.Unlock()
		n, err := b.g.ReplayWebhook(context.Background(), "portal", time.Now().Add(-90*time.Minute))
		if n != 1 || err != nil {
			t.Errorf("ReplayWebhook = %d, %v", n, err)
		}
		sleep(time.Second)
		if diff := cmp.Diff([]string{"bob account.b1"}, f.taken()); diff != "" {
			t.Errorf("replayed (-want +got):\n%s", diff)
		}
	})
}

func TestWebhookTestAndReplay(t *testing.T) {
	f := &fakeEndpoint{}
	inBubble(t, withHook(f), func(t *testing.T, b *bench) {
		ctx := context.Background()
		if d, err := b.g.TestWebhook(ctx, "portal"); err != nil || d.Outcome != "ok" || d.Status != 200 {
			t.Errorf("TestWebhook = %+v, %v", d, err)
		}
		if _, err := b.g.TestWebhook(ctx, "nobody"); !errors.Is(err, ErrNoEndpoint) {
			t.Errorf("TestWebhook of nothing: %v", err)
		}
		b.emit("alice", "account.a1")
		synctest.Wait()
		if n, err := b.g.ReplayWebhook(ctx, "portal", time.Now().Add(-time.Second)); n != 1 || err != nil {
			t.Errorf("ReplayWebhook = %d, %v", n, err)
		}
		synctest.Wait()
		want := []string{"webhook.test", "alice account.a1", "alice account.a1"}
		if diff := cmp.Diff(want, f.taken()); diff != "" {
			t.Errorf("taken (-want +got):\n%s", diff)
		}
		if f.ids[1] != f.ids[2] {
			t.Errorf("a replay has another id: %s and %s", f.ids[1], f.ids[2])
		}
	})
}

// An endpoint that is down is left alone as a whole: a thousand accounts are not a thousand tries.
func TestWebhookTroubleIsOfTheEndpoint(t *testing.T) {
	f := &fakeEndpoint{answer: func(string, int) webhook.Result { return webhook.Result{Status: 503, Reason: "status"} }}
	inBubble(t, withHook(f), func(t *testing.T, b *bench) {
		for i := range 1000 {
			b.emit(fmt.Sprint("account", i), "account.a1")
		}
		sleep(10 * time.Minute)
		if n := len(f.tries); n > 20 {
			t.Errorf("%d tries in ten minutes", n)
		}
		f.mu.Lock()
		f.answer = nil
		f.mu.Unlock()
		sleep(time.Hour)
		if n := len(f.taken()); n != 1000 {
			t.Errorf("%d of 1000 events taken", n)
		}
	})
}

// TestWebhookManyHeldHoldNobody: an account whose events the endpoint refuses, more of them than are looked at in one go, keeps no
// event of another from it.
func TestWebhookManyHeldHoldNobody(t *testing.T) {
	f := &fakeEndpoint{answer: func(account string, _ int) webhook.Result {
		if account == "bad" {
			return webhook.Result{Status: 400, Reason: "status"}
		}
		return webhook.Result{OK: true, Status: 200, Reason: "ok"}
	}}
	inBubble(t, withHook(f), func(t *testing.T, b *bench) {
		for range courierLook + courierPage {
			b.emit("bad", "account.x")
		}
		b.emit("good", "account.x")
		sleep(time.Minute)
		if diff := cmp.Diff([]string{"good account.x"}, f.taken()); diff != "" {
			t.Errorf("taken (-want +got):\n%s", diff)
		}
		if n := len(f.tries); n > 20 {
			t.Errorf("%d tries", n)
		}
	})
}

func TestOrderOf(t *testing.T) {
	b := newBench(t, 0)
	g := b.build()
	account := testSecrets.Pseudonym("account", "alice")
	tests := []struct {
		name string
		e    Event
		want string
	}{
		{"account", Event{ID: "evt_1", Account: "alice", Data: map[string]any{"message_id": "msg_1"}}, account},
		{"message", Event{ID: "evt_1", Data: map[string]any{"message_id": "msg_1", "modem": "m0"}}, "message_id msg_1"},
		{"modem", Event{ID: "evt_1", Data: map[string]any{"modem": "m0"}}, "modem m0"},
		{"neither", Event{ID: "evt_1"}, "evt_1"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := g.orderOf(&tt.e); got != tt.want {
				t.Errorf("orderOf = %q, want %q", got, tt.want)
			}
		})
	}
}

// TestWebhookRottenRecords: an outbox record that does not open is made anew, an event that does not open is passed over.
func TestWebhookRottenRecords(t *testing.T) {
	f := &fakeEndpoint{answer: func(string, int) webhook.Result { return webhook.Result{Status: 503, Reason: "status"} }}
	inBubble(t, withHook(f), func(t *testing.T, b *bench) {
		var ids []string
		for _, account := range []string{"a", "b", "c", "d"} {
			b.emit(account, "account.x")
			id, err := b.g.LastEvent(context.Background())
			if err != nil {
				t.Fatal(err)
			}
			ids = append(ids, id)
		}
		b.rot(outPrefix("portal") + ids[0])
		b.rot(eventKey(ids[1]))
		b.rot(outPrefix("portal") + ids[2])
		b.rot(eventKey(ids[2]))
		f.mu.Lock()
		f.answer = nil
		f.mu.Unlock()
		sleep(time.Hour)
		taken := f.taken()
		slices.Sort(taken) // of accounts, none comes before the other
		if diff := cmp.Diff([]string{"a account.x", "d account.x"}, taken); diff != "" {
			t.Errorf("taken (-want +got):\n%s", diff)
		}
	})
}

// A failure is noted once, however often the store wants to be asked.
func TestWebhookFailureCountsOnce(t *testing.T) {
	disk := &fullKV{}
	f := &fakeEndpoint{}
	f.answer = func(_ string, n int) webhook.Result {
		disk.full.Store(n == 0)
		return webhook.Result{Status: 500, Reason: "status"}
	}
	inBubble(t, func(t *testing.T) *bench {
		b := withHook(f)(t)
		hooked := b.config
		b.config = func(c *Config) {
			hooked(c)
			disk.KV, c.KV = c.KV, disk
		}
		return b
	}, func(t *testing.T, b *bench) {
		b.emit("alice", "account.a1")
		sleep(30 * time.Second)
		disk.full.Store(false)
		sleep(time.Second)
		log, err := b.g.WebhookLog(context.Background(), "portal", 1)
		if err != nil || len(log) != 1 || log[0].Attempt != 1 {
			t.Errorf("WebhookLog = %+v, %v, want attempt 1", log, err)
		}
	})
}
