package gateway

import (
	"context"
	"fmt"
	"hash/maphash"
	"io"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"otpost/driver"
)

// Gateway is the queue. It is safe for concurrent use. It is also the driver.Handler of its modems and otp's Outbox.
//
// One scheduler gives messages to idle modems, one worker per modem hands them over (and another asks for the balance where
// that is wanted), one keeper watches deadlines and everything else that time brings, one courier per webhook endpoint
// delivers events. Nothing polls: commits wake them.
type Gateway struct {
	cfg     Config
	metrics *metrics
	seed    maphash.Seed
	ids     *ids
	ready   chan struct{}
	work    chan struct{} // wakes the scheduler
	time    chan struct{} // wakes the keeper
	events  *signal       // an event was committed

	// mu guards all below and every modemState. It is never held while the store is called; functions run by the store
	// take it.
	mu       sync.Mutex
	queue    *queue
	modems   []*modemState
	byName   map[string]*modemState
	sims     map[string]*simRecord
	shelves  map[string]*shelf
	shelving map[string]int // by key, how many functions have put it on a shelf whose commit is not over
	lately   lately
	keys     map[groupKey]groupKeyRef
	reserved [Lanes]int // parts of messages whose transaction is under way
	began    time.Time
	clock    clockGuard
	sweepAt  time.Time // when the first message's time for a report is over; zero: none waits
	keepAt   time.Time // until then the keeper sleeps if nobody wakes it; zero: it waits for nothing
	short    bool      // an idle modem has something in its way that is too long for it: it may go on once another has that
	running  bool
}

var _ driver.Handler = (*Gateway)(nil)

// New returns a gateway; it starts nothing. Attach every modem before Run.
func New(cfg Config) (*Gateway, error) {
	if err := cfg.fill(); err != nil {
		return nil, err
	}
	g := &Gateway{
		cfg: cfg, seed: maphash.MakeSeed(), ids: newIDs(cfg.Random), ready: make(chan struct{}),
		work: make(chan struct{}, 1), time: make(chan struct{}, 1), events: newSignal(),
		queue: newQueue(), byName: map[string]*modemState{}, sims: map[string]*simRecord{},
		shelves: map[string]*shelf{}, shelving: map[string]int{}, lately: lately{since: endless, ids: map[string][]string{}}, keys: map[groupKey]groupKeyRef{}, began: time.Now(),
	}
	g.metrics = newMetrics(cfg.Registry, g)
	return g, nil
}

// Attach adds a modem; only before Run.
func (g *Gateway) Attach(r Route) error {
	if err := r.fill(); err != nil {
		return err
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	name := r.Modem.Name()
	switch {
	case g.running:
		return fmt.Errorf("attach modem %s: the gateway is running", name)
	case g.byName[name] != nil:
		return &InvalidError{"modem", fmt.Sprintf("two modems are named %q", name)}
	case len(g.modems) == maxModems:
		return &InvalidError{"modem", fmt.Sprintf("more than %d modems", maxModems)}
	}
	m := &modemState{index: len(g.modems), route: r, name: name, jobs: make(chan *entry, 1), pace: r.SubmitTime}
	g.modems = append(g.modems, m)
	g.byName[name] = m
	return nil
}

// Run recovers what an earlier run left (sending becomes uncertain), then sends until ctx is done and all hand-overs
// have ended. An error means that the store failed: the process should start afresh.
func (g *Gateway) Run(ctx context.Context) error {
	g.mu.Lock()
	if g.running {
		g.mu.Unlock()
		return fmt.Errorf("gateway runs already")
	}
	g.running, g.began = true, time.Now()
	g.mu.Unlock()
	if err := g.recover(ctx); err != nil {
		if ctx.Err() != nil {
			return nil
		}
		return fmt.Errorf("recover the queue: %w", err)
	}
	group, ctx := errgroup.WithContext(ctx)
	for _, m := range g.modems {
		group.Go(func() error { return g.serve(ctx, m) })
		if t, ok := m.route.Modem.(Teller); ok && m.route.Balance.Code != "" {
			group.Go(func() error { return g.askBalances(ctx, m, t) })
		}
	}
	for _, hook := range g.cfg.Webhooks {
		group.Go(func() error { return g.deliverEvents(ctx, hook) })
	}
	group.Go(func() error { return g.schedule(ctx) })
	group.Go(func() error { return g.keep(ctx) })
	close(g.ready)
	return group.Wait()
}

// Ready is closed when the queue has been read from the store and sending has begun.
func (g *Gateway) Ready() <-chan struct{} { return g.ready }

// wakeAll lets scheduler and keeper look again. It never blocks.
func (g *Gateway) wakeAll() {
	nudge(g.work)
	nudge(g.time)
}

func nudge(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// A signal wakes any number of waiters at once.
type signal struct {
	mu sync.Mutex
	c  chan struct{}
}

func newSignal() *signal { return &signal{c: make(chan struct{})} }

// wait returns a channel that the next raise closes. Take it before looking at what is waited for.
func (s *signal) wait() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.c
}

func (s *signal) raise() {
	s.mu.Lock()
	defer s.mu.Unlock()
	close(s.c)
	s.c = make(chan struct{})
}

// ids makes ids that ascend even within a millisecond and when the clock steps back.
type ids struct {
	mu      sync.Mutex
	entropy io.Reader
	last    time.Time
}
