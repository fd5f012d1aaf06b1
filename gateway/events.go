package gateway

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/oklog/ulid/v2"

	"otpost/gateway/store"
)

// eventPage is how many events one read of the stream takes.
const eventPage = 100

func eventKey(id string) string { return "gw/evt/" + id }

// Emit writes an event into the caller's transaction, for the stream and for every webhook endpoint.
func (g *Gateway) Emit(tx store.Txn, now time.Time, e Event) error {
	id, err := g.ids.next(eventPrefix, now)
	if err != nil {
		return err
	}
	e.ID, e.At = id, now
	collect := now.Add(g.cfg.Retention + collectSlack)
	if err := store.Save(tx, eventKey(id), e, collect); err != nil {
		return err
	}
	if e.Account != "" {
		if err := tx.Set(g.accountKey(e.Account)+id, nil, collect); err != nil {
			return err
		}
	}
	if err := g.post(tx, now, &e); err != nil {
		return err
	}
	tx.OnDone(func(committed bool) {
		if committed {
			g.events.raise()
		}
	})
	return nil
}

// tell emits the event of a message's new state, if there is one.
func (g *Gateway) tell(tx store.Txn, now time.Time, m *Message, s Status) error {
	switch s {
	case Sent, Delivered, Undelivered, Failed, Uncertain, Expired:
	default:
		return nil
	}
	data := map[string]any{"message_id": m.ID, "status": string(s), "kind": string(m.Kind), "parts": m.Parts, "attempts": len(m.Attempts)}
	for _, f := range [...]struct{ key, value string }{{"purpose", m.Purpose}, {"error", m.Error}, {"country", m.Country}, {"modem", m.modem()}} {
		if f.value != "" {
			data[f.key] = f.value
		}
	}
	return g.Emit(tx, now, Event{Type: "message." + string(s), Account: m.Account, Data: data})
}

// modem names the modem of the last attempt.
func (m *Message) modem() string {
	if n := len(m.Attempts); n > 0 {
		return m.Attempts[n-1].Modem
	}
	return ""
}

// Events calls f for each event after id (empty: from now on) as they are committed, until ctx is done or f fails.
func (g *Gateway) Events(ctx context.Context, after string, f func(Event) error) error {
	after, err := g.eventsFrom(ctx, after)
	if err != nil {
		return err
	}
	for {
		wake := g.events.wait()
		page, err := g.eventsAfter(ctx, after)
		if err != nil {
			return ignoreCanceled(ctx, err)
		}
		for _, e := range page {
			if err := f(e); err != nil {
				return err
			}
			after = e.ID
		}
		if len(page) == eventPage {
			continue
		}
		select {
		case <-ctx.Done():
			return nil
		case <-wake:
		}
	}
}

func (g *Gateway) eventsFrom(ctx context.Context, after string) (string, error) {
	if after == "" {
		return g.LastEvent(ctx)
	}
	if _, err := parseID(eventPrefix, after); err != nil {
		return "", &InvalidError{"after", "not the id of an event"}
	}
	return after, nil
}

// PastEvents calls f for each event after id (empty: for all that are kept) that was there when it was called, then
// returns nil.
func (g *Gateway) PastEvents(ctx context.Context, after string, f func(Event) error) error {
	if after == "" {
		after = beforeEvents()
	}
	if _, err := g.eventsFrom(ctx, after); err != nil {
		return err
	}
	last, err := g.LastEvent(ctx)
	if err != nil {
		return err
	}
	for {
		page, err := g.eventsAfter(ctx, after)
		if err != nil {
			return err
		}
		for _, e := range page {
			if e.ID > last {
				return nil
			}
			if err := f(e); err != nil {
				return err
			}
			after = e.ID
		}
		if len(page) < eventPage {
			return nil
		}
	}
}

// beforeEvents is an id that stands before all events.
func beforeEvents() string { return formatID(eventPrefix, ulid.ULID{}) }

// LastEvent returns the id of the newest event; without any, one that stands before all. What Events gives after it is all
// that happens from then on.
func (g *Gateway) LastEvent(ctx context.Context) (string, error) {
	id := beforeEvents()
	err := g.cfg.KV.View(ctx, func(tx store.Txn) error {
		return store.Keys(tx, store.Range{Prefix: "gw/evt/", Reverse: true}, func(key string) bool {
			id = key[len("gw/evt/"):]
			return false
		})
	})
	if err != nil {
		return "", fmt.Errorf("find the last event: %w", err)
	}
	return id, nil
}

func (g *Gateway) eventsAfter(ctx context.Context, after string) ([]Event, error) {
	var page []Event
	err := g.cfg.KV.View(ctx, func(tx store.Txn) error {
		page = page[:0]
		r := store.Range{Prefix: "gw/evt/", From: eventKey(after) + "\x00"}
		return scan(g, tx, r, func(_ string, e Event) bool {
			page = append(page, e)
			return len(page) < eventPage
		})
	})
	if err != nil {
		return nil, fmt.Errorf("read events: %w", err)
	}
	return page, nil
}

// loadEvent returns an event that may have been erased meanwhile.
func loadEvent(tx store.Txn, id string) (Event, bool, error) {
	e, err := store.Load[Event](tx, eventKey(id))
	if errors.Is(err, store.ErrNotFound) {
		return e, false, nil
	}
	return e, err == nil, err
}
