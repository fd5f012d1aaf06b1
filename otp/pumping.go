package otp

import (
	"slices"
	"time"

	"otpost/gateway/store"
)

// The pumping guard. Whoever earns on traffic to a range of numbers asks for codes that nobody ever verifies. So the
// unverified sends of the last 24 h to a country, and to a prefix, have a budget that grows with the verified ones:
//
//	max(floor, peak share × best day of verified codes in the last 14, recent share × verified codes of the last 24 h)
//
// which is authgear's published scheme. What spends it blocks that destination for a time, after which it starts afresh.

const (
	pumpingHours = 24
	pumpingDays  = 14
)

// traffic is what went to one destination.
type traffic struct {
	Name  string  `json:"name"`
	Hours []tally `json:"hours,omitempty"` // oldest first
	Days  []tally `json:"days,omitempty"`
	Wall  block   `json:"wall,omitzero"`
}

// tally counts one hour or day. There are dozens in a record that every send reads and writes, so it is kept short.
type tally struct {
	From     int64 `json:"f"` // seconds since 1970
	Sent     int   `json:"s,omitempty"`
	Answered int   `json:"a,omitempty"` // sends of challenges that were verified
	Verified int   `json:"v,omitempty"` // codes
}

// settle drops what is too old, and brings what a clock set back left in the future to now.
func (t *traffic) settle(now time.Time) {
	t.Hours = settleTallies(t.Hours, now, pumpingHours*time.Hour)
	t.Days = settleTallies(t.Days, now, pumpingDays*day)
	t.Wall.clamp(now)
	if t.Wall.over(now) {
		for i := range t.Hours {
			t.Hours[i].Sent, t.Hours[i].Answered = 0, 0
		}
	}
}

func settleTallies(all []tally, now time.Time, span time.Duration) []tally {
	kept := make([]tally, 0, len(all)+1)
	for _, c := range all {
		c.From = min(c.From, now.Unix())
		if now.Sub(time.Unix(c.From, 0)) < span {
			kept = append(kept, c)
		}
	}
	return kept
}

// tallyAt returns the present hour's or day's tally, made if need be.
func tallyAt(all *[]tally, now time.Time, unit time.Duration) *tally {
	from := now.UTC().Truncate(unit).Unix()
	if n := len(*all); n > 0 && (*all)[n-1].From >= from {
		return &(*all)[n-1]
	}
	*all = append(*all, tally{From: from})
	return &(*all)[len(*all)-1]
}

func (t *traffic) unverified() (n int) {
	for _, h := range t.Hours {
		n += h.Sent - h.Answered
	}
	return max(0, n)
}

func (t *traffic) budget(p PumpingPolicy, floor int) int {
	recent, peak := 0, 0
	for _, h := range t.Hours {
		recent += h.Verified
	}
	for _, d := range t.Days {
		peak = max(peak, d.Verified)
	}
	return max(floor, int(p.RecentShare*float64(recent)), int(p.PeakShare*float64(peak)))
}

// judge tells how long the destination stays refused, zero when one more send fits. t is settled.
func (t *traffic) judge(p PumpingPolicy, floor int, now time.Time) time.Duration {
	if left := t.Wall.left(now); left > 0 {
		return left
	}
	if t.unverified() < t.budget(p, floor) {
		return 0
	}
	t.Wall.Since, t.Wall.For = now, p.BlockedFor
	return p.BlockedFor
}

func (t *traffic) sent(now time.Time) { tallyAt(&t.Hours, now, time.Hour).Sent++ }

func (t *traffic) verified(now time.Time, sends int) {
	h := tallyAt(&t.Hours, now, time.Hour)
	h.Answered += sends
	h.Verified++
	tallyAt(&t.Days, now, day).Verified++
}

// destinationTraffic is one destination that a send counts on, with what limits it.
type destinationTraffic struct {
	key, limit string
	floor      int
	traffic
}

const pumpingPrefix = "otp/pumping/"

// destinations are the country and the prefix of c's phone, read once in a transaction.
func (w *work) destinations(c *challenge) ([]*destinationTraffic, error) {
	p := w.policy.Pumping
	if p.Mode == PumpingOff || w.traffic != nil {
		return w.traffic, nil
	}
	all := []*destinationTraffic{
		{key: pumpingPrefix + "country/" + c.Country, limit: "pumping-country", floor: p.CountryFloor, traffic: traffic{Name: c.Country}},
		{key: pumpingPrefix + "prefix/" + w.pseudonym("pumping", c.Prefix), limit: "pumping-prefix", floor: p.PrefixFloor, traffic: traffic{Name: c.Prefix}},
	}
	for _, d := range all {
		t, found, err := loadCount[traffic](w.Service, w.tx, d.key)
		if err != nil {
			return nil, err
		}
		if found {
			d.traffic = t
		}
		d.settle(w.now)
	}
	w.traffic = all
	return all, nil
}

func (w *work) saveDestination(d *destinationTraffic) error {
	return store.Save(w.tx, d.key, d.traffic, w.now.Add((pumpingDays+1)*day))
}

// guardPumping refuses a send to a destination whose budget is spent, or only notes it in mode observe.
func (w *work) guardPumping(c *challenge) error {
	p := w.policy.Pumping
	all, err := w.destinations(c)
	if err != nil || slices.Contains(p.ExemptCountry, c.Country) {
		return err
	}
	var refusal *Error
	for _, d := range all {
		wait := d.judge(p, d.floor, w.now)
		if wait == 0 {
			continue
		}
		if err := w.saveDestination(d); err != nil {
			return err
		}
		if p.Mode == PumpingObserve {
			if err := w.observed(d.limit); err != nil {
				return err
			}
			continue
		}
		if refusal == nil || wait > refusal.RetryAfter {
			refusal = d.refusal(p, wait)
		}
	}
	if refusal != nil {
		return refusal
	}
	return nil
}

func (d *destinationTraffic) refusal(p PumpingPolicy, wait time.Duration) *Error {
	e := refuse(RateLimited, "too many codes to this destination were never verified (%s)", d.limit)
	e.Limit, e.RetryAfter = d.limit, wait
	e.RateLimit = LimitState{Name: d.limit, Quota: d.budget(p, d.floor), Window: pumpingHours * time.Hour, Reset: wait}
	return e
}

// pumpingSent counts a send.
func (w *work) pumpingSent(c *challenge) error {
	return w.eachDestination(c, func(t *traffic) { t.sent(w.now) })
}

// converted counts a verified code, for the guard and for the conversion of the modem that sent it.
func (w *work) converted(c *challenge) error {
	if o, ok := w.cfg.Outbox.(Converter); ok {
		if err := o.Converted(w.tx, w.now, c.Message); err != nil {
			return err
		}
	}
	return w.eachDestination(c, func(t *traffic) { t.verified(w.now, c.Sends) })
}

func (w *work) eachDestination(c *challenge, f func(*traffic)) error {
	all, err := w.destinations(c)
	if err != nil {
		return err
	}
	for _, d := range all {
		f(&d.traffic)
		if err := w.saveDestination(d); err != nil {
			return err
		}
	}
	return nil
}
