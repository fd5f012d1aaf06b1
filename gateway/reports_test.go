package gateway

import (
	"context"
	"testing"
	"time"

	"otpost/driver"
	"otpost/gateway/store"
)

// at sets the reference that the modem gives next, as when they wrap or the modem was reset.
func (m *fakeModem) at(ref uint8) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.ref = ref
}

// tell brings a report whose part was submitted at an instant by the network's clock.
func (b *bench) tell(m *fakeModem, to string, ref uint8, sent time.Time) {
	b.t.Helper()
	r := driver.Report{ICCID: m.iccid, Reference: ref, Recipient: to, Sent: sent, At: time.Now()}
	if err := b.g.Report(context.Background(), m.name, r); err != nil {
		b.t.Fatal(err)
	}
}

// firstSent sends a code to alice and returns it with its reference.
func (b *bench) firstSent() (string, uint8) {
	b.t.Helper()
	id := b.enqueue(code(alice, 5*time.Minute))
	sleep(2 * time.Second)
	return id, b.wantStatus(id, Sent).Attempts[0].References[0]
}

// slowly is accepted after a second, which the modem tells five seconds later.
func slowly(int, driver.Submit) fakeAct {
	return fakeAct{took: time.Second, happens: true, hang: 5 * time.Second, result: driver.Result{Outcome: driver.Accepted}}
}

// A report that overtakes its verdict waits for it, whatever older message to the same phone has the reference.
func TestReportOvertakesVerdictAfterWrap(t *testing.T) {
	for _, age := range []time.Duration{time.Minute, 20 * time.Minute, 5 * time.Hour} {
		t.Run(age.String(), func(t *testing.T) {
			inBubble(t, modems(1), func(t *testing.T, b *bench) {
				m := b.modems[0]
				old, ref := b.firstSent()
				sleep(age)
				m.at(ref)
				m.plays(slowly)
				id, sent := b.enqueue(code(alice, 5*time.Minute)), time.Now()
				sleep(3 * time.Second)
				b.tell(m, alice, ref, sent)
				b.wantStatus(old, Sent)
				sleep(10 * time.Second)
				b.wantStatus(old, Sent)
				b.wantStatus(id, Delivered)
			})
		})
	}
}

// A report that was kept back for the message in flight goes to the older one when the verdict tells another reference:
// the network's clock was a little fast.
func TestReportKeptForFlightComesBack(t *testing.T) {
	for _, outcome := range []driver.Outcome{driver.Accepted, driver.Unknown, driver.Refused} {
		t.Run(string(outcome), func(t *testing.T) {
			inBubble(t, modems(1), func(t *testing.T, b *bench) {
				old, ref := b.firstSent()
				sleep(8 * time.Second)
				b.modems[0].plays(func(int, driver.Submit) fakeAct {
					return fakeAct{took: 6 * time.Second, happens: outcome != driver.Refused, result: driver.Result{Outcome: outcome, Class: driver.ClassRecipient}}
				})
				d := code(alice, 5*time.Minute)
				d.Unsure = Keep
				id, sent := b.enqueue(d), time.Now()
				sleep(2 * time.Second)
				b.tell(b.modems[0], alice, ref, sent.Add(time.Second))
				b.wantStatus(old, Sent)
				sleep(10 * time.Second)
				b.wantStatus(old, Delivered)
				b.wantStatus(id, map[driver.Outcome]Status{driver.Accepted: Sent, driver.Unknown: Uncertain, driver.Refused: Failed}[outcome])
			})
		})
	}
}

// A modem that is reset begins its references anew: the report of a hand-over in doubt names an older message's.
func TestReportOfDoubtfulWithKnownReference(t *testing.T) {
	inBubble(t, modems(1), func(t *testing.T, b *bench) {
		m := b.modems[0]
		old, ref := b.firstSent()
		sleep(8 * time.Minute)
		m.at(ref)
		m.plays(func(int, driver.Submit) fakeAct { return unknown(true, 0) })
		id, sent := b.enqueue(text(alice, "hello")), time.Now()
		sleep(2 * time.Second)
		b.wantStatus(id, Uncertain)
		b.tell(m, alice, ref, sent)
		b.wantStatus(old, Sent)
		b.wantStatus(id, Delivered)
	})
}

// Of two messages with one reference the nearer in time is meant, also where an int has 32 bits and cannot hold the
// nanoseconds between them.
func TestReferenceWrapsInMinutes(t *testing.T) {
	inBubble(t, modems(1), func(t *testing.T, b *bench) {
		m := b.modems[0]
		old, ref := b.firstSent()
		sleep(298 * time.Second)
		m.at(ref)
		id, sent := b.enqueue(code(alice, 5*time.Minute)), time.Now()
		sleep(2 * time.Second)
		b.tell(m, alice, ref, sent)
		b.wantStatus(id, Delivered)
		b.wantStatus(old, Sent)
	})
}

// What a network's clock may say for a report to be about a message whose reference it names.
func TestReportClock(t *testing.T) {
	for off, want := range map[time.Duration]Status{
		0: Delivered, -4 * time.Minute: Delivered, 4 * time.Minute: Delivered, // a clock that is not set well
		-time.Hour: Delivered, 2 * time.Hour: Delivered, // or in the wrong zone
		-20 * time.Minute: Sent, 30 * time.Minute: Sent, // another message's
	} {
		t.Run(off.String(), func(t *testing.T) {
			inBubble(t, modems(1), func(t *testing.T, b *bench) {
				id, ref := b.firstSent()
				b.tell(b.modems[0], alice, ref, time.Now().Add(off))
				b.wantStatus(id, want)
			})
		})
	}
}

// A report that came before a message was handed over is not about it.
func TestReportBeforeHandOver(t *testing.T) {
	inBubble(t, modems(1), func(t *testing.T, b *bench) {
		b.report(b.modems[0], alice, 100, 0) // nobody's: parked
		sleep(time.Second)
		id, ref := b.firstSent()
		if ref != 100 {
			t.Fatalf("reference %d", ref)
		}
		sleep(time.Second)
		other := b.enqueue(text(alice, "hello"))
		sleep(2 * time.Second)
		b.wantStatus(other, Sent)
		b.wantStatus(id, Sent)
	})
}

// Reaching a phone that never failed writes nothing about it; failures are forgotten all the same.
func TestReachedForgetsFailures(t *testing.T) {
	inBubble(t, modems(1), func(t *testing.T, b *bench) {
		id, ref := b.firstSent()
		deleted := 0
		if err := b.kv.Update(context.Background(), func(tx store.Txn) error {
			c := &countingTxn{Txn: tx}
			err := b.g.recipientReached(c, alice)
			deleted = c.n
			return err
		}); err != nil || deleted != 0 {
			t.Errorf("%d writes, %v", deleted, err)
		}
		b.report(b.modems[0], alice, ref, 0x41)
		b.wantStatus(id, Undelivered)
		second, ref := b.firstSent()
		b.report(b.modems[0], alice, ref, 0)
		b.wantStatus(second, Delivered)
		if err := b.kv.View(context.Background(), func(tx store.Txn) error {
			_, err := tx.Get(b.g.recipientKey(alice))
			if !isNotFound(err) {
				t.Errorf("its failure is still remembered: %v", err)
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
	})
}
