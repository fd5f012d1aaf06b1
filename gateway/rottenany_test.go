package gateway

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"otpost/driver"
	"otpost/gateway/store"
	"otpost/gateway/store/storetest"
	"otpost/gateway/webhook"
)

// rotting is a bench over a store whose records may rot.
func rotting(t *testing.T, n int) *bench {
	b := newBench(t, n)
	b.kv = storetest.Rotting{KV: b.kv}
	return b
}

// goneSender answers one endpoint's events with 410 and fails the other's.
type goneSender struct{}

func (goneSender) Send(_ context.Context, e webhook.Endpoint, _ string, _ time.Time, _ []byte) webhook.Result {
	if e.Name == "gone" {
		return webhook.Result{Gone: true, Status: 410, Reason: "gone"}
	}
	return webhook.Result{Status: 503, Reason: "status"}
}

// withHooks gives the gateway two endpoints, so that there is something in the outbox.
func withHooks(c *Config) {
	secret, err := webhook.ParseSecret("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
	if err != nil {
		panic(err)
	}
	for _, name := range []string{"gone", "down"} {
		c.Webhooks = append(c.Webhooks, webhook.Endpoint{Name: name, URL: "https://" + name + ".example/hook", Secrets: []webhook.Secret{secret}})
	}
	c.WebhookSender = goneSender{}
}

// everything makes a store with records of every kind and returns them.
func everything(t *testing.T) map[string]string {
	b := rotting(t, 2)
	b.config = withHooks
	b.route = func(r *Route) { r.PerDay, r.PerMonth = 100, 1000 }
	b.start()
	ctx := context.Background()
	b.modems[0].plays(func(n int, _ driver.Submit) fakeAct {
		switch n {
		case 1:
			return unknown(true, time.Second)
		case 2:
			return refuse(driver.ClassNetwork, "cms-38")
		}
		return accept(time.Second)
	})
	b.modems[1].set(b.g, driver.StateSearching)
	first := b.enqueue(code(alice, 5*time.Minute))
	sleep(2 * time.Second)
	b.enqueue(text("+447700900777", "in doubt"))
	b.enqueue(text(bob, "again"))
	sleep(90 * time.Second)
	if err := b.kv.Update(ctx, func(tx store.Txn) error { return b.g.Converted(tx, time.Now(), first) }); err != nil {
		t.Fatal(err)
	}
	b.report(b.modems[0], "+447700900999", 7, 0) // nobody's
	if err := b.g.Inbound(ctx, "m0", driver.Inbound{ICCID: "8944m0", From: alice, Text: "stop", Sent: time.Now(), At: time.Now()}); err != nil {
		t.Fatal(err)
	}
	b.modems[0].set(b.g, driver.StateSearching)
	b.enqueue(text(alice, "waits"))
	for _, f := range []func(context.Context, string) error{b.g.Pause, b.g.Resume} {
		if err := f(ctx, "m0"); err != nil {
			t.Fatal(err)
		}
	}
	if err := b.kv.Update(ctx, func(tx store.Txn) error {
		return store.Save(tx, clockKey, clockRecord{Ahead: time.Now(), At: time.Now()}, time.Time{})
	}); err != nil {
		t.Fatal(err)
	}
	b.kill()()
	all := map[string]string{}
	if err := b.kv.View(ctx, func(tx store.Txn) error {
		return tx.Scan(store.Range{Prefix: "gw/"}, func(key string, value []byte) bool {
			all[key] = string(value)
			return true
		})
	}); err != nil {
		t.Fatal(err)
	}
	kinds := map[string]bool{}
	for key := range all {
		kinds[strings.Split(key, "/")[1]] = true
	}
	for _, kind := range []string{"msg", "q", "acct", "evt", "out", "hook", "log", "in", "from", "seen", "sim", "modem", "rcpt", "ref", "unsure", "early", "due", "conv", "clock"} {
		if !kinds[kind] {
			t.Errorf("there is no record gw/%s/ to rot", kind)
		}
	}
	return all
}

// TestAnyRottenRecordStopsNothing: whichever record of the gateway does not open, it starts, sends, takes reports and inbound
// texts, answers operators, erases, and lives for days.
func TestAnyRottenRecordStopsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		records := everything(t)
		for rotten := range records {
			b := rotting(t, 2)
			b.config = withHooks
			b.route = func(r *Route) { r.PerDay, r.PerMonth = 100, 1000 }
			if err := b.kv.Update(context.Background(), func(tx store.Txn) error {
				for key, value := range records {
					if err := tx.Set(key, []byte(value), time.Time{}); err != nil {
						return err
					}
				}
				return tx.Set(rotten, []byte("rot"), time.Time{})
			}); err != nil {
				t.Fatal(err)
			}
			b.start()
			b.livesOn(rotten)
			b.end()
		}
	})
}

