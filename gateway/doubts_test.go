package gateway

import (
	"strings"
	"testing"
	"time"

	"otpost/driver"
)

// Of two hand-overs to one phone by one SIM, seconds apart and both in doubt, one may still get its verdict: a report that may
// be about either waits for that.
func TestReportWaitsForVerdictOfRival(t *testing.T) {
	const ref = 77 // which nobody knows
	late := func(r driver.Result) fakeAct {
		r.Class = driver.ClassRecipient
		return fakeAct{took: 2 * time.Minute, result: r}
	}
	for _, tt := range []struct {
		name         string
		act          fakeAct
		after        time.Duration // of the second hand-over, when the report comes
		sent         time.Duration // likewise, by the network's clock
		first, other Status        // in the end
	}{
		{"refused late", late(driver.Result{Outcome: driver.Refused}), 70 * time.Second, time.Second, Delivered, Failed},
		{"refused late, report at once", late(driver.Result{Outcome: driver.Refused}), 5 * time.Second, time.Second, Delivered, Failed},
		{"accepted late", late(driver.Result{Outcome: driver.Accepted}), 70 * time.Second, time.Second, Uncertain, Delivered},
		{"accepted late, clock behind", late(driver.Result{Outcome: driver.Accepted}), 70 * time.Second, -4 * time.Second, Uncertain, Delivered},
		{"accepted late, clock behind, report at once", late(driver.Result{Outcome: driver.Accepted}), 5 * time.Second, -4 * time.Second, Uncertain, Delivered},
		{"no verdict", late(driver.Result{Outcome: driver.Unknown}), 70 * time.Second, time.Second, Uncertain, Delivered},
	} {
		t.Run(tt.name, func(t *testing.T) {
			inBubble(t, modems(1), func(t *testing.T, b *bench) {
				m := b.modems[0]
				m.plays(func(n int, _ driver.Submit) fakeAct {
					if n == 0 {
						return unknown(true, 4*time.Second)
					}
					return tt.act
				})
				first := b.enqueue(text(alice, "one"))
				sleep(5 * time.Second)
				b.wantStatus(first, Uncertain)
				m.at(ref)
				other := b.enqueue(text(alice, "two"))
				began := time.Now()
				sleep(tt.after)
				b.tell(m, alice, ref, began.Add(tt.sent))
				b.wantStatus(first, Uncertain)
				sleep(5 * time.Minute)
				b.wantStatus(first, tt.first)
				b.wantStatus(other, tt.other)
			})
		})
	}
}

// The only hand-over that a report may be about gets it at once, though it still owes its verdict: a code is not sent again then.
func TestReportSettlesOverdue(t *testing.T) {
	inBubble(t, modems(1), func(t *testing.T, b *bench) {
		b.modems[0].plays(func(int, driver.Submit) fakeAct { return unknown(true, 2*time.Minute) })
		id := b.enqueue(text(alice, "hello"))
		sleep(70 * time.Second)
		b.wantStatus(id, Uncertain)
		b.tell(b.modems[0], alice, 77, time.Now().Add(-69*time.Second))
		b.wantStatus(id, Delivered)
	})
}

// The network refuses one part of a text: what comes behind it was not submitted and is not counted.
func TestRefusedPartCountsAlone(t *testing.T) {
	build := func(t *testing.T) *bench {
		b := modems(1)(t)
		b.route = func(r *Route) { r.PerMinute, r.PerDay = 10, 100 }
		return b
	}
	inBubble(t, build, func(t *testing.T, b *bench) {
		refused := func(taken int) fakeAct {
			act := refuse(driver.ClassNetwork, "cms-38")
			act.result.Taken, act.result.Submitted = taken, time.Now()
			return act
		}
		b.modems[0].plays(func(n int, _ driver.Submit) fakeAct {
			if n < 2 {
				return refused(2 * n)
			}
			return accept(time.Second)
		})
		id := b.enqueue(text(alice, strings.Repeat("x", 153*5)))
		sleep(30 * time.Second)
		b.wantStatus(id, Sent)
		const refusedOnes, parts = 2, 5
		if sim := b.g.sims[b.modems[0].iccid]; sim.DayCount != parts+refusedOnes || len(sim.Recent) != parts+refusedOnes {
			t.Errorf("%d are counted today and %d this minute, want %d", sim.DayCount, len(sim.Recent), parts+refusedOnes)
		}
	})
}
