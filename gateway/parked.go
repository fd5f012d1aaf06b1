package gateway

import (
	"slices"
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
			if samePhone(m.To, r.Recipient) && plausible(a.ClaimedAt, r, clockSkew) {
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

// undecided says whether a report without a known reference may be about several hand-overs of which one still owes its verdict.
func (g *Gateway) undecided(tx store.Txn, now time.Time, sim string, r driver.Report) (bool, error) {
	ids, owed := map[string]bool{}, false
	if err := g.eachUnsure(tx, now, sim, r, func(id string, _ refRecord) { ids[id] = true }); err != nil {
		return false, err
	}
	err := g.eachOwed(tx, sim, r, func(m *Message, _ int) { ids[m.ID], owed = true, true })
	return owed && len(ids) > 1, err
}

// eachUnsure calls f with the hand-overs with nameless parts that a report may be about.
func (g *Gateway) eachUnsure(tx store.Txn, now time.Time, sim string, r driver.Report, f func(id string, u refRecord)) error {
	prefix := g.refPrefix("unsure", sim)
	return shelved(g, tx, prefix, func(key string, u refRecord) bool {
		if samePhone(u.To, r.Recipient) && now.Sub(u.At) <= g.cfg.ReportWait && plausible(u.At, r, clockSkew) {
			f(key[len(prefix):], u)
		}
		return true
	})
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
			if a.DoneAt.IsZero() && simOr(a.ICCID, a.Modem) == sim && samePhone(m.To, r.Recipient) && plausible(a.ClaimedAt, r, clockSkew) {
				f(&m, i)
			}
		}
	}
	return nil
}

// reconsider offers the parked reports of a SIM to its hand-overs, now that one more has its verdict or is in doubt.
func (g *Gateway) reconsider(tx store.Txn, now time.Time, sim string) error {
	parked := map[string]driver.Report{}
	var keys []string
	if err := g.eachEarly(tx, now, g.refPrefix("early", sim), func(key string, r driver.Report) {
		parked[key], keys = r, append(keys, key)
	}); err != nil {
		return err
	}
	for _, key := range keys {
		flight, err := g.inFlight(tx, sim, parked[key])
		if err != nil {
			return err
		}
		outcome, err := g.match(tx, now, sim, flight, parked[key]) // the same report may have been parked twice
		if err != nil {
			return err
		}
		if outcome == "" {
			if outcome, err = g.settleUnsure(tx, now, sim, flight, parked[key]); err != nil {
				return err
			}
		}
		if outcome == "" {
			continue
		}
		if err := g.unshelve(tx, key); err != nil {
			return err
		}
	}
	return nil
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
	for _, a := range m.Attempts {
		sim := simOr(a.ICCID, a.Modem)
		if err := g.unshelve(tx, g.refPrefix("unsure", sim)+m.ID); err != nil {
			return err
		}
		for _, ref := range a.References {
			keys = append(keys, g.refPrefix("ref", sim)+refPart(ref)+m.ID)
		}
	}
	return deleteAll(tx, keys)
}

// forgetParked removes the reports about a phone that wait for their message.
func (g *Gateway) forgetParked(tx store.Txn, to string) error {
	var keys []string
	if err := scan(g, tx, store.Range{Prefix: "gw/early/"}, func(key string, e earlyRecord) bool {
		if samePhone(to, e.Report.Recipient) {
			keys = append(keys, key)
		}
		return true
	}); err != nil {
		return err
	}
	return g.unshelve(tx, keys...)
}
