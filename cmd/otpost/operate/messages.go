package operate

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"otpost/api/client"
	"otpost/api/wire"
)

type messagesCmd struct {
	List   messagesListCmd   `cmd:"" help:"List outgoing messages, newest first."`
	Show   messagesShowCmd   `cmd:"" help:"Show one message."`
	Cancel messagesCancelCmd `cmd:"" help:"Cancel a text that is still queued."`
}

// pageMost is the largest page that the daemon gives.
const pageMost = 200

type messagesListCmd struct {
	connection `embed:""`
	asJSON     `embed:""`
	Status     string `enum:",queued,sending,sent,delivered,undelivered,failed,expired,canceled,uncertain" default:"" help:"Only those that are queued, sending, sent, delivered, undelivered, failed, expired, canceled or uncertain."`
	Limit      int    `default:"50" help:"How many at most; 0: all."`
	Follow     bool   `short:"f" help:"Go on and print every change, until Ctrl-C."`
}

// Help shows the command at work.
func (*messagesListCmd) Help() string {
	return "Numbers are masked and texts are not shown; neither can be asked for.\n" +
		examples("otpost messages list --status uncertain", "otpost messages list --limit 0 --json > messages.json", "otpost messages list --follow")
}

// Run lists messages; with --json and --follow each change is one line of JSON.
func (c *messagesListCmd) Run(ctx context.Context, con *Console) error {
	if c.Limit < 0 {
		return UsageError("--limit is 0 or more")
	}
	daemon, err := c.dial(con)
	if err != nil {
		return err
	}
	if c.Follow {
		return c.follow(ctx, con, daemon)
	}
	all, err := listMessages(ctx, daemon, c.Status, c.Limit)
	if err != nil {
		return fmt.Errorf("list the messages: %w", err)
	}
	return c.print(con.out, wire.Messages{Messages: all}, func(w io.Writer) {
		row(w, "ID", "TO", "KIND", "STATUS", "MODEM", "PARTS", "CREATED", "ERROR")
		for _, m := range all {
			row(w, messageCells(m)...)
		}
	})
}

// follow prints the list, the oldest first, then every change. The stream is opened first, so that no change falls in
// between; one that the list shows already is not printed again.
func (c *messagesListCmd) follow(ctx context.Context, con *Console, daemon *client.Client) error {
	stream, err := daemon.OpenEvents(ctx, "")
	if err != nil {
		return fmt.Errorf("follow the messages: %w", err)
	}
	defer stream.Close()
	all, err := listMessages(ctx, daemon, c.Status, c.Limit)
	if err != nil {
		return fmt.Errorf("list the messages: %w", err)
	}
	listed := map[string]string{}
	for _, m := range slices.Backward(all) {
		if err := c.line(con, m); err != nil {
			return err
		}
		listed[m.ID] = m.Status
	}
	return stream.Follow(ctx, func(e wire.Event) error {
		id, ok := e.Data["message_id"].(string)
		if !ok || !strings.HasPrefix(e.Type, "message.") {
			return nil
		}
		m, err := daemon.Message(ctx, id)
		if err != nil || c.Status != "" && m.Status != c.Status || listed[id] == m.Status {
			return ignoreGone(err)
		}
		delete(listed, id)
		return c.line(con, *m)
	})
}

// line prints one message of a list that is followed.
func (c *messagesListCmd) line(con *Console, m wire.Message) error {
	if c.JSON {
		return printLine(con.out, m)
	}
	_, err := fmt.Fprintln(con.out, strings.Join(messageCells(m), "  "))
	return err
}

func messageCells(m wire.Message) []string {
	return []string{m.ID, m.To, m.Kind, m.Status, dash(m.Modem), fmt.Sprint(m.Parts), clock(m.CreatedAt), dash(m.Error)}
}

// ignoreGone lets a message pass that was erased between its event and the look at it.
func ignoreGone(err error) error {
	if p, ok := errors.AsType[*client.Problem](err); ok && p.Code == "not-found" {
		return nil
	}
	return err
}

