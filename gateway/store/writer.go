package store

import (
	"context"
	"errors"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// maxBatch bounds how many updates one commit answers, and so how long the first of them waits for the others' functions.
	maxBatch = 512
	// patience is how long a commit may take, and callers to come back. After a commit that took longer the functions of the
	// next batch run during the next.
	patience = 3 * time.Millisecond
)

// writer combines updates. Callers queue their functions; one goroutine takes all that wait, runs them one after the
// other, each seeing what those before it wrote, and commits once. While it commits, the next batch gathers by itself:
// a lone caller never waits for company, and many share one sync. Where commits take long, its functions run meanwhile,
// over what is being committed; should that fail, they run again.
type writer struct {
	ready  func() error      // waits until there is room for a commit; ErrFull: there is none
	commit func(layer) error // durable when it returns nil; ErrFull, ErrTooBig: nothing changed; else unknown. Changes no layer
	settle func(layer)       // follows a commit that is durable, while no function runs
	fits   func(count, size int) bool
	base   func() (reader, func()) // a fresh committed state, and how to let go of it; not to be called during a commit
	die    func(cause error)       // called once, when a commit's outcome is unknown
	yield  func()                  // lets other goroutines run
	wake   chan struct{}
	ended  chan struct{}

	metrics *metrics

	again []*request // taken, and first in the next batch; they belong to whoever runs functions

	// These belong to the writer's goroutine.
	batch     *batch  // gathers, or is being committed; nil: nothing is to be done
	next      *batch  // of batch, while that is being committed
	gathering bool    // functions of batch run on this goroutine
	alone     int     // how many of the functions to come go alone
	last      int     // how many callers were answered just now
	slow      bool    // the last commit took long
	rooms     []layer // empty, for the layers of batches to come

	mu    sync.Mutex
	queue []*request
	over  error // why nothing more is taken: ErrClosed, ErrUnknown
}

// request is one waiting update.
type request struct {
	f     func(Txn) error
	state atomic.Int32 // waiting, then taken (by the writer) or gone (its caller left)
	done  chan outcome // of capacity 1
}

const (
	waiting = iota
	taken
	gone
)

// outcome is what became of a request's function.
type outcome struct {
	err      error
	panicked any  // what its function panicked with
	exited   bool // its function ended its goroutine
}

func (w *writer) start() {
	w.wake = make(chan struct{}, 1)
	w.ended = make(chan struct{})
	go w.run()
}

func (w *writer) update(ctx context.Context, f func(Txn) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	r := &request{f: f, done: make(chan outcome, 1)}
	if err := w.enqueue(r); err != nil {
		return err
	}
	select {
	case o := <-r.done:
		return o.deliver()
	case <-ctx.Done():
		if r.state.CompareAndSwap(waiting, gone) {
			return ctx.Err()
		}
		o := <-r.done
		return o.deliver()
	}
}

// deliver makes what happened to the function happen to its caller.
func (o outcome) deliver() error {
	if o.panicked != nil {
		panic(o.panicked)
	}
	if o.exited {
		runtime.Goexit()
	}
	return o.err
}

func (w *writer) enqueue(r *request) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.over != nil {
		return w.over
	}
	w.queue = append(w.queue, r)
	w.signal()
	return nil
}

func (w *writer) signal() {
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// stop lets no further update in and answers those that wait with err. It is false if there was none let in before.
func (w *writer) stop(err error) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	first := w.over == nil
	if first {
		w.over = err
	}
	for _, r := range w.queue {
		if r.state.CompareAndSwap(waiting, gone) {
			r.done <- outcome{err: w.over}
		}
	}
	w.queue = nil
	w.signal()
	return first
}

// close stops the writer and waits for its last batch.
func (w *writer) close() {
	w.stop(ErrClosed)
	<-w.ended
}

// errEnded is what became of a commit whose goroutine a hook ended, or a fault of the engine.
var errEnded = errors.New("the writer was ended")

