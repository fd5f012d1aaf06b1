package gateway

import (
	"fmt"
	"hash/maphash"
	"time"

	"otpost/gateway/store"
)

const (
	collectSlack = time.Hour // records may be collected so long after they are of no use
	asideFrom    = 3         // failures in a row from which a recipient is set aside
	firstAside   = 10 * time.Second
	lastAside    = 15 * time.Minute
	shunFor      = time.Hour
)

// A queueRecord is the compact twin of a live message: what the index needs at the start, without reading a million
// messages.
type queueRecord struct {
	To        string   `json:"t"`
	Lane      Lane     `json:"l"`
	Parts     int      `json:"p"`
	NotAfter  int64    `json:"a"`
	NotBefore int64    `json:"b,omitempty"`
	Shun      []string `json:"s,omitempty"`
	Pin       string   `json:"i,omitempty"`
	Sending   bool     `json:"x,omitempty"`
}

func messageKey(id string) string { return "gw/msg/" + id }
func queueKey(id string) string   { return "gw/q/" + id }

func recordOf(m *Message) queueRecord {
	r := queueRecord{
		To: m.To, Lane: m.Lane, Parts: max(1, m.Parts-m.taken(m.pinned())), NotAfter: m.NotAfter.UnixMilli(),
		Shun: m.failedOn(), Pin: m.pinned(), Sending: m.Status == Sending,
	}
	if !m.NotBefore.IsZero() {
		r.NotBefore = m.NotBefore.UnixMilli()
	}
	return r
}

// Enqueue queues a message in the caller's transaction; the queue wakes when that commits. It returns a *CapacityError
// when the message could not arrive in time, ErrStorageLow, or an *InvalidError.
func (g *Gateway) Enqueue(tx store.Txn, now time.Time, d Draft) (Message, error) {
	if g.cfg.StoreLow() {
		g.metrics.admission("storage")
		return Message{}, ErrStorageLow
	}
	parts, err := d.check(now, g.cfg.MaxParts)
	if err == nil {
		err = g.tooLong(&d, parts)
	}
	if err != nil {
		g.metrics.admission("invalid")
		return Message{}, err
	}
	rc, err := loadOr[recipientRecord](g, tx, g.recipientKey(d.To))
	if err != nil {
		return Message{}, err
	}
	if err := g.admit(tx, now, &d, parts); err != nil {
		return Message{}, err
	}
	id, err := g.ids.next(messagePrefix, now)
	if err != nil {
		return Message{}, err
	}
	m := d.message(id, now, parts)
	rc.mark(&m, now)
	if m.Unsure == "" {
		m.Unsure = g.cfg.UnsureText
		if m.Kind == KindCode {
			m.Unsure = g.cfg.UnsureCode
		}
	}
	if err := g.put(tx, now, "", &m); err != nil {
		return Message{}, err
	}
	if m.Account != "" {
		collect := m.NotAfter.Add(g.cfg.ReportWait + g.cfg.Retention + collectSlack)
		if err := tx.Set(g.accountKey(m.Account)+id, nil, collect); err != nil {
			return Message{}, err
		}
	}
	return m, nil
}

// tooLong refuses a message that no SIM could ever send within its quotas.
func (g *Gateway) tooLong(d *Draft, parts int) error {
	most, carried := 0, false
	for _, m := range g.modems {
		if m.carries(d.To) {
			l := m.limits()
			most, carried = max(most, shareOf(d.Lane, min(orUnlimited(l.day), orUnlimited(l.month)))), true
		}
	}
	if !carried || parts <= most {
		return nil
	}
	return &InvalidError{"text", fmt.Sprintf("needs %d parts, but of a day or a month a SIM gives it %d: shorten it, or raise per_day and per_month", parts, most)}
}

