package store

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// reading is an update that reads keys and then writes one, and what it found in its last run.
type reading struct {
	*call
	found map[string]bool
}

func (e *fakeEngine) read(t *testing.T, write string, keys ...string) *reading {
	t.Helper()
	r := &reading{call: &call{over: make(chan struct{})}}
	go func() {
		defer close(r.over)
		r.err = e.w.update(t.Context(), func(tx Txn) error {
			r.runs++
			r.found = map[string]bool{}
			tx.OnDone(func(ok bool) { r.done = append(r.done, ok) })
			for _, key := range keys {
				_, err := tx.Get(key)
				r.found[key] = err == nil
			}
			return tx.Set(write, nil, never)
		})
	}()
	synctest.Wait()
	return r
}

// slow starts an update, after one whose commit took long: the functions of the next batch run while it is being committed.
func slow(t *testing.T, e *fakeEngine, keys ...string) *call {
	t.Helper()
	e.gate = make(chan struct{})
	before := e.update(t.Context(), nil, "before")
	e.end()
	before.want(t, nil, true)
	e.commits = nil
	return e.update(t.Context(), nil, keys...)
}

// end ends a commit that took long.
func (e *fakeEngine) end() {
	time.Sleep(2 * patience) // synctest's: nothing else happens meanwhile
	e.gate <- struct{}{}
}

// Where commits take long the functions of the next batch run as they come, over what is being committed.
func TestFunctionsRunDuringASlowCommit(t *testing.T) {
	bubble(t, func(t *testing.T, e *fakeEngine) {
		first := slow(t, e, "a")
		b, c := e.read(t, "b", "a", "b"), e.read(t, "c", "a", "b")
		if b.runs != 1 || c.runs != 1 {
			t.Errorf("%d and %d runs before the commit is over, want one each", b.runs, c.runs)
		}
		if !b.found["a"] || b.found["b"] || !c.found["a"] || !c.found["b"] {
			t.Errorf("they found %v and %v: not what was written before each", b.found, c.found)
		}
		select {
		case <-first.over:
			t.Error("answered before it was durable")
		case <-b.over:
			t.Error("answered before it was durable")
		default:
		}
		e.end()
		first.want(t, nil, true)
		d := e.read(t, "d", "a", "b", "c") // over a batch that ran over another itself
		e.end()
		b.want(t, nil, true)
		c.want(t, nil, true)
		e.end()
		d.want(t, nil, true)
		if len(d.found) != 3 || !d.found["a"] || !d.found["b"] || !d.found["c"] || d.runs != 1 {
			t.Errorf("it found %v in %d runs", d.found, d.runs)
		}
		e.wantCommits(t, "a", "b c", "d")
		e.w.close()
		if e.readers != 0 {
			t.Errorf("%d transactions were left open", e.readers)
		}
	})
}

// Where commits are quick all that wait share the next one, and nothing runs before, however long this one takes.
func TestFunctionsWaitForAQuickCommit(t *testing.T) {
	bubble(t, func(t *testing.T, e *fakeEngine) {
		e.gate = make(chan struct{})
		first := e.update(t.Context(), nil, "a")
		time.Sleep(2 * patience)
		b := e.read(t, "b")
		if b.runs != 0 {
			t.Error("it ran before the commit was over")
		}
		e.gate <- struct{}{}
		e.gate <- struct{}{}
		first.want(t, nil, true)
		b.want(t, nil, true)
	})
}

// What ran over a commit that came to nothing runs again, and finds nothing of it.
func TestEarlyFunctionsRunAgain(t *testing.T) {
	bubble(t, func(t *testing.T, e *fakeEngine) {
		first := slow(t, e, "a")
		e.errs = []error{ErrFull}
		b, no := e.read(t, "b", "a"), e.update(t.Context(), errors.ErrUnsupported, "c")
		e.end()
		first.want(t, ErrFull, false)
		e.end()
		b.want(t, nil, false, true)
		no.want(t, errors.ErrUnsupported, false, false)
		if b.found["a"] {
			t.Error("it found what was not committed")
		}
		e.wantCommits(t, "b")
	})
}

