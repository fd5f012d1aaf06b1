package gateway

import (
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"otpost/driver"
	"otpost/gateway/store"
)

// Reports that came before what they are about was known, and what else is kept to match reports.

func (g *Gateway) park(tx store.Txn, now time.Time, sim string, r driver.Report) error {
	id, err := g.ids.next("", now)
	if err != nil {
		return err
	}
	r.Recipient = ending(r.Recipient)
	return shelve(g, tx, g.refPrefix("early", sim)+refPart(r.Reference)+id, earlyRecord{r, now}, now.Add(earlyFor+collectSlack))
}

// takeEarly applies the parked reports of the attempt's references.
func (g *Gateway) takeEarly(tx store.Txn, now time.Time, m *Message, i int, sim string) error {
	a := &m.Attempts[i]
	for part, ref := range slices.Clone(a.References) {
		var used []string
		err := g.eachEarly(tx, now, g.refPrefix("early", sim)+refPart(ref), func(key string, r driver.Report) {
			if samePhone(m.To, r.Recipient) && (refRecord{At: a.ClaimedAt, Done: a.DoneAt}).plausible(r, clockSkew) {
				m.report(now, i, part, r)
				used = append(used, key)
			}
		})
		if err != nil {
			return err
		}
		if err := g.unshelve(tx, used...); err != nil {
			return err
		}
	}
	return nil
}

// unsureKey names the record of a hand-over with nameless parts.
func (g *Gateway) unsureKey(sim, id string, attempt int) string {
	return g.refPrefix("unsure", sim) + id + "/" + strconv.Itoa(attempt)
}

// unsureID returns the message that the record is about.
func unsureID(key string) string {
	id, _, _ := strings.Cut(key[len(shelfName(key)):], "/")
	return id
}

// unsureOf finds the hand-over with nameless parts that a report is about if its reference tells nothing: same SIM, same phone, and
// submitted while it lasted. Clocks are off by some seconds, so what is nearer than another by less than that need not be the one:
// nobody can tell then, and a message that stays in doubt is better than one called delivered that no phone has. Between those of
// one message nothing hangs on it, unless that has several parts: both may have brought the same one. Nor is any chosen while
// another's verdict is owed: that may tell.
func (g *Gateway) unsureOf(tx store.Txn, now time.Time, sim string, r driver.Report) (key string, ref refRecord, err error) {
	off := map[string]time.Duration{}
	if err := g.eachUnsure(tx, now, sim, r, func(k string, u refRecord) {
		off[k] = u.off(r)
		if key == "" || off[k] < off[key] {
			key, ref = k, u
		}
	}); err != nil || key == "" {
		return "", ref, err
	}
	owed := false
	if err := g.eachOwed(tx, sim, r, func(m *Message, i int) { off[g.unsureKey(sim, m.ID, i)], owed = 0, true }); err != nil {
		return "", ref, err
	}
	for k, d := range off {
		same := ref.Whole && unsureID(k) == unsureID(key)
		if k != key && (owed || !same && d-off[key] <= clockSkew) {
			return "", ref, nil
		}
	}
	return key, ref, nil
}

// eachUnsure calls f with the hand-overs with nameless parts that a report may be about.
func (g *Gateway) eachUnsure(tx store.Txn, now time.Time, sim string, r driver.Report, f func(key string, u refRecord)) error {
	return shelved(g, tx, g.refPrefix("unsure", sim), func(key string, u refRecord) bool {
		if (u.To == "" || samePhone(u.To, r.Recipient)) && now.Sub(u.At) <= g.cfg.ReportWait && u.plausible(r, clockSkew) {
			f(key, u)
		}
		return true
	})
}

// standIn lets a message's other hand-over stand for both, where the report that one is about to be booked with may be its own: the
// report still to come is that of either then, and no other message's.
func (g *Gateway) standIn(tx store.Txn, now time.Time, sim string, r driver.Report, key string, booked refRecord) error {
	others := map[string]refRecord{}
	if err := g.eachUnsure(tx, now, sim, r, func(k string, u refRecord) {
		if k != key && unsureID(k) == unsureID(key) {
			others[k] = u
		}
	}); err != nil {
		return err
	}
	for k, u := range others {
		if booked.At.Before(u.At) {
			u.At = booked.At
		}
		if booked.Done.After(u.Done) {
			u.Done = booked.Done
		}
		if err := shelve(g, tx, k, u, now.Add(g.cfg.ReportWait+collectSlack)); err != nil {
			return err
		}
	}
	return nil
}

