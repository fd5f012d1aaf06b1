package gateway

import (
	"context"
	"fmt"
	"strings"
	"time"

	"otpost/driver"
	"otpost/gateway/store"
)

const (
	sameDigits  = 7         // of the ends of two numbers that name the same phone, in whatever form
	earlyFor    = time.Hour // how long a report that came before its verdict is kept
	clockSpread = 10 * time.Minute

	clockTrust    = 50 * time.Minute // a network's clock that is further off, by its summer time say, tells nothing
	clockSkew     = 30 * time.Second // of a clock that is right
	clockLoose    = 5 * time.Minute  // of a clock when the reference speaks for a message, too
	longestSubmit = 6 * time.Minute
)

// A refRecord finds a part by SIM and reference.
type refRecord struct {
	Attempt int       `json:"attempt"`
	Part    int       `json:"part"`            // within the attempt
	Whole   bool      `json:"whole,omitempty"` // the message has no other part
	To      string    `json:"to"`              // its end, as samePhone needs it: the record may outlive the message; empty: erased
	At      time.Time `json:"at"`
	Done    time.Time `json:"done,omitzero"` // when a part can have been submitted at the latest, unless longestSubmit tells as much
}

// An earlyRecord is a report that named no part we knew of yet.
type earlyRecord struct {
	Report driver.Report `json:"report"`
	At     time.Time     `json:"at"`
}

// duplicate is the outcome of a report about a part whose fate is known.
const duplicate = "duplicate"

func (g *Gateway) refPrefix(kind, sim string) string {
	return "gw/" + kind + "/" + g.cfg.Secrets.Pseudonym("iccid", sim) + "/"
}

func refPart(ref uint8) string { return fmt.Sprintf("%03d/", ref) }

// Report implements driver.Handler. It returns nil once the report is durable; the same report may come again. It does
// not wait for a full store: the caller is the modem's loop, and brings it again.
func (g *Gateway) Report(ctx context.Context, modem string, r driver.Report) error {
	sim := g.reporter(modem, r)
	return g.cfg.KV.Update(ctx, func(tx store.Txn) error {
		now := time.Now()
		early, err := g.inFlight(tx, sim, r)
		if err != nil {
			return err
		}
		outcome, err := g.match(tx, now, sim, early, r)
		if err != nil {
			return err
		}
		if outcome == duplicate && !early.IsZero() {
			// It may also be the first of a message with the same reference whose verdict is still on its way.
			if err := g.park(tx, now, sim, r); err != nil {
				return err
			}
		}
		if outcome == "" {
			if outcome, err = g.settleUnsure(tx, now, sim, r); err != nil {
				return err
			}
			if outcome != "" { // those that wait may be about one less
				if err := g.reconsider(tx, now, sim, r.Recipient); err != nil {
					return err
				}
			}
		}
		if outcome == "" {
			outcome = "unmatched"
			if !early.IsZero() {
				outcome = "early"
			}
			if err := g.park(tx, now, sim, r); err != nil {
				return err
			}
		}
		tx.OnDone(func(committed bool) {
			if committed {
				g.metrics.report(outcome)
			}
		})
		return nil
	})
}

// reporter returns the SIM that a report came to.
func (g *Gateway) reporter(modem string, r driver.Report) string {
	g.mu.Lock()
	defer g.mu.Unlock()
	if m := g.byName[modem]; m != nil && r.ICCID == "" {
		return m.simID()
	}
	return simOr(r.ICCID, modem)
}

// inFlight returns when a message was handed over whose verdict is still to come, if the report may be about it; of
// several the one nearest in time; zero: none.
func (g *Gateway) inFlight(tx store.Txn, sim string, r driver.Report) (time.Time, error) {
	var nearest time.Time
	err := g.eachOwed(tx, sim, r, func(m *Message, i int) {
		at := m.Attempts[i].ClaimedAt
		if m.Status == Sending && i == len(m.Attempts)-1 && (nearest.IsZero() || nearer(at, nearest, r)) {
			nearest = at
		}
	})
	return nearest, err
}

// A flight is a message that a modem is handing over.
type flight struct{ id, sim, to string } // to is the number's end

