package store

// batch is one commit in the making.
type batch struct {
	base    reader
	release func() // of base
	beneath layer  // what is being committed while this one gathers; nil: nothing
	pending layer  // what the functions so far wrote
	own     layer  // what the present one writes; empty between two
	most    int    // how many functions it takes
	full    bool   // what came last did not fit
	count   int
	size    int
	runs    []*run
}

// run is one function's run in a batch.
type run struct {
	req *request
	tx  *txn
	out outcome
}

func (r *run) ok() bool { return r.out.err == nil && r.out.panicked == nil && !r.out.exited }

const (
	entryOverhead    = 160 // is more than an engine and the seal add to a record's key and value
	deletionOverhead = 32  // is more than an engine adds to the key of a deletion, which has nothing to seal
)

// size is what a record takes of a commit, at the most.
func (r record) size(key string) int {
	if r.deleted {
		return len(key) + deletionOverhead
	}
	return len(key) + len(r.value) + entryOverhead
}

// run runs one function and lays its writes over the batch's. It returns false, having undone the run, if they do not
// fit.
func (b *batch) run(req *request, fits func(count, size int) bool) bool {
	r := &run{req: req, tx: &txn{own: b.own, pending: [2]layer{b.pending, b.beneath}, base: b.base}, out: outcome{exited: true}}
	b.runs = append(b.runs, r)
	defer b.end(r)
	b.call(r)
	if !r.ok() {
		return true
	}
	count, size := b.count+len(b.own), b.size
	for key, rec := range b.own {
		size += rec.size(key)
	}
	switch {
	case fits(count, size):
		b.count, b.size = count, size
		b.pending.merge(b.own)
	case len(b.pending) == 0:
		r.out.err = ErrTooBig
	default: // it comes first in the next batch
		b.runs = b.runs[:len(b.runs)-1]
		r.finish(false)
		return false
	}
	return true
}

// end takes the room of what a run wrote, for the next one.
func (b *batch) end(r *run) {
	r.tx.own, b.own = nil, b.own.emptied()
}

// call runs the function and keeps what became of it. When the function ends the goroutine, out.exited stays true.
func (b *batch) call(r *run) {
	defer func() {
		if p := recover(); p != nil {
			r.out = outcome{panicked: p}
		}
	}()
	err := r.req.f(r.tx)
	if err == nil {
		err = r.tx.encode()
	}
	r.out = outcome{err: err}
}

// finish tells the function's hooks. One that panics does so to its caller.
func (r *run) finish(committed bool) {
	defer func() {
		if p := recover(); p != nil && r.out.panicked == nil {
			r.out.panicked = p
		}
	}()
	r.tx.finish(committed)
}

// undo tells the hooks of every run that it was for nothing, and returns the requests: their functions are to run again.
func (b *batch) undo() (reqs []*request) {
	for _, r := range b.runs {
		r.finish(false)
		reqs = append(reqs, r.req)
	}
	return reqs
}

// answer tells hooks and callers, in the order of the runs, what the commit came to. If it came to nothing, then so did
// the errors of functions that failed: they may have seen what was not committed.
func (b *batch) answer(err error) {
	for _, r := range b.runs {
		if err != nil {
			r.out.err = err
		}
		r.finish(r.ok())
	}
	for _, r := range b.runs {
		r.req.done <- r.out
	}
}
