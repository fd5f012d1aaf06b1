package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"otpost/gateway/store"
	"otpost/gateway/webhook"
)

const (
	courierPage  = 500                // outbox records tried in one go
	courierLook  = 1000               // and looked at for them
	logFor       = 7 * 24 * time.Hour // how long the delivery log is kept
	firstTrouble = time.Second        // pause after an endpoint failed as such, growing to
	lastTrouble  = 5 * time.Minute
	maxReplay    = 10_000
)

var (
	// ErrNoEndpoint is returned for a name that no webhook endpoint has.
	ErrNoEndpoint = errors.New("no such webhook endpoint")
	// ErrEndpointOff is returned when an endpoint is to be used that has answered 410.
	ErrEndpointOff = errors.New("webhook endpoint is switched off: it answered 410; switch it on again first")
)

// WebhookSender posts one event. *webhook.Sender is one; it must be safe for concurrent use.
type WebhookSender interface {
	Send(ctx context.Context, e webhook.Endpoint, id string, now time.Time, body []byte) webhook.Result
}

var _ WebhookSender = (*webhook.Sender)(nil)

// An outRecord is an event that an endpoint has not taken yet. It is written with the event.
type outRecord struct {
	Order    string    `json:"order,omitempty"` // events of equal order go one after the other
	Failures int       `json:"failures,omitempty"`
	Next     time.Time `json:"next,omitzero"`
	Until    time.Time `json:"until"` // given up then
}

// A hookRecord is what is remembered of an endpoint.
type hookRecord struct {
	URL string    `json:"url"` // that the rest is about: another URL starts afresh
	Off time.Time `json:"off,omitzero"`
}

// Delivery is one line of the delivery log.
type Delivery struct {
	ID      string        `json:"id"`
	Event   string        `json:"event"`
	Type    string        `json:"type"`
	At      time.Time     `json:"at"`
	Attempt int           `json:"attempt"`
	Status  int           `json:"status,omitempty"`
	Outcome string        `json:"outcome"` // webhook.Result's reasons, or "gave-up"
	Took    time.Duration `json:"took"`
}

func outPrefix(name string) string    { return "gw/out/" + name + "/" }
func hookKey(name string) string      { return "gw/hook/" + name }
func hookLog(name string) string      { return "gw/log/" + name + "/" }
func (h hookRecord) on(u string) bool { return h.URL != u || h.Off.IsZero() }

// post puts an event into the outbox of every endpoint that wants it, in the transaction that causes it.
func (g *Gateway) post(tx store.Txn, now time.Time, e *Event) error {
	for _, hook := range g.cfg.Webhooks {
		if !hook.Wants(e.Type) {
			continue
		}
		h, err := loadOr[hookRecord](g, tx, hookKey(hook.Name))
		if err != nil {
			return err
		}
		if !h.on(hook.URL) {
			continue
		}
		if err := g.putOut(tx, now, hook.Name, e); err != nil {
			return err
		}
	}
	return nil
}

func (g *Gateway) putOut(tx store.Txn, now time.Time, name string, e *Event) error {
	r := outRecord{Order: g.orderOf(e), Until: now.Add(webhook.GiveUp)}
	return store.Save(tx, outPrefix(name)+e.ID, r, r.Until.Add(collectSlack))
}

// orderOf says which events go one after the other: those of an account, or of the message or modem that has none.
func (g *Gateway) orderOf(e *Event) string {
	if e.Account != "" {
		return g.cfg.Secrets.Pseudonym("account", e.Account)
	}
	for _, key := range []string{"message_id", "modem"} {
		if id, ok := e.Data[key].(string); ok && id != "" {
			return key + " " + id
		}
	}
	return e.ID
}

// A courier delivers to one endpoint. Its fields belong to its one goroutine.
type courier struct {
	g        *Gateway
	hook     webhook.Endpoint
	troubles int
	quiet    time.Time // until then the endpoint is left alone
	gone     bool
}

