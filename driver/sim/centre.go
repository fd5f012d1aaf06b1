package sim

import "time"

// duplicate is the cause of a text that the service centre refuses because it has it: FCS C5 (TS 23.040 9.2.3.22), which
// +CMS ERROR gives as it is.
const duplicate = 0xc5

// maxCentre bounds the texts whose phone the service centre waits for.
const maxCentre = 10_000

// heldKey is by what the service centre knows a text that it holds (TS 23.040 9.2.3.25).
type heldKey struct {
	from, to string
	ref      uint8
}

// centre is the service centre's memory of what is on its way to a phone, and until when. The network's mutex guards it.
type centre map[heldKey]time.Time

func (c centre) holds(k heldKey, now time.Time) bool { return now.Before(c[k]) }

func (c centre) hold(k heldKey, now, until time.Time) {
	if len(c) >= maxCentre {
		for k, until := range c {
			if !now.Before(until) {
				delete(c, k)
			}
		}
	}
	if now.Before(until) && len(c) < maxCentre {
		c[k] = until
	}
}

// linkTime is how long +CMMS keeps the link open behind a send (TS 27.005 3.5.6: 1 to 5 seconds, as the modem's maker likes).
const linkTime = 5 * time.Second

// submitTime is how long the network takes to answer now: less when the link to it is still open.
func (m *Modem) submitTime() time.Duration {
	t := m.cfg.SubmitTime
	if m.set.cmms != 0 && time.Now().Before(m.linkUntil) {
		t -= t * time.Duration(m.kind.Link) / 100
	}
	return t
}

// keepLink lets the link stay open behind a send. In mode 1 nothing more to send in time ends the mode too.
func (m *Modem) keepLink() {
	if m.set.cmms == 0 {
		return
	}
	m.linkUntil = time.Now().Add(linkTime)
	if m.set.cmms == 1 {
		m.after(linkTime, func() {
			if m.set.cmms == 1 && !time.Now().Before(m.linkUntil) {
				m.set.cmms = 0
			}
		})
	}
}