// A batch that is too big runs again one by one, and before what ran over it.
func TestEarlyFunctionsAfterTooBig(t *testing.T) {
	bubble(t, func(t *testing.T, e *fakeEngine) {
		first := slow(t, e, "a")
		b, c := e.update(t.Context(), nil, "b"), e.update(t.Context(), nil, "c")
		e.errs = []error{nil, ErrTooBig}
		e.end()
		first.want(t, nil, true)
		d := e.read(t, "d", "b", "c")
		for range 4 {
			e.end()
		}
		b.want(t, nil, false, true)
		c.want(t, nil, false, true)
		d.want(t, nil, false, true)
		if !d.found["b"] || !d.found["c"] {
			t.Errorf("it found %v", d.found)
		}
		e.wantCommits(t, "a", "b", "c", "d")
	})
}

// Nobody whose function ran over a commit of which nothing is known is told anything but that.
func TestEarlyFunctionsAfterUnknown(t *testing.T) {
	bubble(t, func(t *testing.T, e *fakeEngine) {
		first := slow(t, e, "a")
		e.errs, e.limit = []error{errors.New("input/output error")}, 2
		b, no := e.update(t.Context(), nil, "b1", "b2"), e.update(t.Context(), errors.ErrUnsupported)
		over := e.update(t.Context(), nil, "c") // does not fit
		waits := e.update(t.Context(), nil, "d")
		e.end()
		first.want(t, ErrUnknown, false)
		b.want(t, ErrUnknown, false)
		no.want(t, ErrUnknown, false)
		over.want(t, ErrUnknown, false)
		waits.want(t, ErrUnknown)
		e.wantCommits(t)
	})
}

// A batch that is full takes no more while the commit before it goes on, and what does not fit comes first in the next one.
func TestEarlyBatchIsBounded(t *testing.T) {
	bubble(t, func(t *testing.T, e *fakeEngine) {
		e.limit = 2
		first := slow(t, e, "a")
		var calls []*call
		for i := range 5 {
			calls = append(calls, e.update(t.Context(), nil, fmt.Sprint(i)))
		}
		for range 4 {
			e.end()
		}
		first.want(t, nil, true)
		for _, c := range calls {
			<-c.over
			if c.err != nil || !c.done[len(c.done)-1] {
				t.Errorf("%v, %v", c.err, c.done)
			}
		}
		e.wantCommits(t, "a", "0 1", "2 3", "4")
	})
}

// However long a commit takes, those that wait share the next ones: functions that run early cost no commits.
func TestEarlyFunctionsShareCommits(t *testing.T) {
	for _, took := range []time.Duration{patience - 100*time.Microsecond, patience + 50*time.Microsecond, patience * 2, patience * 4} {
		bubble(t, func(t *testing.T, e *fakeEngine) {
			e.w.commit = func(l layer) error { time.Sleep(took); return e.commit(l) }
			var g sync.WaitGroup
			for i := range 65 {
				if i == 1 {
					synctest.Wait() // the first commits alone
				}
				g.Go(func() {
					if err := e.w.update(t.Context(), func(tx Txn) error {
						time.Sleep(patience / 30)
						return tx.Set("k", nil, never)
					}); err != nil {
						t.Error(err)
					}
				})
			}
			g.Wait()
			if n := len(e.commits); n > 4 {
				t.Errorf("commits of %v: %d, want 4 at the most", took, n)
			}
		})
	}
}

// Those that go one by one are no more than were too many.
func TestOneByOneEnds(t *testing.T) {
	bubble(t, func(t *testing.T, e *fakeEngine) {
		e.gate = make(chan struct{})
		e.errs = []error{nil, ErrTooBig}
		calls := []*call{e.update(t.Context(), nil, "a"), e.update(t.Context(), nil, "b"), e.update(t.Context(), nil, "c")}
		e.gate <- struct{}{}
		synctest.Wait()
		for _, key := range []string{"d", "e"} {
			calls = append(calls, e.update(t.Context(), nil, key))
		}
		for range 4 {
			e.gate <- struct{}{}
		}
		for _, c := range calls {
			<-c.over
		}
		e.wantCommits(t, "a", "b", "c", "d e")
	})
}

