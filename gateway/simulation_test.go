package gateway

import (
	"context"
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"otpost/driver"
	"otpost/gateway/store"
)

var (
	seeds   = flag.Int("seeds", 300, "how many seeds the simulation runs")
	oneSeed = flag.Int64("seed", -1, "run only this seed of the simulation")
)

// A world is one seed: phones and modems that outlive the daemon, a daemon that is killed at chosen steps of its ledger,
// and everything that was promised to those who send.
type world struct {
	t      *testing.T
	seed   int64
	rng    *rand.Rand // of the main goroutine
	kv     store.KV
	wrap   func(store.KV) store.KV // plants a bug
	modems []*simModem
	routes []Route
	acked  map[string]Draft
	order  []string // their ids

	mu      sync.Mutex
	g       *Gateway // nil: the daemon is down
	hands   []handover
	phones  []handover // that reached a phone
	closing bool
}

// A handover is one Send as the modem saw it.
type handover struct {
	at      time.Time
	message string // taken from the text
	modem   string
	iccid   string
	parts   int
	again   bool
	went    bool // some of it, and so reports come of it
	outcome driver.Outcome
	done    time.Time
}

func (w *world) gateway() *Gateway {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.g
}

func (w *world) isClosing() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.closing
}

func (w *world) hand(h handover) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.hands = append(w.hands, h)
	return len(w.hands) - 1
}

func (w *world) handed(i int, r driver.Result) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.hands[i].outcome, w.hands[i].done = r.Outcome, r.Done
}

// submitted notes how many parts of a hand-over went out when its modem was wanted back.
func (w *world) submitted(i, parts int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.hands[i].parts = parts
}

func (w *world) left(i int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.hands[i].went = true
}

func (w *world) reached(i int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.phones = append(w.phones, w.hands[i])
}

// fatalKV is a process's way to the store; it is killed at its nth update, right before or right after the commit.
type fatalKV struct {
	mortal
	n     atomic.Int64
	at    int64 // 0: never
	after bool
	died  chan struct{}
	once  sync.Once
}

func (k *fatalKV) Update(ctx context.Context, f func(store.Txn) error) error {
	if k.dead.Load() {
		return errDead
	}
	if k.n.Add(1) != k.at {
		return k.mortal.Update(ctx, f)
	}
	var err error
	if k.after {
		err = k.mortal.Update(ctx, f)
	}
	k.dead.Store(true)
	k.once.Do(func() { close(k.died) })
	return errors.Join(errDead, err)
}

func newWorld(t *testing.T, seed int64) *world {
	w := &world{t: t, seed: seed, kv: store.NewMemory(), acked: map[string]Draft{}}
	w.rng = rand.New(rand.NewPCG(uint64(seed), 99))
	for i := range 1 + w.rng.IntN(3) {
		m := &simModem{w: w, name: fmt.Sprintf("m%d", i), iccid: fmt.Sprintf("8944%d", i), state: driver.StateReady, ref: uint8(w.rng.IntN(256))}
		r := Route{Modem: m, SubmitTime: 2 * time.Second}
		if w.rng.IntN(2) == 0 {
			r.PerMinute = 1 + w.rng.IntN(8)
		}
		if w.rng.IntN(2) == 0 {
			r.PerDay = 5 + w.rng.IntN(40)
		}
		if w.rng.IntN(4) == 0 {
			r.Prefixes = []string{"+4477"}
		}
		w.modems, w.routes = append(w.modems, m), append(w.routes, r)
	}
	return w
}

// run lives the seed's lives and then lets everything come to its end.
func (w *world) run() {
	steps := 30 + w.rng.IntN(30)
	for life := 0; steps > 0; life++ {
		kv := &fatalKV{mortal: mortal{KV: w.wrapped()}, at: 1 + w.rng.Int64N(60), after: w.rng.IntN(2) == 0, died: make(chan struct{})}
		stop := w.start(kv)
		for steps > 0 && !kv.dead.Load() {
			steps--
			w.step(kv)
		}
		if steps == 0 {
			kv.dead.Store(true)
		}
		stop()
		time.Sleep(time.Duration(w.rng.IntN(20)) * time.Second)
	}
	w.calm()
	stop := w.start(&fatalKV{mortal: mortal{KV: w.wrapped()}, died: make(chan struct{})})
	time.Sleep(8 * 24 * time.Hour)
	stop()
	time.Sleep(time.Hour) // what is left of killed processes ends
}

func (w *world) wrapped() store.KV {
	if w.wrap == nil {
		return w.kv
	}
	return w.wrap(w.kv)
}

func (w *world) calm() {
	w.mu.Lock()
	w.closing = true
	w.mu.Unlock()
	for _, m := range w.modems {
		m.mu.Lock()
		m.state = driver.StateReady
		m.mu.Unlock()
	}
}

