package store

import (
	"context"
	"runtime"
	"sync"
	"sync/atomic"
)

// maxBatch bounds how many updates one commit answers, and so how long the first of them waits for the others' functions.
const maxBatch = 512

// writer combines updates. Callers queue their functions; one goroutine takes all that wait, runs them one after the
// other, each seeing what those before it wrote, and commits once. While it commits, the next batch gathers by itself:
// a lone caller never waits for company, and many share one sync.
type writer struct {
	commit func(layer) error // durable when it returns nil; ErrFull, ErrTooBig: nothing changed; else unknown
	fits   func(count, size int) bool
	base   func() (reader, func()) // a fresh committed state, and how to let go of it
	die    func(cause error)       // called once, when a commit's outcome is unknown
	wake   chan struct{}
	ended  chan struct{}

	pending, own layer // of the batch before; the next one takes their room

	metrics *metrics

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

// stop lets no further update in and answers those that wait with err.
func (w *writer) stop(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.over == nil {
		w.over = err
	}
	for _, r := range w.queue {
		if r.state.CompareAndSwap(waiting, gone) {
			r.done <- outcome{err: w.over}
		}
	}
	w.queue = nil
	w.signal()
}

// close stops the writer and waits for its last batch.
func (w *writer) close() {
	w.stop(ErrClosed)
	<-w.ended
}

// run is the writer's goroutine.
func (w *writer) run() {
	defer close(w.ended)
	for range w.wake {
		last := 0
		for {
			reqs, over := w.take(last)
			if len(reqs) == 0 && over {
				return
			}
			if len(reqs) == 0 {
				break
			}
			w.serve(reqs)
			last = len(reqs)
		}
	}
}

// take returns the requests that wait. After a batch of several it first lets the callers just answered come back, for
// as long as they do: otherwise the first of them would sync alone and the others wait for that.
func (w *writer) take(last int) (reqs []*request, over bool) {
	for n := -1; last > 1 && n < w.waiting() && n < last; {
		n = w.waiting()
		runtime.Gosched()
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for len(w.queue) > 0 && len(reqs) < maxBatch {
		if r := w.queue[0]; r.state.CompareAndSwap(waiting, taken) {
			reqs = append(reqs, r)
		}
		w.queue = w.queue[1:]
	}
	if len(w.queue) == 0 {
		w.queue = nil
	}
	return reqs, w.over != nil
}

func (w *writer) waiting() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.queue)
}

// serve answers every request of reqs, in one commit if they fit.
func (w *writer) serve(reqs []*request) {
	most := len(reqs)
	for len(reqs) > 0 {
		b := w.runBatch(reqs[:min(most, len(reqs))])
		err := w.commitBatch(b)
		if err == ErrTooBig && len(b.runs) > 1 {
			b.undo() // nothing was committed; the functions run again, one at a time
			most = 1
			continue
		}
		reqs = reqs[b.taken:]
		if err != nil && err != ErrFull && err != ErrTooBig {
			w.fail(b, reqs, err)
			return
		}
		b.answer(err)
	}
}

func (w *writer) commitBatch(b *batch) error {
	defer b.release()
	if len(b.pending) == 0 {
		return nil
	}
	w.metrics.batch.Observe(float64(len(b.runs)))
	return w.commit(b.pending)
}

// fail ends the writer after a commit whose outcome is unknown.
func (w *writer) fail(b *batch, rest []*request, cause error) {
	w.die(cause)
	w.stop(ErrUnknown)
	b.answer(ErrUnknown)
	for _, r := range rest {
		r.done <- outcome{err: ErrUnknown}
	}
}
