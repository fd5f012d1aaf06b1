package console

import (
	"net/http"
	"net/url"
	"slices"
	"time"

	"otpost/api/client"
	"otpost/api/wire"
)

const deliveriesShown = 100

func webhooks(q *request) error {
	all, err := q.api.Webhooks(q.Context())
	if err != nil {
		return err
	}
	return q.show("webhooks", q.console.words.text("webhooks.title"), all.Webhooks)
}

// webhookPage is one endpoint with its latest deliveries.
type webhookPage struct {
	wire.Webhook
	Path       string
	Deliveries []wire.Delivery
	Spans      []span
}

// span is a time to go back; its instant is fixed when the page is made, so that a form sent twice says the same twice.
type span struct {
	Text  string
	Since time.Time
}

func webhook(q *request) error {
	name := q.PathValue("name")
	all, err := q.api.Webhooks(q.Context())
	if err != nil {
		return err
	}
	i := slices.IndexFunc(all.Webhooks, func(h wire.Webhook) bool { return h.Name == name })
	if i < 0 {
		return q.sorry(http.StatusNotFound, "webhooks.none")
	}
	log, err := q.api.WebhookDeliveries(q.Context(), name, deliveriesShown)
	if err != nil {
		return err
	}
	p := webhookPage{Webhook: all.Webhooks[i], Path: webhookPath(name), Deliveries: log.Deliveries}
	for _, hours := range []int{1, 6, 24, 72, 168} {
		p.Spans = append(p.Spans, span{q.console.words.seconds(hours * 3600), q.console.now().Add(-time.Duration(hours) * time.Hour).UTC().Truncate(time.Second)})
	}
	return q.show("webhook", name, p)
}

func webhookPath(name string) string { return Base + "webhooks/" + url.PathEscape(name) }

// testWebhook posts a test event; what came of it is the first line of the page that follows.
func testWebhook(q *request) error {
	name := q.PathValue("name")
	d, err := q.api.TestWebhook(q.Context(), name)
	if err == nil && d.Outcome != "ok" {
		err = &client.Problem{Title: q.console.words.text("webhooks.test_failed"), Detail: d.Outcome}
	}
	took := int64(0)
	if d != nil {
		took = d.TookMS
	}
	return q.done(err, webhookPath(name), "webhooks.tested", took)
}

func enableWebhook(q *request) error {
	name := q.PathValue("name")
	return q.done(q.api.EnableWebhook(q.Context(), name), webhookPath(name), "webhooks.enabled")
}

func replayWebhook(q *request) error {
	name := q.PathValue("name")
	since, err := time.Parse(time.RFC3339, q.PostFormValue("since"))
	if err != nil {
		return q.done(&client.Problem{Title: q.console.words.text("webhooks.since_wrong")}, webhookPath(name), "webhooks.title")
	}
	done, err := q.api.ReplayWebhook(q.once(), name, since)
	n := 0
	if done != nil {
		n = done.Events
	}
	return q.done(err, webhookPath(name), "webhooks.replayed", n)
}
