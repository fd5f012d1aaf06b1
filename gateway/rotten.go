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
	g.cfg.Log.Error("message does not open and is left out: restore it from a backup", "message", id, "error", err)
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
	var c *store.CorruptError
	if errors.As(err, &c) {
		return c.Key
	}
	return ""
}

const queuePrefix = "gw/q/"

// scanQueue calls f for each record of the queue, and returns the ids of those that do not open.
func scanQueue(tx store.Txn, f func(id string, r queueRecord)) (bad []string, err error) {
	from := queuePrefix
	for {
		err := scan(tx, store.Range{Prefix: queuePrefix, From: from}, func(key string, r queueRecord) bool {
			f(strings.TrimPrefix(key, queuePrefix), r)
			from = key + "\x00"
			return true
		})
		key := rotten(err)
		if err == nil || key < from || !strings.HasPrefix(key, queuePrefix) {
			return bad, err
		}
		bad, from = append(bad, strings.TrimPrefix(key, queuePrefix)), key+"\x00"
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
	g.cfg.Log.Error("record of the queue did not open and was made anew from its message", "message", id, "live", live)
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
