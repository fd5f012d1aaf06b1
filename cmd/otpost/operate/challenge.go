package operate

import (
	"context"
	"fmt"
	"io"
)

type challengeCmd struct {
	Show   challengeShowCmd   `cmd:"" help:"Show a challenge: where it stands, and how its text fares."`
	Cancel challengeCancelCmd `cmd:"" help:"Cancel a challenge: its code is worth nothing from then on."`
}

type challengeShowCmd struct {
	connection `embed:""`
	asJSON     `embed:""`
	ID         string `arg:"" help:"The challenge's id, chl_…"`
}

// Help shows the command at work.
func (*challengeShowCmd) Help() string {
	return examples("otpost challenge show chl_01k9w3b5x8t2q4r6s7v9y0z1a2")
}

// Run shows a challenge; nobody is shown its code.
func (c *challengeShowCmd) Run(ctx context.Context, con *Console) error {
	daemon, err := c.dial(con)
	if err != nil {
		return err
	}
	ch, err := daemon.Challenge(ctx, c.ID)
	if err != nil {
		return fmt.Errorf("look at challenge %s: %w", c.ID, err)
	}
	return c.print(con.out, ch, func(w io.Writer) {
		pair(w, "challenge", ch.ID)
		pair(w, "account", ch.Account)
		pair(w, "purpose", ch.Purpose)
		pair(w, "status", ch.Status)
		pair(w, "phone", ch.Phone)
		pair(w, "created at", clock(ch.CreatedAt))
		pair(w, "expires at", clock(ch.ExpiresAt))
		pair(w, "resend after", clock(ch.ResendAfter))
		pair(w, "sends left", ch.SendsLeft)
		pair(w, "attempts left", ch.AttemptsLeft)
		pair(w, "message", ch.Message.ID)
		pair(w, "message status", ch.Message.Status)
	})
}

type challengeCancelCmd struct {
	connection `embed:""`
	asJSON     `embed:""`
	ID         string `arg:"" help:"The challenge's id, chl_…"`
}

// Help shows the command at work.
func (*challengeCancelCmd) Help() string {
	return examples("otpost challenge cancel chl_01k9w3b5x8t2q4r6s7v9y0z1a2")
}

// Run cancels a challenge; a text that is still queued is not sent.
func (c *challengeCancelCmd) Run(ctx context.Context, con *Console) error {
	daemon, err := c.dial(con)
	if err != nil {
		return err
	}
	if err := daemon.CancelChallenge(ctx, c.ID); err != nil {
		return fmt.Errorf("cancel challenge %s: %w", c.ID, err)
	}
	return c.print(con.out, map[string]string{"id": c.ID, "status": "canceled"}, func(w io.Writer) { fmt.Fprintf(w, "challenge %s is canceled\n", c.ID) })
}
