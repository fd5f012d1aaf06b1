package api

import (
	"context"
	"net/http"
	"time"

	"otpost/api/wire"
	"otpost/gateway"
)

// WebhookPath names an endpoint.
type WebhookPath struct {
	Name string `path:"name" maxLength:"64" doc:"The endpoint's name in the configuration." example:"portal"`
}

func (s *Server) webhookCalls() {
	const base = "/v1/webhooks"
	ops := []Scope{ScopeOps}
	register(s, call{id: "list-webhooks", method: http.MethodGet, path: base, tag: "events", may: ops,
		summary: "List the webhooks", about: "Which endpoints are on, and how many events each has not taken yet.",
		answer: wire.Webhooks{Webhooks: []wire.Webhook{{Name: "portal", URL: "https://portal.example/hooks/otpost"}}}}, s.listWebhooks)
	register(s, call{id: "list-deliveries", method: http.MethodGet, path: base + "/{name}/deliveries", tag: "events", may: ops,
		summary: "Look at a webhook's deliveries", about: "The latest attempts to post to it, newest first.", codes: []string{"not-found"},
		answer: wire.Deliveries{Deliveries: []wire.Delivery{exampleDelivery()}}}, s.listDeliveries)
	register(s, call{id: "test-webhook", method: http.MethodPost, path: base + "/{name}/test", tag: "events", once: true,
		summary: "Test a webhook", about: "Posts a webhook.test event at once and says how that went.", codes: []string{"not-found"},
		answer: exampleDelivery()}, s.testWebhook)
	register(s, call{id: "replay-webhook", method: http.MethodPost, path: base + "/{name}/replay", tag: "events", once: true,
		summary: "Post events again", about: "Puts the stored events since an instant into the endpoint's outbox again; it tells repeats by their webhook-id.",
		codes: []string{"not-found"}, example: map[string]any{"since": exampleTime(0)}, answer: wire.Replayed{Events: 12}}, s.replayWebhook)
	register(s, call{id: "enable-webhook", method: http.MethodPost, path: base + "/{name}/enable", tag: "events", status: http.StatusNoContent, once: true,
		summary: "Switch a webhook on again", about: "After it answered 410 and was switched off.", codes: []string{"not-found"}}, s.enableWebhook)
}

func (s *Server) listWebhooks(ctx context.Context, _ *struct{}) (*answer[wire.Webhooks], error) {
	all, err := s.cfg.Gateway.Webhooks(ctx)
	if err != nil {
		return nil, err
	}
	out := wire.Webhooks{Webhooks: []wire.Webhook{}}
	for _, w := range all {
		out.Webhooks = append(out.Webhooks, wire.Webhook{Name: w.Name, URL: w.URL, OffSince: w.Off.UTC(), Pending: w.Pending, OldestAt: w.Oldest.UTC()})
	}
	return &answer[wire.Webhooks]{out}, nil
}

func (s *Server) listDeliveries(ctx context.Context, in *struct {
	WebhookPath
	Limit int `query:"limit" minimum:"1" maximum:"500" default:"50" doc:"How many at most."`
}) (*answer[wire.Deliveries], error) {
	log, err := s.cfg.Gateway.WebhookLog(ctx, in.Name, in.Limit)
	if err != nil {
		return nil, err
	}
	out := wire.Deliveries{Deliveries: []wire.Delivery{}}
	for _, d := range log {
		out.Deliveries = append(out.Deliveries, deliveryOf(d))
	}
	return &answer[wire.Deliveries]{out}, nil
}

// webhookPatience is longer than one delivery may take.
const webhookPatience = 30 * time.Second

func (s *Server) testWebhook(ctx context.Context, in *WebhookPath) (*answer[wire.Delivery], error) {
	extendDeadlines(ctx, webhookPatience)
	d, err := s.cfg.Gateway.TestWebhook(ctx, in.Name)
	if err != nil {
		return nil, err
	}
	return &answer[wire.Delivery]{deliveryOf(d)}, nil
}

func (s *Server) replayWebhook(ctx context.Context, in *struct {
	WebhookPath
	Body wire.ReplayWebhook
}) (*answer[wire.Replayed], error) {
	n, err := s.cfg.Gateway.ReplayWebhook(ctx, in.Name, in.Body.Since)
	if err != nil {
		return nil, err
	}
	return &answer[wire.Replayed]{wire.Replayed{Events: n}}, nil
}

func (s *Server) enableWebhook(ctx context.Context, in *WebhookPath) (*nothing, error) {
	return nil, s.cfg.Gateway.EnableWebhook(ctx, in.Name)
}

func deliveryOf(d gateway.Delivery) wire.Delivery {
	return wire.Delivery{Event: d.Event, Type: d.Type, At: d.At.UTC(), Attempt: d.Attempt, Status: d.Status, Outcome: d.Outcome, TookMS: d.Took.Milliseconds()}
}

func exampleDelivery() wire.Delivery {
	return wire.Delivery{Event: "evt_01k9w3b5x8t2q4r6s7v9y0z1a2", Type: "account.sms_enabled", At: exampleTime(0), Attempt: 1, Status: 204, Outcome: "ok", TookMS: 42}
}
