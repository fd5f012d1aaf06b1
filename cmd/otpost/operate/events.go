package operate

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/oklog/ulid/v2"

	"otpost/api/client"
	"otpost/api/wire"
)

type eventsCmd struct {
	connection `embed:""`
	asJSON     `embed:""`
	Since      time.Duration `default:"1h" help:"How far to look back."`
	After      string        `placeholder:"ID" help:"Begin behind this event instead."`
	Type       []string      `placeholder:"TYPE" help:"Only events whose type begins so, like message. or modem.down; may be given more than once."`
	Follow     bool          `short:"f" help:"Go on until Ctrl-C."`
}

// Help shows the command at work.
func (*eventsCmd) Help() string {
	return "With --json each event is one line of JSON.\n" +
		examples("otpost events", "otpost events --follow --type modem.", "otpost events --since 720h --json > events.jsonl")
}

// Run prints events, the oldest first.
func (c *eventsCmd) Run(ctx context.Context, con *Console) error {
	daemon, err := c.dial(con)
	if err != nil {
		return err
	}
	after := c.After
	if after == "" {
		after = eventAt(time.Now().Add(-c.Since))
	}
	show := func(e wire.Event) error {
		if len(c.Type) > 0 && !slices.ContainsFunc(c.Type, func(t string) bool { return strings.HasPrefix(e.Type, t) }) {
			return nil
		}
		if c.JSON {
			return printLine(con.out, e)
		}
		_, err := fmt.Fprintln(con.out, eventLine(e))
		return err
	}
	if c.Follow {
		return daemon.Events(ctx, after, show)
	}
	return daemon.PastEvents(ctx, after, show)
}

// eventAt is the id of an event that happened at t at the earliest: ids begin with their time.
func eventAt(t time.Time) string {
	var u ulid.ULID
	if t.Before(time.UnixMilli(0)) || u.SetTime(ulid.Timestamp(t)) != nil {
		u = ulid.ULID{}
	}
	return "evt_" + strings.ToLower(u.String())
}

// eventLine is an event for people: when, what, and its facts in order.
func eventLine(e wire.Event) string {
	facts := []string{}
	for name, value := range e.Data {
		facts = append(facts, fmt.Sprintf("%s=%v", name, value))
	}
	slices.Sort(facts)
	if e.Account != "" {
		facts = append([]string{"account=" + e.Account}, facts...)
	}
	return strings.TrimSpace(clock(e.At) + "  " + e.Type + "  " + strings.Join(facts, " "))
}

type inboxCmd struct {
	connection `embed:""`
	asJSON     `embed:""`
	Limit      int  `default:"50" help:"How many at most."`
	Follow     bool `short:"f" help:"Go on and print every text that comes in, until Ctrl-C."`
}

// Help shows the command at work.
func (*inboxCmd) Help() string {
	return "What was sent to the modems' own numbers, in clear: it is what you asked to see.\n" +
		examples("otpost inbox", "otpost inbox --follow --json")
}

// Run lists inbound texts, newest first; with --follow the oldest first.
func (c *inboxCmd) Run(ctx context.Context, con *Console) error {
	if c.Limit < 1 || c.Limit > pageMost {
		return UsageError(fmt.Sprintf("--limit is 1 to %d", pageMost))
	}
	daemon, err := c.dial(con)
	if err != nil {
		return err
	}
	if c.Follow {
		return c.follow(ctx, con, daemon)
	}
	got, err := daemon.Inbox(ctx, client.Page{Limit: c.Limit})
	if err != nil {
		return fmt.Errorf("read the inbox: %w", err)
	}
	return c.print(con.out, got, func(w io.Writer) {
		row(w, "RECEIVED", "MODEM", "FROM", "TEXT")
		for _, m := range got.Messages {
			row(w, clock(m.ReceivedAt), m.Modem, m.From, oneLine(m.Text))
		}
	})
}

// follow prints what is there, then what comes. The stream is opened first, so that nothing falls in between.
func (c *inboxCmd) follow(ctx context.Context, con *Console, daemon *client.Client) error {
	stream, err := daemon.OpenEvents(ctx, "")
	if err != nil {
		return fmt.Errorf("follow the inbox: %w", err)
	}
	defer stream.Close()
	last := ""
	show := func(limit int) error {
		got, err := daemon.Inbox(ctx, client.Page{Limit: limit})
		if err != nil {
			return fmt.Errorf("read the inbox: %w", err)
		}
		last, err = c.newer(con, got.Messages, last)
		return err
	}
	if err := show(c.Limit); err != nil {
		return err
	}
	return stream.Follow(ctx, func(e wire.Event) error {
		if e.Type != "inbox.received" {
			return nil
		}
		return show(pageMost)
	})
}

// newer prints the texts behind the one named last, the oldest first, and returns the id of the newest.
func (c *inboxCmd) newer(con *Console, page []wire.InboxMessage, last string) (string, error) {
	for _, m := range slices.Backward(page) {
		if m.ID <= last {
			continue
		}
		last = m.ID
		var err error
		if c.JSON {
			err = printLine(con.out, m)
		} else {
			_, err = fmt.Fprintf(con.out, "%s  %s  %s  %s\n", clock(m.ReceivedAt), m.Modem, m.From, oneLine(m.Text))
		}
		if err != nil {
			return last, err
		}
	}
	return last, nil
}

// oneLine keeps a stranger's text on its line and its control characters off the terminal.
func oneLine(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n':
			return '⏎'
		case r < ' ' || r >= 0x7f && r < 0xa0:
			return '·'
		}
		return r
	}, s)
}
