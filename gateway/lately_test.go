package gateway

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"otpost/driver"
	"otpost/gateway/store"
)

// What is remembered of the last minutes names the same part as the whole store, across restarts, lost transactions, erased
// messages, clocks that are off, and however many parts there are.
func TestLatelyIsLikeScan(t *testing.T) {
	for seed := range uint64(20 * *soak) {
		l := &latelyLife{t: t, rng: rand.New(rand.NewPCG(seed, 2)), kv: store.NewMemory(), now: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)}
		l.begin()
		for range 300 {
			switch n := l.rng.IntN(40); {
			case n == 0:
				l.begin()
			case n < 20:
				l.send()
			default:
				l.report()
			}
			l.now = l.now.Add(time.Duration(l.rng.IntN(20_000)) * time.Millisecond)
		}
		if t.Failed() || l.known == 0 {
			t.Fatalf("seed %d: memory told of %d reports", seed, l.known)
		}
	}
}

// What is pushed out of memory is found in the store, and memory says that it does not know.
func TestLatelyForgets(t *testing.T) {
	l := &lately{ids: map[string][]string{}}
	at := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for i := range maxLately + 2 {
		l.add(latelyPart{fmt.Sprint("ref/", i%256, "/"), fmt.Sprint(i), at.Add(time.Duration(i) * time.Millisecond)})
	}
	n := 0
	for _, ids := range l.ids {
		n += len(ids)
	}
	if n != maxLately || len(l.parts) != maxLately {
		t.Errorf("%d names, %d parts, want %d", n, len(l.parts), maxLately)
	}
	if want := at.Add(time.Millisecond); !l.since.Equal(want) {
		t.Errorf("since %v, want %v: the second that was pushed out", l.since, want)
	}
	if r := (driver.Report{Sent: at}); l.settles(at, r) {
		t.Error("a report from before is said to be settled")
	}
	if r := (driver.Report{Sent: at.Add(time.Minute)}); !l.settles(at.Add(time.Minute), r) {
		t.Error("a report about the latest is not settled")
	}
}

// A report brings its message to its end without a look through all that has its reference.
func TestReportLooksInMemory(t *testing.T) {
	k := &scanKV{}
	inBubble(t, func(t *testing.T) *bench {
		b := newBench(t, 1)
		b.config = func(c *Config) { k.KV, c.KV = c.KV, k }
		return b
	}, func(t *testing.T, b *bench) {
		sleep(time.Minute)
		first, ref := b.firstSent()
		k.ref.Store(0)
		b.tell(b.modems[0], alice, ref, time.Now().Add(-2*time.Second))
		b.wantStatus(first, Delivered)
		if n := k.ref.Load(); n > 0 {
			t.Errorf("%d scans", n)
		}
		second, ref := b.firstSent()
		b.end()
		b.start()
		b.tell(b.modems[0], alice, ref, time.Now().Add(-2*time.Second))
		b.wantStatus(second, Delivered)
		if k.ref.Load() == 0 {
			t.Error("after a restart nothing is known")
		}
	})
}

// latelyLife is a SIM that sends to few phones with few references.
type latelyLife struct {
	t     *testing.T
	rng   *rand.Rand
	kv    store.KV
	g     *Gateway
	now   time.Time
	known int // reports of which memory told
}

func (l *latelyLife) begin() {
	g, err := New(Config{KV: l.kv, Secrets: testSecrets, Render: renderTest})
	if err != nil {
		l.t.Fatal(err)
	}
	l.g = g
	l.g.rememberFrom(l.now)
}

func (l *latelyLife) phone() string { return fmt.Sprintf("+4477009000%02d", l.rng.IntN(2)) }

func (l *latelyLife) send() {
	_ = l.kv.Update(context.Background(), func(tx store.Txn) error { // lost now and then
		id, err := l.g.ids.next(messagePrefix, l.now)
		if err != nil {
			return err
		}
		m := Message{ID: id, To: l.phone()}
		m.Attempts = []Attempt{{References: []uint8{uint8(l.rng.IntN(3))}, ClaimedAt: l.now.Add(-time.Duration(l.rng.IntN(90)) * time.Second)}}
		if l.rng.IntN(8) > 0 {
			if err := store.Save(tx, messageKey(m.ID), m, time.Time{}); err != nil {
				return err
			}
		}
		if err := l.g.saveRef(tx, "sim", &m, 0, 0); err != nil {
			return err
		}
		if l.rng.IntN(8) == 0 {
			return context.Canceled
		}
		return nil
	})
}

// report compares what the first look tells with a scan: the nearest parts, and those as near as it.
func (l *latelyLife) report() {
	r := driver.Report{Reference: uint8(l.rng.IntN(3)), Recipient: l.phone(), At: l.now}
	if l.rng.IntN(8) > 0 {
		r.Sent = l.now.Add(-time.Duration(l.rng.IntN(1200)) * time.Second).Truncate(time.Second)
	}
	prefix := l.g.refPrefix("ref", "sim") + refPart(r.Reference)
	if err := l.kv.Update(context.Background(), func(tx store.Txn) error {
		got, err := l.g.remembered(tx, l.now, prefix, r)
		if err != nil || len(got) == 0 {
			return err
		}
		l.known++
		kept := l.g.lately
		l.g.lately = lately{}
		want, err := l.g.candidates(tx, l.now, prefix, r)
		l.g.lately = kept
		if err != nil {
			return err
		}
		if diff := cmp.Diff(nearest(want, r), nearest(got, r), cmp.AllowUnexported(candidate{})); diff != "" {
			l.t.Errorf("memory differs (-scan +memory):\n%s", diff)
		}
		return nil
	}); err != nil {
		l.t.Fatal(err)
	}
}

func nearest(found []candidate, r driver.Report) []candidate {
	n := 0
	for n < len(found) && distance(found[n].ref.At, r) == distance(found[0].ref.At, r) {
		n++
	}
	return found[:n]
}

// A part that went out again with the same reference has the later time in the store: once it is pushed out, memory does not
// claim to know all that is as late as that.
func TestLatelyForgetsTheLaterToo(t *testing.T) {
	l := &lately{ids: map[string][]string{}}
	at := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	again := at.Add(time.Minute)
	l.add(latelyPart{"ref/7/", "again", at})
	l.add(latelyPart{"ref/8/", "other", at})
	l.add(latelyPart{"ref/7/", "again", again}) // its record has this time now
	for i := 0; len(l.ids["ref/7/"]) > 0; i++ {
		if i > 2*maxLately {
			t.Fatal("it is never forgotten")
		}
		l.add(latelyPart{"ref/9/", fmt.Sprint(i), at.Add(2 * time.Minute)})
	}
	if l.since.Before(again) {
		t.Errorf("since %v, but a part of %v is forgotten", l.since, again)
	}
}
