package gateway

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"otpost/driver"
	"otpost/gateway/store"
)

// Circuit breaker: so many faults of the modem itself in a row, and it rests, longer every time.
const (
	breakerFaults = 3
	firstRest     = 15 * time.Second
	lastRest      = 10 * time.Minute
	lateAfter     = 10 * time.Second // nothing is kept for a modem that is busy for so long
	hangingAfter  = 30 * time.Second // a hand-over that takes so long is not counted on any more
	paceWeight    = 0.2              // of a new measurement of the submit time
	poorSample    = 20               // codes before a SIM's conversion is believed
)

// A modemState is one modem as the queue sees it. All but the first group of fields is guarded by Gateway.mu.
type modemState struct {
	index int
	route Route
	name  string
	jobs  chan *entry

	status  driver.Status
	changed bool // up or down since the keeper last looked
	wasUp   bool
	paused  bool

	current *entry // with the worker; nil: idle
	flight  flight // what is handed over, and settled in the end; zero: nothing
	began   time.Time
	parts   int       // of current
	doubtAt time.Time // when the keeper doubts current; zero: it is not with the modem yet, or has been doubted
	overdue bool      // current has been doubted

	faults    int // of modem class, in a row
	restUntil time.Time
	pace      time.Duration // measured submit time of a part
	samples   int
	lastUsed  time.Time
	upAt      time.Time // last seen ready
	balance   balanceState
}

func (m *modemState) bit() uint64 { return 1 << m.index }

func (m *modemState) limits() limits {
	return limits{m.route.PerMinute, m.route.PerDay, m.route.PerMonth}
}

// carries says whether the modem is for that number at all.
func (m *modemState) carries(to string) bool {
	if len(m.route.Prefixes) == 0 {
		return true
	}
	return slices.ContainsFunc(m.route.Prefixes, func(p string) bool { return strings.HasPrefix(to, p) })
}

// measure lets a hand-over that ended well tell the pace.
func (m *modemState) measure(took time.Duration, parts int) {
	each := took / time.Duration(max(parts, 1))
	m.samples++
	w := max(paceWeight, 1/float64(m.samples))
	m.pace += time.Duration(w * float64(each-m.pace))
}

// fault counts a fault of the modem's own against it; anything else it says shows that it works. What was refused without
// asking it shows nothing.
func (m *modemState) fault(now time.Time, r driver.Result) {
	if r.Outcome == driver.Refused && own(r.Code) {
		return
	}
	if r.Outcome == driver.Refused && (r.Class == driver.ClassModem || r.Class == driver.ClassUnknown) {
		m.faults++
		if m.faults >= breakerFaults {
			m.restUntil = now.Add(backoff(firstRest, lastRest, m.faults-breakerFaults+1))
		}
		return
	}
	if r.Outcome != driver.Unknown {
		m.faults, m.restUntil = 0, time.Time{}
	}
}

// simOf returns the record of the modem's SIM, rolled to now; nil: not known yet.
func (g *Gateway) simOf(m *modemState, now time.Time) *simRecord {
	s := g.sims[m.simID()]
	if s != nil {
		g.refresh(s, now)
	}
	return s
}

// simID is what the counters are kept by: the SIM, or the modem as long as it tells none.
func (m *modemState) simID() string {
	if m.status.ICCID != "" {
		return m.status.ICCID
	}
	return "modem:" + m.name
}

// up says whether the modem can be given something, now or when it is done with what it has.
func (g *Gateway) up(m *modemState, now time.Time) bool {
	if !g.healthy(m, now) {
		return false
	}
	left, _ := g.simOf(m, now).quotaLeft(now, g.cfg.Location, m.limits())
	return left > 0
}

// healthy says whether nothing but a quota keeps the modem from sending.
func (g *Gateway) healthy(m *modemState, now time.Time) bool {
	if m.paused || g.clock.behind(now) || m.status.State != driver.StateReady || m.overdue || m.restUntil.After(now) || g.hanging(m, now) {
		return false
	}
	s := g.simOf(m, now)
	return s != nil && !s.blockedUntil().After(now)
}

func (g *Gateway) hanging(m *modemState, now time.Time) bool {
	return m.current != nil && now.Sub(m.began) > m.hangsAfter()
}

// late says whether the modem is busy for so long that nothing should wait for it which another may send now.
func (m *modemState) late(now time.Time) bool {
	return m.current != nil && now.Sub(m.began) > m.lateAfter()
}

