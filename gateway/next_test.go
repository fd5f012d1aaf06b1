package gateway

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"otpost/driver"
	"otpost/gateway/store"
)

// tallyKV counts the updates of a gateway that write, and ends its process at one of them.
type tallyKV struct {
	mortal
	n     atomic.Int64
	dieAt atomic.Int64 // 0: never
	after bool         // what it writes last is written
}

func (k *tallyKV) Update(ctx context.Context, f func(store.Txn) error) error {
	wrote := false
	err := k.mortal.Update(ctx, func(tx store.Txn) error {
		c := &countingTxn{Txn: tx}
		if err := f(c); err != nil || c.n == 0 {
			return err
		}
		if wrote = true; k.n.Load()+1 == k.dieAt.Load() && !k.after {
			return errDead
		}
		return nil
	})
	if wrote && k.n.Add(1) == k.dieAt.Load() {
		k.dead.Store(true)
		return errors.Join(errDead, err)
	}
	return err
}

// tallied is modems whose gateway's updates are counted.
func tallied(n int, k *tallyKV) func(*testing.T) *bench {
	return func(t *testing.T) *bench {
		b := newBench(t, n)
		b.config = func(c *Config) { k.KV, c.KV = c.KV, k }
		return b
	}
}

// What waits is claimed in the transaction that settles what the modem had: one commit a message, and no time between two.
func TestNextIsClaimedWithVerdict(t *testing.T) {
	k := &tallyKV{}
	inBubble(t, tallied(1, k), func(t *testing.T, b *bench) {
		began, before := time.Now(), k.n.Load()
		ids := []string{b.enqueue(code(alice, 5*time.Minute)), b.enqueue(code(bob, 5*time.Minute)), b.enqueue(code("+447700900777", 5*time.Minute))}
		sleep(3 * time.Second)
		for _, id := range ids {
			b.wantStatus(id, Sent)
		}
		if n := k.n.Load() - before; n != 4 {
			t.Errorf("%d commits for three messages, want 4: a claim, two verdicts with claims, a verdict", n)
		}
		for i, s := range b.net.all() {
			if want := began.Add(time.Duration(i+1) * time.Second); !s.at.Equal(want) {
				t.Errorf("text %d arrived %v late", i, s.at.Sub(want))
			}
		}
		if v := b.view(0); v.SentToday != 3 {
			t.Errorf("%d parts are counted, want 3", v.SentToday)
		}
	})
}

// A process that dies at the commit of a verdict and a claim leaves both or neither: before it the first is in doubt and the
// second waits, behind it the first is sent and the second in doubt.
func TestVerdictAndNextClaimAreOne(t *testing.T) {
	for _, after := range []bool{false, true} {
		t.Run(map[bool]string{false: "before", true: "after"}[after], func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				k := &tallyKV{after: after}
				b := tallied(1, k)(t)
				b.build()
				ctx, cancel := context.WithCancel(context.Background())
				b.stop, b.done = cancel, make(chan error, 1)
				go func() { b.done <- b.g.Run(ctx) }()
				sleep(time.Second)
				k.dieAt.Store(k.n.Load() + 2)
				keep := func(to string) Draft {
					d := code(to, 5*time.Minute)
					d.Unsure = Keep
					return d
				}
				first, second := b.enqueue(keep(alice)), b.enqueue(keep(bob))
				sleep(time.Minute)
				if err := <-b.done; !errors.Is(err, errDead) {
					t.Fatalf("Run: %v, want %v", err, errDead)
				}
				if n := len(b.net.all()); n != 1 {
					t.Fatalf("%d texts went out, want 1: nothing goes before its claim is told to be durable", n)
				}
				b.config = nil
				b.start()
				sleep(2 * time.Second)
				want := [2]Status{Uncertain, Sent}
				if after {
					want = [2]Status{Sent, Uncertain}
				}
				b.wantStatus(first, want[0])
				b.wantStatus(second, want[1])
				b.end()
			})
		})
	}
}