// flights returns the messages to a phone that modems are handing over by a SIM.
func (g *Gateway) flights(sim, to string) []string {
	g.mu.Lock()
	defer g.mu.Unlock()
	var ids []string
	for _, m := range g.modems {
		if f := m.flight; f.sim == sim && samePhone(f.to, to) {
			ids = append(ids, f.id)
		}
	}
	return ids
}

// match finds the part that a report is about by SIM, reference, recipient and time, and records it. An empty outcome
// means that there is none, or that a hand-over whose reference is not known yet is nearer in time: if it is in flight,
// its verdict will tell, and if it is in doubt, the report is not the known part's unless that fits as well.
func (g *Gateway) match(tx store.Txn, now time.Time, sim string, flight time.Time, r driver.Report) (string, error) {
	prefix := g.refPrefix("ref", sim) + refPart(r.Reference)
	found, err := g.candidates(tx, now, prefix, r)
	if err != nil {
		return "", err
	}
	outcome := ""
	for i, c := range found {
		if outcome != "" && distance(c.ref.At, r) > distance(found[i-1].ref.At, r) {
			break // the nearest in time has it already: the same report came again
		}
		if nearer(flight, c.ref.At, r) {
			break
		}
		if !c.ref.near(r) {
			closer := false
			if err := g.eachUnsure(tx, now, sim, r, func(_ string, u refRecord) { closer = closer || u.near(r) }); err != nil {
				return "", err
			}
			if closer {
				break
			}
		}
		m, err := g.find(tx, c.id)
		if err != nil {
			if err = ignoreNotFound(err); err != nil {
				return "", err
			}
			continue
		}
		if a := m.Attempts[c.ref.Attempt]; c.ref.Part < len(a.Reports) && a.Reports[c.ref.Part].final() {
			outcome = duplicate
			continue
		}
		return g.record(tx, now, sim, &m, func() { m.report(now, c.ref.Attempt, c.ref.Part, r) }, r)
	}
	return outcome, nil
}

// distance tells how far a report's time of submission is from an attempt's. That time is a whole second: an attempt
// within it is no distance away. Without one, or with one from a clock that is far off, only the order counts and the
// newest is nearest.
func distance(at time.Time, r driver.Report) time.Duration {
	d := r.Sent.Sub(at)
	if d < 0 {
		d = max(0, -d-time.Second)
	}
	if !r.Sent.IsZero() && d < clockSpread {
		return d
	}
	return clockSpread
}

// off tells how far a report's time of submission is from a hand-over as a whole: one of several parts, or one that hangs, lasts.
func (u refRecord) off(r driver.Report) time.Duration {
	if !r.Sent.Before(u.At) && r.Sent.Before(u.Done) {
		return 0
	}
	return min(distance(u.At, r), distance(u.Done, r))
}

// record applies a report to a message and writes what follows.
func (g *Gateway) record(tx store.Txn, now time.Time, sim string, m *Message, apply func(), r driver.Report) (string, error) {
	was := m.Status
	apply()
	if err := g.put(tx, now, was, m); err != nil {
		return "", err
	}
	switch {
	case !r.Final():
		return "pending", nil
	case r.Delivered():
		return "delivered", g.recipientReached(tx, m.To)
	case m.To == "":
		return "undelivered", nil
	}
	return "undelivered", g.recipientFailed(tx, now, m.To, sim)
}

// nearer says whether a report's time of submission is nearer to one hand-over than to the other; zero: there is none.
func nearer(one, other time.Time, r driver.Report) bool {
	return !one.IsZero() && distance(one, r) < distance(other, r)
}

// plausible says whether a report may be about the hand-over. The network's clock is believed, give or take skew, as long as it is
// not an hour or more off.
func (u refRecord) plausible(r driver.Report, skew time.Duration) bool {
	if r.At.Before(u.At) {
		return false
	}
	d := r.Sent.Sub(u.At)
	return r.Sent.IsZero() || d.Abs() > clockTrust || d > -skew && d < max(longestSubmit, u.Done.Sub(u.At))+skew
}

// near says whether the network's clock itself speaks for the hand-over.
func (u refRecord) near(r driver.Report) bool {
	return u.plausible(r, clockSkew) && u.off(r) < clockSpread
}