// A hook that ends its goroutine when its function is undone for want of room loses nobody's answer.
func TestHookEndsItsGoroutine(t *testing.T) {
	bubble(t, func(t *testing.T, e *fakeEngine) {
		e.limit = 2
		e.gate = make(chan struct{})
		first, b := e.update(t.Context(), nil, "a"), e.update(t.Context(), nil, "b")
		over, runs := make(chan struct{}), 0
		go func() {
			defer close(over)
			_ = e.w.update(t.Context(), func(tx Txn) error {
				if runs++; runs == 1 {
					tx.OnDone(func(bool) { runtime.Goexit() })
				}
				return errors.Join(tx.Set("c", nil, never), tx.Set("d", nil, never))
			})
		}()
		synctest.Wait()
		for range 3 {
			e.gate <- struct{}{}
		}
		first.want(t, nil, true)
		b.want(t, nil, true)
		<-over
		e.wantCommits(t, "a", "b", "c d")
	})
}

// A hook that ends the goroutine behind a commit leaves a store of which nothing is known, not one that hangs or answers wrongly.
func TestHookEndsTheWriter(t *testing.T) {
	bubble(t, func(t *testing.T, e *fakeEngine) {
		if err := e.w.update(t.Context(), func(tx Txn) error {
			tx.OnDone(func(bool) { runtime.Goexit() })
			return tx.Set("a", nil, never)
		}); err != ErrUnknown {
			t.Errorf("its caller got %v", err)
		}
		<-e.w.ended
		e.update(t.Context(), nil, "b").want(t, ErrUnknown)
		if e.deaths != 1 {
			t.Errorf("died %d times", e.deaths)
		}
		e.wantCommits(t, "a")
	})
}

// While there is no room on the disk nothing runs early: who waits may still go.
func TestNothingRunsEarlyWithoutRoom(t *testing.T) {
	bubble(t, func(t *testing.T, e *fakeEngine) {
		before := slow(t, e, "b")
		e.w.ready = func() error { time.Sleep(time.Second); return ErrFull }
		e.end()
		before.want(t, nil, true)
		first := e.update(t.Context(), nil, "a")
		ctx, cancel := context.WithTimeout(t.Context(), 10*patience)
		defer cancel()
		waits := e.update(ctx, nil, "c")
		waits.want(t, context.DeadlineExceeded)
		first.want(t, ErrFull, false)
		if waits.runs != 0 {
			t.Error("it ran")
		}
	})
}

// A function that ends its goroutine or panics during a commit disturbs neither that nor the others.
func TestEarlyFunctionsThatEnd(t *testing.T) {
	bubble(t, func(t *testing.T, e *fakeEngine) {
		first := slow(t, e, "a")
		met := make(chan any, 2)
		for _, end := range []func(){runtime.Goexit, func() { panic("bug") }} {
			go func() {
				defer func() { met <- recover() }()
				_ = e.w.update(t.Context(), func(tx Txn) error { _ = tx.Set("x", nil, never); end(); return nil })
			}()
			synctest.Wait()
		}
		b := e.read(t, "b", "x")
		e.end()
		e.end()
		first.want(t, nil, true)
		b.want(t, nil, true)
		if got := [2]any{<-met, <-met}; got != [2]any{nil, "bug"} && got != [2]any{"bug", nil} || b.found["x"] {
			t.Errorf("the callers met %v, and the next found %v", got, b.found)
		}
		e.wantCommits(t, "a", "b")
	})
}

// Close answers what waits and ends what runs, also when that ran early.
func TestCloseDuringASlowCommit(t *testing.T) {
	bubble(t, func(t *testing.T, e *fakeEngine) {
		first := slow(t, e, "a")
		b := e.update(t.Context(), nil, "b")
		closed := make(chan struct{})
		go func() { e.w.close(); close(closed) }()
		synctest.Wait()
		e.update(t.Context(), nil, "c").want(t, ErrClosed)
		e.end()
		first.want(t, nil, true)
		e.end()
		b.want(t, nil, true)
		<-closed
		e.wantCommits(t, "a", "b")
	})
}
