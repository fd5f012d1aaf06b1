package gateway

import "time"

// LaneView is what waits in one lane.
type LaneView struct {
	Lane    Lane
	Waiting int
	Oldest  time.Duration // age of the oldest; 0: nothing waits
}

// Waiting tells what waits, by lane, most urgent first.
func (g *Gateway) Waiting() []LaneView {
	g.mu.Lock()
	defer g.mu.Unlock()
	now := time.Now()
	views := make([]LaneView, Lanes)
	for l := range views {
		views[l].Lane = Lane(l)
		views[l].Waiting, views[l].Oldest = g.queue.oldest(Lane(l), now)
	}
	return views
}

// StoreLow says whether the disk is so full that nothing new is taken.
func (g *Gateway) StoreLow() bool { return g.cfg.StoreLow() }
