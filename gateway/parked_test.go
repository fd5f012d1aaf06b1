package gateway

import (
	"strings"
	"testing"
	"time"

	"otpost/driver"
	"otpost/gateway/store"
)

// Of two hand-overs of a message the report of the one may be booked on the other: that of the other is not an older message's for
// all that, whichever comes first and however the clock is off.
func TestReportsOfBothHandOvers(t *testing.T) {
	for _, tt := range []struct {
		name        string
		off         time.Duration // of the network's clock
		first, then int           // hand-over that the report is about
	}{
		{"in order", 0, 0, 1},
		{"the second first", 0, 1, 0},
		{"the second first, clock behind", -5 * time.Second, 1, 0},
		{"clock ahead", 5 * time.Second, 0, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			inBubble(t, modems(1), func(t *testing.T, b *bench) {
				m := b.modems[0]
				m.plays(func(n int, _ driver.Submit) fakeAct {
					if n == 0 {
						return unknown(false, 55*time.Second)
					}
					return fakeAct{happens: true, hang: 50 * time.Second, result: driver.Result{Outcome: driver.Unknown, Code: driver.CodeHangup}}
				})
				older := b.enqueue(text(alice, "older"))
				sleep(time.Minute)
				id := b.enqueue(code(alice, 5*time.Minute))
				sleep(2 * time.Minute)
				a := b.wantStatus(id, Uncertain).Attempts
				if len(a) != 2 {
					t.Fatalf("attempts %+v", a)
				}
				for i, n := range []int{tt.first, tt.then} {
					b.tell(m, alice, uint8(77+i), a[n].ClaimedAt.Add(time.Second+tt.off))
				}
				b.wantStatus(older, Uncertain)
				b.wantStatus(id, Delivered)
			})
		})
	}
}

// Nor is it a newer message's.
func TestReportOfSecondHandOverIsNotNewers(t *testing.T) {
	inBubble(t, modems(1), func(t *testing.T, b *bench) {
		m := b.modems[0]
		m.plays(func(n int, _ driver.Submit) fakeAct {
			if n == 1 { // and goes on
				return fakeAct{hang: time.Second, result: driver.Result{Outcome: driver.Unknown, Code: driver.CodeHangup}}
			}
			return unknown(n == 0, 4*time.Second)
		})
		id, began := b.enqueue(code(alice, 5*time.Minute)), time.Now()
		sleep(100 * time.Second)
		newer := b.enqueue(text(alice, "newer"))
		sleep(5 * time.Second)
		b.tell(m, alice, 77, began.Add(6*time.Second)) // of the first, by a clock that is ahead: nearer to the second
		if a := b.wantStatus(id, Delivered).Attempts; len(a) != 2 || len(a[1].References) != 1 {
			t.Fatalf("attempts %+v", a)
		}
		b.tell(m, alice, 78, began.Add(102*time.Second))
		b.wantStatus(newer, Uncertain)
	})
}

// Erasure also takes the record of a hand-over in doubt that is named as it was of old, without the attempt.
func TestEraseForgetsDoubtNamedOfOld(t *testing.T) {
	inBubble(t, modems(1), func(t *testing.T, b *bench) {
		m := b.modems[0]
		m.plays(func(int, driver.Submit) fakeAct { return unknown(false, time.Second) })
		d := text(alice, "one")
		d.Account = "alice"
		id := b.enqueue(d)
		sleep(5 * time.Second)
		b.wantStatus(id, Uncertain)
		if err := b.kv.Update(t.Context(), func(tx store.Txn) error {
			key := b.g.unsureKey(m.iccid, id, 0)
			u, err := store.Load[refRecord](tx, key)
			if err != nil {
				return err
			}
			if err := b.g.unshelve(tx, key); err != nil {
				return err
			}
			return shelve(b.g, tx, strings.TrimSuffix(key, "/0"), u, time.Now().Add(time.Hour))
		}); err != nil {
			t.Fatal(err)
		}
		b.erase("alice")
		if err := b.kv.View(t.Context(), func(tx store.Txn) error {
			return store.Keys(tx, store.Range{Prefix: "gw/unsure/"}, func(key string) bool {
				t.Errorf("%s is left", key)
				return true
			})
		}); err != nil {
			t.Fatal(err)
		}
	})
}

