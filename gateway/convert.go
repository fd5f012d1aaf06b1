package gateway

import (
	"time"

	"otpost/gateway/store"
)

// Converted records that the code of a message came back: whoever typed it has the phone. It counts once a message, for
// the conversion of its SIM.
func (g *Gateway) Converted(tx store.Txn, now time.Time, id string) error {
	m, err := g.Lookup(tx, id)
	if err != nil {
		return ignoreNotFound(err)
	}
	if m.Verified || len(m.Attempts) == 0 {
		return nil
	}
	was := m.Status
	m.Verified = true
	a := m.Attempts[len(m.Attempts)-1]
	sim := simOr(a.ICCID, a.Modem)
	s, err := g.loadSIM(tx, now, sim)
	if err != nil {
		return err
	}
	s.verifiedCode()
	if err := g.saveSIM(tx, sim, s); err != nil {
		return err
	}
	tx.OnDone(func(committed bool) {
		if committed {
			g.metrics.codesBack.WithLabelValues(country(m.Country), a.Modem).Inc()
		}
	})
	return g.put(tx, now, was, &m)
}
