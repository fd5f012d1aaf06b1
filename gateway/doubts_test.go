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
		{"no verdict", late(driver.Result{Outcome: driver.Unknown}), 70 * time.Second, time.Second, Uncertain, Uncertain},
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

// Of two hand-overs to one phone by one SIM, both in doubt for good, a report goes to the one that it is clearly about: it was
// submitted while that lasted, or nearer to it by more than clocks are off. Else neither is called delivered.
func TestReportOfOneOfTwoInDoubt(t *testing.T) {
	for _, tt := range []struct {
		name        string
		parts       int           // of the first
		lasts       time.Duration // likewise
		gap         time.Duration // until the second
		sent        time.Duration // after the second was handed over, by the network's clock
		first, then Status
	}{
		{"last part of a slow text", 3, 100 * time.Second, time.Second, -2 * time.Second, Uncertain, Uncertain},
		{"behind a slow text", 3, 100 * time.Second, time.Second, time.Second, Uncertain, Uncertain},
		{"last part of a text of minutes", 9, 430 * time.Second, time.Second, -6 * time.Second, Uncertain, Uncertain},
		{"seconds apart", 1, 4 * time.Second, 20 * time.Second, time.Second, Uncertain, Uncertain},
		{"a minute apart", 1, 4 * time.Second, time.Minute, time.Second, Uncertain, Delivered},
		{"a minute apart, about the first", 1, 4 * time.Second, time.Minute, -62 * time.Second, Delivered, Uncertain},
		{"a minute apart, between them", 1, 4 * time.Second, time.Minute, -28 * time.Second, Uncertain, Uncertain},
		{"a minute behind a slow text", 3, 100 * time.Second, time.Minute, time.Second, Uncertain, Delivered},
	} {
		t.Run(tt.name, func(t *testing.T) {
			inBubble(t, modems(1), func(t *testing.T, b *bench) {
				m := b.modems[0]
				m.plays(func(n int, _ driver.Submit) fakeAct {
					if n == 0 {
						return unknown(true, tt.lasts)
					}
					return unknown(true, time.Second)
				})
				first := b.enqueue(text(alice, strings.Repeat("x", 150*tt.parts)))
				sleep(tt.lasts + tt.gap)
				d := code(alice, 5*time.Minute)
				d.Unsure = Keep
				then, began := b.enqueue(d), time.Now()
				sleep(5 * time.Second)
				b.tell(m, alice, 77, began.Add(tt.sent))
				sleep(10 * time.Minute)
				b.wantStatus(first, tt.first)
				b.wantStatus(then, tt.then)
			})
		})
	}
}

// A modem that only we lost sight of goes on, and submits after its verdict: what is handed over then is not what a report of that
// time is about, unless that time is long past.
func TestReportOfOneLostSightOf(t *testing.T) {
	for _, tt := range []struct {
		code string
		gap  time.Duration
		want Status // of the second hand-over
	}{
		{driver.CodeHangup, 35 * time.Second, Uncertain},
		{driver.CodeTimeout, 35 * time.Second, Uncertain},
		{driver.CodeReset, 35 * time.Second, Delivered}, // a modem that starts anew does not go on
		{driver.CodeHangup, 7 * time.Minute, Delivered},
	} {
		t.Run(tt.code+tt.gap.String(), func(t *testing.T) {
			inBubble(t, modems(1), func(t *testing.T, b *bench) {
				m := b.modems[0]
				m.plays(func(int, driver.Submit) fakeAct {
					return fakeAct{hang: time.Second, result: driver.Result{Outcome: driver.Unknown, Code: tt.code}}
				})
				first := b.enqueue(text(alice, "one"))
				sleep(time.Second + tt.gap)
				then, began := b.enqueue(text(alice, "two")), time.Now()
				sleep(10 * time.Second)
				b.tell(m, alice, 77, began.Add(4*time.Second))
				b.wantStatus(first, Uncertain)
				b.wantStatus(then, tt.want)
			})
		})
	}
}

// Nor does a modem stop because the daemon was killed.
func TestReportOfOneFromBeforeRestart(t *testing.T) {
	inBubble(t, modems(1), func(t *testing.T, b *bench) {
		m := b.modems[0]
		m.plays(func(int, driver.Submit) fakeAct { return unknown(true, time.Minute) })
		first := b.enqueue(text(alice, "one"))
		sleep(time.Second)
		gone := b.kill()
		m.plays(func(int, driver.Submit) fakeAct { return unknown(false, time.Second) })
		b.start()
		defer gone()
		sleep(35 * time.Second)
		then, began := b.enqueue(text(alice, "two")), time.Now()
		sleep(10 * time.Second)
		b.tell(m, alice, 77, began.Add(4*time.Second))
		b.wantStatus(first, Uncertain)
		b.wantStatus(then, Uncertain)
	})
}