// eachOwed calls f with the attempts whose verdict a modem still owes and that a report may be about.
func (g *Gateway) eachOwed(tx store.Txn, sim string, r driver.Report, f func(m *Message, attempt int)) error {
	for _, id := range g.flights(sim, r.Recipient) {
		m, err := g.find(tx, id)
		if err != nil {
			if err = ignoreNotFound(err); err != nil {
				return err
			}
			continue
		}
		for i, a := range m.Attempts {
			so := refRecord{At: a.ClaimedAt, Done: r.At} // it still runs
			if a.DoneAt.IsZero() && simOr(a.ICCID, a.Modem) == sim && so.plausible(r, clockSkew) {
				f(&m, i)
			}
		}
	}
	return nil
}

// reconsider offers the parked reports of a SIM about a phone to its hand-overs, now that more is known of one: it has its verdict, is
// in doubt, or has its report. Whenever one is taken, those before it may be about one hand-over less.
func (g *Gateway) reconsider(tx store.Txn, now time.Time, sim, to string) error {
	parked := map[string]driver.Report{}
	if err := g.eachEarly(tx, now, g.refPrefix("early", sim), func(key string, r driver.Report) {
		if samePhone(to, r.Recipient) {
			parked[key] = r
		}
	}); err != nil {
		return err
	}
	for left := -1; left != len(parked); {
		left = len(parked)
		for _, key := range slices.Sorted(maps.Keys(parked)) {
			taken, err := g.offer(tx, now, sim, parked[key])
			if err != nil {
				return err
			}
			if !taken {
				continue
			}
			if err := g.unshelve(tx, key); err != nil {
				return err
			}
			delete(parked, key)
		}
	}
	return nil
}

// offer books a parked report if it is clear by now what it is about.
func (g *Gateway) offer(tx store.Txn, now time.Time, sim string, r driver.Report) (taken bool, err error) {
	flight, err := g.inFlight(tx, sim, r)
	if err != nil {
		return false, err
	}
	outcome, err := g.match(tx, now, sim, flight, r) // the same report may have been parked twice
	if err == nil && outcome == "" {
		outcome, err = g.settleUnsure(tx, now, sim, r)
	}
	return outcome != "", err
}

func (g *Gateway) eachEarly(tx store.Txn, now time.Time, prefix string, f func(key string, r driver.Report)) error {
	return shelved(g, tx, prefix, func(key string, e earlyRecord) bool {
		if now.Sub(e.At) <= earlyFor {
			f(key, e.Report)
		}
		return true
	})
}

// forgetReports removes what was kept for the reports of a message.
func (g *Gateway) forgetReports(tx store.Txn, m *Message) error {
	var keys []string
	for i, a := range m.Attempts {
		sim := simOr(a.ICCID, a.Modem)
		if err := g.unshelve(tx, g.refPrefix("unsure", sim)+m.ID); err != nil { // as it was named of old
			return err
		}
		if err := g.anonymize(tx, g.unsureKey(sim, m.ID, i)); err != nil {
			return err
		}
		for _, ref := range a.References {
			keys = append(keys, g.refPrefix("ref", sim)+refPart(ref)+m.ID)
		}
	}
	return deleteAll(tx, keys)
}

// anonymize takes the phone from the record of a hand-over with nameless parts, if there is one. A report may still be about it, and
// would be booked on another.
func (g *Gateway) anonymize(tx store.Txn, key string) error {
	u, err := store.Load[refRecord](tx, key)
	switch {
	case isNotFound(err):
		return nil
	case rotten(err) == key:
		return g.unshelve(tx, key)
	case err != nil:
		return err
	}
	u.To = ""
	return shelve(g, tx, key, u, u.At.Add(g.cfg.ReportWait+collectSlack))
}