func (m *modemState) hangsAfter() time.Duration { return max(hangingAfter, m.atMost(m.pace)) }

func (m *modemState) lateAfter() time.Duration { return max(lateAfter, m.atMost(m.pace)) }

// turns returns when a busy modem will be late or hang, if it is still busy then: nothing else would tell.
func (m *modemState) turns(now time.Time) time.Time {
	if m.current == nil {
		return time.Time{}
	}
	for _, after := range []time.Duration{m.lateAfter(), m.hangsAfter()} {
		if at := m.began.Add(after + time.Millisecond); at.After(now) {
			return at
		}
	}
	return time.Time{}
}

// atMost returns how long a hand-over of current may take at a pace without being unusual.
func (m *modemState) atMost(pace time.Duration) time.Duration {
	return 3 * pace * time.Duration(max(1, m.parts))
}

// busy lets the modem have an entry.
func (m *modemState) busy(e *entry, now time.Time) {
	m.current, m.began, m.parts, m.lastUsed = e, now, int(e.parts), now
}

// free lets the modem be given the next message.
func (m *modemState) free() { m.current, m.doubtAt, m.overdue = nil, time.Time{}, false }

// hopeful says whether the modem may be up soon, although it is not: it is starting, or was up a moment ago.
func (g *Gateway) hopeful(m *modemState, now time.Time) bool {
	switch {
	case m.paused:
		return false
	case m.restUntil.After(now), g.hanging(m, now), m.overdue:
		return false
	case m.status.State == driver.StateReady:
		return g.simOf(m, now) == nil
	case m.upAt.IsZero() && m.status.State == driver.StateAbsent && m.status.LastError != "":
		return false // looked for and never seen: whoever sends is told at once
	}
	return now.Sub(m.upAt) < bootGrace || now.Sub(g.began) < bootGrace
}

// load orders idle modems: those whose codes arrive first, then the least used quota, then the one that rested longest.
func (g *Gateway) loadOf(m *modemState, now time.Time) float64 {
	s := g.simOf(m, now)
	l := m.limits()
	used := 0.0
	if l.day > 0 {
		used = max(used, float64(s.DayCount)/float64(l.day))
	}
	if l.month > 0 {
		used = max(used, float64(s.MonthCount)/float64(l.month))
	}
	if l.minute > 0 {
		used = max(used, float64(len(s.Recent))/float64(l.minute))
	}
	return used
}

// poor returns the modems whose codes arrive four times less often than those of the best one: to be left while others
// are up.
func (g *Gateway) poor(now time.Time) uint64 {
	best, mask := 0.0, uint64(0)
	rates := make([]float64, len(g.modems))
	for i, m := range g.modems {
		rates[i] = math.NaN()
		if s := g.simOf(m, now); s != nil && s.Codes >= poorSample {
			rates[i] = s.Verified / s.Codes
			best = max(best, rates[i])
		}
	}
	for i, r := range rates {
		if r < best/4 {
			mask |= 1 << i
		}
	}
	return mask
}

// mask returns the modems that are for the number.
func (g *Gateway) mask(to string) uint64 {
	var mask uint64
	for _, m := range g.modems {
		if m.carries(to) {
			mask |= m.bit()
		}
	}
	return mask
}

// holding returns the modems that hold one of the SIMs.
func (g *Gateway) holding(sims []string) uint64 {
	var mask uint64
	for _, m := range g.modems {
		if slices.Contains(sims, m.simID()) {
			mask |= m.bit()
		}
	}
	return mask
}

// Changed implements driver.Handler.
func (g *Gateway) Changed(s driver.Status) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if m := g.byName[s.Name]; m != nil {
		g.observe(m, s, time.Now())
	}
}

// observe takes a modem's new status. The caller holds mu.
func (g *Gateway) observe(m *modemState, s driver.Status, now time.Time) {
	g.lookAtClock(now) // an idle scheduler does not
	news := s.State != m.status.State || s.ICCID != m.status.ICCID
	m.status = s
	up := s.State == driver.StateReady
	if up || m.wasUp {
		m.upAt = now
	}
	if up != m.wasUp {
		m.changed, m.wasUp = true, up
	}
	if news { // else nothing that routing looks at
		g.wakeAll()
	}
}

