package store

// How the writer's batches gather: their room, whose functions run in them, and when no more do.

// newBatch returns a batch that gathers while before is being committed, over what that wrote; nil: nothing is. It takes over
// before's base, for during a commit there is no other.
func (w *writer) newBatch(before *batch) *batch {
	b := &batch{pending: w.room(), own: w.room(), most: maxBatch}
	if w.alone > 0 {
		b.most = 1
	}
	if before == nil {
		b.base, b.release = w.base()
		return b
	}
	b.beneath, b.base, b.release = before.pending, before.base, before.release
	before.release = func() {}
	return b
}

func (w *writer) room() layer {
	if n := len(w.rooms); n > 0 {
		l := w.rooms[n-1]
		w.rooms = w.rooms[:n-1]
		return l
	}
	return layer{}
}

// leave lets go of what a batch needed that is over.
func (w *writer) leave(b *batch) {
	b.release()
	w.rooms = append(w.rooms, b.pending.emptied(), b.own.emptied())
}

// gather runs the functions of what more returns until that is nil, or they would no longer fit into one commit.
func (w *writer) gather(b *batch, more func() *request) {
	for !b.full && len(b.runs) < b.most && w.runNext(b, more()) {
	}
}

// runNext runs r's function as part of b. It returns false if there is none, or it does not fit.
func (w *writer) runNext(b *batch, r *request) bool {
	if r == nil {
		return false
	}
	defer func() { // also if a hook ended the goroutine
		if n := len(b.runs); n == 0 || b.runs[n-1].req != r {
			b.full = true
			w.again = append([]*request{r}, w.again...)
		}
	}()
	return b.run(r, w.fits)
}

// those takes the first n requests that wait, one by one.
func (w *writer) those(n int) func() *request {
	return func() *request {
		if n--; n < 0 {
			return nil
		}
		return w.pop()
	}
}

// pop takes the first request that waits; nil: there is none.
func (w *writer) pop() *request {
	if len(w.again) > 0 {
		r := w.again[0]
		w.again = w.again[1:]
		return r
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for len(w.queue) > 0 {
		r := w.queue[0]
		if w.queue = w.queue[1:]; r.state.CompareAndSwap(waiting, taken) {
			return r
		}
	}
	w.queue = nil
	return nil
}

// popUntil takes the first request that waits, or the next one that comes; nil: over was closed before.
func (w *writer) popUntil(over <-chan struct{}) *request {
	for {
		select {
		case <-over:
			return nil
		default:
		}
		if r := w.pop(); r != nil {
			return r
		}
		select {
		case <-over:
			return nil
		case <-w.wake:
		}
	}
}