// run is the writer's goroutine. A function may end it (t.FailNow does): then another one goes on.
func (w *writer) run() {
	over := false
	defer func() {
		if !over && w.gathering {
			go w.run()
			return
		}
		if !over {
			w.abandon()
		}
		close(w.ended)
	}()
	for w.batch != nil || w.await() {
		if w.batch == nil {
			w.batch = w.newBatch(nil)
		}
		w.comeBack()
		// A batch that has begun to gather waits for more only if it becomes much larger: twice as large.
		if n := w.waiting() + len(w.again); n >= len(w.batch.runs) {
			w.gathering = true
			w.gather(w.batch, w.those(n))
			w.gathering = false
		}
		w.last = len(w.batch.runs)
		w.batch = w.serve(w.batch)
	}
	over = true
}

// await waits until there is something to run. It returns false if there is and will be nothing.
func (w *writer) await() bool {
	for len(w.again) == 0 {
		w.mu.Lock()
		waiting, over := len(w.queue) > 0, w.over != nil
		w.mu.Unlock()
		switch {
		case waiting:
			return true
		case over:
			return false
		}
		w.last = 0
		<-w.wake
	}
	return true
}

// comeBack lets the callers just answered by a batch of several come back, for as long as they do and are not late: otherwise
// the first of them would sync alone and the others wait for that. Where processors are short, others come in their place, and
// each look takes as long as whatever else can run.
func (w *writer) comeBack() {
	for n, began := -1, time.Now(); w.last > 1 && n < w.waiting() && n < w.last && time.Since(began) < patience; {
		n = w.waiting()
		w.yield()
	}
}

func (w *writer) waiting() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.queue)
}

// serve commits b and answers its callers. It returns the next batch if that began to gather meanwhile.
func (w *writer) serve(b *batch) *batch {
	w.alone = max(0, w.alone-1)
	next := w.newBatch(b)
	w.next = next
	defer w.leave(b)
	err := w.commitBatch(b, next)
	switch {
	case err == nil:
		b.answer(nil)
	case err == ErrTooBig && len(b.runs) > 1: // nothing was committed; the functions run again, one at a time
		w.alone = len(b.runs)
		w.again = slices.Concat(b.undo(), next.undo(), w.again)
	case err == ErrFull, err == ErrTooBig:
		b.answer(err)
		w.again = slices.Concat(next.undo(), w.again) // they may have seen what was not committed
	default:
		w.fail(b, next, err)
	}
	w.next = nil
	if err != nil || len(next.runs) == 0 {
		w.leave(next)
		return nil
	}
	next.release()
	next.base, next.release = w.base()
	next.beneath = nil
	return next
}

// commitBatch commits b, and has next gather meanwhile where that takes long.
func (w *writer) commitBatch(b, next *batch) error {
	if len(b.pending) == 0 {
		return nil
	}
	if err := w.ready(); err != nil {
		return err
	}
	w.metrics.batch.Observe(float64(len(b.runs)))
	over, gathered := make(chan struct{}), make(chan struct{})
	if w.slow {
		go func() {
			defer close(gathered)
			w.gather(next, func() *request { return w.popUntil(over) })
		}()
	} else {
		close(gathered)
	}
	began := time.Now()
	err := w.commit(b.pending)
	w.slow = time.Since(began) > patience
	close(over)
	<-gathered
	if err == nil {
		w.settle(b.pending)
	}
	return err
}

// abandon ends a writer whose goroutine was ended while it committed or answered: of what it was at nothing is known.
func (w *writer) abandon() {
	if w.stop(ErrUnknown) {
		w.die(errEnded)
	}
	all := w.again
	for _, b := range []*batch{w.batch, w.next} {
		if b == nil {
			continue
		}
		for _, r := range b.runs {
			all = append(all, r.req)
		}
	}
	for _, r := range all {
		select {
		case r.done <- outcome{err: ErrUnknown}:
		default: // it has its answer
		}
	}
}

// fail ends the writer after a commit whose outcome is unknown.
func (w *writer) fail(b, next *batch, cause error) {
	w.die(cause)
	w.stop(ErrUnknown)
	b.answer(ErrUnknown)
	next.answer(ErrUnknown)
	for _, r := range w.again {
		r.done <- outcome{err: ErrUnknown}
	}
	w.again = nil
}
