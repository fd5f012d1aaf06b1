package operate

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"otpost/api/client"
	"otpost/api/wire"
	"otpost/cmd/otpost/bulk"
)

type sendCmd struct {
	connection `embed:""`
	asJSON     `embed:""`
	To         string        `arg:"" optional:"" help:"The number, E.164."`
	Text       string        `help:"The text; with --file {column} stands for the row's value. Without it the text is read from standard input."`
	TextFile   string        `placeholder:"FILE" help:"A file that holds the text." type:"existingfile"`
	File       string        `placeholder:"CSV" help:"Send to every number of this list; its first line names the columns: to, and text if each has its own." type:"existingfile"`
	Report     string        `placeholder:"FILE" help:"What became of each row; a later run goes on from it. Default: the list's name and .report." type:"path"`
	Priority   string        `enum:"low,normal,high" default:"normal" help:"low, normal or high; codes go before all of them."`
	TTL        time.Duration `default:"1h" help:"How long the text is worth sending, 10s to 72h."`
	Flash      bool          `help:"Shown at once and not stored by the phone."`
}

// Help shows the command at work.
func (*sendCmd) Help() string {
	return "One text, or one to each number of a list. A list is sent to its end even if rows are refused. What became of each row is in the report, " +
		"without numbers or texts; running the same command again sends only what is not with the daemon yet. Exit code 1: a row was refused or is in doubt.\n" +
		examples("otpost send +447700900123 --text 'Your parcel is at the desk.'", "otpost send +447700900123 < text.txt",
			"otpost send --file numbers.csv --text 'Dear {name}, we are closed on Friday.'")
}

// Run sends.
func (c *sendCmd) Run(ctx context.Context, con *Console) error {
	if (c.To == "") == (c.File == "") {
		return UsageError("give a number or --file, one of them")
	}
	if c.Report != "" && c.File == "" {
		return UsageError("--report goes with --file")
	}
	if c.TTL != c.TTL.Truncate(time.Second) || c.TTL < time.Second {
		return UsageError("--ttl is whole seconds, 10s to 72h")
	}
	daemon, err := c.dial(con)
	if err != nil {
		return err
	}
	message := wire.SendMessage{Priority: c.Priority, TTL: fmt.Sprintf("%ds", int(c.TTL.Seconds())), Flash: c.Flash}
	if c.File != "" {
		return c.list(ctx, con, daemon, message)
	}
	text, err := c.text(con)
	if err != nil {
		return err
	}
	message.To, message.Text = wire.Secret(c.To), wire.Secret(text)
	m, err := keyed{daemon}.Send(ctx, "send-"+rand.Text(), message)
	if err != nil {
		return fmt.Errorf("send: %w", err)
	}
	return c.print(con.out, m, func(w io.Writer) { fmt.Fprintf(w, "%s to %s is %s\n", m.ID, m.To, m.Status) })
}

// text is the text to send to one number.
func (c *sendCmd) text(con *Console) (string, error) {
	switch {
	case c.Text != "" && c.TextFile != "":
		return "", UsageError("give --text or --text-file, one of them")
	case c.Text != "":
		return c.Text, nil
	case c.TextFile != "":
		b, err := os.ReadFile(c.TextFile)
		return strings.TrimRight(string(b), "\r\n"), err
	case terminal(con.in):
		fmt.Fprintln(con.err, "The text, then Ctrl-D:")
	}
	b, err := io.ReadAll(io.LimitReader(con.in, 1<<16))
	if err != nil {
		return "", fmt.Errorf("read the text: %w", err)
	}
	if s := strings.TrimRight(string(b), "\r\n"); s != "" {
		return s, nil
	}
	return "", UsageError("there is no text; give --text, --text-file or standard input")
}

// list sends to every number of the list.
func (c *sendCmd) list(ctx context.Context, con *Console, daemon *client.Client, message wire.SendMessage) (err error) {
	template := c.Text
	if c.TextFile != "" {
		if template, err = c.text(con); err != nil {
			return err
		}
	}
	rows, err := readList(c.File, template)
	if err != nil {
		return err
	}
	name := c.Report
	if name == "" {
		name = c.File + ".report"
	}
	report, err := bulk.OpenReport(name)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, report.Close()) }()
	bar := &progress{w: con.err, on: terminal(con.err), total: len(rows)}
	job := bulk.Job{Rows: rows, Report: report, Sender: keyed{daemon}, Message: message, Progress: bar.show}
	tally, err := job.Run(ctx)
	bar.end()
	if perr := c.print(con.out, tally, func(w io.Writer) {
		fmt.Fprintf(w, "%d rows: %d accepted now, %d before, %d refused, %d twice in the list, %d in doubt; report: %s\n",
			tally.Rows, tally.Now, tally.Before, tally.Refused, tally.Twice, tally.Unknown, name)
	}); perr != nil {
		return perr
	}
	switch {
	case err != nil:
		return fmt.Errorf("send the list: %w; run it again to go on", err)
	case !tally.Good():
		return fmt.Errorf("not every row was accepted: %s says which and why; refused rows are tried again when you run it again", name)
	}
	return nil
}

// keyed sends under idempotency keys.
type keyed struct{ daemon *client.Client }

var _ bulk.Sender = keyed{}

// Send sends a text, once for each key.
func (k keyed) Send(ctx context.Context, key string, in wire.SendMessage) (*wire.Message, error) {
	return k.daemon.SendMessage(client.WithIdempotencyKey(ctx, key), in)
}

func readList(name, template string) ([]bulk.Row, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, fmt.Errorf("open the list: %w", err)
	}
	defer f.Close()
	rows, err := bulk.ReadList(f, template)
	if err != nil {
		return nil, fmt.Errorf("%s: %w; nothing was sent", name, err)
	}
	return rows, nil
}

// progress draws a bar on a terminal, and nothing elsewhere.
type progress struct {
	w     io.Writer
	on    bool
	total int
	drawn time.Time
}

// Look of the bar: it is drawn anew ten times a second at most.
const (
	barWidth = 30
	barEvery = 100 * time.Millisecond
)

func (p *progress) show(done int, t bulk.Tally) {
	if !p.on || done < p.total && time.Since(p.drawn) < barEvery {
		return
	}
	p.drawn = time.Now()
	full := barWidth * done / max(p.total, 1)
	fmt.Fprintf(p.w, "\r[%s%s] %d/%d, %d refused ", strings.Repeat("#", full), strings.Repeat(".", barWidth-full), done, p.total, t.Refused)
}

func (p *progress) end() {
	if p.on {
		fmt.Fprintln(p.w)
	}
}
