package gateway

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"otpost/driver"
	"otpost/gateway/store"
)

// TestInvariant7_HangingModem: a modem's trouble never stops another modem. One of three hangs for minutes with every
// hand-over; the codes that the others take wait no longer than one submit time, and the one that hangs is sent again.
func TestInvariant7_HangingModem(t *testing.T) {
	inBubble(t, modems(3), func(t *testing.T, b *bench) {
		b.modems[1].script = func(int, driver.Submit) fakeAct {
			return fakeAct{hang: 5 * time.Minute, result: driver.Result{Outcome: driver.Unknown, Code: "no-result"}}
		}
		var ids []string
		for i := range 60 {
			ids = append(ids, b.enqueue(code(fmt.Sprintf("+4477009%05d", i), 5*time.Minute)))
			sleep(time.Second)
		}
		sleep(2 * time.Minute)
		hung := 0
		for _, id := range ids {
			m := b.wantStatus(id, Sent)
			first := m.Attempts[0]
			if wait := first.ClaimedAt.Sub(m.CreatedAt); wait > time.Second {
				t.Errorf("a code waited %v", wait)
			}
			if first.Modem == "m1" {
				hung++
				if m.SentAt.Sub(m.CreatedAt) > 70*time.Second {
					t.Errorf("the code that hung took %v", m.SentAt.Sub(m.CreatedAt))
				}
			}
		}
		if hung != 1 {
			t.Errorf("%d codes were given to the modem that hangs, want 1", hung)
		}
	})
}

// TestInvariant7_FaultyModems: every kind of trouble of one modem leaves the other's codes without delay.
func TestInvariant7_FaultyModems(t *testing.T) {
	for _, class := range []driver.Class{driver.ClassModem, driver.ClassSIM, driver.ClassStorage, driver.ClassCredit, driver.ClassNetwork, driver.ClassUnknown} {
		t.Run(string(class), func(t *testing.T) {
			inBubble(t, modems(2), func(t *testing.T, b *bench) {
				b.modems[0].script = func(int, driver.Submit) fakeAct { return refuse(class, "cms-500") }
				for i := range 100 {
					id := b.enqueue(code(fmt.Sprintf("+4477009%05d", i), 5*time.Minute))
					sleep(8 * time.Second)
					m := b.wantStatus(id, Sent)
					if last := m.Attempts[len(m.Attempts)-1]; last.Modem != "m1" || m.SentAt.Sub(m.CreatedAt) > 6*time.Second {
						t.Errorf("sent by %s after %v", last.Modem, m.SentAt.Sub(m.CreatedAt))
					}
				}
			})
		})
	}
}

func TestPrefixes(t *testing.T) {
	inBubble(t, func(t *testing.T) *bench {
		b := newBench(t, 3)
		b.route = func(r *Route) {
			r.Prefixes = map[string][]string{"m0": {"+44"}, "m1": {"+4477", "+353"}, "m2": nil}[r.Modem.Name()]
		}
		return b
	}, func(t *testing.T, b *bench) {
		for range 10 {
			b.enqueue(code("+15550100123", 5*time.Minute))
			b.enqueue(code("+353851234567", 5*time.Minute))
			b.enqueue(code("+442079460000", 5*time.Minute))
		}
		sleep(time.Minute)
		allowed := map[string]map[string]bool{"+1": {"m2": true}, "+3": {"m1": true, "m2": true}, "+4": {"m0": true, "m2": true}}
		for _, text := range b.net.all() {
			if !allowed[text.to[:2]][text.modem] {
				t.Errorf("%s was sent by %s", text.to, text.modem)
			}
		}
	})
}

func TestLeastLoaded(t *testing.T) {
	inBubble(t, func(t *testing.T) *bench {
		b := newBench(t, 2)
		b.route = func(r *Route) { r.PerDay = map[string]int{"m0": 100, "m1": 300}[r.Modem.Name()] }
		return b
	}, func(t *testing.T, b *bench) {
		for i := range 80 {
			b.enqueue(code(fmt.Sprintf("+4477009%05d", i), 5*time.Minute))
			sleep(2 * time.Second)
		}
		count := map[string]int{}
		for _, text := range b.net.all() {
			count[text.modem]++
		}
		if count["m0"] < 18 || count["m0"] > 22 {
			t.Errorf("a quota of 100 and one of 300 shared 80 codes as %v", count)
		}
	})
}

