package gateway

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"otpost/driver"
	"otpost/gateway/store"
	"otpost/gateway/store/storetest"
)

const alice, bob = "+447700900123", "+447700900456"

// inBubble runs a body with virtual time over a running gateway.
func inBubble(t *testing.T, b func(*testing.T) *bench, body func(*testing.T, *bench)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		bench := b(t)
		bench.start()
		defer func() { bench.end() }()
		body(t, bench)
	})
}

func modems(n int) func(*testing.T) *bench {
	return func(t *testing.T) *bench { return newBench(t, n) }
}

func TestSendAndDeliver(t *testing.T) {
	inBubble(t, modems(1), func(t *testing.T, b *bench) {
		began := time.Now()
		id := b.enqueue(code(alice, 5*time.Minute))
		b.wantStatus(id, Sending) // woken, not polled: no time has passed
		if !time.Now().Equal(began) {
			t.Errorf("%v passed before the hand-over", time.Since(began))
		}
		sleep(time.Second)
		m := b.wantStatus(id, Sent)
		b.report(b.modems[0], "07700 900123", m.Attempts[0].References[0], 0)
		m = b.wantStatus(id, Delivered)
		want := Message{
			ID: id, To: alice, Country: "GB", Kind: KindCode, Lane: LaneLogin, Ref: "chl_1", Account: "alice", Purpose: "login",
			Unsure: ResendOnce, Status: Delivered, Parts: 1, CreatedAt: began, NotAfter: began.Add(5 * time.Minute),
			SentAt: began, DeliveredAt: began.Add(time.Second), FinalAt: began.Add(time.Second),
			Attempts: []Attempt{{
				Modem: "m0", ICCID: "8944m0", Outcome: driver.Accepted, References: []uint8{100}, ClaimedAt: began, DoneAt: began.Add(time.Second),
				Reports: []PartReport{{At: began.Add(time.Second)}},
			}},
		}
		if diff := cmp.Diff(want, m); diff != "" {
			t.Errorf("message (-want +got):\n%s", diff)
		}
		if texts := b.net.all(); len(texts) != 1 || texts[0].text != "code for chl_1" {
			t.Errorf("phone got %+v", texts)
		}
	})
}

func TestExpiry(t *testing.T) {
	inBubble(t, modems(1), func(t *testing.T, b *bench) {
		b.modems[0].set(b.g, driver.StateSearching)
		id := b.enqueue(code(alice, 5*time.Minute))
		sleep(5*time.Minute - time.Millisecond)
		b.wantStatus(id, Queued)
		sleep(2 * time.Millisecond)
		if m := b.wantStatus(id, Expired); m.Error != errExpired || len(m.Attempts) != 0 {
			t.Errorf("expired with %q after %d attempts", m.Error, len(m.Attempts))
		}
		b.modems[0].set(b.g, driver.StateReady)
		sleep(time.Hour)
		if texts := b.net.all(); len(texts) != 0 {
			t.Errorf("dead message went out: %+v", texts)
		}
	})
}

// More that comes to its end at once than one transaction can take goes in parts: queued messages that expire, sent ones whose
// time for a report is over, and those that were with modems when the process was killed.
func TestManyEndsAtOnce(t *testing.T) {
	const many = 120
	bounded := func(t *testing.T) *bench {
		b := newBench(t, 30)
		b.kv = storetest.Bounded{KV: b.kv, Most: 40}
		return b
	}
	all := func(b *bench, ids []string, want Status) {
		t.Helper()
		for _, id := range ids {
			b.wantStatus(id, want)
		}
	}
	t.Run("expired", func(t *testing.T) {
		inBubble(t, bounded, func(t *testing.T, b *bench) {
			for _, m := range b.modems {
				m.set(b.g, driver.StateSearching)
			}
			ids := b.enqueueMany(code(alice, 5*time.Minute), many)
			sleep(5*time.Minute + time.Millisecond)
			all(b, ids, Expired)
		})
	})
	t.Run("unreported", func(t *testing.T) {
		inBubble(t, bounded, func(t *testing.T, b *bench) {
			ids := b.enqueueMany(code(alice, 5*time.Minute), many)
			sleep(time.Minute)
			b.end()
			sleep(48 * time.Hour)
			b.start()
			all(b, ids, Sent)
			for _, id := range ids {
				if b.message(id).FinalAt.IsZero() {
					t.Fatalf("%s still waits for its report", id)
				}
			}
		})
	})
	t.Run("interrupted", func(t *testing.T) {
		inBubble(t, bounded, func(t *testing.T, b *bench) {
			d := text(alice, "hello")
			d.NotAfter = time.Now().Add(time.Minute)
			ids := b.enqueueMany(d, len(b.modems))
			sleep(100 * time.Millisecond)
			all(b, ids, Sending)
			wait := b.kill()
			sleep(48 * time.Hour)
			wait()
			b.start()
			all(b, ids, Uncertain)
		})
	})
}

