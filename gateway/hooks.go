package gateway

import (
	"context"
	"fmt"
	"time"

	"github.com/oklog/ulid/v2"

	"otpost/gateway/store"
	"otpost/gateway/webhook"
)

// WebhookView is an endpoint as operators see it.
type WebhookView struct {
	Name    string
	URL     string
	Off     time.Time // since when it is switched off for a 410; zero: it is on
	Pending int       // events it has not taken; counted up to 10,000
	Oldest  time.Time // of those; zero: none
}

// Webhooks lists the endpoints in the order of the configuration.
func (g *Gateway) Webhooks(ctx context.Context) ([]WebhookView, error) {
	var views []WebhookView
	err := g.cfg.KV.View(ctx, func(tx store.Txn) error {
		views = views[:0]
		for _, hook := range g.cfg.Webhooks {
			h, err := loadOr[hookRecord](g, tx, hookKey(hook.Name))
			if err != nil {
				return err
			}
			v := WebhookView{Name: hook.Name, URL: hook.URL}
			if !h.on(hook.URL) {
				v.Off = h.Off
			}
			prefix := outPrefix(hook.Name)
			if err := store.Keys(tx, store.Range{Prefix: prefix}, func(key string) bool {
				if u, err := parseID(eventPrefix, key[len(prefix):]); err == nil && v.Pending == 0 {
					v.Oldest = u.Timestamp()
				}
				v.Pending++
				return v.Pending < maxReplay
			}); err != nil {
				return err
			}
			views = append(views, v)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("list webhooks: %w", err)
	}
	return views, nil
}

// WebhookLog returns the latest deliveries to an endpoint, newest first.
func (g *Gateway) WebhookLog(ctx context.Context, name string, limit int) ([]Delivery, error) {
	if _, err := g.hook(name); err != nil {
		return nil, err
	}
	var log []Delivery
	err := g.cfg.KV.View(ctx, func(tx store.Txn) error {
		log = log[:0]
		return scan(g, tx, store.Range{Prefix: hookLog(name), Reverse: true}, func(_ string, d Delivery) bool {
			log = append(log, d)
			return len(log) < pageSize(limit)
		})
	})
	if err != nil {
		return nil, fmt.Errorf("read the delivery log of webhook %s: %w", name, err)
	}
	return log, nil
}

func (g *Gateway) hook(name string) (webhook.Endpoint, error) {
	for _, hook := range g.cfg.Webhooks {
		if hook.Name == name {
			return hook, nil
		}
	}
	return webhook.Endpoint{}, fmt.Errorf("%q: %w", name, ErrNoEndpoint)
}

// TestWebhook posts a webhook.test event to an endpoint at once, outside its outbox, and returns how that went.
func (g *Gateway) TestWebhook(ctx context.Context, name string) (Delivery, error) {
	hook, err := g.hook(name)
	if err != nil {
		return Delivery{}, err
	}
	now := time.Now()
	id, err := g.ids.next(eventPrefix, now)
	if err != nil {
		return Delivery{}, err
	}
	e := Event{ID: id, Type: "webhook.test", At: now, Data: map[string]any{"endpoint": name}}
	body, err := eventBody(e)
	if err != nil {
		return Delivery{}, err
	}
	r := g.cfg.WebhookSender.Send(ctx, hook, id, now, body)
	d := Delivery{Event: id, Type: e.Type, At: now, Attempt: 1, Status: r.Status, Outcome: r.Reason, Took: r.Took}
	err = g.update(ctx, func(tx store.Txn) error { return g.logDelivery(tx, now, name, d) })
	return d, err
}

// ReplayWebhook puts the stored events since an instant into an endpoint's outbox again, at most 10,000, and returns how
// many. Endpoints tell repeats by the webhook-id.
func (g *Gateway) ReplayWebhook(ctx context.Context, name string, since time.Time) (int, error) {
	hook, err := g.hook(name)
	if err != nil {
		return 0, err
	}
	var from ulid.ULID
	if err := from.SetTime(ulid.Timestamp(since)); err != nil {
		return 0, &InvalidError{"since", "not a time that events can have"}
	}
	total, after := 0, formatID(eventPrefix, from)
	for total < maxReplay {
		n, last, err := g.replayPage(ctx, hook, after)
		if err != nil {
			return total, fmt.Errorf("replay to webhook %s: %w", name, err)
		}
		if total, after = total+n, last; last == "" {
			break
		}
	}
	g.events.raise()
	return total, nil
}

// replayPage takes one page of events behind after, and returns how many were wanted and the last one seen.
func (g *Gateway) replayPage(ctx context.Context, hook webhook.Endpoint, after string) (int, string, error) {
	page, err := g.eventsAfter(ctx, after)
	if err != nil || len(page) == 0 {
		return 0, "", err
	}
	n := 0
	err = g.update(ctx, func(tx store.Txn) error {
		n = 0
		h, err := loadOr[hookRecord](g, tx, hookKey(hook.Name))
		if err != nil {
			return err
		}
		if !h.on(hook.URL) {
			return ErrEndpointOff
		}
		for _, e := range page {
			if !hook.Wants(e.Type) {
				continue
			}
			if err := g.putOut(tx, time.Now(), hook.Name, &e); err != nil {
				return err
			}
			n++
		}
		return nil
	})
	return n, page[len(page)-1].ID, err
}

// EnableWebhook switches an endpoint on again that has answered 410.
func (g *Gateway) EnableWebhook(ctx context.Context, name string) error {
	hook, err := g.hook(name)
	if err != nil {
		return err
	}
	return g.update(ctx, func(tx store.Txn) error {
		return store.Save(tx, hookKey(name), hookRecord{URL: hook.URL}, time.Time{})
	})
}
