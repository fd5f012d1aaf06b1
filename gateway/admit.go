package gateway

import (
	"cmp"
	"slices"
	"time"

	"otpost/driver"
	"otpost/gateway/store"
)

// laneShare is how much of its life a message may have to wait when it is accepted, in percent. What a lane leaves is
// room for more urgent ones that come later, so that they do not break the promise made to it.
var laneShare = [Lanes]int{LaneWithdrawal: 100, LaneLogin: 85, LaneEnrol: 70, LaneText: 95}

const (
	retryUnknown = 30 * time.Second // nothing measured says when a modem will be back
	maxRetry     = 24 * time.Hour
	never        = 1000 * time.Hour
)

// A server is one modem as admission sees it: from when on, how fast, and how much it can still send.
type server struct {
	delay time.Duration
	each  time.Duration
	left  int           // parts its quotas allow
	renew time.Duration // until they begin anew
	quota int           // parts that they allow then
}

// admit refuses a message that could not arrive in time, or would make others late that were promised to. Else it
// reserves its place until the transaction is done: what is decided but not yet committed counts as well.
func (g *Gateway) admit(tx store.Txn, now time.Time, d *Draft, parts int) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	p, err := g.capacity(now, d, parts)
	if err != nil {
		g.metrics.admission(map[bool]string{true: "no-modem", false: "no-capacity"}[err.NoModem])
		return err
	}
	mask := g.mask(d.To)
	place := &entry{lane: uint8(d.Lane), key: &groupKey{mask: mask}, deadlineSlot: -1, delayedSlot: -1, spareSlot: -1}
	g.reserved[d.Lane] += parts
	g.queue.promise(place, p.spare)
	g.queue.push(d.Lane, mask, p.work)
	tx.OnDone(func(committed bool) {
		g.mu.Lock()
		defer g.mu.Unlock()
		g.reserved[d.Lane] -= parts
		g.queue.release(place)
		if !committed {
			g.queue.push(d.Lane, mask, -p.work)
		}
	})
	return nil
}

// A place is where a message would stand.
type place struct {
	spare time.Duration // between its turn and its deadline
	work  time.Duration // by which it delays what stands behind it
}

func (g *Gateway) capacity(now time.Time, d *Draft, parts int) (place, *CapacityError) {
	servers, hope := g.servers(now, d.To, d.Lane)
	life := d.NotAfter.Sub(now)
	if len(servers) == 0 {
		if hope > 0 && hope < life {
			return place{}, nil
		}
		return place{}, &CapacityError{NoModem: true, RetryAfter: g.backIn(now, d.To)}
	}
	mask := g.mask(d.To)
	ahead := g.ahead(d.Lane, mask)
	finish, before := drain(servers, ahead+parts), drain(servers, ahead)
	p := place{spare: life - finish, work: finish - before}
	late := finish - life*time.Duration(laneShare[d.Lane])/100
	if d.Lane != LaneText {
		late = max(late, p.work-g.queue.room(d.Lane, mask))
	}
	if late > 0 {
		return p, &CapacityError{RetryAfter: clamp(late)}
	}
	return p, nil
}

// ahead returns how many parts go before a new message of the lane.
func (g *Gateway) ahead(lane Lane, mask uint64) int {
	n := 0
	for l := range int(lane) + 1 {
		n += g.queue.lanes[l].waiting(mask) + g.reserved[l]
	}
	return n
}

// promise gives an entry that has just been queued what it was accepted with. The caller holds mu.
func (g *Gateway) promise(e *entry, now time.Time, to string) {
	if !promised(Lane(e.lane)) {
		return
	}
	if servers, _ := g.servers(now, to, Lane(e.lane)); len(servers) > 0 {
		finish := drain(servers, g.ahead(Lane(e.lane), e.key.mask))
		g.queue.promise(e, time.UnixMilli(e.notAfter).Sub(now)-finish)
	}
}

func clamp(d time.Duration) time.Duration {
	return min(max(d.Round(time.Second), time.Second), maxRetry)
}

// servers returns the modems that can send to the number, and, if there is none, how long one may take to come (zero:
// there is no hope of any).
func (g *Gateway) servers(now time.Time, to string, lane Lane) ([]server, time.Duration) {
	servers := make([]server, 0, len(g.modems))
	var hope time.Duration
	for _, m := range g.modems {
		switch {
		case !m.carries(to):
		case g.healthy(m, now):
			servers = append(servers, g.server(m, now, lane))
		case g.hopeful(m, now), lane == LaneText: // a text has time
			hope = retryUnknown
		}
	}
	return servers, hope
}