// livesOn checks that the gateway does all it is for.
func (b *bench) livesOn(rotten string) {
	t, ctx := b.t, context.Background()
	t.Helper()
	check := func(what string, err error) {
		t.Helper()
		if err != nil {
			t.Errorf("rotten %s: %s: %v", rotten, what, err)
		}
	}
	id, err := b.try(code(bob, 5*time.Minute))
	check("enqueue", err)
	sleep(20 * time.Second)
	if err == nil {
		b.wantStatus(id, Sent)
	}
	for _, to := range []string{alice, bob, "+447700900777", "+447700900999"} {
		check("report", b.g.Report(ctx, "m0", driver.Report{ICCID: "8944m0", Reference: 100, Recipient: to, Status: 0, At: time.Now()}))
		check("inbound", b.g.Inbound(ctx, "m0", driver.Inbound{ICCID: "8944m0", From: to, Text: "stop", Sent: time.Now(), At: time.Now()}))
	}
	page, _, err := b.g.Messages(ctx, Filter{})
	check("list messages", err)
	for _, s := range []Status{Queued, Sending, Sent} {
		_, _, err := b.g.Messages(ctx, Filter{Status: s})
		check("list messages "+string(s), err)
	}
	_, _, err = b.g.Inbox(ctx, 0, "")
	check("list the inbox", err)
	_, err = b.g.Webhooks(ctx)
	check("list webhooks", err)
	_, err = b.g.WebhookLog(ctx, "down", 0)
	check("read the log", err)
	_, err = b.g.ReplayWebhook(ctx, "down", time.Now().Add(-time.Hour))
	check("replay", err)
	_, err = b.g.Conversions(ctx)
	check("list conversions", err)
	_, err = b.g.eventsAfter(ctx, "")
	check("read events", err)
	for _, m := range page {
		check("convert", b.kv.Update(ctx, func(tx store.Txn) error { return b.g.Converted(tx, time.Now(), m.ID) }))
	}
	check("erase", b.tryErase("alice", alice))
	check("pause", b.g.Pause(ctx, "m0"))
	check("resume", b.g.Resume(ctx, "m0"))
	sleep(26 * time.Hour)
	id, err = b.try(text(bob, "a day later"))
	check("enqueue", err)
	sleep(time.Minute)
	if err == nil {
		b.wantStatus(id, Sent)
	}
}

// A SIM whose counters do not open rests if it has quotas, and says so, until an operator resumes it; no other rests with it.
func TestRottenSIM(t *testing.T) {
	tests := []struct {
		name  string
		limit func(*Route)
		rests bool
	}{
		{"with a quota", func(r *Route) { r.PerDay = 10 }, true},
		{"with a pace only", func(r *Route) { r.PerMinute = 10 }, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := rotting(t, 1)
				b.route = tt.limit
				b.start()
				b.enqueue(code(alice, 5*time.Minute))
				sleep(2 * time.Second)
				sim := b.g.simKey("8944m0")
				b.rot(sim)
				b.enqueue(code(alice, 5*time.Minute))
				sleep(2 * time.Second)
				if v := b.view(0); v.SentToday != 2 || v.Quarantined != "" {
					t.Errorf("counters are still in memory, but: %+v", v)
				}
				b.rot(sim)
				b.kill()()
				b.start()
				v := b.view(0)
				if rests := v.Quarantined == unreadable; rests != tt.rests {
					t.Fatalf("quarantined for %q", v.Quarantined)
				}
				if tt.rests {
					if _, err := b.try(code(alice, 5*time.Minute)); err == nil {
						t.Error("a code was accepted for a SIM whose quota nobody knows")
					}
					sleep(40 * 24 * time.Hour)
					if v := b.view(0); v.Quarantined != unreadable {
						t.Error("time alone has ended the rest")
					}
					if err := b.g.Resume(context.Background(), "m0"); err != nil {
						t.Fatal(err)
					}
				}
				sleep(time.Minute)
				id := b.enqueue(code(alice, 5*time.Minute))
				sleep(2 * time.Second)
				b.wantStatus(id, Sent)
				b.kill()()
				b.start()
				if v := b.view(0); v.SentToday != 1 || v.Quarantined != "" {
					t.Errorf("after the repair: %+v", v)
				}
				b.end()
			})
		})
	}
}

func (b *bench) view(i int) ModemView {
	b.t.Helper()
	views, err := b.g.Modems(context.Background())
	if err != nil {
		b.t.Fatal(err)
	}
	return views[i]
}

// scanStrictly is scan for checks: a record that does not open is an error.
func scanStrictly[T any](tx store.Txn, r store.Range, f func(key string, v T) bool) error {
	var bad error
	err := walk(tx, r, f, func(_ string, err error) bool {
		bad = err
		return false
	})
	return errors.Join(bad, err)
}
