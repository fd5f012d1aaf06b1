package gateway

import (
	"context"
	"crypto/rand"
	"fmt"
	"path/filepath"
	"runtime"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"otpost/driver"
	"otpost/gateway/store"
	"otpost/gateway/store/keys"
)

// An instantModem takes no time at all.
type instantModem struct {
	name string
	got  chan time.Time // of the first byte; nil: only counted
	n    atomic.Int64
	left *atomic.Int64 // hand-overs until done is closed; nil: not counted
	done chan struct{}
}

func (m *instantModem) Name() string { return m.name }

func (m *instantModem) Status() driver.Status {
	return driver.Status{Name: m.name, ICCID: "8944" + m.name, State: driver.StateReady, Reports: true}
}

func (m *instantModem) Send(context.Context, driver.Submit) driver.Result {
	now := time.Now()
	ref := uint8(m.n.Add(1))
	if m.got != nil {
		m.got <- now
	}
	if m.left != nil && m.left.Add(-1) == 0 {
		close(m.done)
	}
	return driver.Result{Outcome: driver.Accepted, References: []uint8{ref}, Parts: 1, ICCID: "8944" + m.name, Submitted: now, Done: now}
}

func openBadger(b testing.TB) *store.Badger {
	b.Helper()
	dir := b.TempDir()
	ring, err := keys.Create(filepath.Join(dir, "key"), rand.Reader)
	if err != nil {
		b.Fatal(err)
	}
	kv, err := store.OpenBadger(context.Background(), store.BadgerConfig{Dir: filepath.Join(dir, "data"), Keys: ring, Reserve: 1})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := kv.Close(); err != nil {
			b.Error(err)
		}
	})
	return kv
}

// running starts a gateway over kv and returns it; it ends with the benchmark.
func running(b testing.TB, kv store.KV, secrets *store.Secrets, run bool, modems ...*instantModem) *Gateway {
	b.Helper()
	g, err := New(Config{KV: kv, Secrets: secrets, Render: renderTest})
	if err != nil {
		b.Fatal(err)
	}
	for _, m := range modems {
		if err := g.Attach(Route{Modem: m, SubmitTime: time.Microsecond}); err != nil {
			b.Fatal(err)
		}
	}
	if !run {
		return g
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- g.Run(ctx) }()
	b.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			b.Error(err)
		}
	})
	<-g.Ready()
	return g
}

func put(b testing.TB, g *Gateway, d Draft) {
	b.Helper()
	err := g.cfg.KV.Update(context.Background(), func(tx store.Txn) error {
		_, err := g.Enqueue(tx, time.Now(), d)
		return err
	})
	if err != nil {
		b.Fatal(err)
	}
}

// BenchmarkFirstByte is from the call of Enqueue to the first byte at the modem, the queue being idle: two synced commits.
func BenchmarkFirstByte(b *testing.B) {
	kv := openBadger(b)
	m := &instantModem{name: "m0", got: make(chan time.Time, 1)}
	g := running(b, kv, kv.Secrets(), true, m)
	var took []time.Duration
	for i := 0; b.Loop(); i++ {
		began := time.Now()
		put(b, g, code(fmt.Sprintf("+4477%08d", i), time.Minute))
		took = append(took, (<-m.got).Sub(began))
	}
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2].Microseconds())/1000, "p50-ms")
	b.ReportMetric(float64(took[len(took)*99/100].Microseconds())/1000, "p99-ms")
}