// Reports about other phones, however many wait, are not offered again for a phone's sake.
func TestReconsiderLooksAtOnePhone(t *testing.T) {
	inBubble(t, modems(1), func(t *testing.T, b *bench) {
		const parked = 50
		for ref := range uint8(parked) {
			b.tell(b.modems[0], bob, ref, time.Now())
		}
		scans := func(to string) int64 {
			k := &scanKV{KV: b.kv}
			if err := k.Update(t.Context(), func(tx store.Txn) error { return b.g.reconsider(tx, time.Now(), b.modems[0].iccid, to) }); err != nil {
				t.Fatal(err)
			}
			return k.ref.Load()
		}
		if n := scans(alice); n > 0 {
			t.Errorf("%d scans for a phone that has none", n)
		}
		if n := scans(bob); n < parked {
			t.Errorf("%d scans for the one that has all", n)
		}
	})
}

// A record whose parts have all got their names by now is dropped, and the report may be about another hand-over.
func TestDoubtThatIsOver(t *testing.T) {
	inBubble(t, modems(1), func(t *testing.T, b *bench) {
		m := b.modems[0]
		m.plays(func(int, driver.Submit) fakeAct { return unknown(true, time.Second) })
		id := b.enqueue(text(alice, "one"))
		sleep(time.Minute)
		b.wantStatus(id, Uncertain)
		m.plays(func(int, driver.Submit) fakeAct { return accept(time.Second) })
		next, began := b.enqueue(text(alice, "two")), time.Now()
		sleep(5 * time.Second)
		b.wantStatus(next, Sent)
		if err := b.kv.Update(t.Context(), func(tx store.Txn) error {
			u := refRecord{Whole: true, To: ending(alice), At: began, Done: began.Add(time.Second)}
			return shelve(b.g, tx, b.g.unsureKey(m.iccid, next, 0), u, time.Now().Add(time.Hour))
		}); err != nil {
			t.Fatal(err)
		}
		b.tell(m, alice, 77, began.Add(-10*time.Second))
		b.wantStatus(next, Sent)
		b.wantStatus(id, Delivered)
	})
}

// What was erased while it was in doubt, or with its modem, is still what a report may be about: another message to that phone which
// is in doubt does not take it.
func TestReportOfErasedRival(t *testing.T) {
	for _, tt := range []struct {
		name   string
		erased fakeAct // of the erased message
		in     Status  // which it is then
	}{
		{"in doubt", unknown(true, time.Second), Uncertain},
		{"with its modem", unknown(true, 20*time.Second), Sending},
	} {
		t.Run(tt.name, func(t *testing.T) {
			inBubble(t, modems(1), func(t *testing.T, b *bench) {
				m := b.modems[0]
				m.plays(func(n int, _ driver.Submit) fakeAct {
					if n == 0 {
						return unknown(false, time.Second)
					}
					return tt.erased
				})
				left := b.enqueue(text(alice, "one"))
				sleep(5 * time.Second)
				d := text(alice, "two")
				d.Account = "alice"
				id, began := b.enqueue(d), time.Now()
				sleep(5 * time.Second)
				b.wantStatus(id, tt.in)
				b.erase("alice")
				b.tell(m, alice, 77, began)
				sleep(time.Minute)
				b.wantStatus(left, Uncertain)
			})
		})
	}
}

// A message that was erased while its modem had it takes no report: its record does not tell the phone.
func TestErasedTakesNoReport(t *testing.T) {
	inBubble(t, modems(1), func(t *testing.T, b *bench) {
		m := b.modems[0]
		m.plays(func(int, driver.Submit) fakeAct { return unknown(true, 20*time.Second) })
		d := text(alice, "one")
		d.Account = "alice"
		id, began := b.enqueue(d), time.Now()
		sleep(5 * time.Second)
		b.erase("alice")
		sleep(time.Minute)
		b.tell(m, bob, 77, began)
		b.wantStatus(id, Uncertain)
	})
}
