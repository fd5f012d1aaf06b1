package gateway

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/oklog/ulid/v2"

	"otpost/driver"
	"otpost/gateway/store"
)

// sweepSlack is how long messages whose time for a report is over may wait for others, to be closed together.
const sweepSlack = time.Minute

// keep does what time brings, until ctx is done: it expires messages at their deadlines, doubts hand-overs that take too
// long, tells of modems that come and go, and closes what waited too long for a report.
func (g *Gateway) keep(ctx context.Context) error {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		if err := ignoreCanceled(ctx, g.due(ctx)); err != nil {
			return err
		}
		timer.Reset(until(time.Now(), g.nextDue()))
		select {
		case <-ctx.Done():
			return nil
		case <-g.time:
		case <-timer.C:
		}
	}
}

func ignoreCanceled(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil
	}
	return err
}

func (g *Gateway) due(ctx context.Context) error {
	for _, f := range []func(context.Context) error{g.expire, g.overdue, g.modemsChanged, g.sweepDue} {
		if err := f(ctx); err != nil {
			return err
		}
	}
	return nil
}

// dueAt wakes the keeper if it would sleep for longer. The caller holds mu.
func (g *Gateway) dueAt(at time.Time) {
	if g.keepAt.IsZero() || at.Before(g.keepAt) {
		nudge(g.time)
	}
}

// nextDue returns when the keeper has something to do; until then it may sleep.
func (g *Gateway) nextDue() time.Time {
	g.mu.Lock()
	defer g.mu.Unlock()
	next := g.sweepAt
	if len(g.queue.deadline.items) > 0 {
		next = sooner(next, g.queue.deadline.items[0].dead())
	}
	for _, m := range g.modems {
		next = sooner(next, m.doubtAt)
	}
	g.keepAt = next
	return next
}

// expire ends queued messages whose deadline has passed.
func (g *Gateway) expire(ctx context.Context) error {
	for {
		dead := g.dead(time.Now())
		if len(dead) == 0 {
			return nil
		}
		err := updateAll(ctx, g, dead, func(tx store.Txn, now time.Time, id ulid.ULID) error {
			err := g.expireOne(tx, now, formatID(messagePrefix, id))
			g.forget(tx, id)
			return err
		})
		if err != nil {
			return fmt.Errorf("expire messages: %w", err)
		}
	}
}

// dead returns entries past their deadline.
func (g *Gateway) dead(now time.Time) []ulid.ULID {
	g.mu.Lock()
	defer g.mu.Unlock()
	var ids []ulid.ULID
	heap := &g.queue.deadline
	for len(heap.items) > 0 && len(ids) < batch && heap.items[0].notAfter < now.UnixMilli() {
		e := heap.pop()
		ids = append(ids, e.id)
	}
	for _, id := range ids {
		if e := g.queue.byID[id]; e != nil {
			g.queue.unlink(e)
		}
	}
	return ids
}

func (g *Gateway) expireOne(tx store.Txn, now time.Time, id string) error {
	m, err := g.findLast(tx, id)
	if err != nil || m.Status != Queued || now.Before(m.NotAfter) {
		return ignoreNotFound(err)
	}
	m.expire(now)
	return g.put(tx, now, Queued, &m)
}

// overdue doubts hand-overs that take too long: the modem may still tell, but a code need not wait for that.
func (g *Gateway) overdue(ctx context.Context) error {
	now := time.Now()
	for _, m := range g.modems {
		g.mu.Lock()
		e := m.current
		if e == nil || m.doubtAt.IsZero() || now.Before(m.doubtAt) {
			g.mu.Unlock()
			continue
		}
		m.doubtAt = time.Time{}
		g.mu.Unlock()
		id := formatID(messagePrefix, e.id)
		err := g.update(ctx, func(tx store.Txn) error {
			now := time.Now()
			msg, err := g.find(tx, id)
			if err != nil {
				return ignoreNotFound(err)
			}
			i := len(msg.Attempts) - 1
			if i < 0 || msg.Attempts[i].Modem != m.name || !msg.overdue(now, i, errOverdue) {
				return nil
			}
			g.leaveOut(tx, m, e)
			if err := g.doubted(tx, now, &msg, i); err != nil {
				return err
			}
			return g.reconsider(tx, now, simOr(msg.Attempts[i].ICCID, m.name), msg.To)
		})
		if err != nil {
			return fmt.Errorf("doubt a hand-over: %w", err)
		}
	}
	return nil
}

// leaveOut takes a modem out of routing as long as it is busy with the entry.
func (g *Gateway) leaveOut(tx store.Txn, m *modemState, e *entry) {
	tx.OnDone(func(committed bool) {
		g.mu.Lock()
		defer g.mu.Unlock()
		if committed && m.current == e {
			m.overdue = true
		}
	})
}

