package gateway

import (
	"context"
	"fmt"
	"strings"
	"time"

	"otpost/gateway/store"
)

// Converted records that the code of a message came back: whoever typed it has the phone. It counts once a message, for
// the conversion of its SIM.
func (g *Gateway) Converted(tx store.Txn, now time.Time, id string) error {
	m, err := g.find(tx, id)
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
	if err := g.countPrefix(tx, now, &m, (*Conversion).verified); err != nil {
		return err
	}
	tx.OnDone(func(committed bool) {
		if committed {
			g.metrics.codesBack.WithLabelValues(country(m.Country), a.Modem).Inc()
		}
	})
	return g.put(tx, now, was, &m)
}

const (
	convPrefix   = "gw/conv/"
	prefixDigits = 5 // calling code and at least two digits: an operator's range, and no phone
)

// Conversion is how many codes for one range of numbers came back that one modem had sent. It is in the store and not in the
// metrics: ranges are too many for a label. Both counts fade with every new code, so that the last hundred or so decide; a range
// that is not used is forgotten after the retention.
type Conversion struct {
	Modem    string  `json:"-"`
	Prefix   string  `json:"-"` // "+44770"
	Country  string  `json:"country,omitempty"`
	Sent     float64 `json:"sent"`
	Verified float64 `json:"verified"`
}

func (c *Conversion) sent() {
	const fade = 0.99
	c.Sent, c.Verified = c.Sent*fade+1, c.Verified*fade
}

func (c *Conversion) verified() { c.Verified++ }

// countPrefix counts a code for the range of its number and the modem of its last attempt.
func (g *Gateway) countPrefix(tx store.Txn, now time.Time, m *Message, count func(*Conversion)) error {
	if len(m.To) <= prefixDigits+1 || m.Kind != KindCode {
		return nil // erased meanwhile, or no code
	}
	key := convPrefix + m.modem() + "/" + m.To[1:prefixDigits+1]
	c, err := loadOr[Conversion](g, tx, key)
	if err != nil {
		return err
	}
	c.Country = m.Country
	count(&c)
	return store.Save(tx, key, c, now.Add(g.cfg.Retention+collectSlack))
}

// Conversions lists the conversion by modem and range of numbers, in that order.
func (g *Gateway) Conversions(ctx context.Context) ([]Conversion, error) {
	var all []Conversion
	err := g.cfg.KV.View(ctx, func(tx store.Txn) error {
		all = all[:0]
		return scan(g, tx, store.Range{Prefix: convPrefix}, func(key string, c Conversion) bool {
			modem, prefix, _ := strings.Cut(strings.TrimPrefix(key, convPrefix), "/")
			c.Modem, c.Prefix = modem, "+"+prefix
			all = append(all, c)
			return true
		})
	})
	if err != nil {
		return nil, fmt.Errorf("list conversions: %w", err)
	}
	return all, nil
}