func (w *world) start(kv *fatalKV) (stop func()) {
	cfg := Config{KV: kv, Secrets: testSecrets, Random: rand.NewChaCha8(w.key()), Render: func(_ store.Txn, _ time.Time, m Message) (string, error) {
		if m.Ref == "moot" {
			return "", ErrMoot
		}
		return m.ID, nil
	}}
	g, err := New(cfg)
	if err != nil {
		w.t.Fatal(err)
	}
	for _, r := range w.routes {
		if err := g.Attach(r); err != nil {
			w.t.Fatal(err)
		}
	}
	w.mu.Lock()
	w.g = g
	w.mu.Unlock()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- g.Run(ctx) }()
	select {
	case <-g.Ready():
	case <-kv.died:
	}
	return func() {
		w.mu.Lock()
		w.g = nil
		w.mu.Unlock()
		cancel()
		if err := <-done; err != nil && !errors.Is(err, errDead) {
			w.t.Errorf("seed %d: Run: %v", w.seed, err)
		}
	}
}

func (w *world) key() (k [32]byte) {
	binary.LittleEndian.PutUint64(k[:], w.rng.Uint64())
	return k
}

// step is one thing that happens outside, and a while until the next.
func (w *world) step(kv *fatalKV) {
	switch n := w.rng.IntN(20); {
	case n < 12:
		w.enqueue(kv)
	case n < 14:
		w.cancel(kv)
	case n < 17:
		w.flip()
	case n < 18:
		w.swap()
	}
	select {
	case <-kv.died:
	case <-time.After(time.Duration(w.rng.IntN(8000)) * time.Millisecond):
	}
}

func (w *world) enqueue(kv *fatalKV) {
	d := Draft{To: fmt.Sprintf("+447700900%03d", w.rng.IntN(5)), Lane: Lane(w.rng.IntN(Lanes))}
	life := time.Duration(10+w.rng.IntN(290)) * time.Second
	if d.Kind, d.Ref = KindCode, "ref"; d.Lane == LaneText {
		d.Kind, d.Ref, d.Text = KindText, "", fmt.Sprintf("text %d", w.rng.Uint64())
		if w.rng.IntN(3) == 0 {
			d.Text += strings.Repeat(".", w.rng.IntN(153*6)) // of up to seven parts
		}
		life *= 20
	}
	if w.rng.IntN(15) == 0 && d.Kind == KindCode {
		d.Ref = "moot"
	}
	if w.rng.IntN(5) == 0 {
		d.Unsure = []Uncertainty{Keep, ResendOnce}[w.rng.IntN(2)]
	}
	now := time.Now()
	d.NotAfter = now.Add(life)
	var m Message
	err := kv.Update(context.Background(), func(tx store.Txn) error {
		var err error
		m, err = w.g.Enqueue(tx, now, d)
		return err
	})
	var full *CapacityError
	if invalid := new(InvalidError); errors.As(err, &invalid) && invalid.Field == "text" {
		return // longer than a day's quota
	}
	if err == nil {
		d.Unsure = m.Unsure
		w.acked[m.ID], w.order = d, append(w.order, m.ID)
	} else if !errors.As(err, &full) && !errors.Is(err, errDead) {
		w.t.Errorf("seed %d: Enqueue: %v", w.seed, err)
	}
}

func (w *world) cancel(kv *fatalKV) {
	if len(w.order) > 0 {
		id := w.order[w.rng.IntN(len(w.order))]
		err := kv.Update(context.Background(), func(tx store.Txn) error { return w.g.Cancel(tx, time.Now(), id) })
		if err != nil && !errors.Is(err, ErrTooLate) && !errors.Is(err, errDead) {
			w.t.Errorf("seed %d: Cancel: %v", w.seed, err)
		}
	}
}

func (w *world) flip() {
	m := w.modems[w.rng.IntN(len(w.modems))]
	m.mu.Lock()
	if m.state == driver.StateReady {
		m.state = driver.StateRecovering
	} else {
		m.state = driver.StateReady
	}
	m.mu.Unlock()
	w.g.Changed(m.Status())
}

// swap moves two SIMs, as when modems are re-plugged.
func (w *world) swap() {
	a, b := w.modems[0], w.modems[len(w.modems)-1]
	if a == b {
		return
	}
	a.mu.Lock()
	b.mu.Lock()
	a.iccid, b.iccid = b.iccid, a.iccid
	b.mu.Unlock()
	a.mu.Unlock()
	w.g.Changed(a.Status())
	w.g.Changed(b.Status())
}

// simulate runs seeds and gives each finished world to check. Each turn has seeds of its own.
func simulate(t *testing.T, turn int64, wrap func(store.KV) store.KV, check func(*world) []string) (failed int) {
	t.Helper()
	n := int64(*seeds * *soak)
	from, to := turn*n, (turn+1)*n
	if *oneSeed >= 0 {
		from, to = *oneSeed, *oneSeed+1
	}
	for seed := from; seed < to; seed++ {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, seed)
			w.wrap = wrap
			w.run()
			if *oneSeed >= 0 {
				w.dump()
			}
			if bad := check(w); len(bad) > 0 {
				failed++
				if wrap == nil {
					t.Errorf("seed %d (replay with -run %s -seed %d):\n  %s", seed, strings.ReplaceAll(t.Name(), "/", "$/^"), seed, strings.Join(bad, "\n  "))
				}
			}
		})
		if t.Failed() {
			break
		}
		if wrap != nil && failed > 0 {
			break
		}
	}
	return failed
}
