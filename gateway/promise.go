package gateway

import "time"

// A backlog is what waits in one lane for one set of modems, and what has been promised to it.
//
// A code is accepted when everything ahead of it can be sent in time. What comes later in a more urgent lane goes before
// it, though, and so may only be accepted as long as it breaks no promise. Each waiting code has some time to spare; the
// least of these, less what was pushed in front since, is what more urgent lanes may still take.
type backlog struct {
	parts    int
	pushed   int64        // milliseconds of more urgent work that was let in front, ever
	promises heap[*entry] // by spare
}

// Only codes are promised their time: texts may wait, and nothing goes before withdrawals.
func promised(l Lane) bool { return l == LaneLogin || l == LaneEnrol }

func (l *lane) of(mask uint64) *backlog {
	v := l.loads[mask]
	if v == nil {
		v = &backlog{promises: heap[*entry]{
			less: func(a, b *entry) bool { return a.spare < b.spare },
			slot: func(e *entry) *int32 { return &e.spareSlot },
		}}
		l.loads[mask] = v
	}
	return v
}

// waiting returns how many parts wait in the lane for any of the modems.
func (l *lane) waiting(mask uint64) int {
	n := 0
	for m, v := range l.loads {
		if m&mask != 0 {
			n += v.parts
		}
	}
	return n
}

// promise notes that the entry has so much time to spare.
func (q *queue) promise(e *entry, spare time.Duration) {
	if !promised(Lane(e.lane)) || spare < 0 {
		return // what is late anyway must not hold up others
	}
	v := q.lanes[e.lane].of(e.key.mask)
	e.spare = spare.Milliseconds() + v.pushed
	v.promises.push(e)
}

// release ends a promise: the entry is with a modem, or gone.
func (q *queue) release(e *entry) {
	if e.spareSlot >= 0 {
		q.lanes[e.lane].of(e.key.mask).promises.remove(e)
	}
}

// room returns how much work a lane may push in front of the less urgent ones without breaking a promise.
func (q *queue) room(l Lane, mask uint64) time.Duration {
	room := int64(maxLife / time.Millisecond)
	for k := int(l) + 1; k < Lanes; k++ {
		for m, v := range q.lanes[k].loads {
			if m&mask != 0 && len(v.promises.items) > 0 {
				room = min(room, v.promises.items[0].spare-v.pushed)
			}
		}
	}
	return time.Duration(room) * time.Millisecond
}

// push lets work in front of the less urgent lanes.
func (q *queue) push(l Lane, mask uint64, work time.Duration) {
	for k := int(l) + 1; k < Lanes; k++ {
		for m, v := range q.lanes[k].loads {
			if m&mask != 0 {
				v.pushed += work.Milliseconds()
			}
		}
	}
}