// listMessages reads pages until limit messages are there (0: all).
func listMessages(ctx context.Context, daemon *client.Client, status string, limit int) ([]wire.Message, error) {
	all, page := []wire.Message{}, client.Page{Limit: pageMost}
	for {
		if limit > 0 {
			page.Limit = min(pageMost, limit-len(all))
		}
		got, err := daemon.Messages(ctx, status, page)
		if err != nil {
			return nil, err
		}
		all = append(all, got.Messages...)
		if got.Next == "" || limit > 0 && len(all) >= limit {
			return all, nil
		}
		page.Cursor = got.Next
	}
}

type messagesShowCmd struct {
	connection `embed:""`
	asJSON     `embed:""`
	ID         string `arg:"" help:"The message's id, msg_…"`
	Follow     bool   `short:"f" help:"Go on until the message has ended, and print every change."`
}

// Help shows the command at work.
func (*messagesShowCmd) Help() string {
	return "With --follow the exit code is 0 if the message was sent or delivered, 1 if it ended otherwise.\n" +
		examples("otpost messages show msg_01k9w3b5x8t2q4r6s7v9y0z1a2", "otpost messages show --follow msg_01k9w3b5x8t2q4r6s7v9y0z1a2")
}

// Run shows a message once, or until it has ended.
func (c *messagesShowCmd) Run(ctx context.Context, con *Console) error {
	daemon, err := c.dial(con)
	if err != nil {
		return err
	}
	if c.Follow {
		return c.follow(ctx, con, daemon)
	}
	m, err := daemon.Message(ctx, c.ID)
	if err != nil {
		return fmt.Errorf("look at message %s: %w", c.ID, err)
	}
	return c.show(con, m)
}

func (c *messagesShowCmd) show(con *Console, m *wire.Message) error {
	return c.print(con.out, m, func(w io.Writer) {
		pair(w, "message", m.ID)
		pair(w, "to", m.To)
		pair(w, "kind", m.Kind)
		pair(w, "status", m.Status)
		pair(w, "modem", m.Modem)
		pair(w, "parts", m.Parts)
		pair(w, "attempts", m.Attempts)
		pair(w, "error", m.Error)
		pair(w, "created at", clock(m.CreatedAt))
		pair(w, "sent at", clock(m.SentAt))
		pair(w, "delivered at", clock(m.DeliveredAt))
		pair(w, "not after", clock(m.NotAfter))
	})
}

// followEvery is how often a followed message is looked at: a look is one read on a local socket.
const followEvery = 250 * time.Millisecond

// follow prints the message at each change until it has ended.
func (c *messagesShowCmd) follow(ctx context.Context, con *Console, daemon *client.Client) error {
	tick := time.NewTicker(followEvery)
	defer tick.Stop()
	last := ""
	for {
		m, err := daemon.Message(ctx, c.ID)
		if err != nil {
			return fmt.Errorf("look at message %s: %w", c.ID, err)
		}
		if m.Status != last {
			if err := c.change(con, *m); err != nil {
				return err
			}
			last = m.Status
		}
		switch {
		case slices.Contains([]string{"failed", "expired", "canceled", "undelivered"}, m.Status):
			return fmt.Errorf("message %s is %s: %s", m.ID, m.Status, dash(m.Error))
		case m.Status == "delivered":
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
	}
}

func (c *messagesShowCmd) change(con *Console, m wire.Message) error {
	if c.JSON {
		return printLine(con.out, m)
	}
	_, err := fmt.Fprintf(con.out, "%s  %s  %s\n", clock(time.Now()), m.ID, m.Status)
	return err
}

type messagesCancelCmd struct {
	connection `embed:""`
	asJSON     `embed:""`
	ID         string `arg:"" help:"The message's id, msg_…"`
}

// Help shows the command at work.
func (*messagesCancelCmd) Help() string {
	return examples("otpost messages cancel msg_01k9w3b5x8t2q4r6s7v9y0z1a2")
}

// Run cancels a message; one that a modem has already is too late.
func (c *messagesCancelCmd) Run(ctx context.Context, con *Console) error {
	daemon, err := c.dial(con)
	if err != nil {
		return err
	}
	if err := daemon.CancelMessage(ctx, c.ID); err != nil {
		return fmt.Errorf("cancel message %s: %w", c.ID, err)
	}
	return c.print(con.out, map[string]string{"id": c.ID, "status": "canceled"}, func(w io.Writer) { fmt.Fprintf(w, "message %s is canceled\n", c.ID) })
}
