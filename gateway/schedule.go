package gateway

import (
	"cmp"
	"context"
	"slices"
	"time"
)

// schedule gives messages to idle modems whenever something has changed, until ctx is done.
func (g *Gateway) schedule(ctx context.Context) error {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-g.work:
		case <-timer.C:
		}
		now := time.Now()
		timer.Reset(until(now, g.assign(now)))
		if err := g.believeClock(ctx); err != nil {
			return ignoreCanceled(ctx, err)
		}
	}
}

// idleWait is how long a loop sleeps that waits for nothing but a wake-up.
const idleWait = time.Hour

func until(now, next time.Time) time.Duration {
	if next.IsZero() {
		return idleWait
	}
	return max(0, next.Sub(now))
}

// assign gives every idle modem that is up a message if there is one for it, and returns when to look again.
func (g *Gateway) assign(now time.Time) time.Time {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.lookAtClock(now); g.clock.behind(now) {
		return now.Add(clockLook)
	}
	next := g.queue.wake(now)
	if !g.queue.inTurn() {
		return next // what comes wakes
	}
	idle := make([]*modemState, 0, len(g.modems))
	for _, m := range g.modems {
		switch {
		case m.current != nil:
			next = sooner(next, m.turns(now))
		case g.up(m, now):
			idle = append(idle, m)
		default:
			next = sooner(next, g.backAt(m, now))
		}
	}
	if len(idle) == 0 {
		return next
	}
	f := g.field(now)
	g.short = false
	slices.SortStableFunc(idle, func(a, b *modemState) int {
		return cmp.Or(cmp.Compare(a.asked(), b.asked()), cmp.Compare(f.poor&a.bit(), f.poor&b.bit()), cmp.Compare(g.loadOf(a, now), g.loadOf(b, now)), a.lastUsed.Compare(b.lastUsed))
	})
	for _, m := range idle {
		next = sooner(next, g.give(m, f, now))
	}
	return next
}

// A field is the modems among which a message has a choice.
type field struct {
	up   uint64 // and not late
	poor uint64 // of those that are up, while others are better
}

// field looks at all modems. The caller holds mu.
func (g *Gateway) field(now time.Time) field {
	var up, late uint64
	for _, m := range g.modems {
		if !g.up(m, now) {
			continue
		}
		up |= m.bit()
		if m.late(now) {
			late |= m.bit()
		}
	}
	poor := g.poor(now)
	if up&^poor == 0 {
		poor = 0
	}
	return field{up &^ late, poor}
}

// give hands the modem its next message if there is one, and returns when its pace allows what does not fit now.
func (g *Gateway) give(m *modemState, f field, now time.Time) time.Time {
	e, short := g.queue.next(g.asker(m, f, now), now)
	if e == nil {
		if !short {
			return time.Time{}
		}
		g.short = true
		return sooner(g.simOf(m, now).nextSlot(now, g.cfg.Location, m.limits()), g.queue.opens(m.bit(), now.UnixMilli()))
	}
	g.queue.take(e)
	m.busy(e, now)
	m.jobs <- e // its buffer is free: the modem is idle
	return time.Time{}
}

// pick takes out what a modem is to send when it is done with what it has; nil: nothing, or it is not up.
func (g *Gateway) pick(m *modemState, now time.Time) *entry {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.up(m, now) {
		return nil
	}
	e, _ := g.queue.next(g.asker(m, g.field(now), now), now)
	if e != nil {
		g.queue.take(e)
	}
	return e
}

func (g *Gateway) asker(m *modemState, f field, now time.Time) asker {
	s, l := g.simOf(m, now), m.limits()
	a := asker{
		bit: m.bit(), iccid: m.simID(), others: f.up &^ m.bit(),
		fits:  func(parts int, lane Lane) bool { return s.allows(parts, lane, l) },
		paced: func(parts int, lane Lane) bool { return s.inQuota(parts, lane, l) },
	}
	if f.poor&m.bit() != 0 {
		a.better = f.up &^ f.poor
	}
	return a
}

// nextSlot returns when something that does not fit now may fit: a part leaves the minute's window, or a new day or
// month begins.
func (s *simRecord) nextSlot(now time.Time, loc *time.Location, l limits) time.Time {
	var next time.Time
	if l.minute > 0 && len(s.Recent) > 0 {
		next = time.UnixMilli(s.Recent[0]).Add(paceWindow + time.Millisecond)
	}
	if l.day > 0 || l.month > 0 {
		y, m, d := now.In(loc).Date()
		next = sooner(next, dayBegins(y, m, d+1, loc))
	}
	return next
}

// backAt returns when a modem that is not up may be so by the mere passing of time.
func (g *Gateway) backAt(m *modemState, now time.Time) time.Time {
	next := time.Time{}
	if m.restUntil.After(now) {
		next = m.restUntil
	}
	if s := g.simOf(m, now); s != nil {
		if until := s.blockedUntil(); until.After(now) {
			next = sooner(next, until)
		}
		if left, renew := s.quotaLeft(now, g.cfg.Location, m.limits()); left == 0 {
			next = sooner(next, renew)
		}
	}
	return next
}

// sooner returns the earlier of two instants; zero is never.
func sooner(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}
