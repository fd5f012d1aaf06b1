package gateway

import (
	"time"

	"github.com/oklog/ulid/v2"
)

// A queue is the index in memory of the messages that wait: which lane, for whom, until when, which modems. It holds
// no text and no number. It is not safe for concurrent use; Gateway.mu guards it.
//
// Within a lane, messages that may use the same modems form a group; in a group the recipients take turns.
type queue struct {
	byID     map[ulid.ULID]*entry
	lanes    [Lanes]lane
	deadline heap[*entry]  // by notAfter
	delayed  heap[*entry]  // by notBefore; not in any group's turns meanwhile
	aside    heap[*bucket] // by until
	turn     uint64
	waiters  map[waiterKey]waiter
}

type lane struct {
	groups map[groupKey]*group
	loads  map[uint64]*backlog // by the modems that may carry them; delayed entries included
	ages   heap[*entry]        // by id, which begins with the time it was made
}

// groupKey says which modems may carry a message.
type groupKey struct {
	mask uint64 // modems with a fitting prefix
	shun uint64 // of those, the ones to be used only if no other is up
	pin  string // the SIM that must finish what it began; empty: any
}

type group struct {
	key     groupKey
	buckets map[uint64]*bucket
	ring    *bucket // next to be served; circular
	n       int     // entries, those of recipients set aside included
	served  uint64
}

// A bucket holds what waits for one recipient, oldest first.
type bucket struct {
	group      *group
	rcpt       uint64
	head, tail *entry
	prev, next *bucket // in the ring; nil: set aside
	until      int64
	at         int32
}

type entry struct {
	id           ulid.ULID
	rcpt         uint64
	notAfter     int64 // unix milliseconds
	notBefore    int64
	bucket       *bucket // nil: delayed or taken
	prev, next   *entry
	key          groupKeyRef
	deadlineSlot int32
	delayedSlot  int32
	spareSlot    int32
	ageSlot      int32
	spare        int64 // see backlog
	lane         uint8
	parts        uint8
	vowed        bool // it had a promise when it was taken
}

// dead returns when the entry's deadline has passed.
func (e *entry) dead() time.Time { return time.UnixMilli(e.notAfter + 1) }

// groupKeyRef keeps entries small: keys are few and shared.
type groupKeyRef = *groupKey

func newQueue() *queue {
	q := &queue{byID: map[ulid.ULID]*entry{}, waiters: map[waiterKey]waiter{}}
	for l := range q.lanes {
		q.lanes[l] = lane{
			groups: map[groupKey]*group{}, loads: map[uint64]*backlog{},
			ages: heap[*entry]{less: func(a, b *entry) bool { return a.id.Compare(b.id) < 0 }, slot: func(e *entry) *int32 { return &e.ageSlot }},
		}
	}
	q.deadline = heap[*entry]{less: func(a, b *entry) bool { return a.notAfter < b.notAfter }, slot: func(e *entry) *int32 { return &e.deadlineSlot }}
	q.delayed = heap[*entry]{less: func(a, b *entry) bool { return a.notBefore < b.notBefore }, slot: func(e *entry) *int32 { return &e.delayedSlot }}
	q.aside = heap[*bucket]{less: func(a, b *bucket) bool { return a.until < b.until }, slot: func(b *bucket) *int32 { return &b.at }}
	return q
}

// put adds or moves an entry.
func (q *queue) put(e *entry, now time.Time) {
	q.remove(e.id)
	e.deadlineSlot, e.delayedSlot, e.spareSlot, e.ageSlot = -1, -1, -1, -1
	q.byID[e.id] = e
	q.deadline.push(e)
	q.count(e, true)
	if e.notBefore > now.UnixMilli() {
		q.delayed.push(e)
		return
	}
	q.link(e)
}

// count lets an entry count as waiting in its lane, or no more.
func (q *queue) count(e *entry, in bool) {
	if in == (e.ageSlot >= 0) {
		return
	}
	l := &q.lanes[e.lane]
	v := l.of(e.key.mask)
	if in {
		l.ages.push(e)
		v.parts += int(e.parts)
		return
	}
	l.ages.remove(e)
	v.parts -= int(e.parts)
}

// remove takes an entry out for good.
func (q *queue) remove(id ulid.ULID) {
	e := q.byID[id]
	if e == nil {
		return
	}
	delete(q.byID, id)
	q.deadline.remove(e)
	q.unlink(e)
}

// unlink takes an entry out of the turns; its deadline stays watched.
func (q *queue) unlink(e *entry) {
	q.count(e, false)
	q.release(e)
	q.delayed.remove(e)
	b := e.bucket
	if b == nil {
		return
	}
	if e.prev != nil {
		e.prev.next = e.next
	} else {
		b.head = e.next
	}
	if e.next != nil {
		e.next.prev = e.prev
	} else {
		b.tail = e.prev
	}
	e.prev, e.next, e.bucket = nil, nil, nil
	b.group.n--
	if b.head == nil {
		q.drop(b)
	}
}

func (q *queue) drop(b *bucket) {
	g := b.group
	g.leave(b)
	q.aside.remove(b)
	delete(g.buckets, b.rcpt)
}