// The last part of a text that took minutes has its reference, and its report is not the next message's, which is in doubt.
func TestReportOfLastPartWithReference(t *testing.T) {
	inBubble(t, modems(1), func(t *testing.T, b *bench) {
		m, began := b.modems[0], time.Now()
		const parts, lasts = 9, 430 * time.Second
		m.plays(func(n int, _ driver.Submit) fakeAct {
			if n == 0 {
				return accept(lasts)
			}
			return unknown(false, time.Second)
		})
		long := b.enqueue(text(alice, strings.Repeat("x", 150*parts)))
		sleep(lasts + time.Second)
		next := b.enqueue(text(alice, "next"))
		sleep(5 * time.Second)
		b.tell(m, alice, 100+parts-1, began.Add(lasts-5*time.Second))
		if a := b.wantStatus(long, Sent).Attempts[0]; len(a.Reports) != parts || !a.Reports[parts-1].delivered() {
			t.Errorf("attempt %+v", a)
		}
		b.wantStatus(next, Uncertain)
	})
}

// A hand-over that still runs after many minutes is one that a report may be about, though its SIM was moved meanwhile and sends
// by another modem.
func TestReportMayBeOfOneThatStillRuns(t *testing.T) {
	inBubble(t, modems(2), func(t *testing.T, b *bench) {
		m, other := b.modems[0], b.modems[1]
		other.set(b.g, driver.StateRecovering)
		m.plays(func(int, driver.Submit) fakeAct { return unknown(true, 8*time.Minute) })
		other.plays(func(int, driver.Submit) fakeAct { return unknown(false, time.Second) })
		began := time.Now()
		b.enqueue(text(alice, strings.Repeat("x", 1300)))
		sleep(2 * time.Minute)
		m.mu.Lock()
		m.iccid, other.iccid = other.iccid, m.iccid
		m.mu.Unlock()
		m.set(b.g, driver.StateReady)
		other.set(b.g, driver.StateReady)
		id := b.enqueue(text(alice, "next"))
		sleep(5 * time.Minute)
		b.wantStatus(id, Uncertain)
		b.tell(other, alice, 77, began.Add(415*time.Second))
		b.wantStatus(id, Uncertain)
	})
}

// A report that may be about either of two hand-overs is the other's once one has its own, and so on.
func TestReportOfTheOneLeft(t *testing.T) {
	inBubble(t, modems(1), func(t *testing.T, b *bench) {
		m, began := b.modems[0], time.Now()
		m.plays(func(int, driver.Submit) fakeAct { return unknown(true, 4*time.Second) })
		ids := make([]string, 3)
		for i := range ids {
			ids[i] = b.enqueue(text(alice, "hello"))
			sleep(40 * time.Second)
		}
		b.tell(m, alice, 76, began.Add(70*time.Second)) // between the second and the third
		b.tell(m, alice, 77, began.Add(30*time.Second)) // between the first and the second
		for _, id := range ids {
			b.wantStatus(id, Uncertain)
		}
		b.tell(m, alice, 78, began.Add(time.Second))
		for _, id := range ids {
			b.wantStatus(id, Delivered)
		}
	})
}

// What was submitted while a hand-over lasted is no distance from it, however long that was.
func TestOff(t *testing.T) {
	u := refRecord{At: time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)}
	u.Done = u.At.Add(100 * time.Second)
	for after, want := range map[time.Duration]time.Duration{
		-10 * time.Second: 9 * time.Second, // a time of submission is a whole second
		0:                 0, 50 * time.Second: 0, 99 * time.Second: 0,
		130 * time.Second: 30 * time.Second, time.Hour: clockSpread, -time.Hour: clockSpread,
	} {
		if got := u.off(driver.Report{Sent: u.At.Add(after)}); got != want {
			t.Errorf("%v after the hand-over it is %v off, want %v", after, got, want)
		}
	}
	if got := u.off(driver.Report{}); got != clockSpread {
		t.Errorf("without a time it is %v off", got)
	}
}

