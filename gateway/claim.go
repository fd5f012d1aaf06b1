package gateway

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/oklog/ulid/v2"

	"otpost/driver"
	"otpost/gateway/store"
)

// claim moves a message from queued to sending, counts it against the SIM and renders its text, all in one transaction:
// only when that is durable may a byte reach the modem. nil: there is nothing to send.
func (g *Gateway) claim(ctx context.Context, m *modemState, e *entry) (j *job, err error) {
	err = g.update(ctx, func(tx store.Txn) error {
		var err error
		j, err = g.claimIn(tx, time.Now(), m, e)
		return err
	})
	return j, err
}

func (g *Gateway) claimIn(tx store.Txn, now time.Time, m *modemState, e *entry) (*job, error) {
	g.mu.Lock()
	sim, limits, iccid := m.simID(), m.limits(), m.status.ICCID
	g.mu.Unlock()
	msg, err := g.find(tx, formatID(messagePrefix, e.id))
	if err != nil || msg.Status != Queued {
		g.forget(tx, e.id)
		return nil, ignoreNotFound(err)
	}
	text, gone, err := g.text(tx, now, &msg)
	if err != nil || gone {
		return nil, err
	}
	parts := Parts(text)
	s, err := g.loadSIM(tx, now, sim)
	if err != nil {
		return nil, err
	}
	left := parts - msg.taken(iccid)
	if !s.allows(left, msg.Lane, limits) {
		g.regrow(tx, e, left)
		return nil, nil
	}
	piece := pieceOf(left, msg.Lane, limits)
	s.take(now, piece, limits)
	if err := g.saveSIM(tx, sim, s); err != nil {
		return nil, err
	}
	if msg.Parts = parts; parts > 1 && msg.ConcatRef == 0 {
		if msg.ConcatRef, err = g.concatRef(); err != nil {
			return nil, err
		}
	}
	i := msg.claim(now, m.name, iccid)
	j := &job{entry: e, id: msg.ID, attempt: i, parts: piece, iccid: iccid, notAfter: msg.NotAfter, lane: msg.Lane, submit: driver.Submit{
		To: msg.To, Text: text, ConcatRef: msg.ConcatRef, SkipParts: msg.Attempts[i].First, Again: msg.Attempts[i].Again, Flash: msg.Flash,
		Message: msg.ID, Request: msg.Request,
	}}
	g.takeOff(tx, m, flight{msg.ID, simOr(iccid, m.name), ending(msg.To)})
	return j, g.put(tx, now, Queued, &msg)
}

// claimNext claims what a modem is to send next in the transaction that settles what it had: the line between them is idle for
// one commit instead of two. Only a modem that has just sent is given something in this way, and by the scheduler's own rules;
// whenever there is more to weigh the scheduler does it, once the modem is free.
func (g *Gateway) claimNext(tx store.Txn, now time.Time, m *modemState) (*job, error) {
	e := g.pick(m, now)
	if e == nil {
		return nil, nil
	}
	defer tx.OnDone(func(bool) { // behind what the claim itself registers, and also if that panics
		g.mu.Lock()
		defer g.mu.Unlock()
		g.queue.back(e) // unless its claim is durable, or it is over
	})
	return g.claimIn(tx, now, m, e)
}

// takeOff lets reports find a hand-over as soon as it is durable: no byte of it has left by then. A claim may give others work:
// what it took was in their way, or it used up its modem's quota, and what waited for that modem need not any more.
func (g *Gateway) takeOff(tx store.Txn, m *modemState, f flight) {
	tx.OnDone(func(committed bool) {
		g.mu.Lock()
		defer g.mu.Unlock()
		if !committed {
			return
		}
		m.flight = f
		if g.short || !g.up(m, time.Now()) {
			nudge(g.work)
		}
	})
}

// text renders what is to be sent. gone says that the message has ended instead: its time is over, nobody waits for it
// any more, or its text cannot be made.
func (g *Gateway) text(tx store.Txn, now time.Time, m *Message) (text string, gone bool, err error) {
	if !now.Before(m.NotAfter) {
		m.expire(now)
		return "", true, g.put(tx, now, Queued, m)
	}
	if m.Kind == KindText {
		return m.Text, false, nil
	}
	text, err = g.cfg.Render(tx, now, *m)
	switch {
	case errors.Is(err, ErrMoot):
		m.end(now, Canceled, errMoot)
	case err != nil || text == "":
		g.cfg.Log.Error("text of a code was not made", "message_id", m.ID, "request_id", m.Request, "error", err)
		m.end(now, Failed, errRender)
	default:
		return text, false, nil
	}
	return "", true, g.put(tx, now, Queued, m)
}

// forget takes an entry out of the index whose message is not queued, or no longer.
func (g *Gateway) forget(tx store.Txn, id ulid.ULID) {
	tx.OnDone(func(committed bool) {
		g.mu.Lock()
		defer g.mu.Unlock()
		if committed {
			g.queue.remove(id)
		}
	})
}

// regrow corrects how many parts a taken entry is thought to need.
func (g *Gateway) regrow(tx store.Txn, e *entry, parts int) {
	tx.OnDone(func(bool) {
		g.mu.Lock()
		defer g.mu.Unlock()
		if e.ageSlot < 0 { // counted ones must leave as they came
			e.parts = uint8(min(parts, 255))
		}
	})
}

func (g *Gateway) concatRef() (uint8, error) {
	var b [1]byte
	if _, err := io.ReadFull(g.cfg.Random, b[:]); err != nil {
		return 0, fmt.Errorf("make a concatenation reference: %w", err)
	}
	return max(1, b[0]), nil
}
