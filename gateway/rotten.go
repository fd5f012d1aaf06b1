package gateway

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"otpost/gateway/store"
)

// find is Lookup for the gateway's own loops: one record that does not open must not end them all. It is as if the message were
// not there, the log says so, and its record stays for whoever can mend it. The next start tries it again.
func (g *Gateway) find(tx store.Txn, id string) (Message, error) {
	m, err := g.Lookup(tx, id)
	if rotten(err) != messageKey(id) {
		return m, err
	}
	g.cfg.Log.Error("message does not open and is left out: restore it from a backup", "message_id", id, "error", err)
	tx.OnDone(func(committed bool) {
		if committed {
			g.metrics.corrupt.Inc()
		}
	})
	return Message{}, ErrNotFound
}

// findLast is find for a message whose time is over: if it does not open, nothing is left to be done for it at the next start.
func (g *Gateway) findLast(tx store.Txn, id string) (Message, error) {
	m, err := g.find(tx, id)
	if err == ErrNotFound {
		if gone := tx.Delete(queueKey(id)); gone != nil {
			return m, gone
		}
	}
	return m, err
}

// rotten returns the key of the record that does not open, or nothing if err is of another kind.
func rotten(err error) string {
	if err == nil {
		return ""
	}
	var c *store.CorruptError
	if errors.As(err, &c) {
		return c.Key
	}
	return ""
}

const queuePrefix = "gw/q/"

// scanQueue calls f for each record of the queue, and returns the ids of those that do not open.
func scanQueue(tx store.Txn, f func(id string, r queueRecord)) (bad []string, err error) {
	err = walk(tx, store.Range{Prefix: queuePrefix}, func(key string, r queueRecord) bool {
		f(strings.TrimPrefix(key, queuePrefix), r)
		return true
	}, func(key string, _ error) bool {
		bad = append(bad, strings.TrimPrefix(key, queuePrefix))
		return true
	})
	return bad, err
}

// walk calls f with each record of the range as a T, and bad with the key of each that does not open, until one of them
// returns false.
func walk[T any](tx store.Txn, r store.Range, f func(key string, v T) bool, bad func(key string, err error) bool) error {
	return store.Walk(tx, r, func(key string, value []byte) bool {
		v, err := decode[T](key, value)
		if err != nil {
			return bad(key, err)
		}
		return f(key, v)
	}, func(c *store.CorruptError) bool { return bad(c.Key, c) })
}

// scan calls f with each record of the range as a T until it returns false. One that does not open is left out, and the log
// says so.
func scan[T any](g *Gateway, tx store.Txn, r store.Range, f func(key string, v T) bool) error {
	return walk(tx, r, f, func(key string, err error) bool {
		g.leftOut(key, err)
		return true
	})
}

func (g *Gateway) leftOut(key string, err error) {
	g.cfg.Log.Error("record does not open and is left out", "record", key, "error", err)
}

// loadOr is load for what the gateway can do without: a record that does not open counts as none, and the next write mends it.
func loadOr[T any](g *Gateway, tx store.Txn, key string) (T, error) {
	v, err := load[T](tx, key)
	if rotten(err) == key {
		g.leftOut(key, err)
		var none T
		return none, nil
	}
	return v, err
}

// unreadable is why a SIM rests whose counters do not open. What its quotas still allow is not known, so no time ends that
// rest, but an operator who resumes the modem: its counters begin anew.
const unreadable = "unreadable"

// salvage makes up for the counters of a SIM that do not open: from memory, which is as new as the store, or else by a rest.
func (g *Gateway) salvage(iccid string, err error) simRecord {
	g.mu.Lock()
	defer g.mu.Unlock()
	if s := g.sims[iccid]; s != nil {
		g.cfg.Log.Error("counters of a sim do not open and are taken from memory", "error", err)
		return *s
	}
	g.cfg.Log.Error("counters of a sim do not open: if its modem has quotas it rests until the modem is resumed", "error", err)
	return simRecord{Blocked: unreadable}
}

// begin is what may be done about unreadable counters: they begin anew, after a minute in which nothing goes.
func (s *simRecord) begin(now time.Time, l limits) {
	*s = simRecord{}
	for range l.minute {
		s.Recent = append(s.Recent, now.UnixMilli())
	}
}

// mend restores a message whose record of the queue does not open. It returns whether a modem had it.
func (g *Gateway) mend(ctx context.Context, id string) (sending bool, err error) {
	var r queueRecord
	var live bool
	err = g.update(ctx, func(tx store.Txn) error {
		var err error
		r, live, err = g.requeue(tx, id)
		return err
	})
	if err != nil {
		return false, fmt.Errorf("mend the queue: %w", err)
	}
	g.cfg.Log.Error("record of the queue did not open and was made anew from its message", "message_id", id, "live", live)
	if live && !r.Sending {
		g.restore(id, r, time.Now())
	}
	return live && r.Sending, nil
}

// requeue makes the record of the queue anew from the message.
func (g *Gateway) requeue(tx store.Txn, id string) (queueRecord, bool, error) {
	m, err := g.findLast(tx, id)
	if err != nil {
		return queueRecord{}, false, ignoreNotFound(err)
	}
	if !m.live() {
		return queueRecord{}, false, tx.Delete(queueKey(id))
	}
	r := recordOf(&m)
	return r, true, store.Save(tx, queueKey(id), r, time.Time{})
}

// eraseRotten removes a message that does not open.
func (g *Gateway) eraseRotten(tx store.Txn, id string) error {
	if u, err := parseID(messagePrefix, id); err == nil {
		tx.OnDone(func(committed bool) {
			if committed {
				g.mu.Lock()
				defer g.mu.Unlock()
				g.queue.remove(u)
			}
		})
	}
	return deleteAll(tx, []string{messageKey(id), queueKey(id)})
}

// mend makes a record of the outbox anew that does not open.
func (c *courier) mend(ctx context.Context, id string) error {
	c.g.cfg.Log.Error("record of the outbox did not open and was made anew from its event", "endpoint", c.hook.Name, "event", id)
	return c.g.update(ctx, func(tx store.Txn) error {
		e, err := store.Load[Event](tx, eventKey(id))
		if rotten(err) != "" || isNotFound(err) {
			return tx.Delete(outPrefix(c.hook.Name) + id)
		}
		if err != nil {
			return err
		}
		return c.g.putOut(tx, time.Now(), c.hook.Name, &e)
	})
}