// ModemView is a modem as the gateway sees it.
type ModemView struct {
	driver.Status
	Paused      bool
	Quarantined string // why, empty: not
	Until       time.Time
	Resting     time.Time // until then after faults of its own; zero: not
	Queue       int       // messages that only wait for it
	SentToday   int
	SentMonth   int
	DayLeft     int // -1: no limit
	MonthLeft   int // -1: no limit
	MinuteLeft  int // -1: no limit
	SubmitTime  time.Duration
	Conversion  float64 // of the last hundred or so codes; NaN: too few
	Balance     float64 // of its SIM; NaN: not known
	BalanceAt   time.Time
}

// Modems lists the modems in the order they were attached.
func (g *Gateway) Modems(context.Context) ([]ModemView, error) {
	views := make([]ModemView, len(g.modems))
	for i, m := range g.modems {
		views[i].Status = m.route.Modem.Status() // not under mu: a driver may hold its own lock when it calls Changed
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	now := time.Now()
	for i, m := range g.modems {
		views[i] = g.view(m, views[i].Status, now)
	}
	return views, nil
}

func (g *Gateway) view(m *modemState, status driver.Status, now time.Time) ModemView {
	v := ModemView{
		Status: status, Paused: m.paused, SubmitTime: m.pace, Conversion: math.NaN(),
		DayLeft: -1, MonthLeft: -1, MinuteLeft: -1, Queue: g.queue.only(m.bit()),
	}
	if m.restUntil.After(now) {
		v.Resting = m.restUntil
	}
	v.Balance, v.BalanceAt = m.credit(now)
	s := g.simOf(m, now)
	if s == nil {
		s = &simRecord{}
	}
	if until := s.blockedUntil(); until.After(now) {
		if v.Quarantined = s.Blocked; until != endless {
			v.Until = until
		}
	}
	v.SentToday, v.SentMonth = s.DayCount, s.MonthCount
	for _, q := range []struct {
		limit, used int
		left        *int
	}{{m.route.PerDay, s.DayCount, &v.DayLeft}, {m.route.PerMonth, s.MonthCount, &v.MonthLeft}, {m.route.PerMinute, len(s.Recent), &v.MinuteLeft}} {
		if q.limit > 0 {
			*q.left = max(0, q.limit-q.used)
		}
	}
	if s.Codes >= poorSample {
		v.Conversion = s.Verified / s.Codes
	}
	return v
}

// only counts what no other modem may carry.
func (q *queue) only(bit uint64) int {
	n := 0
	for l := range q.lanes {
		for key, g := range q.lanes[l].groups {
			if key.mask == bit {
				n += g.n
			}
		}
	}
	return n
}

// ErrNoModem is returned for a name that no modem has.
var ErrNoModem = errors.New("no such modem")

type modemRecord struct {
	Paused bool `json:"paused"`
}

// Pause takes a modem out of routing until Resume; durable.
func (g *Gateway) Pause(ctx context.Context, name string) error { return g.setPaused(ctx, name, true) }

// Resume brings a modem back into routing and ends a quarantine of its SIM; durable.
func (g *Gateway) Resume(ctx context.Context, name string) error {
	return g.setPaused(ctx, name, false)
}

func (g *Gateway) setPaused(ctx context.Context, name string, paused bool) error {
	g.mu.Lock()
	m := g.byName[name]
	var sim string
	if m != nil {
		sim = m.simID()
	}
	g.mu.Unlock()
	if m == nil {
		return fmt.Errorf("%q: %w", name, ErrNoModem)
	}
	return g.cfg.KV.Update(ctx, func(tx store.Txn) error {
		now := time.Now()
		s, err := g.loadSIM(tx, now, sim)
		if err != nil {
			return err
		}
		if !paused && s.Blocked != "" {
			if s.unblock(); s.Blocked == unreadable {
				g.cfg.Log.Warn("counters of a sim begin anew: an operator has resumed its modem", "modem", name)
				s.begin(now, m.limits())
			}
			if err := g.saveSIM(tx, sim, s); err != nil {
				return err
			}
		}
		tx.OnDone(func(committed bool) {
			if committed {
				g.mu.Lock()
				defer g.mu.Unlock()
				m.paused, m.faults, m.restUntil = paused, 0, time.Time{}
				g.wakeAll()
			}
		})
		return store.Save(tx, "gw/modem/"+name, modemRecord{Paused: paused}, time.Time{})
	})
}