// deliverEvents delivers to one endpoint, until ctx is done: in order for each account, while an account whose event
// failed holds up no other.
func (g *Gateway) deliverEvents(ctx context.Context, hook webhook.Endpoint) error {
	c := &courier{g: g, hook: hook}
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		wake := g.events.wait()
		next, err := c.round(ctx)
		if err != nil && ctx.Err() == nil {
			return fmt.Errorf("webhook %s: %w", hook.Name, err)
		}
		if c.quiet.After(time.Now()) { // or each event would have the outbox read that fills up meanwhile
			next, wake = c.quiet, nil
		}
		timer.Reset(until(time.Now(), next))
		select {
		case <-ctx.Done():
			return nil
		case <-wake:
		case <-timer.C:
		}
	}
}

// An outgoing is an outbox record with its event's id.
type outgoing struct {
	id string
	outRecord
}

// round tries what is due and returns when more will be. Only the first record of each order counts; what is behind it is
// passed over, however much that is.
func (c *courier) round(ctx context.Context) (time.Time, error) {
	held := map[string]bool{}
	var next time.Time
	tried := false
	for from := outPrefix(c.hook.Name); from != ""; {
		p, err := c.page(ctx, from, held)
		if err != nil {
			return time.Time{}, err
		}
		if p.off {
			return time.Time{}, c.drop(ctx, p.records)
		}
		if len(p.records) > 0 && c.quiet.After(time.Now()) {
			return c.quiet, nil
		}
		from = p.rest
		due, n, err := c.walk(ctx, p.records, held)
		if err != nil || ctx.Err() != nil {
			return time.Time{}, ignoreCanceled(ctx, err)
		}
		if c.gone {
			return time.Now(), nil // the next round drops the rest
		}
		next, tried = sooner(next, due), tried || n > 0
	}
	if tried {
		return time.Now(), nil // look again: there may be more, and what failed knows its time
	}
	return next, nil
}