// The circuit breaker rests a modem after three faults of its own, longer every time, and is fed by nothing else.
func TestBreaker(t *testing.T) {
	inBubble(t, modems(2), func(t *testing.T, b *bench) {
		tries := func(class driver.Class) int {
			b.modems[0].mu.Lock()
			b.modems[0].n = 0
			b.modems[0].script = func(int, driver.Submit) fakeAct { return refuse(class, "cms-500") }
			b.modems[0].mu.Unlock()
			for i := range 60 {
				b.enqueue(code(fmt.Sprintf("+4477009%05d", i), 5*time.Minute))
				sleep(2 * time.Second)
			}
			b.modems[0].mu.Lock()
			defer b.modems[0].mu.Unlock()
			return b.modems[0].n
		}
		if n := tries(driver.ClassModem); n < 3 || n > 7 {
			t.Errorf("a faulty modem was tried %d times in two minutes", n)
		}
		views, err := b.g.Modems(context.Background())
		if err != nil || views[0].Resting.IsZero() || !views[1].Resting.IsZero() {
			t.Errorf("Modems = %+v, %v", views, err)
		}
		sleep(time.Hour)
		if n := tries(driver.ClassRecipient); n < 20 {
			t.Errorf("recipients' faults rested the modem: %d tries", n)
		}
	})
}

func TestQuarantine(t *testing.T) {
	inBubble(t, modems(2), func(t *testing.T, b *bench) {
		b.modems[0].script = func(int, driver.Submit) fakeAct { return refuse(driver.ClassCredit, "cms-34") }
		for i := range 20 {
			id := b.enqueue(code(fmt.Sprintf("+4477009%05d", i), 5*time.Minute))
			sleep(3 * time.Second)
			b.wantStatus(id, Sent)
		}
		if n := b.modems[0].n; n != 1 {
			t.Errorf("a SIM without credit was tried %d times in a minute", n)
		}
		views, err := b.g.Modems(context.Background())
		if err != nil || views[0].Quarantined != "credit" || views[1].Quarantined != "" {
			t.Errorf("Modems = %+v, %v", views, err)
		}
		// The SIM is quarantined, not the modem: re-plugged, it takes its quarantine along.
		b.modems[0].iccid, b.modems[1].iccid = b.modems[1].iccid, b.modems[0].iccid
		b.modems[0].set(b.g, driver.StateReady)
		b.modems[1].set(b.g, driver.StateReady)
		if views, _ = b.g.Modems(context.Background()); views[1].Quarantined != "credit" || views[0].Quarantined != "" {
			t.Errorf("after re-plugging, Modems = %+v", views)
		}
		if err := b.g.Resume(context.Background(), "m1"); err != nil {
			t.Fatal(err)
		}
		if views, _ = b.g.Modems(context.Background()); views[1].Quarantined != "" {
			t.Errorf("after Resume, Modems = %+v", views)
		}
	})
}

// After a failure, the next message to the same phone goes by another SIM.
func TestAnotherSIMAfterFailure(t *testing.T) {
	inBubble(t, modems(2), func(t *testing.T, b *bench) {
		first := b.wantSent(alice)
		failed := first.Attempts[0].Modem
		m := b.modems[0]
		if failed == "m1" {
			m = b.modems[1]
		}
		b.report(m, alice, first.Attempts[0].References[0], 0x41)
		b.wantStatus(first.ID, Undelivered)
		for range 4 {
			if got := b.wantSent(alice).Attempts[0].Modem; got == failed {
				t.Errorf("%s failed, and sent again", failed)
			}
		}
	})
}

func (b *bench) wantSent(to string) Message {
	b.t.Helper()
	id := b.enqueue(code(to, 5*time.Minute))
	sleep(3 * time.Second)
	return b.wantStatus(id, Sent)
}

func TestPauseAndResume(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, 1)
		b.start()
		ctx := context.Background()
		if err := b.g.Pause(ctx, "m0"); err != nil {
			t.Fatal(err)
		}
		id := b.enqueue(text(alice, "hello"))
		sleep(time.Minute)
		b.wantStatus(id, Queued)
		b.kill()()
		b.start() // a pause is durable
		sleep(time.Minute)
		b.wantStatus(id, Queued)
		if err := b.g.Resume(ctx, "m0"); err != nil {
			t.Fatal(err)
		}
		sleep(time.Second)
		b.wantStatus(id, Sent)
		if err := b.g.Pause(ctx, "m9"); err == nil || err.Error() != `"m9": no such modem` {
			t.Errorf("Pause of nothing: %v", err)
		}
		b.end()
	})
}