// When the last part of a hand-over can have been submitted at the latest.
func TestLatest(t *testing.T) {
	claimed := time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)
	for _, tt := range []struct {
		code        string
		lasts, want time.Duration
	}{
		{"", 0, longestSubmit}, // it still runs
		{"no-result", 4 * time.Second, 4 * time.Second},
		{"no-result", 430 * time.Second, 430 * time.Second},
		{driver.CodeHangup, 4 * time.Second, longestSubmit},
		{driver.CodeHangup, 430 * time.Second, 430 * time.Second},
	} {
		a := Attempt{Code: tt.code, ClaimedAt: claimed}
		if tt.lasts > 0 {
			a.DoneAt = claimed.Add(tt.lasts)
		}
		if got := a.latest().Sub(claimed); got != tt.want {
			t.Errorf("%s after %v: %v, want %v", tt.code, tt.lasts, got, tt.want)
		}
	}
}

// Whichever of the hand-overs of a message of one part a report is about, the phone has the message.
func TestReportOfEitherHandOver(t *testing.T) {
	inBubble(t, modems(1), func(t *testing.T, b *bench) {
		m := b.modems[0]
		m.plays(func(int, driver.Submit) fakeAct { return unknown(true, 4*time.Second) })
		id, began := b.enqueue(code(alice, 5*time.Minute)), time.Now()
		sleep(time.Minute)
		if m := b.wantStatus(id, Uncertain); len(m.Attempts) != 2 {
			t.Fatalf("attempts %+v", m.Attempts)
		}
		b.tell(m, alice, 77, began.Add(6*time.Second))
		b.wantStatus(id, Delivered)
	})
}

// Of a message of several parts both hand-overs may have brought the first part only: two reports are not of two parts.
func TestReportsOfTwoFirstParts(t *testing.T) {
	for _, off := range []time.Duration{0, -2 * time.Second} {
		t.Run(off.String(), func(t *testing.T) {
			inBubble(t, modems(1), func(t *testing.T, b *bench) {
				m := b.modems[0]
				m.plays(func(int, driver.Submit) fakeAct { return unknown(false, 4*time.Second) })
				d := text(alice, strings.Repeat("x", 200))
				d.Unsure = ResendOnce
				id := b.enqueue(d)
				sleep(time.Minute)
				a := b.wantStatus(id, Uncertain).Attempts
				if len(a) != 2 {
					t.Fatalf("attempts %+v", a)
				}
				for i := range a {
					b.tell(m, alice, uint8(77+i), a[i].ClaimedAt.Add(time.Second+off))
				}
				b.wantStatus(id, Uncertain)
			})
		})
	}
}

// While a second hand-over is under way its reports wait for its references, or the first, in doubt, would take a part from it.
func TestReportOfSecondHandOverWaits(t *testing.T) {
	inBubble(t, modems(1), func(t *testing.T, b *bench) {
		m := b.modems[0]
		m.plays(func(n int, _ driver.Submit) fakeAct {
			if n == 0 {
				return unknown(false, 4*time.Second)
			}
			return fakeAct{happens: true, hang: 20 * time.Second, result: driver.Result{Outcome: driver.Accepted}}
		})
		d := text(alice, strings.Repeat("x", 200))
		d.Unsure = ResendOnce
		id, began := b.enqueue(d), time.Now()
		sleep(5 * time.Second)
		b.tell(m, alice, 103, began.Add(5*time.Second))
		b.wantStatus(id, Sending)
		sleep(30 * time.Second)
		if a := b.wantStatus(id, Sent).Attempts[1]; len(a.References) != 2 || a.References[1] != 103 {
			t.Fatalf("attempt %+v", a)
		}
		b.tell(m, alice, 102, began.Add(5*time.Second))
		b.wantStatus(id, Delivered)
	})
}

// A hand-over in doubt still counts when its message is in doubt once more: its report is not another message's.
func TestReportOfEarlierHandOver(t *testing.T) {
	inBubble(t, modems(1), func(t *testing.T, b *bench) {
		m := b.modems[0]
		m.plays(func(n int, _ driver.Submit) fakeAct {
			return []fakeAct{unknown(false, time.Second), unknown(true, 2*time.Minute), unknown(false, time.Second)}[n]
		})
		lost := b.enqueue(text(alice, "hello"))
		sleep(5 * time.Second)
		id, began := b.enqueue(code(alice, 5*time.Minute)), time.Now()
		sleep(10 * time.Second)
		b.tell(m, alice, 77, began.Add(time.Second))
		sleep(10 * time.Minute)
		if m := b.wantStatus(id, Uncertain); len(m.Attempts) != 2 {
			t.Errorf("attempts %+v", m.Attempts)
		}
		b.wantStatus(lost, Uncertain)
	})
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
