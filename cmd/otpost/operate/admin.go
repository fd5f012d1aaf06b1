package operate

import (
	"context"
	"fmt"
	"io"
	"time"

	"otpost/api/wire"
)

type limitsCmd struct {
	Report limitsReportCmd `cmd:"" help:"What the limits refused, and where every destination stands with the pumping guard."`
}

type limitsReportCmd struct {
	connection `embed:""`
	asJSON     `embed:""`
	Days       int `default:"7" help:"How many days, 1 to 30."`
}

// Help shows the command at work.
func (*limitsReportCmd) Help() string {
	return "In mode observe the column WOULD counts what the pumping guard would have refused: look at it before you set pumping.mode to enforce.\n" +
		examples("otpost limits report --days 30")
}

// Run prints the report.
func (c *limitsReportCmd) Run(ctx context.Context, con *Console) error {
	daemon, err := c.dial(con)
	if err != nil {
		return err
	}
	r, err := daemon.LimitsReport(ctx, c.Days)
	if err != nil {
		return fmt.Errorf("report the limits: %w", err)
	}
	return c.print(con.out, r, func(w io.Writer) { printLimits(w, r) })
}

func printLimits(w io.Writer, r *wire.LimitsReport) {
	row(w, "DAY", "LIMIT", "COUNTRY", "REFUSED", "WOULD")
	for _, d := range r.Days {
		for _, l := range d.Lines {
			row(w, d.Day, l.Limit, dash(l.Country), fmt.Sprint(l.Refused), fmt.Sprint(l.WouldRefuse))
		}
	}
	fmt.Fprintf(w, "\nPumping guard, mode %s, the last 24 hours:\n", r.Mode)
	row(w, "DESTINATION", "UNVERIFIED", "VERIFIED", "BUDGET", "BLOCKED FOR")
	for _, d := range r.Destinations {
		row(w, d.Destination, fmt.Sprint(d.Unverified), fmt.Sprint(d.Verified), fmt.Sprint(d.Budget), (time.Duration(d.BlockedFor) * time.Second).String())
	}
	fmt.Fprint(w, "\nCodes that came back, of the last hundred or so:\n")
	row(w, "MODEM", "NUMBERS", "COUNTRY", "SENT", "VERIFIED")
	for _, c := range r.Conversions {
		row(w, c.Modem, c.Prefix+"…", dash(c.Country), fmt.Sprintf("%.1f", c.Sent), fmt.Sprintf("%.1f", c.Verified))
	}
}

type auditCmd struct {
	Verify auditVerifyCmd `cmd:"" help:"Check that the audit trail is whole: nothing missing, altered or moved."`
	Export auditExportCmd `cmd:"" help:"Print the audit trail as lines of JSON, oldest first."`
}

type auditVerifyCmd struct {
	connection `embed:""`
	asJSON     `embed:""`
}

// Help shows the command at work.
func (*auditVerifyCmd) Help() string {
	return "Note the hash it prints down elsewhere: a trail that was cut off at its end can only be told from that. Exit code 1: the trail is broken.\n" +
		examples("otpost audit verify")
}

// Run checks the trail.
func (c *auditVerifyCmd) Run(ctx context.Context, con *Console) error {
	daemon, err := c.dial(con)
	if err != nil {
		return err
	}
	r, err := daemon.CheckAudit(ctx)
	if err != nil {
		return fmt.Errorf("check the audit trail: %w", err)
	}
	err = c.print(con.out, r, func(w io.Writer) {
		pair(w, "good entries", r.Entries)
		pair(w, "last hash", r.LastHash)
	})
	if err == nil && !r.Good {
		err = fmt.Errorf("the audit trail is broken at entry %d: it %s", r.BrokenAt, r.Why)
	}
	return err
}

type auditExportCmd struct {
	connection `embed:""`
	From       uint64 `default:"1" help:"The number of the first entry."`
}

// Help shows the command at work.
func (*auditExportCmd) Help() string {
	return "Accounts, phones and addresses are pseudonyms.\n" +
		examples("otpost audit export > audit.jsonl", "otpost audit export --from 4712 | jq 'select(.outcome != \"ok\")'")
}

// auditPage is how many entries are asked for at once.
const auditPage = 1000

// Run prints the trail; it ends where the trail is broken.
func (c *auditExportCmd) Run(ctx context.Context, con *Console) error {
	if c.From < 1 {
		return UsageError("--from is 1 or more")
	}
	daemon, err := c.dial(con)
	if err != nil {
		return err
	}
	for from := c.From; from != 0; {
		page, err := daemon.Audit(ctx, from, auditPage)
		if err != nil {
			return fmt.Errorf("read the audit trail from entry %d: %w", from, err)
		}
		for _, e := range page.Entries {
			if err := printLine(con.out, e); err != nil {
				return err
			}
		}
		from = page.Next
	}
	return nil
}
