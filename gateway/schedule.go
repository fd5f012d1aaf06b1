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
	var up, poor, late uint64
	idle := make([]*modemState, 0, len(g.modems))
	for _, m := range g.modems {
		next = sooner(next, m.turns(now))
		if !g.up(m, now) {
			next = sooner(next, g.backAt(m, now))
			continue
		}
		up |= m.bit()
		if m.late(now) {
			late |= m.bit()
		}
		if m.current == nil {
			idle = append(idle, m)
		}
	}
	if poor = g.poor(now); up&^poor == 0 {
		poor = 0
	}
	slices.SortStableFunc(idle, func(a, b *modemState) int {
		return cmp.Or(cmp.Compare(a.asked(), b.asked()), cmp.Compare(poor&a.bit(), poor&b.bit()), cmp.Compare(g.loadOf(a, now), g.loadOf(b, now)), a.lastUsed.Compare(b.lastUsed))
	})
	for _, m := range idle {
		next = sooner(next, g.give(m, up&^late, poor, now))
	}
	return next
}

// give hands the modem its next message if there is one, and returns when its pace allows what does not fit now.
func (g *Gateway) give(m *modemState, up, poor uint64, now time.Time) time.Time {
	s, l := g.simOf(m, now), m.limits()
	a := asker{
		bit: m.bit(), iccid: m.simID(), others: up &^ m.bit(),
		fits:  func(parts int, lane Lane) bool { return s.allows(parts, lane, l) },
		paced: func(parts int, lane Lane) bool { return s.inQuota(parts, lane, l) },
	}
	if poor&m.bit() != 0 {
		a.better = up &^ poor
	}
	e, short := g.queue.next(a, now)
	if e == nil {
		if !short {
			return time.Time{}
		}
		return s.nextSlot(now, g.cfg.Location, l)
	}
	g.queue.take(e)
	m.current, m.began, m.parts, m.lastUsed = e, now, int(e.parts), now
	m.jobs <- e // its buffer is free: the modem is idle
	return time.Time{}
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
