package gateway

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"otpost/driver"
	"otpost/gateway/store"
)

// scanKV counts the scans of updates, by the kind of record that they look for.
type scanKV struct {
	store.KV
	early, unsure, ref atomic.Int64
}

func (k *scanKV) Update(ctx context.Context, f func(store.Txn) error) error {
	return k.KV.Update(ctx, func(tx store.Txn) error { return f(scanTxn{tx, k}) })
}

type scanTxn struct {
	store.Txn
	k *scanKV
}

func (t scanTxn) Scan(r store.Range, f func(string, []byte) bool) error {
	if strings.HasPrefix(r.Prefix, "gw/early/") {
		t.k.early.Add(1)
	}
	if strings.HasPrefix(r.Prefix, "gw/unsure/") {
		t.k.unsure.Add(1)
	}
	if strings.HasPrefix(r.Prefix, "gw/ref/") {
		t.k.ref.Add(1)
	}
	return t.Txn.Scan(r, f)
}

// Once it is known that nothing waits for its verdict and nothing is in doubt, neither verdicts nor reports look for that, also
// when reports overtake verdicts.
func TestNothingIsLookedForTwice(t *testing.T) {
	k := &scanKV{}
	inBubble(t, func(t *testing.T) *bench {
		b := newBench(t, 1)
		b.config = func(c *Config) { k.KV, c.KV = c.KV, k }
		return b
	}, func(t *testing.T, b *bench) {
		m := b.modems[0]
		m.plays(slowly)
		for i := range 4 {
			id := b.enqueue(code(alice, 5*time.Minute))
			sleep(2 * time.Second)
			b.tell(m, alice, uint8(100+i), time.Now().Add(-time.Second))
			sleep(5 * time.Second)
			b.wantStatus(id, Delivered)
			if i == 0 {
				k.early.Store(0)
				k.unsure.Store(0)
			}
		}
		if early, unsure := k.early.Load(), k.unsure.Load(); early+unsure > 0 {
			t.Errorf("%d scans for reports that wait, %d for hand-overs in doubt", early, unsure)
		}
	})
}

// However many reports wait, each finds its message; and what waits is found after a restart as well.
func TestShelfOverflowsAndRestarts(t *testing.T) {
	for _, others := range []int{0, maxShelf - 1, maxShelf, 3 * maxShelf} {
		for _, restart := range []bool{false, true} {
			t.Run(fmt.Sprint(others, " restart ", restart), func(t *testing.T) {
				inBubble(t, modems(1), func(t *testing.T, b *bench) {
					m := b.modems[0]
					b.firstSent() // makes the shelf known
					for i := range others {
						b.tell(m, "+447700900999", uint8(i), time.Now().Add(-30*time.Minute))
					}
					if restart {
						b.end()
						b.start()
					}
					m.plays(slowly)
					ref := m.ref
					id := b.enqueue(code(bob, 5*time.Minute))
					sleep(2 * time.Second)
					b.tell(m, bob, ref, time.Now().Add(-time.Second))
					sleep(5 * time.Second)
					b.wantStatus(id, Delivered)
				})
			})
		}
	}
}

// A report that waits when the store is full at its verdict is still there when the verdict is written.
func TestShelfWhenVerdictIsNotWritten(t *testing.T) {
	disk := &fullKV{}
	inBubble(t, onDisk(1, disk), func(t *testing.T, b *bench) {
		m := b.modems[0]
		b.firstSent()
		m.plays(slowly)
		ref := m.ref
		id := b.enqueue(code(bob, 5*time.Minute))
		sleep(2 * time.Second)
		b.tell(m, bob, ref, time.Now().Add(-time.Second))
		disk.full.Store(true)
		sleep(10 * time.Second)
		b.wantStatus(id, Sending)
		disk.full.Store(false)
		sleep(2 * time.Second)
		b.wantStatus(id, Delivered)
	})
}

// A record that rots on the shelf is left out, and the rest goes on.
func TestRottenOnShelf(t *testing.T) {
	b := func(t *testing.T) *bench { return rotting(t, 1) }
	inBubble(t, b, func(t *testing.T, b *bench) {
		m := b.modems[0]
		b.firstSent()
		b.tell(m, "+447700900999", 7, time.Now().Add(-30*time.Minute))
		if err := b.kv.Update(context.Background(), func(tx store.Txn) error {
			var keys []string
			if err := store.Keys(tx, store.Range{Prefix: "gw/early/"}, func(key string) bool {
				keys = append(keys, key)
				return true
			}); err != nil {
				return err
			}
			if len(keys) != 1 {
				t.Errorf("%d reports wait, want 1", len(keys))
			}
			return tx.Set(keys[0], []byte("rot"), time.Time{})
		}); err != nil {
			t.Fatal(err)
		}
		m.plays(slowly)
		ref := m.ref
		id := b.enqueue(code(bob, 5*time.Minute))
		sleep(2 * time.Second)
		b.tell(m, bob, ref, time.Now().Add(-time.Second))
		sleep(5 * time.Second)
		b.wantStatus(id, Delivered)
	})
}