// walk tries what is due of one page. It returns when the first of the others will be, and how many it tried.
func (c *courier) walk(ctx context.Context, page []outgoing, held map[string]bool) (next time.Time, tried int, err error) {
	for _, o := range page {
		now := time.Now()
		switch {
		case ctx.Err() != nil || c.gone:
			return time.Time{}, tried, nil
		case held[o.Order]:
			continue
		case o.Next.After(now), c.quiet.After(now):
			next = sooner(next, later(o.Next, c.quiet))
			held[o.Order] = true
			continue
		}
		tried++
		ok, err := c.try(ctx, o)
		if err != nil {
			return time.Time{}, tried, err
		}
		held[o.Order] = held[o.Order] || !ok
	}
	return next, tried, nil
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// An outPage is a piece of the outbox.
type outPage struct {
	records []outgoing
	rest    string // the key at which the next piece begins; empty: there is none
	off     bool   // the endpoint is switched off
}

// page reads the oldest records of the outbox from a key on, those of held orders left out.
func (c *courier) page(ctx context.Context, from string, held map[string]bool) (p outPage, err error) {
	prefix, bad := outPrefix(c.hook.Name), ""
	err = c.g.cfg.KV.View(ctx, func(tx store.Txn) error {
		p, bad = outPage{}, ""
		h, err := loadOr[hookRecord](c.g, tx, hookKey(c.hook.Name))
		if err != nil {
			return err
		}
		p.off = !h.on(c.hook.URL)
		c.gone = p.off
		looked := 0
		return walk(tx, store.Range{Prefix: prefix, From: from}, func(key string, r outRecord) bool {
			if looked++; looked > courierLook {
				p.rest = key
				return false
			}
			if !held[r.Order] {
				p.records = append(p.records, outgoing{strings.TrimPrefix(key, prefix), r})
			}
			if len(p.records) == courierPage {
				p.rest = key + "\x00"
			}
			return len(p.records) < courierPage
		}, func(key string, _ error) bool {
			bad = key
			return false
		})
	})
	if bad != "" {
		return outPage{rest: from}, c.mend(ctx, strings.TrimPrefix(bad, prefix))
	}
	return p, err
}

// drop empties the outbox of an endpoint that is switched off.
func (c *courier) drop(ctx context.Context, page []outgoing) error {
	for len(page) > 0 {
		err := c.g.update(ctx, func(tx store.Txn) error {
			for _, o := range page {
				if err := tx.Delete(outPrefix(c.hook.Name) + o.id); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
		p, err := c.page(ctx, outPrefix(c.hook.Name), nil)
		if err != nil {
			return err
		}
		page = p.records
	}
	return nil
}

// try delivers one event and writes down how that went. It reports whether the event is out of the way.
func (c *courier) try(ctx context.Context, o outgoing) (bool, error) {
	var e Event
	var found bool
	err := c.g.cfg.KV.View(ctx, func(tx store.Txn) error {
		var err error
		e, found, err = loadEvent(tx, o.id)
		return err
	})
	if rotten(err) == eventKey(o.id) {
		c.g.cfg.Log.Error("event does not open and is not delivered", "event", o.id, "error", err)
		found, err = false, nil
	}
	if err != nil {
		return false, err
	}
	var r webhook.Result
	if found {
		body, err := eventBody(e)
		if err != nil {
			return false, err
		}
		r = c.g.cfg.WebhookSender.Send(ctx, c.hook, e.ID, time.Now(), body)
		if ctx.Err() != nil && !r.OK {
			return false, nil // the daemon stops: that is no failure of the endpoint
		}
		c.mood(r)
	}
	return c.note(ctx, o, e, found, r)
}

// mood leaves an endpoint alone for a while that fails whatever it is sent.
func (c *courier) mood(r webhook.Result) {
	if r.OK || r.Status != 0 && r.Status < 500 && r.Status != 429 {
		c.troubles, c.quiet = 0, time.Time{}
		return
	}
	c.troubles++
	c.quiet = time.Now().Add(max(r.RetryAfter, backoff(firstTrouble, lastTrouble, c.troubles)))
}

func (c *courier) note(ctx context.Context, o outgoing, e Event, found bool, r webhook.Result) (bool, error) {
	out := false
	err := c.g.update(ctx, func(tx store.Txn) error {
		out = true
		o := o // it may run several times
		now := time.Now()
		key := outPrefix(c.hook.Name) + o.id
		if !found {
			return tx.Delete(key) // erased meanwhile
		}
		d := Delivery{Event: e.ID, Type: e.Type, At: now, Attempt: o.Failures + 1, Status: r.Status, Outcome: r.Reason, Took: r.Took}
		switch {
		case r.OK:
		case r.Gone:
			if err := c.switchOff(tx, now); err != nil {
				return err
			}
		case now.Before(o.Until):
			out = false
			spread, err := c.g.spread()
			if err != nil {
				return err
			}
			o.Failures++
			o.Next = now.Add(max(r.RetryAfter, webhook.Delay(o.Failures, spread)))
			if err := store.Save(tx, key, o.outRecord, o.Until.Add(collectSlack)); err != nil {
				return err
			}
		default:
			d.Outcome = "gave-up"
		}
		if out {
			if err := tx.Delete(key); err != nil {
				return err
			}
		}
		return c.g.logDelivery(tx, now, c.hook.Name, d)
	})
	return out, err
}

// spread returns a number in [0, 1) for jitter.
func (g *Gateway) spread() (float64, error) {
	ref, err := g.concatRef()
	return float64(ref) / 256, err
}

// switchOff obeys a 410: nothing is added to the outbox any more, and what is in it is dropped.
func (c *courier) switchOff(tx store.Txn, now time.Time) error {
	c.g.cfg.Log.Warn("webhook endpoint answered 410 and is switched off", "endpoint", c.hook.Name)
	c.gone = true
	return store.Save(tx, hookKey(c.hook.Name), hookRecord{URL: c.hook.URL, Off: now}, time.Time{})
}

func (g *Gateway) logDelivery(tx store.Txn, now time.Time, name string, d Delivery) error {
	id, err := g.ids.next("", now)
	if err != nil {
		return err
	}
	d.ID = id
	tx.OnDone(func(committed bool) {
		if committed {
			g.metrics.webhook(name, d.Outcome)
		}
	})
	return store.Save(tx, hookLog(name)+id, d, now.Add(logFor))
}

// eventBody is an event as endpoints see it.
func eventBody(e Event) ([]byte, error) {
	b, err := json.Marshal(struct {
		Type      string         `json:"type"`
		Timestamp time.Time      `json:"timestamp"`
		Account   string         `json:"account,omitempty"`
		Data      map[string]any `json:"data"`
	}{e.Type, e.At.UTC(), e.Account, e.Data})
	if err != nil {
		return nil, fmt.Errorf("encode event: %w", err)
	}
	return b, nil
}