// backIn returns when the first modem for the number can send again. Known is the end of a rest and of a quarantine.
func (g *Gateway) backIn(now time.Time, to string) time.Duration {
	var next time.Time
	for _, m := range g.modems {
		if !m.carries(to) || m.paused {
			continue
		}
		at := m.restUntil
		if s := g.simOf(m, now); s != nil && s.blockedUntil().After(at) {
			at = s.blockedUntil()
		}
		if m.status.State != driver.StateReady || !at.After(now) {
			at = now.Add(retryUnknown) // down, or hanging
		}
		next = sooner(next, at)
	}
	if next.IsZero() {
		return retryUnknown
	}
	return clamp(next.Sub(now))
}

func (g *Gateway) server(m *modemState, now time.Time, lane Lane) server {
	s, l := g.simOf(m, now), m.limits()
	v := server{each: m.pace}
	left, renew := s.quotaLeft(now, g.cfg.Location, l)
	if v.left = left; !renew.IsZero() {
		v.renew, v.quota = renew.Sub(now), min(orUnlimited(l.day), orUnlimited(l.month))
	}
	if lane == LaneText {
		share := min(orUnlimited(l.day), orUnlimited(l.month)) / textShare
		v.left, v.quota = max(0, v.left-share), max(0, v.quota-share)
	}
	if m.current != nil {
		v.delay = max(0, m.pace*time.Duration(max(1, m.parts))-now.Sub(m.began))
	}
	if l.minute == 0 {
		return v
	}
	most := l.minute
	if lane == LaneText {
		most -= l.minute / textShare
	}
	step := paceWindow / time.Duration(most)
	v.each = max(v.each, step)
	// The pace's line must lie under what the window frees: a part leaves it a minute after it went.
	for j, at := range s.Recent[max(0, len(s.Recent)-most):] {
		n := j + most - min(most, len(s.Recent))
		v.delay = max(v.delay, time.UnixMilli(at).Add(paceWindow).Sub(now)-time.Duration(n)*step)
	}
	return v
}

func orUnlimited(limit int) int {
	if limit == 0 {
		return unlimited
	}
	return limit
}

// drain returns when the servers together will have sent so many parts. What their quotas do not allow today waits for
// them to begin anew, as often as it takes.
func drain(servers []server, parts int) time.Duration {
	total, quota := 0, 0
	var renew time.Duration
	for _, s := range servers {
		total, quota = min(total+s.left, unlimited), min(quota+s.quota, unlimited)
		if s.renew > 0 && (renew == 0 || s.renew < renew) {
			renew = s.renew
		}
	}
	if parts <= total {
		return spend(servers, parts)
	}
	if quota == 0 {
		return never
	}
	rounds := (parts - total - 1) / quota
	rest := parts - total - rounds*quota
	return min(never, renew+time.Duration(min(rounds, 1000))*24*time.Hour+pour(servers, rest))
}

// spend is pour within what the quotas still allow: a server that has used its own up leaves the rest to the others.
func spend(servers []server, parts int) time.Duration {
	servers = slices.Clone(servers)
	for {
		finish := pour(servers, parts)
		i := slices.IndexFunc(servers, func(s server) bool { return finish > s.delay+s.each*time.Duration(s.left) && s.left < parts })
		if i < 0 || len(servers) == 1 {
			return finish
		}
		parts -= servers[i].left
		servers = slices.Delete(servers, i, i+1)
	}
}

// pour returns when the servers will have sent so many parts, quotas aside.
func pour(servers []server, parts int) time.Duration {
	slices.SortFunc(servers, func(a, b server) int { return cmp.Compare(a.delay, b.delay) })
	// Each server adds its rate from its delay on; find the instant by which the work is done.
	rate, base, finish := 0.0, 0.0, 0.0 // parts a second, sum of rate*delay
	for i, s := range servers {
		r := 1 / max(s.each.Seconds(), 1e-6)
		rate, base = rate+r, base+r*s.delay.Seconds()
		finish = (float64(parts) + base) / rate
		if i+1 == len(servers) || finish <= servers[i+1].delay.Seconds() {
			break
		}
	}
	return time.Duration(min(finish, never.Seconds()) * float64(time.Second))
}