// BenchmarkDrain empties a queue of 2,000 codes with four modems that take no time.
func BenchmarkDrain(b *testing.B) {
	const queued = 2000
	for b.Loop() {
		b.StopTimer()
		kv := openBadger(b)
		var left atomic.Int64
		left.Store(queued)
		drained := make(chan struct{})
		var modems []*instantModem
		for i := range 4 {
			modems = append(modems, &instantModem{name: fmt.Sprintf("m%d", i), left: &left, done: drained})
		}
		g := running(b, kv, kv.Secrets(), false, modems...)
		for i := range queued {
			put(b, g, code(fmt.Sprintf("+4477%08d", i), 5*time.Minute))
		}
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan error, 1)
		began := time.Now()
		b.StartTimer()
		go func() { done <- g.Run(ctx) }()
		<-drained
		b.ReportMetric(queued/time.Since(began).Seconds(), "msg/s")
		cancel()
		if err := <-done; err != nil {
			b.Fatal(err)
		}
	}
}

// nullKV is a store that keeps nothing, to weigh the index alone.
type nullKV struct{ store.KV }

func (k nullKV) Update(_ context.Context, f func(store.Txn) error) error {
	tx := &nullTxn{}
	err := f(tx)
	for _, done := range tx.done {
		done(err == nil)
	}
	return err
}

type nullTxn struct {
	store.Txn
	done []func(bool)
}

func (*nullTxn) Get(string) ([]byte, error)                        { return nil, store.ErrNotFound }
func (*nullTxn) Set(string, []byte, time.Time) error               { return nil }
func (*nullTxn) Delete(string) error                               { return nil }
func (t *nullTxn) OnDone(f func(bool))                             { t.done = append(t.done, f) }
func (*nullTxn) Scan(store.Range, func(string, []byte) bool) error { return nil }

// BenchmarkEnqueue is the cost of one more message, by how many wait, with a store that costs nothing, and the memory
// that each waiting message takes in the index.
func BenchmarkEnqueue(b *testing.B) {
	for _, queued := range []int{1000, 100_000, 1_000_000} {
		b.Run(fmt.Sprint(queued), func(b *testing.B) {
			g := running(b, nullKV{}, testSecrets, false, &instantModem{name: "m0"})
			before := heapBytes()
			for i := range queued {
				put(b, g, text(fmt.Sprintf("+4477%08d", i), "hello"))
			}
			each := float64(heapBytes()-before) / float64(queued)
			for i := 0; b.Loop(); i++ {
				put(b, g, text(fmt.Sprintf("+4478%08d", i), "hello"))
			}
			b.ReportMetric(each, "B/waiting")
		})
	}
}

func heapBytes() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// Memory does not grow with what is done: once messages are final, nothing in memory is about them.
func TestMemoryIsFlat(t *testing.T) {
	inBubble(t, modems(2), func(t *testing.T, b *bench) {
		for i := range 500 * *soak {
			b.enqueue(code(fmt.Sprintf("+4477%08d", i), 5*time.Minute))
			if i%5 == 0 {
				b.modems[0].plays(func(int, driver.Submit) fakeAct { return refuse(driver.ClassNetwork, "cms-38") })
			} else if i%5 == 1 {
				b.modems[0].plays(nil)
			}
			sleep(time.Second)
		}
		sleep(10 * time.Minute)
		b.g.mu.Lock()
		defer b.g.mu.Unlock()
		q := b.g.queue
		sizes := map[string]int{"by id": len(q.byID), "deadlines": len(q.deadline.items), "delayed": len(q.delayed.items), "aside": len(q.aside.items)}
		for l := range q.lanes {
			sizes["ages"] += len(q.lanes[l].ages.items)
			for _, v := range q.lanes[l].loads {
				sizes["parts"] += v.parts
				sizes["promises"] += len(v.promises.items)
			}
			for _, group := range q.lanes[l].groups {
				sizes["entries"] += group.n
				sizes["buckets"] += len(group.buckets)
			}
			sizes["reserved"] += b.g.reserved[l]
		}
		for what, n := range sizes {
			if n != 0 {
				t.Errorf("%s: %d are left", what, n)
			}
		}
		if len(b.g.keys) > 8 || len(b.g.sims) > 2 {
			t.Errorf("%d kinds of route, %d SIMs", len(b.g.keys), len(b.g.sims))
		}
	})
}