// A shelf tells what a scan tells, whatever is written, deleted and lost with its transaction.
func TestShelfIsLikeScan(t *testing.T) {
	for seed := range uint64(200 * *soak) {
		rng := rand.New(rand.NewPCG(seed, 1))
		kv := store.NewMemory()
		g, err := New(Config{KV: kv, Secrets: testSecrets, Render: renderTest})
		if err != nil {
			t.Fatal(err)
		}
		errLost := errors.New("lost")
		for range 60 {
			err := kv.Update(context.Background(), func(tx store.Txn) error {
				for range 1 + rng.IntN(5) { // functions of one batch
					key := fmt.Sprintf("gw/early/sim%d/%03d/%d", rng.IntN(2), rng.IntN(3), rng.IntN(50))
					var err error
					switch rng.IntN(4) {
					case 0, 1:
						err = shelve(g, tx, key, refRecord{Part: rng.IntN(9)}, time.Time{})
					case 2:
						err = g.unshelve(tx, key)
					case 3:
						err = likeScan(t, g, tx, []string{"gw/early/sim0/", "gw/early/sim1/", "gw/early/sim0/001/"}[rng.IntN(3)])
					}
					if err != nil {
						return err
					}
				}
				if rng.IntN(4) == 0 {
					return errLost
				}
				return nil
			})
			if err != nil && err != errLost {
				t.Fatal(err)
			}
		}
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
}

func likeScan(t *testing.T, g *Gateway, tx store.Txn, prefix string) error {
	var got, want []string
	if err := shelved(g, tx, prefix, func(key string, v refRecord) bool {
		got = append(got, fmt.Sprint(key, v.Part))
		return true
	}); err != nil {
		return err
	}
	if err := scan(g, tx, store.Range{Prefix: prefix}, func(key string, v refRecord) bool {
		want = append(want, fmt.Sprint(key, v.Part))
		return true
	}); err != nil {
		return err
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("shelf differs (-scan +shelf):\n%s", diff)
	}
	return nil
}

// Only messages to the phone of a report, by its SIM, are looked at for it.
func TestFlightsByPhoneAndSIM(t *testing.T) {
	inBubble(t, modems(2), func(t *testing.T, b *bench) {
		for _, m := range b.modems {
			m.plays(func(int, driver.Submit) fakeAct { return accept(10 * time.Second) })
		}
		one, two := b.enqueue(code(alice, 5*time.Minute)), b.enqueue(code(bob, 5*time.Minute))
		sleep(time.Second)
		modem := b.message(one).Attempts[0].Modem
		for _, tt := range []struct {
			sim, to string
			want    []string
		}{
			{"8944" + modem, alice, []string{one}},
			{"8944" + modem, strings.TrimPrefix(alice, "+44"), []string{one}},
			{"8944" + modem, bob, nil},
			{"8944m9", alice, nil},
		} {
			if diff := cmp.Diff(tt.want, b.g.flights(tt.sim, tt.to)); diff != "" {
				t.Errorf("flights(%s, …%s) (-want +got):\n%s", tt.sim, tt.to[len(tt.to)-3:], diff)
			}
		}
		sleep(10 * time.Second)
		b.wantStatus(two, Sent)
		if left := b.g.flights("8944"+modem, alice); left != nil {
			t.Errorf("settled, but in flight: %v", left)
		}
	})
}

// lateTxn is a transaction whose commit the test ends.
type lateTxn struct {
	store.Txn
	hooks []func(bool)
}

func (t *lateTxn) OnDone(f func(bool)) { t.hooks = append(t.hooks, f) }

func (t *lateTxn) end(committed bool) {
	for _, f := range t.hooks {
		f(committed)
	}
}

// A record that a later function has written again is not taken off the shelf by the deletion before it, which becomes durable
// while the later one is not committed yet.
func TestShelvedBehindADeletion(t *testing.T) {
	inBubble(t, modems(1), func(t *testing.T, b *bench) {
		key := b.g.unsureKey(b.modems[0].iccid, "m", 0)
		prefix := shelfName(key)
		if err := b.kv.Update(t.Context(), func(tx store.Txn) error {
			found := func() (n int) {
				if err := shelved(b.g, tx, prefix, func(string, refRecord) bool { n++; return true }); err != nil {
					t.Error(err)
				}
				return n
			}
			found() // and so the shelf is known
			before, deletes, writes := &lateTxn{Txn: tx}, &lateTxn{Txn: tx}, &lateTxn{Txn: tx}
			later := time.Now().Add(time.Hour)
			if err := shelve(b.g, before, key, refRecord{}, later); err != nil {
				return err
			}
			before.end(true)
			if err := errors.Join(b.g.unshelve(deletes, key), shelve(b.g, writes, key, refRecord{}, later)); err != nil {
				return err
			}
			deletes.end(true)
			if n := found(); n != 1 {
				t.Errorf("found %d records, want the one that was written again", n)
			}
			writes.end(true)
			if n := found(); n != 1 || len(b.g.shelving) > 0 {
				t.Errorf("found %d records in the end, and %d keys are thought to be under way", n, len(b.g.shelving))
			}
			again := &lateTxn{Txn: tx}
			if err := b.g.unshelve(again, key); err != nil {
				return err
			}
			again.end(true)
			if n := len(b.g.shelves[prefix].keys); n > 0 {
				t.Errorf("%d keys are left on the shelf", n)
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
	})
}
