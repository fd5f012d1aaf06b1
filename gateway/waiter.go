package gateway

import (
	"cmp"
	"slices"
	"time"
)

// maxLook is how many recipients of a group are asked for something that fits, when what is next does not.
const maxLook = 64

// A waiter is an entry whose turn it was, but which was too long for the modem's pace or quotas as they stood. What is behind
// it may pass, or a long text would stop its lane; but it goes before all others of its lane as soon as it fits, and for
// two minutes of every three nothing passes that would use up the minute it waits for.
type waiter struct {
	e     *entry
	since int64
}

// A waiterKey is the lane and the modem for which something waits.
type waiterKey struct {
	lane Lane
	bit  uint64
}

// reserved says whether the modem's pace is kept for the waiter now.
func (w waiter) reserved(ms int64) bool {
	window := paceWindow.Milliseconds()
	return (ms-w.since)%(3*window) >= window
}

// opens returns when others may pass what the modem's pace is kept for, if it is kept now; zero: it is not.
func (q *queue) opens(bit uint64, ms int64) time.Time {
	var next time.Time
	for l := range Lane(Lanes) {
		if w, ok := q.waiter(waiterKey{l, bit}, ms); ok && w.reserved(ms) {
			round := 3 * paceWindow.Milliseconds()
			next = sooner(next, time.UnixMilli(w.since+((ms-w.since)/round+1)*round))
		}
	}
	return next
}

// waiter returns what waits in the lane for the modem to have room, if it is still there.
func (q *queue) waiter(key waiterKey, ms int64) (waiter, bool) {
	w, ok := q.waiters[key]
	if ok && (q.byID[w.e.id] != w.e || w.e.bucket == nil || w.e.notAfter <= ms) {
		delete(q.waiters, key)
		return waiter{}, false
	}
	return w, ok
}

// nextOf returns what the modem should send now of one lane; nil: nothing. short says that something waits which does not fit.
func (q *queue) nextOf(l Lane, a asker, ms int64) (e *entry, short bool) {
	key := waiterKey{l, a.bit}
	w, waits := q.waiter(key, ms)
	if waits && w.e.bucket.next != nil && a.may(*w.e.key) {
		parts := int(w.e.parts)
		if a.fits(parts, l) {
			return w.e, false
		}
		if short = true; w.reserved(ms) && a.paced(parts, l) {
			return nil, true
		}
	}
	if !a.fits(1, l) {
		return nil, short || q.head(l, a, ms) != nil
	}
	e, first := q.fitting(l, a, ms)
	if first != nil && !waits {
		q.waiters[key] = waiter{first, ms}
	}
	return e, short || first != nil
}

// fitting returns the first entry in turn that fits, and the first that did not.
func (q *queue) fitting(l Lane, a asker, ms int64) (fits, first *entry) {
	for _, g := range q.groupsOf(l, a) {
		b := g.ring
		for n := 0; b != nil && n < maxLook && (n == 0 || b != g.ring); {
			e, after := b.head, b.next
			switch {
			case e.notAfter <= ms: // dead: the keeper expires it
				q.unlink(e)
				if b.head == nil {
					b = after
				}
				if g.ring == nil {
					b = nil
				}
				continue
			case a.fits(int(e.parts), l):
				return e, first
			case first == nil:
				first = e
			}
			b, n = after, n+1
		}
	}
	return nil, first
}

// groupsOf returns the groups that the modem may serve, the one that has waited longest first.
func (q *queue) groupsOf(l Lane, a asker) []*group {
	var groups []*group
	for key, g := range q.lanes[l].groups {
		if g.n == 0 {
			delete(q.lanes[l].groups, key)
			continue
		}
		if g.ring != nil && a.may(key) {
			groups = append(groups, g)
		}
	}
	slices.SortFunc(groups, func(a, b *group) int { return cmp.Compare(a.served, b.served) })
	return groups
}