// A full store takes neither verdict nor claim; what was picked goes back, and out once there is room.
func TestFullStorePutsNextBack(t *testing.T) {
	disk := &fullKV{}
	inBubble(t, onDisk(1, disk), func(t *testing.T, b *bench) {
		first, second := b.enqueue(code(alice, 5*time.Minute)), b.enqueue(code(bob, 5*time.Minute))
		synctest.Wait()
		disk.full.Store(true)
		sleep(10 * time.Second)
		b.wantStatus(first, Sending)
		b.wantStatus(second, Queued)
		if v := b.g.Waiting()[LaneLogin]; v.Waiting != 1 {
			t.Errorf("%d wait, want 1", v.Waiting)
		}
		disk.full.Store(false)
		sleep(3 * time.Second)
		b.wantStatus(first, Sent)
		b.wantStatus(second, Sent)
		if n := len(b.net.all()); n != 2 {
			t.Errorf("%d texts, want 2", n)
		}
	})
}

// What is claimed with a verdict is what the scheduler would give.
func TestNextFollowsTheRules(t *testing.T) {
	t.Run("the most urgent lane goes first", func(t *testing.T) {
		inBubble(t, modems(1), func(t *testing.T, b *bench) {
			b.enqueue(code(alice, 5*time.Minute))
			b.enqueue(text(bob, "may wait"))
			d := code(bob, 5*time.Minute)
			d.Lane = LaneWithdrawal
			urgent := b.enqueue(d)
			sleep(2 * time.Second)
			b.wantStatus(urgent, Sent)
		})
	})
	t.Run("the pace holds", func(t *testing.T) {
		inBubble(t, func(t *testing.T) *bench {
			b := newBench(t, 1)
			b.route = func(r *Route) { r.PerMinute = 1 }
			return b
		}, func(t *testing.T, b *bench) {
			b.enqueue(code(alice, 5*time.Minute))
			second := b.enqueue(code(bob, 5*time.Minute))
			sleep(59 * time.Second)
			b.wantStatus(second, Queued)
			sleep(3 * time.Second)
			b.wantStatus(second, Sent)
		})
	})
	t.Run("a paused modem gets none", func(t *testing.T) {
		inBubble(t, modems(1), func(t *testing.T, b *bench) {
			b.enqueue(code(alice, 5*time.Minute))
			second := b.enqueue(code(bob, 5*time.Minute))
			if err := b.g.Pause(context.Background(), "m0"); err != nil {
				t.Fatal(err)
			}
			sleep(time.Minute)
			b.wantStatus(second, Queued)
		})
	})
	t.Run("one that was doubted gets none with its late verdict", func(t *testing.T) {
		inBubble(t, modems(1), func(t *testing.T, b *bench) {
			b.modems[0].plays(func(n int, _ driver.Submit) fakeAct {
				if n == 0 {
					return accept(4 * time.Minute)
				}
				return accept(time.Second)
			})
			d := code(alice, 5*time.Minute)
			d.Unsure = Keep
			first := b.enqueue(d)
			second := b.enqueue(text(bob, "has time"))
			sleep(4*time.Minute + 2*time.Second)
			b.wantStatus(first, Sent)
			b.wantStatus(second, Sent)
		})
	})
	t.Run("what nobody wants any more is passed over", func(t *testing.T) {
		inBubble(t, modems(1), func(t *testing.T, b *bench) {
			b.enqueue(code(alice, 5*time.Minute))
			d := code(bob, 5*time.Minute)
			d.Ref = "moot"
			moot, third := b.enqueue(d), b.enqueue(code("+447700900777", 5*time.Minute))
			sleep(3 * time.Second)
			b.wantStatus(moot, Canceled)
			b.wantStatus(third, Sent)
		})
	})
	t.Run("a gateway that ends takes nothing up", func(t *testing.T) {
		inBubble(t, modems(1), func(t *testing.T, b *bench) {
			first, second := b.enqueue(code(alice, 5*time.Minute)), b.enqueue(code(bob, 5*time.Minute))
			synctest.Wait()
			b.stop()
			sleep(10 * time.Second)
			b.wantStatus(first, Sent)
			if m := b.wantStatus(second, Queued); len(m.Attempts) != 0 {
				t.Errorf("it was taken up: %+v", m.Attempts)
			}
		})
	})
}