// A SIM whose codes do not come back is left while another is up.
func TestConversionRoutes(t *testing.T) {
	inBubble(t, modems(2), func(t *testing.T, b *bench) {
		round := func(n int) map[string]int {
			count := map[string]int{}
			for i := range n {
				m := b.wantSent(fmt.Sprintf("+4477009%05d", i))
				count[m.Attempts[0].Modem]++
				if m.Attempts[0].Modem == "m0" {
					continue // its codes never arrive
				}
				for range 2 { // counts once
					if err := b.kv.Update(context.Background(), func(tx store.Txn) error { return b.g.Converted(tx, time.Now(), m.ID) }); err != nil {
						t.Fatal(err)
					}
				}
			}
			return count
		}
		if count := round(60); count["m0"] < 20 || count["m1"] < 20 {
			t.Errorf("at first %v", count)
		}
		if count := round(60); count["m0"] != 0 {
			t.Errorf("when it is known that no code by m0 arrives: %v", count)
		}
		views, err := b.g.Modems(context.Background())
		if err != nil || views[0].Conversion != 0 || views[1].Conversion < 0.9 || views[1].Conversion > 1 {
			t.Errorf("conversions %v and %v", views[0].Conversion, views[1].Conversion)
		}
		b.modems[1].set(b.g, driver.StateRecovering)
		b.wantSent(alice) // better than none
	})
}

// A code that the healthy modem refused once does not wait for one that hangs: it goes to the healthy one again.
func TestCodeDoesNotWaitForHangingModem(t *testing.T) {
	inBubble(t, modems(2), func(t *testing.T, b *bench) {
		b.modems[0].plays(func(int, driver.Submit) fakeAct { return unknown(true, 4*time.Minute) })
		b.modems[1].plays(func(n int, _ driver.Submit) fakeAct {
			if n == 0 {
				return refuse(driver.ClassNetwork, "cms-38")
			}
			return accept(time.Second)
		})
		b.enqueue(code(bob, 5*time.Minute)) // m0 hangs with it
		sleep(time.Second)
		id := b.enqueue(code(alice, 5*time.Minute))
		sleep(lateAfter + 2*time.Second)
		if m := b.wantStatus(id, Sent); len(m.Attempts) != 2 || m.Attempts[0].Outcome != driver.Refused || m.Attempts[1].Modem != "m1" {
			t.Errorf("attempts %+v", m.Attempts)
		}
	})
}

// Nor does one wait that only a poor modem may send now.
func TestCodeDoesNotWaitForHangingBetterModem(t *testing.T) {
	inBubble(t, modems(2), func(t *testing.T, b *bench) {
		if err := b.kv.Update(context.Background(), func(tx store.Txn) error {
			for sim, verified := range map[string]float64{"8944m0": 2 * poorSample, "8944m1": 1} {
				s, err := b.g.loadSIM(tx, time.Now(), sim)
				if err != nil {
					return err
				}
				s.Codes, s.Verified = 2*poorSample, verified
				if err := b.g.saveSIM(tx, sim, s); err != nil {
					return err
				}
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		b.modems[0].plays(func(int, driver.Submit) fakeAct { return unknown(true, 4*time.Minute) })
		b.enqueue(code(bob, 5*time.Minute))
		sleep(time.Second)
		id := b.enqueue(code(alice, 5*time.Minute))
		sleep(time.Second)
		b.wantStatus(id, Queued)
		sleep(lateAfter)
		b.wantStatus(id, Sent)
	})
}

// A text that waits long for its modem does not keep others from being closed.
func TestSweepWhileTextWaits(t *testing.T) {
	by := func(t *testing.T) *bench {
		b := newBench(t, 2)
		b.route = func(r *Route) { r.Prefixes = []string{map[string]string{"m0": "+44", "m1": "+353"}[r.Modem.Name()]} }
		return b
	}
	inBubble(t, by, func(t *testing.T, b *bench) {
		b.modems[1].set(b.g, driver.StateAbsent)
		d := text("+353861234567", "waits")
		d.NotAfter = time.Now().Add(6 * 24 * time.Hour)
		b.enqueue(d)
		id := b.enqueue(text(alice, "hello"))
		sleep(24*time.Hour + 5*time.Minute)
		if m := b.wantStatus(id, Sent); !m.Final() {
			t.Error("not closed after a day")
		}
	})
}

// telling is a modem that tells a newer state while it is asked for its old one.
type telling struct {
	*fakeModem
	g *Gateway
}

func (m *telling) Status() driver.Status {
	old := m.fakeModem.Status()
	if m.g != nil {
		m.set(m.g, driver.StateReady)
	}
	return old
}

// At the start a modem's own word counts more than what it was asked for before.
func TestStartKeepsNewerStatus(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, 0)
		g := b.build()
		m := &telling{newFakeModem("m0", b.net), g}
		m.state = driver.StateSearching
		if err := g.Attach(Route{Modem: m}); err != nil {
			t.Fatal(err)
		}
		if err := b.kv.View(context.Background(), g.recoverModems); err != nil {
			t.Fatal(err)
		}
		if s := g.modems[0].status.State; s != driver.StateReady {
			t.Errorf("modem is %s for the gateway, it has said that it is %s", s, driver.StateReady)
		}
	})
}
