package gateway

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"otpost/driver"
	"otpost/gateway/store"
)

// taken it that modem has work, and nothing but the claim tells.
func TestClaimFreesWhatItHeldBack(t *testing.T) {
	const carol = "+447700900777"
	inBubble(t, func(t *testing.T) *bench {
		b := newBench(t, 2)
		b.route = func(r *Route) {
			if r.Modem.Name() == "m1" {
				r.PerDay = 10
			}
		}
		used := simRecord{Day: time.Now().UTC().Format(time.DateOnly), DayCount: 7, Month: time.Now().UTC().Format(monthOnly), MonthCount: 7}
		if err := b.kv.Update(context.Background(), func(tx store.Txn) error {
			return store.Save(tx, "gw/sim/"+testSecrets.Pseudonym("iccid", b.modems[1].iccid), used, time.Time{})
		}); err != nil {
			t.Fatal(err)
		}
		return b
	}, func(t *testing.T, b *bench) {
		b.modems[0].plays(func(n int, _ driver.Submit) fakeAct {
			return accept([]time.Duration{5 * time.Second, 20 * time.Second, 1}[min(n, 2)])
		})
		b.enqueue(code(alice, 5*time.Minute))
		sleep(time.Second)
		d := text(bob, strings.Repeat("x", 600)) // four parts
		d.Lane = LaneLogin
		long := b.enqueue(d)
		sleep(time.Second)
		short := b.enqueue(text(carol, "hello"))
		b.wantStatus(long, Queued)
		b.wantStatus(short, Queued) // what is less urgent must not slip past a code
		began := time.Now()
		for b.message(short).Status == Queued && time.Since(began) < time.Minute {
			sleep(100 * time.Millisecond)
		}
		m, l := b.message(short), b.message(long)
		if late := m.Attempts[0].ClaimedAt.Sub(l.Attempts[0].ClaimedAt); late > 200*time.Millisecond {
			t.Errorf("m1 was idle for %v although the text waited for nothing any more", late)
		}
		synctest.Wait()
	})
}

// What waits for a modem because it shuns another need not any more once that modem has used up its quota.
func TestClaimThatUsesUpQuotaFreesOthers(t *testing.T) {
	inBubble(t, func(t *testing.T) *bench {
		b := newBench(t, 2)
		b.route = func(r *Route) {
			if r.Modem.Name() == "m0" {
				r.PerDay = 2
			}
		}
		failed := recipientRecord{Failures: 1, SIM: b.modems[1].iccid, At: time.Now()}
		if err := b.kv.Update(context.Background(), func(tx store.Txn) error {
			return store.Save(tx, "gw/rcpt/"+testSecrets.Pseudonym("recipient", bob), failed, time.Time{})
		}); err != nil {
			t.Fatal(err)
		}
		return b
	}, func(t *testing.T, b *bench) {
		b.modems[0].plays(func(n int, _ driver.Submit) fakeAct {
			return accept([]time.Duration{5 * time.Second, time.Minute}[min(n, 1)])
		})
		b.enqueue(code(bob, 5*time.Minute))
		sleep(time.Second)
		last, other := b.enqueue(code(bob, 5*time.Minute)), b.enqueue(code(bob, 5*time.Minute))
		b.wantStatus(other, Queued)
		for range 600 {
			if b.message(other).Status != Queued {
				break
			}
			sleep(100 * time.Millisecond)
		}
		m, l := b.message(other), b.message(last)
		if late := m.Attempts[0].ClaimedAt.Sub(l.Attempts[0].ClaimedAt); late > 200*time.Millisecond {
			t.Errorf("m1 was idle for %v although m0 could take nothing more", late)
		}
	})
}
