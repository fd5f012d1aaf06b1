package operate

import (
	"context"
	"fmt"
	"io"
	"time"
)

type webhookCmd struct {
	List   webhookListCmd   `cmd:"" help:"List the webhooks: which are on, and what each has not taken yet."`
	Log    webhookLogCmd    `cmd:"" help:"Show the latest deliveries to a webhook."`
	Test   webhookTestCmd   `cmd:"" help:"Post a test event to a webhook and say how that went."`
	Replay webhookReplayCmd `cmd:"" help:"Post stored events to a webhook again."`
	Enable webhookEnableCmd `cmd:"" help:"Switch a webhook on again that had answered 410."`
}

type webhookListCmd struct {
	connection `embed:""`
	asJSON     `embed:""`
}

// Run prints the endpoints in the configuration's order.
func (c *webhookListCmd) Run(ctx context.Context, con *Console) error {
	daemon, err := c.dial(con)
	if err != nil {
		return err
	}
	all, err := daemon.Webhooks(ctx)
	if err != nil {
		return fmt.Errorf("list the webhooks: %w", err)
	}
	return c.print(con.out, all, func(w io.Writer) {
		row(w, "NAME", "STATE", "PENDING", "URL")
		for _, h := range all.Webhooks {
			state := "on"
			if !h.OffSince.IsZero() {
				state = "off since " + h.OffSince.UTC().Format(time.RFC3339)
			}
			row(w, h.Name, state, fmt.Sprint(h.Pending), h.URL)
		}
	})
}

type webhookLogCmd struct {
	connection `embed:""`
	asJSON     `embed:""`
	Name       string `arg:"" help:"The webhook's name."`
	Limit      int    `default:"20" help:"How many, newest first."`
}

// Run prints the latest deliveries.
func (c *webhookLogCmd) Run(ctx context.Context, con *Console) error {
	daemon, err := c.dial(con)
	if err != nil {
		return err
	}
	log, err := daemon.WebhookDeliveries(ctx, c.Name, c.Limit)
	if err != nil {
		return fmt.Errorf("read the deliveries: %w", err)
	}
	return c.print(con.out, log, func(w io.Writer) {
		row(w, "AT", "EVENT", "TRY", "OUTCOME", "STATUS", "TOOK")
		for _, d := range log.Deliveries {
			row(w, d.At.UTC().Format(time.RFC3339), d.Type, fmt.Sprint(d.Attempt), d.Outcome, fmt.Sprint(d.Status), fmt.Sprintf("%d ms", d.TookMS))
		}
	})
}

type webhookTestCmd struct {
	connection `embed:""`
	asJSON     `embed:""`
	Name       string `arg:"" help:"The webhook's name."`
}

// Help shows the command at work.
func (*webhookTestCmd) Help() string {
	return "Exit code 1: the endpoint did not take it.\n" + examples("otpost webhook test portal")
}

// Run posts a test event.
func (c *webhookTestCmd) Run(ctx context.Context, con *Console) error {
	daemon, err := c.dial(con)
	if err != nil {
		return err
	}
	d, err := daemon.TestWebhook(ctx, c.Name)
	if err != nil {
		return fmt.Errorf("test the webhook: %w", err)
	}
	err = c.print(con.out, d, func(w io.Writer) {
		fmt.Fprintf(w, "%s: %s, status %d, %d ms\n", c.Name, d.Outcome, d.Status, d.TookMS)
	})
	if err == nil && d.Outcome != "ok" {
		return fmt.Errorf("webhook %s did not take the test event: %s", c.Name, d.Outcome)
	}
	return err
}

type webhookReplayCmd struct {
	connection `embed:""`
	asJSON     `embed:""`
	Name       string        `arg:"" help:"The webhook's name."`
	Since      time.Duration `required:"" placeholder:"DURATION" help:"How far back, like 2h."`
}

// Help shows the command at work.
func (*webhookReplayCmd) Help() string {
	return "The endpoint tells repeats by their webhook-id.\n" + examples("otpost webhook replay portal --since 2h")
}

// Run has stored events posted again.
func (c *webhookReplayCmd) Run(ctx context.Context, con *Console) error {
	if c.Since <= 0 {
		return UsageError("--since must be a time span like 2h")
	}
	daemon, err := c.dial(con)
	if err != nil {
		return err
	}
	n, err := daemon.ReplayWebhook(ctx, c.Name, time.Now().Add(-c.Since))
	if err != nil {
		return fmt.Errorf("replay to the webhook: %w", err)
	}
	return c.print(con.out, n, func(w io.Writer) { fmt.Fprintf(w, "%d events will be posted again\n", n.Events) })
}

type webhookEnableCmd struct {
	connection `embed:""`
	Name       string `arg:"" help:"The webhook's name."`
}

// Run switches an endpoint on.
func (c *webhookEnableCmd) Run(ctx context.Context, con *Console) error {
	daemon, err := c.dial(con)
	if err != nil {
		return err
	}
	if err := daemon.EnableWebhook(ctx, c.Name); err != nil {
		return fmt.Errorf("switch the webhook on: %w", err)
	}
	_, err = fmt.Fprintf(con.out, "%s is on\n", c.Name)
	return err
}
