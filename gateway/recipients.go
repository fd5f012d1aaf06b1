package gateway

import (
	"hash/maphash"
	"time"

	"otpost/driver"
	"otpost/gateway/store"
)

// A recipientRecord remembers the failures of one phone, so that the next message goes by another SIM, and a phone that
// keeps failing waits aside. It is collected a day after the last failure.
type recipientRecord struct {
	Failures int       `json:"failures"`
	SIM      string    `json:"sim,omitempty"` // that failed last
	At       time.Time `json:"at"`
}

const recipientMemory = 24 * time.Hour

func (g *Gateway) recipientKey(to string) string {
	return "gw/rcpt/" + g.cfg.Secrets.Pseudonym("recipient", to)
}

// until returns how long the recipient is set aside.
func (r recipientRecord) until() time.Time {
	if r.Failures < asideFrom {
		return time.Time{}
	}
	return r.At.Add(backoff(firstAside, lastAside, r.Failures-asideFrom+1))
}

// mark applies what is remembered to a new message. Half of its life is the longest wait: it is tried at least once.
func (r recipientRecord) mark(m *Message, now time.Time) {
	if now.Sub(r.At) < shunFor {
		m.Shun = r.SIM
	}
	if half := now.Add(m.NotAfter.Sub(now) / 2); r.until().After(now) {
		m.NotBefore = r.until()
		if half.Before(m.NotBefore) {
			m.NotBefore = half
		}
	}
}

// recipientFailed counts a failure that may be the recipient's, and sets it aside if it was one too many.
func (g *Gateway) recipientFailed(tx store.Txn, now time.Time, to, sim string) error {
	key := g.recipientKey(to)
	r, err := loadOr[recipientRecord](g, tx, key)
	if err != nil {
		return err
	}
	if now.Sub(r.At) > recipientMemory {
		r.Failures = 0
	}
	r.Failures, r.SIM, r.At = r.Failures+1, sim, now
	if until := r.until(); until.After(now) {
		tx.OnDone(func(committed bool) {
			if committed {
				g.mu.Lock()
				defer g.mu.Unlock()
				g.queue.setAside(maphash.String(g.seed, to), until)
				g.wakeAll()
			}
		})
	}
	return store.Save(tx, key, r, now.Add(recipientMemory+collectSlack))
}

// recipientReached forgets the failures. There are hardly ever any, and to look is less than to delete what is not there.
func (g *Gateway) recipientReached(tx store.Txn, to string) error {
	key := g.recipientKey(to)
	if _, err := tx.Get(key); isNotFound(err) {
		return nil
	}
	return tx.Delete(key)
}

// blames says whether a refusal may be the recipient's fault.
func blames(class driver.Class) bool {
	return class == driver.ClassRecipient || class == driver.ClassNetwork || class == driver.ClassUnknown
}
