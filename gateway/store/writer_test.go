package store

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"
)

// fakeEngine commits to a Memory. Its gate, when not nil, holds each commit until it is sent a value; errs are the
// outcomes of the next commits.
type fakeEngine struct {
	m       *Memory
	w       *writer
	gate    chan struct{}
	errs    []error
	limit   int // of records in a commit
	commits []string
	deaths  int
	readers int // that were not let go of
}

func newFake(t *testing.T) *fakeEngine {
	e := &fakeEngine{m: NewMemory(), limit: 1000}
	e.w = &writer{
		metrics: newMetrics(nil),
		commit:  e.commit,
		fits:    func(count, _ int) bool { return count <= e.limit },
		die:     func(error) { e.deaths++ },
		ready:   func() error { return nil },
		settle:  func(layer) {},
		yield:   runtime.Gosched,
		base:    e.base,
	}
	e.w.start()
	t.Cleanup(e.w.close)
	return e
}

// base is the committed state as it is now, as an engine's transaction sees it.
func (e *fakeEngine) base() (reader, func()) {
	e.readers++
	m := NewMemory()
	m.apply(e.m.recs)
	return (*memoryReader)(m), func() { e.readers-- }
}

func (e *fakeEngine) commit(l layer) error {
	if e.gate != nil {
		<-e.gate
	}
	var keys []string
	for key := range l {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	if len(e.errs) > 0 {
		err := e.errs[0]
		e.errs = e.errs[1:]
		if err != nil {
			return err
		}
	}
	e.commits = append(e.commits, strings.Join(keys, " "))
	e.m.apply(l)
	return nil
}

// call is an update under way.
type call struct {
	err  error
	runs int
	done []bool
	over chan struct{}
}

// update starts an update that writes keys and then returns fail.
func (e *fakeEngine) update(ctx context.Context, fail error, keys ...string) *call {
	c := &call{over: make(chan struct{})}
	go func() {
		defer close(c.over)
		c.err = e.w.update(ctx, func(tx Txn) error {
			c.runs++
			tx.OnDone(func(ok bool) { c.done = append(c.done, ok) })
			for _, key := range keys {
				if err := tx.Set(key, nil, never); err != nil {
					return err
				}
			}
			return fail
		})
	}()
	synctest.Wait()
	return c
}

func (c *call) want(t *testing.T, err error, done ...bool) {
	t.Helper()
	<-c.over
	if !errors.Is(c.err, err) || err == nil && c.err != nil {
		t.Errorf("got %v, want %v", c.err, err)
	}
	if diff := cmp.Diff(done, c.done); diff != "" {
		t.Errorf("OnDone (-want +got):\n%s", diff)
	}
}

func (e *fakeEngine) wantCommits(t *testing.T, want ...string) {
	t.Helper()
	if diff := cmp.Diff(want, e.commits); diff != "" {
		t.Errorf("commits (-want +got):\n%s", diff)
	}
}

func bubble(t *testing.T, f func(*testing.T, *fakeEngine)) {
	synctest.Test(t, func(t *testing.T) { f(t, newFake(t)) })
}

// While one commit is under way the others gather, and share the next.
func TestBatchGathers(t *testing.T) {
	bubble(t, func(t *testing.T, e *fakeEngine) {
		e.gate = make(chan struct{})
		calls := []*call{e.update(t.Context(), nil, "a")}
		for _, key := range []string{"b", "c", "d"} {
			calls = append(calls, e.update(t.Context(), nil, key, "x"))
		}
		e.gate <- struct{}{}
		e.gate <- struct{}{}
		for _, c := range calls {
			c.want(t, nil, true)
		}
		e.wantCommits(t, "a", "b c d x")
	})
}

func TestBatchFailures(t *testing.T) {
	bubble(t, func(t *testing.T, e *fakeEngine) {
		e.gate = make(chan struct{})
		first := e.update(t.Context(), nil, "a")
		no := errors.New("no")
		b, c := e.update(t.Context(), nil, "b"), e.update(t.Context(), no, "c")
		exited, panicked := make(chan any), make(chan any)
		go func() {
			defer func() { exited <- recover() }()
			_ = e.w.update(t.Context(), func(tx Txn) error { _ = tx.Set("d", nil, never); runtime.Goexit(); return nil })
			exited <- "returned"
		}()
		synctest.Wait()
		go func() {
			defer func() { panicked <- recover() }()
			_ = e.w.update(t.Context(), func(tx Txn) error { _ = tx.Set("e", nil, never); panic("bug") })
		}()
		synctest.Wait()
		f := e.update(t.Context(), nil, "f")
		for range 3 { // what waits behind a function that ends its goroutine goes into the next commit
			e.gate <- struct{}{}
		}
		first.want(t, nil, true)
		b.want(t, nil, true)
		c.want(t, no, false)
		f.want(t, nil, true)
		if p := <-exited; p != nil {
			t.Errorf("the function that ended its goroutine: %v", p)
		}
		if p := <-panicked; p != "bug" {
			t.Errorf("the caller met %v, want its panic", p)
		}
		e.wantCommits(t, "a", "b", "f")
	})
}

func TestOnDonePanics(t *testing.T) {
	bubble(t, func(t *testing.T, e *fakeEngine) {
		defer func() {
			if p := recover(); p != "hook" {
				t.Errorf("met %v", p)
			}
			e.update(t.Context(), nil, "b").want(t, nil, true)
			e.wantCommits(t, "a", "b")
		}()
		_ = e.w.update(t.Context(), func(tx Txn) error {
			tx.OnDone(func(bool) { panic("hook") })
			return tx.Set("a", nil, never)
		})
	})
}

// A context counts while its update waits, not once it is in a batch.
func TestContextWhileWaiting(t *testing.T) {
	bubble(t, func(t *testing.T, e *fakeEngine) {
		e.gate = make(chan struct{})
		ctx, cancel := context.WithCancel(t.Context())
		committing := e.update(ctx, nil, "a")
		waits, stays := e.update(ctx, nil, "b"), e.update(t.Context(), nil, "c")
		cancel()
		waits.want(t, context.Canceled)
		e.gate <- struct{}{}
		e.gate <- struct{}{}
		committing.want(t, nil, true)
		stays.want(t, nil, true)
		if waits.runs != 0 {
			t.Error("a canceled update ran")
		}
		e.wantCommits(t, "a", "c")
	})
}

// What does not fit into one commit goes into the next; what fits into none is refused alone.
func TestTooBig(t *testing.T) {
	bubble(t, func(t *testing.T, e *fakeEngine) {
		e.limit = 3
		e.gate = make(chan struct{})
		first := e.update(t.Context(), nil, "a")
		b, c := e.update(t.Context(), nil, "b1", "b2"), e.update(t.Context(), nil, "c1", "c2")
		big := e.update(t.Context(), nil, "d1", "d2", "d3", "d4")
		last := e.update(t.Context(), nil, "e")
		for range 4 {
			e.gate <- struct{}{}
			synctest.Wait()
			if len(e.commits) == 4 {
				break
			}
		}
		first.want(t, nil, true)
		b.want(t, nil, true)
		c.want(t, nil, false, true) // ran twice
		big.want(t, ErrTooBig, false, false)
		last.want(t, nil, true)
		e.wantCommits(t, "a", "b1 b2", "c1 c2", "e")
	})
}

// The engine finds a batch too big that was thought to fit: its updates run again, one by one.
func TestTooBigAtCommit(t *testing.T) {
	bubble(t, func(t *testing.T, e *fakeEngine) {
		e.gate = make(chan struct{})
		e.errs = []error{nil, ErrTooBig, nil, ErrTooBig, nil}
		calls := []*call{e.update(t.Context(), nil, "a")}
		for _, key := range []string{"b", "c", "d"} {
			calls = append(calls, e.update(t.Context(), nil, key))
		}
		for range 5 {
			e.gate <- struct{}{}
		}
		calls[0].want(t, nil, true)
		calls[1].want(t, nil, false, true)
		calls[2].want(t, ErrTooBig, false, false)
		calls[3].want(t, nil, false, true)
		e.wantCommits(t, "a", "b", "d")
	})
}

func TestFullDiskRefusesAndPasses(t *testing.T) {
	bubble(t, func(t *testing.T, e *fakeEngine) {
		e.errs = []error{ErrFull}
		e.update(t.Context(), nil, "a").want(t, ErrFull, false)
		e.update(t.Context(), errors.ErrUnsupported, "b").want(t, errors.ErrUnsupported, false)
		e.update(t.Context(), nil, "c").want(t, nil, true)
		e.wantCommits(t, "c")
		if e.deaths != 0 {
			t.Error("a full disk killed the store")
		}
	})
}

// After a failed sync nobody is told anything but "unknown", not even a function that was refused: it may have been
// refused because of what was not committed.
func TestUnknown(t *testing.T) {
	bubble(t, func(t *testing.T, e *fakeEngine) {
		e.gate = make(chan struct{})
		e.errs = []error{nil, errors.New("input/output error")}
		first := e.update(t.Context(), nil, "a")
		inBatch, refused := e.update(t.Context(), nil, "b"), e.update(t.Context(), errors.New("no"), "c")
		e.gate <- struct{}{}
		synctest.Wait()
		waits := e.update(t.Context(), nil, "d")
		e.gate <- struct{}{}
		first.want(t, nil, true)
		inBatch.want(t, ErrUnknown, false)
		refused.want(t, ErrUnknown, false)
		waits.want(t, ErrUnknown)
		e.update(t.Context(), nil, "e").want(t, ErrUnknown)
		if e.deaths != 1 {
			t.Errorf("died %d times", e.deaths)
		}
		e.wantCommits(t, "a")
	})
}

func TestWriterClose(t *testing.T) {
	bubble(t, func(t *testing.T, e *fakeEngine) {
		e.gate = make(chan struct{})
		committing, waits := e.update(t.Context(), nil, "a"), e.update(t.Context(), nil, "b")
		closed := make(chan struct{})
		go func() { e.w.close(); close(closed) }()
		synctest.Wait()
		waits.want(t, ErrClosed)
		select {
		case <-closed:
			t.Error("close did not wait for the commit under way")
		default:
		}
		e.gate <- struct{}{}
		<-closed
		committing.want(t, nil, true)
		e.update(t.Context(), nil, "c").want(t, ErrClosed)
		e.wantCommits(t, "a")
	})
}

// A long queue is served in batches of at most maxBatch, in order.
func TestBatchBound(t *testing.T) {
	bubble(t, func(t *testing.T, e *fakeEngine) {
		e.gate = make(chan struct{})
		calls := []*call{e.update(t.Context(), nil, "first")}
		for i := range maxBatch + 5 {
			calls = append(calls, e.update(t.Context(), nil, fmt.Sprintf("%04d", i)))
		}
		for range 3 {
			e.gate <- struct{}{}
		}
		for _, c := range calls {
			c.want(t, nil, true)
		}
		if got := strings.Count(e.commits[1], " ") + 1; len(e.commits) != 3 || got != maxBatch {
			t.Errorf("%d commits, the second of %d; want 3 and %d", len(e.commits), got, maxBatch)
		}
	})
}

// Whoever waits behind many that have gone is taken all the same.
func TestManyHaveGone(t *testing.T) {
	w := &writer{}
	for range maxBatch {
		r := &request{}
		r.state.Store(gone)
		w.queue = append(w.queue, r)
	}
	live := &request{}
	w.queue = append(w.queue, live)
	if r := w.pop(); r != live {
		t.Errorf("taken is %v, want the one that waits", r)
	}
}

// However many new callers come meanwhile, those that have come are not kept waiting for more than a moment.
func TestComeBackEnds(t *testing.T) {
	w := &writer{wake: make(chan struct{}, 1), last: 1 << 22}
	w.yield = func() { _ = w.enqueue(&request{}) } // it is not over
	w.comeBack()
	if n := w.waiting(); n < 1 || n >= w.last {
		t.Errorf("%d have come, want some, and not all of %d", n, w.last)
	}
}
