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
	return store.Save(tx, g.refPrefix("early", sim)+refPart(r.Reference)+id, earlyRecord{r, now}, now.Add(earlyFor+collectSlack))
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
		if err := deleteAll(tx, used); err != nil {
			return err
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
		if err := tx.Delete(key); err != nil {
			return err
		}
	}
	return nil
}

func (g *Gateway) eachEarly(tx store.Txn, now time.Time, prefix string, f func(key string, r driver.Report)) error {
	return scan(g, tx, store.Range{Prefix: prefix}, func(key string, e earlyRecord) bool {
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
		keys = append(keys, g.refPrefix("unsure", sim)+m.ID)
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
	return deleteAll(tx, keys)
}
