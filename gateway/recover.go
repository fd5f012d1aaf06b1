package gateway

import (
	"context"
	"time"

	"otpost/gateway/store"
)

// batch is how many messages one transaction of a sweep takes, if they fit.
const batch = 200

// updateAll calls f with each of list, with as many in one transaction as fit: how many records each writes depends on the
// endpoints of webhooks and on what befell it.
func updateAll[T any](ctx context.Context, g *Gateway, list []T, f func(tx store.Txn, now time.Time, one T) error) error {
	return store.InParts(list, batch, func(part []T) error {
		return g.update(ctx, func(tx store.Txn) error {
			now := time.Now()
			for _, one := range part {
				if err := f(tx, now, one); err != nil {
					return err
				}
			}
			return nil
		})
	})
}

// recover reads the queue from the store. What was with a modem when an earlier run ended may have gone out: it becomes
// uncertain, and its policy says whether it is sent once more.
func (g *Gateway) recover(ctx context.Context) error {
	var sending, bad []string
	err := g.cfg.KV.View(ctx, func(tx store.Txn) error {
		sending = sending[:0]
		if err := g.recoverIDs(tx); err != nil {
			return err
		}
		g.rememberFrom(time.Now())
		if err := g.recoverModems(tx); err != nil {
			return err
		}
		now := time.Now()
		var err error
		bad, err = scanQueue(tx, func(id string, r queueRecord) {
			if r.Sending {
				sending = append(sending, id)
			} else {
				g.restore(id, r, now)
			}
		})
		return err
	})
	if err != nil {
		return err
	}
	for _, id := range bad {
		interrupted, err := g.mend(ctx, id)
		if err != nil {
			return err
		}
		if interrupted {
			sending = append(sending, id)
		}
	}
	doubts := map[flight]bool{}
	err = updateAll(ctx, g, sending, func(tx store.Txn, now time.Time, id string) error { return g.interrupted(tx, now, id, doubts) })
	if err != nil {
		return err
	}
	for d := range doubts {
		if err := g.update(ctx, func(tx store.Txn) error { return g.reconsider(tx, time.Now(), d.sim, d.to) }); err != nil {
			return err
		}
	}
	return g.sweep(ctx)
}

func (g *Gateway) recoverModems(tx store.Txn) error {
	for _, m := range g.modems {
		r, err := loadOr[modemRecord](g, tx, "gw/modem/"+m.name) // in doubt it is not paused, or nothing would send
		if err != nil {
			return err
		}
		status := m.route.Modem.Status()
		g.mu.Lock()
		m.paused = r.Paused
		if m.status.State == "" { // else it has told a newer one itself
			g.observe(m, status, time.Now())
		}
		g.mu.Unlock()
		if err := g.knowSIM(tx, m); err != nil {
			return err
		}
	}
	return nil
}

// knowSIM reads the record of the modem's SIM into memory unless it is there.
func (g *Gateway) knowSIM(tx store.Txn, m *modemState) error {
	g.mu.Lock()
	sim := m.simID()
	known := g.sims[sim] != nil
	g.mu.Unlock()
	if known {
		return nil
	}
	now := time.Now()
	s, err := g.loadSIM(tx, now, sim)
	if err != nil {
		return err
	}
	if l := m.limits(); s.Blocked == unreadable && l.day == 0 && l.month == 0 {
		s.begin(now, l)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.sims[sim] == nil {
		g.sims[sim] = &s
	}
	g.wakeAll()
	return nil
}

// recoverIDs lets new ids sort behind all that are there, even if the clock was set back.
func (g *Gateway) recoverIDs(tx store.Txn) error {
	for _, kind := range []struct{ key, prefix string }{{"gw/msg/", messagePrefix}, {"gw/evt/", eventPrefix}, {"gw/in/", inboxPrefix}} {
		err := store.Keys(tx, store.Range{Prefix: kind.key, Reverse: true}, func(key string) bool {
			g.ids.after(kind.prefix, key[len(kind.key):])
			return false
		})
		if err != nil {
			return err
		}
	}
	return g.recoverClock(tx)
}

func (g *Gateway) restore(id string, r queueRecord, now time.Time) {
	u, err := parseID(messagePrefix, id)
	if err != nil {
		g.cfg.Log.Error("queue holds an improper id", "message_id", id)
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.queue.byID[u] == nil {
		e := g.entry(r)
		e.id = u
		g.queue.put(e, now)
		g.promise(e, now, r.To)
	}
}

// interrupted puts in doubt what an earlier run left with a modem, and notes its SIM and phone.
func (g *Gateway) interrupted(tx store.Txn, now time.Time, id string, doubts map[flight]bool) error {
	m, err := g.findLast(tx, id)
	if err != nil {
		return ignoreNotFound(err)
	}
	i := len(m.Attempts) - 1
	if i < 0 || !m.overdue(now, i, errRestart) {
		return nil
	}
	doubts[flight{sim: simOr(m.Attempts[i].ICCID, m.Attempts[i].Modem), to: ending(m.To)}] = true
	m.Attempts[i].DoneAt = now // nobody is left to tell
	return g.doubted(tx, now, &m, i)
}

// doubted writes a message that has become uncertain, and says so even if it is sent once more at once.
func (g *Gateway) doubted(tx store.Txn, now time.Time, m *Message, i int) error {
	if err := g.await(tx, now, m, i); err != nil {
		return err
	}
	if m.To == "" && m.Status == Queued {
		m.Unsure = Keep
		m.end(now, Canceled, errCanceled) // erased meanwhile
	}
	if m.Status == Queued {
		if err := g.tell(tx, now, m, Uncertain); err != nil {
			return err
		}
	}
	return g.put(tx, now, Sending, m)
}