func TestRenderDecides(t *testing.T) {
	for ref, want := range map[string]Status{"moot": Canceled, "broken": Failed} {
		t.Run(ref, func(t *testing.T) {
			inBubble(t, modems(1), func(t *testing.T, b *bench) {
				d := code(alice, time.Minute)
				d.Ref = ref
				id := b.enqueue(d)
				b.wantStatus(id, want)
				other := b.enqueue(code(bob, time.Minute))
				sleep(time.Second)
				b.wantStatus(other, Sent)
			})
		})
	}
}

func TestCancel(t *testing.T) {
	inBubble(t, modems(1), func(t *testing.T, b *bench) {
		first, second := b.enqueue(code(alice, time.Minute)), b.enqueue(code(bob, time.Minute))
		synctest.Wait()
		cancel := func(id string) error {
			return b.kv.Update(context.Background(), func(tx store.Txn) error { return b.g.Cancel(tx, time.Now(), id) })
		}
		if err := cancel(first); !errors.Is(err, ErrTooLate) {
			t.Errorf("Cancel of what a modem has: %v", err)
		}
		if err := cancel(second); err != nil {
			t.Errorf("Cancel: %v", err)
		}
		if err := cancel("msg_x"); !errors.Is(err, ErrNotFound) {
			t.Errorf("Cancel of nothing: %v", err)
		}
		sleep(time.Minute)
		b.wantStatus(second, Canceled)
		if n := len(b.net.all()); n != 1 {
			t.Errorf("%d texts went out", n)
		}
	})
}

func TestRefusals(t *testing.T) {
	tests := []struct {
		name     string
		class    driver.Class
		code     string
		want     Status
		attempts int
	}{
		{"recipient is final", driver.ClassRecipient, "cms-1", Failed, 1},
		{"content is final", driver.ClassContent, "cms-305", Failed, 1},
		{"unknown is tried twice", driver.ClassUnknown, "cms-999", Failed, 2},
		{"network is retried", driver.ClassNetwork, "cms-38", Expired, 9},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			inBubble(t, modems(1), func(t *testing.T, b *bench) {
				b.modems[0].script = func(int, driver.Submit) fakeAct { return refuse(tt.class, tt.code) }
				id := b.enqueue(code(alice, 5*time.Minute))
				sleep(6 * time.Minute)
				m := b.wantStatus(id, tt.want)
				if len(m.Attempts) != tt.attempts {
					t.Errorf("%d attempts, want %d", len(m.Attempts), tt.attempts)
				}
			})
		})
	}
}

func TestFailover(t *testing.T) {
	inBubble(t, modems(2), func(t *testing.T, b *bench) {
		b.modems[0].script = func(int, driver.Submit) fakeAct { return refuse(driver.ClassModem, "cms-500") }
		id := b.enqueue(code(alice, 5*time.Minute))
		sleep(2 * time.Second) // one refusal, one send: no pause between them
		m := b.wantStatus(id, Sent)
		if len(m.Attempts) != 2 || m.Attempts[1].Modem != "m1" {
			t.Errorf("attempts %+v", m.Attempts)
		}
	})
}

func TestRestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, 1)
		b.modems[0].script = func(n int, _ driver.Submit) fakeAct {
			if n == 0 {
				return fakeAct{happens: true, hang: time.Hour}
			}
			return accept(time.Second)
		}
		b.start()
		inFlight, queued := b.enqueue(code(alice, 5*time.Minute)), b.enqueue(code(bob, 5*time.Minute))
		kept := b.enqueue(text(bob, "hello"))
		sleep(time.Second)
		bury := b.kill() // what its modem still says is never heard
		b.start()
		sleep(10 * time.Second)
		m := b.wantStatus(inFlight, Sent)
		if len(m.Attempts) != 2 || m.Attempts[0].Outcome != driver.Unknown || !m.Attempts[1].Again {
			t.Errorf("attempts %+v", m.Attempts)
		}
		b.wantStatus(queued, Sent)
		b.wantStatus(kept, Sent)
		b.end()
		bury()
	})
}

func TestEventsStream(t *testing.T) {
	inBubble(t, modems(1), func(t *testing.T, b *bench) {
		ctx, cancel := context.WithCancel(context.Background())
		var got []string
		done := make(chan error, 1)
		go func() {
			done <- b.g.Events(ctx, "", func(e Event) error {
				got = append(got, e.Type)
				return nil
			})
		}()
		synctest.Wait()
		id := b.enqueue(code(alice, time.Minute))
		sleep(time.Second)
		b.report(b.modems[0], alice, 100, 0)
		b.wantStatus(id, Delivered)
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Events: %v", err)
		}
		if diff := cmp.Diff([]string{"message.sent", "message.delivered"}, got); diff != "" {
			t.Errorf("events (-want +got):\n%s", diff)
		}
	})
}