// modemsChanged reads the counters of SIMs that have come, and tells of modems that have come up or gone down.
func (g *Gateway) modemsChanged(ctx context.Context) error {
	for _, m := range g.modems {
		g.mu.Lock()
		changed, up, status, unknown := m.changed, m.wasUp, m.status, g.sims[m.simID()] == nil
		m.changed = false
		g.mu.Unlock()
		if unknown {
			if err := g.cfg.KV.View(ctx, func(tx store.Txn) error { return g.knowSIM(tx, m) }); err != nil {
				return fmt.Errorf("read the counters of a sim: %w", err)
			}
		}
		if !changed {
			continue
		}
		if err := g.update(ctx, func(tx store.Txn) error {
			return g.Emit(tx, time.Now(), modemEvent(m.name, up, status))
		}); err != nil {
			return fmt.Errorf("tell of a modem: %w", err)
		}
	}
	return nil
}

func modemEvent(name string, up bool, s driver.Status) Event {
	kind := "modem.down"
	if up {
		kind = "modem.up"
	}
	return Event{Type: kind, Data: map[string]any{"modem": name, "state": string(s.State)}}
}

const duePrefix = "gw/due/"

func dueKey(at time.Time, id string) string {
	return fmt.Sprintf("%s%012d/%s", duePrefix, at.Unix(), id)
}

func dueAt(key string) time.Time {
	s, _, _ := strings.Cut(strings.TrimPrefix(key, duePrefix), "/")
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		return time.Time{} // not one of ours: due at once, and gone
	}
	return time.Unix(n, 0)
}

// sweepDue sweeps when the first message's time for a report is over.
func (g *Gateway) sweepDue(ctx context.Context) error {
	g.mu.Lock()
	at := g.sweepAt
	g.mu.Unlock()
	if at.IsZero() || at.After(time.Now()) {
		return nil
	}
	return g.sweep(ctx)
}

// sweep closes sent and uncertain messages whose time for a report is over, and notes when the next will be.
func (g *Gateway) sweep(ctx context.Context) error {
	for {
		var keys []string
		err := g.update(ctx, func(tx store.Txn) (err error) {
			keys, err = g.dueNow(tx, time.Now())
			return err
		})
		if err == nil {
			err = updateAll(ctx, g, keys, g.unreported)
		}
		if err != nil {
			return fmt.Errorf("close messages without report: %w", err)
		}
		if len(keys) == 0 {
			return nil
		}
	}
}

// dueNow returns the first keys whose time is over, and notes when that of the next is.
func (g *Gateway) dueNow(tx store.Txn, now time.Time) (keys []string, err error) {
	var next time.Time
	err = store.Keys(tx, store.Range{Prefix: duePrefix}, func(key string) bool {
		if at := dueAt(key); at.After(now) || len(keys) == batch {
			next = at
			return false
		}
		keys = append(keys, key)
		return true
	})
	if err == nil {
		g.sweepNext(tx, next)
	}
	return keys, err
}

// sweepNext notes when the first message's time is over; zero: there is none. It is the transaction that looked which notes
// it, so that what others make due comes after it.
func (g *Gateway) sweepNext(tx store.Txn, next time.Time) {
	tx.OnDone(func(committed bool) {
		if committed {
			g.mu.Lock()
			defer g.mu.Unlock()
			if g.sweepAt = next; !next.IsZero() {
				g.sweepAt = next.Add(sweepSlack)
			}
		}
	})
}

// makeDue makes a message due at the instant.
func (g *Gateway) makeDue(tx store.Txn, at time.Time, id string) error {
	tx.OnDone(func(committed bool) {
		if committed {
			g.mu.Lock()
			defer g.mu.Unlock()
			g.sweepAt = sooner(g.sweepAt, at.Add(sweepSlack))
			g.dueAt(g.sweepAt)
		}
	})
	return tx.Set(dueKey(at, id), nil, time.Time{})
}

func (g *Gateway) unreported(tx store.Txn, now time.Time, key string) error {
	if err := tx.Delete(key); err != nil {
		return err
	}
	m, err := g.find(tx, key[strings.LastIndexByte(key, '/')+1:])
	if err != nil || m.live() || m.Final() {
		return ignoreNotFound(err)
	}
	if at := m.lastHeard().Add(g.cfg.ReportWait); at.After(now.Add(time.Second)) {
		return g.makeDue(tx, at, m.ID)
	}
	m.finish(now)
	tx.OnDone(func(committed bool) {
		if committed {
			g.metrics.report("missing")
		}
	})
	return g.put(tx, now, m.Status, &m)
}

// lastHeard returns the instant from which a message waits for a report.
func (m *Message) lastHeard() time.Time {
	at := m.SentAt
	for _, a := range m.Attempts {
		if a.ClaimedAt.After(at) {
			at = a.ClaimedAt
		}
	}
	return at
}

func decode[T any](key string, value []byte) (T, error) {
	var v T
	if err := json.Unmarshal(value, &v); err != nil {
		return v, &store.CorruptError{Key: key, Err: err}
	}
	return v, nil
}