// link appends an entry to its recipient's bucket.
func (q *queue) link(e *entry) {
	q.count(e, true)
	l := &q.lanes[e.lane]
	g := l.groups[*e.key]
	if g == nil {
		g = &group{key: *e.key, buckets: map[uint64]*bucket{}}
		l.groups[*e.key] = g
	}
	b := g.buckets[e.rcpt]
	if b == nil {
		b = &bucket{group: g, rcpt: e.rcpt, at: -1}
		g.buckets[e.rcpt] = b
		g.join(b)
	}
	e.bucket, e.prev, e.next = b, b.tail, nil
	if b.tail != nil {
		b.tail.next = e
	} else {
		b.head = e
	}
	b.tail = e
	g.n++
}

// join puts a bucket at the end of the ring, leave takes it out.
func (g *group) join(b *bucket) {
	if g.ring == nil {
		b.prev, b.next, g.ring = b, b, b
		return
	}
	b.prev, b.next = g.ring.prev, g.ring
	b.prev.next, b.next.prev = b, b
}

func (g *group) leave(b *bucket) {
	if b.next == nil {
		return
	}
	if b.next == b {
		g.ring = nil
	} else {
		b.prev.next, b.next.prev = b.next, b.prev
		if g.ring == b {
			g.ring = b.next
		}
	}
	b.prev, b.next = nil, nil
}

// setAside lets everything of a recipient wait until then.
func (q *queue) setAside(rcpt uint64, until time.Time) {
	for l := range q.lanes {
		for _, g := range q.lanes[l].groups {
			if b := g.buckets[rcpt]; b != nil {
				g.leave(b)
				q.aside.remove(b)
				b.until = until.UnixMilli()
				q.aside.push(b)
			}
		}
	}
}

// wake puts back into the turns what has waited long enough, and returns when there is more to put back (zero: never).
func (q *queue) wake(now time.Time) time.Time {
	ms := now.UnixMilli()
	for len(q.delayed.items) > 0 && q.delayed.items[0].notBefore <= ms {
		q.link(q.delayed.pop())
	}
	for len(q.aside.items) > 0 && q.aside.items[0].until <= ms {
		b := q.aside.pop()
		b.group.join(b)
	}
	var next int64
	if len(q.delayed.items) > 0 {
		next = q.delayed.items[0].notBefore
	}
	if len(q.aside.items) > 0 && (next == 0 || q.aside.items[0].until < next) {
		next = q.aside.items[0].until
	}
	if next == 0 {
		return time.Time{}
	}
	return time.UnixMilli(next)
}

// An asker is an idle modem that looks for work.
type asker struct {
	bit    uint64
	iccid  string
	others uint64                       // modems that are up, this one not among them
	better uint64                       // modems that are up and whose codes arrive, if this one's do not
	fits   func(parts int, l Lane) bool // pace and quotas of its SIM allow that now
	paced  func(parts int, l Lane) bool // if it does not fit, only the pace is in the way
}

func (a asker) may(k groupKey) bool {
	switch {
	case k.mask&a.bit == 0:
		return false
	case k.pin != "":
		return k.pin == a.iccid
	case k.mask&a.better != 0:
		return false
	}
	return k.shun&a.bit == 0 || k.mask&^k.shun&a.others == 0
}

// next returns what the modem should send now without taking it out, most urgent lane first; nil: nothing. short says
// that something waits which is too long for the modem's pace or quotas as they stand.
func (q *queue) next(a asker, now time.Time) (e *entry, short bool) {
	ms := now.UnixMilli()
	for l := range q.lanes {
		e, behind := q.nextOf(Lane(l), a, ms)
		if e != nil {
			return e, false
		}
		if short = short || behind; short && Lane(l) < LaneText {
			return nil, true // what is less urgent must not slip past a code
		}
	}
	return nil, short
}

func (q *queue) head(l Lane, a asker, ms int64) *entry {
	for {
		var best *group
		for key, g := range q.lanes[l].groups {
			if g.n == 0 {
				delete(q.lanes[l].groups, key)
				continue
			}
			if g.ring != nil && a.may(key) && (best == nil || g.served < best.served) {
				best = g
			}
		}
		if best == nil {
			return nil
		}
		e := best.ring.head
		if e.notAfter > ms {
			return e
		}
		q.unlink(e) // dead: the keeper expires it
	}
}

// take removes an entry that next returned from the turns and gives the turn to the next recipient. The entry stays in
// the index until its claim is durable.
func (q *queue) take(e *entry) {
	g := e.bucket.group
	q.turn++
	g.served = q.turn
	g.ring = e.bucket.next
	e.vowed = e.spareSlot >= 0
	q.unlink(e)
}

// back returns a taken entry whose claim did not come about: before what waits for the same recipient, and with the promise that
// it had.
func (q *queue) back(e *entry) {
	if q.byID[e.id] != e || e.bucket != nil || e.delayedSlot >= 0 {
		return
	}
	q.link(e)
	if b := e.bucket; b.head != e {
		b.tail = e.prev
		b.tail.next = nil
		e.prev, e.next = nil, b.head
		b.head.prev = e
		b.head = e
	}
	if e.vowed {
		q.lanes[e.lane].of(e.key.mask).promises.push(e)
	}
}

// oldest returns how many entries wait in a lane and the age of the oldest.
func (q *queue) oldest(l Lane, now time.Time) (int, time.Duration) {
	ages := &q.lanes[l].ages
	if len(ages.items) == 0 {
		return 0, 0
	}
	return len(ages.items), now.Sub(ages.items[0].id.Timestamp()).Truncate(time.Millisecond)
}