// settleUnsure gives a report whose reference nobody knows to the hand-over with parts without one that it is about. Unless that
// is clear it waits for a verdict, or for a report that leaves fewer to choose from.
func (g *Gateway) settleUnsure(tx store.Txn, now time.Time, sim string, r driver.Report) (string, error) {
	key, ref, err := g.unsureOf(tx, now, sim, r)
	if err != nil || key == "" {
		return "", err
	}
	m, err := g.find(tx, unsureID(key))
	if err != nil || m.To == "" { // erased: its report is nobody else's
		return "", ignoreNotFound(err)
	}
	if !m.nameless(m.Attempts[ref.Attempt]) { // nor is it another's rival any more
		if err := g.unshelve(tx, key); err != nil {
			return "", err
		}
		return g.settleUnsure(tx, now, sim, r)
	}
	outcome, err := g.record(tx, now, sim, &m, func() { m.settleByReport(now, ref.Attempt, r) }, r)
	if err != nil {
		return "", err
	}
	a := m.Attempts[ref.Attempt]
	if err := g.saveRef(tx, sim, &m, ref.Attempt, len(a.References)-1); err != nil || m.nameless(a) {
		return outcome, err
	}
	if err := g.standIn(tx, now, sim, r, key, ref); err != nil {
		return outcome, err
	}
	return outcome, g.unshelve(tx, key)
}

// await makes the parts of an attempt known to later reports, and takes in those that came before the verdict.
func (g *Gateway) await(tx store.Txn, now time.Time, m *Message, i int) error {
	a := &m.Attempts[i]
	sim := simOr(a.ICCID, a.Modem)
	if m.nameless(*a) {
		u := refRecord{Attempt: i, Whole: m.Parts <= 1, To: ending(m.To), At: a.ClaimedAt, Done: a.latest()}
		if err := shelve(g, tx, g.unsureKey(sim, m.ID, i), u, now.Add(g.cfg.ReportWait+collectSlack)); err != nil {
			return err
		}
	}
	if err := g.takeEarly(tx, now, m, i, sim); err != nil {
		return err
	}
	for part := range a.References {
		if err := g.saveRef(tx, sim, m, i, part); err != nil {
			return err
		}
	}
	return nil
}

// latest is when a part of the hand-over can have been submitted at the latest. How long one takes that is still under way nobody
// can tell: eachOwed sees to that. One that only we lost sight of may have gone on behind its verdict.
func (a Attempt) latest() time.Time {
	longest := a.ClaimedAt.Add(longestSubmit)
	if a.DoneAt.IsZero() || lostSight(a.Code) && a.DoneAt.Before(longest) {
		return longest
	}
	return a.DoneAt
}

// lostSight says whether a verdict is that none was seen, while the modem may go on.
func lostSight(code string) bool {
	switch code {
	case driver.CodeHangup, driver.CodeTimeout, errRestart:
		return true
	}
	return false
}

func (g *Gateway) saveRef(tx store.Txn, sim string, m *Message, i, part int) error {
	a := m.Attempts[i]
	ref := refRecord{Attempt: i, Part: part, To: ending(m.To), At: a.ClaimedAt}
	if a.DoneAt.Sub(a.ClaimedAt) > longestSubmit {
		ref.Done = a.DoneAt
	}
	prefix := g.refPrefix("ref", sim) + refPart(a.References[part])
	g.remember(prefix, m.ID, ref.At)
	return store.Save(tx, prefix+m.ID, ref, a.ClaimedAt.Add(g.cfg.ReportWait+collectSlack))
}

func deleteAll(tx store.Txn, keys []string) error {
	for _, key := range keys {
		if err := tx.Delete(key); err != nil {
			return err
		}
	}
	return nil
}

// samePhone compares two forms of a number by the digits at their ends.
func samePhone(a, b string) bool {
	a, b = digits(a), digits(b)
	n := min(len(a), len(b), sameDigits)
	return n >= min(sameDigits, 3) && a[len(a)-n:] == b[len(b)-n:]
}

// ending is what samePhone compares of a number.
func ending(to string) string {
	to = digits(to)
	return to[max(0, len(to)-sameDigits):]
}

func digits(s string) string {
	return strings.Map(func(r rune) rune {
		if r < '0' || r > '9' {
			return -1
		}
		return r
	}, s)
}
