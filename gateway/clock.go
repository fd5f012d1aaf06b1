package gateway

import (
	"context"
	"fmt"
	"time"

	"otpost/gateway/store"
)

const (
	clockSlack  = time.Minute      // a clock may be corrected by so much and nothing is made of it
	clockBelief = time.Hour        // a clock that stays behind for so long is believed: it was ahead before
	clockLook   = 10 * time.Second // while the clock is behind; setting it wakes no timer
	clockAhead  = 48 * time.Hour   // a record so far in the future was written by a clock that was wrong
)

// clockFloor is before every time that a clock shows which has been set.
var clockFloor = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)

// A clockGuard notices that the clock shows less than it did before: it was set back, or the machine started without a
// battery to keep the time. Until it is right again nothing is sent, for what seems to be alive may be dead, and a day that
// seems to be new may be used up.
type clockGuard struct {
	newest time.Time // that the store or this process has seen
	since  time.Time // when it was first seen to be behind; zero: it is not

	believed bool // and not yet written down
}

// behind says whether the clock is well before what has been seen.
func (c *clockGuard) behind(now time.Time) bool {
	return wall(now).Before(c.newest.Add(-clockSlack))
}

// look takes notice of the time. It returns whether the clock has just fallen behind, and whether one that was is believed
// from now on.
func (c *clockGuard) look(now time.Time) (fell, believed bool) {
	switch {
	case !c.behind(now):
		if wall(now).After(c.newest) {
			c.newest = wall(now)
		}
		c.since = time.Time{}
		return false, false
	case c.since.IsZero():
		c.since = now
		return true, false
	case now.Sub(c.since) < clockBelief || wall(now).Before(clockFloor):
		return false, false
	}
	c.newest, c.since = wall(now), time.Time{}
	return false, true
}

// wall drops the monotonic reading, by which a clock that was set back would go unnoticed.
func wall(t time.Time) time.Time { return t.Round(0) }

// A clockRecord says that what was made until Ahead was made by a clock that was ahead; At is the time that was believed.
type clockRecord struct {
	Ahead time.Time `json:"ahead"`
	At    time.Time `json:"at"`
}

const clockKey = "gw/clock"

// recoverClock learns from the newest id what time it has been.
func (g *Gateway) recoverClock(tx store.Txn) error {
	r, err := loadOr[clockRecord](g, tx, clockKey)
	if err != nil {
		return err
	}
	newest := g.ids.newest()
	if !r.At.IsZero() && !newest.After(r.Ahead.Add(clockSlack)) {
		newest = r.At
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if newest.After(g.clock.newest) {
		g.clock.newest = newest
	}
	return nil
}

// believeClock writes down that the clock is believed although ids are ahead of it, so that the next start does not wait again.
func (g *Gateway) believeClock(ctx context.Context) error {
	g.mu.Lock()
	r := clockRecord{Ahead: g.ids.newest(), At: g.clock.newest}
	believed := g.clock.believed
	g.clock.believed = false
	g.mu.Unlock()
	if !believed {
		return nil
	}
	err := g.update(ctx, func(tx store.Txn) error { return store.Save(tx, clockKey, r, time.Time{}) })
	if err != nil {
		return fmt.Errorf("believe the clock: %w", err)
	}
	return nil
}

// lookAtClock notices a clock that was set back, and says so once. The caller holds mu.
func (g *Gateway) lookAtClock(now time.Time) {
	fell, believed := g.clock.look(now)
	switch {
	case fell:
		g.cfg.Log.Error("clock is behind what the store has seen: nothing is sent until it is set, or has stayed so for an hour",
			"newest", g.clock.newest, "behind_seconds", int64(g.clock.newest.Sub(wall(now)).Seconds()))
	case believed:
		g.clock.believed = true
		g.cfg.Log.Warn("clock has stayed behind and is believed: it was ahead before")
	}
}