func (d *Draft) message(id string, now time.Time, parts int) Message {
	return Message{
		ID: id, To: d.To, Country: d.Country, Kind: d.Kind, Lane: d.Lane, Ref: d.Ref, Text: d.Text, Account: d.Account,
		Purpose: d.Purpose, Flash: d.Flash, Unsure: d.Unsure, Request: d.Request, Status: Queued, Parts: parts, CreatedAt: now, NotAfter: d.NotAfter,
	}
}

// put writes a message with everything that follows from its state: the queue's record, the event, the time when it is
// final for want of a report, and, once committed, the index and the metrics. was is the state before, empty: none.
func (g *Gateway) put(tx store.Txn, now time.Time, was Status, m *Message) error {
	var collect time.Time
	if m.Final() {
		collect = m.FinalAt.Add(g.cfg.Retention + collectSlack)
	}
	if err := store.Save(tx, messageKey(m.ID), *m, collect); err != nil {
		return err
	}
	if m.live() {
		if err := store.Save(tx, queueKey(m.ID), recordOf(m), time.Time{}); err != nil {
			return err
		}
	} else if was == Queued || was == Sending {
		if err := tx.Delete(queueKey(m.ID)); err != nil {
			return err
		}
	}
	if !m.live() && !m.Final() && m.Status != was {
		if err := g.makeDue(tx, now.Add(g.cfg.ReportWait), m.ID); err != nil {
			return err
		}
	}
	if was == Sending && (m.Status == Delivered || m.Status == Undelivered) { // its report came before its verdict
		if err := g.tell(tx, now, m, Sent); err != nil {
			return err
		}
	}
	if m.Status != was {
		if err := g.tell(tx, now, m, m.Status); err != nil {
			return err
		}
	}
	copied := *m
	tx.OnDone(func(committed bool) {
		if committed {
			g.follow(&copied, was, now)
		}
	})
	return nil
}

// follow brings index and metrics to what was committed.
func (g *Gateway) follow(m *Message, was Status, now time.Time) {
	g.metrics.moved(m, was)
	g.moved(m, was, now)
	id, err := parseID(messagePrefix, m.ID)
	if err != nil {
		g.cfg.Log.Error("message has no proper id", "message_id", m.ID)
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if m.Status == Queued {
		e := g.entry(recordOf(m))
		e.id = id
		g.queue.put(e, now)
		g.dueAt(e.dead())
		if was == "" {
			g.promise(e, now, m.To)
		}
	} else {
		g.queue.remove(id)
	}
	if m.Status == Queued || was == Queued && m.Status != Sending {
		nudge(g.work) // else nothing has changed for what waits
	}
}

// entry makes the index's view of a message. The caller holds mu.
func (g *Gateway) entry(r queueRecord) *entry {
	mask := g.mask(r.To)
	key := groupKey{mask: mask, shun: g.holding(r.Shun) & mask, pin: r.Pin}
	ref := g.keys[key]
	if ref == nil {
		ref = &key
		g.keys[key] = ref
	}
	return &entry{
		rcpt: maphash.String(g.seed, r.To), notAfter: r.NotAfter, notBefore: r.NotBefore, key: ref,
		lane: uint8(r.Lane), parts: uint8(min(r.Parts, 255)),
	}
}

// Cancel ends a queued message; one that is with a modem or final is left alone.
func (g *Gateway) Cancel(tx store.Txn, now time.Time, id string) error {
	m, err := g.Lookup(tx, id)
	if err != nil {
		return err
	}
	if m.Status != Queued {
		return ErrTooLate
	}
	m.end(now, Canceled, errCanceled)
	return g.put(tx, now, Queued, &m)
}

// Lookup returns a message.
func (g *Gateway) Lookup(tx store.Txn, id string) (Message, error) {
	if _, err := parseID(messagePrefix, id); err != nil {
		return Message{}, ErrNotFound
	}
	m, err := store.Load[Message](tx, messageKey(id))
	if isNotFound(err) {
		return m, ErrNotFound
	}
	return m, err
}

func (g *Gateway) accountKey(account string) string {
	return "gw/acct/" + g.cfg.Secrets.Pseudonym("account", account) + "/"
}
