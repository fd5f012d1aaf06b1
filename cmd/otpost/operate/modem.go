package operate

import (
	"context"
	"fmt"
	"io"
	"strings"

	"otpost/api/wire"
)

type modemCmd struct {
	List   modemListCmd   `cmd:"" help:"List the modems of the daemon."`
	Show   modemShowCmd   `cmd:"" help:"Show one modem."`
	Pause  modemPauseCmd  `cmd:"" help:"Take a modem out of routing until it is resumed, over restarts."`
	Resume modemResumeCmd `cmd:"" help:"Put a modem back into routing."`
	Reset  modemResetCmd  `cmd:"" help:"Take a modem through its recovery; may take minutes."`
	USSD   modemUSSDCmd   `cmd:"" name:"ussd" help:"Dial a USSD code, as for the balance of a prepaid SIM."`
	Probe  modemProbeCmd  `cmd:"" help:"Look for modems on this machine's ports and print what to paste into the configuration."`
	At     modemAtCmd     `cmd:"" help:"Send AT commands to a port that no daemon uses."`
}

type modemListCmd struct {
	connection `embed:""`
	asJSON     `embed:""`
}

// Help shows the command at work.
func (*modemListCmd) Help() string {
	return examples("otpost modem list", "otpost modem list --json | jq '.modems[] | select(.state != \"ready\")'")
}

// Run lists the modems in the order of the configuration.
func (c *modemListCmd) Run(ctx context.Context, con *Console) error {
	daemon, err := c.dial(con)
	if err != nil {
		return err
	}
	all, err := daemon.Modems(ctx)
	if err != nil {
		return fmt.Errorf("list the modems: %w", err)
	}
	return c.print(con.out, all, func(w io.Writer) {
		row(w, "NAME", "STATE", "SIGNAL", "OPERATOR", "REGISTRATION", "QUEUE", "TODAY", "LEFT", "DEVICE")
		for _, m := range all.Modems {
			row(w, m.Name, modemState(m), strength(m), dash(m.Operator), dash(m.Registration), fmt.Sprint(m.Queue), fmt.Sprint(m.SentToday), left(m.DayLeft), dash(m.Device))
		}
		for _, m := range all.Modems {
			if m.State != "ready" && m.LastError != "" {
				fmt.Fprintf(w, "%s: %s\n", m.Name, m.LastError)
			}
		}
	})
}

func modemState(m wire.Modem) string {
	switch {
	case m.Paused:
		return m.State + ", paused"
	case m.Quarantined != "":
		return m.State + ", kept out: " + m.Quarantined
	}
	return m.State
}

func strength(m wire.Modem) string {
	if m.SignalDBm == 0 {
		return "-"
	}
	return fmt.Sprintf("%d dBm", m.SignalDBm)
}

func left(n *int) string {
	if n == nil {
		return "no limit"
	}
	return fmt.Sprint(*n)
}

// modemArg is what every command about one modem takes.
type modemArg struct {
	connection `embed:""`
	asJSON     `embed:""`
	Name       string `arg:"" help:"The modem's name in the configuration."`
}

func (c modemArg) show(con *Console, m *wire.Modem) error {
	return c.print(con.out, m, func(w io.Writer) {
		pair(w, "modem", m.Name)
		pair(w, "state", modemState(*m))
		pair(w, "since", clock(m.Since))
		pair(w, "device", m.Device)
		pair(w, "identity", strings.TrimSpace(m.Manufacturer+" "+m.Model+" "+m.Revision))
		pair(w, "IMEI", m.IMEI)
		pair(w, "ICCID", m.ICCID)
		pair(w, "operator", m.Operator)
		pair(w, "registration", m.Registration)
		pair(w, "signal", strength(*m))
		pair(w, "delivery reports", yesNo(m.Reports))
		pair(w, "storage", fmt.Sprintf("%d of %d", m.StorageUsed, m.StorageTotal))
		pair(w, "queue", m.Queue)
		pair(w, "sent today", m.SentToday)
		pair(w, "left today", left(m.DayLeft))
		pair(w, "left this minute", left(m.MinuteLeft))
		pair(w, "last good answer", clock(m.LastGoodAt))
		pair(w, "last error", m.LastError)
	})
}

type modemShowCmd struct {
	modemArg `embed:""`
}

// Run shows a modem.
func (c *modemShowCmd) Run(ctx context.Context, con *Console) error {
	daemon, err := c.dial(con)
	if err != nil {
		return err
	}
	m, err := daemon.Modem(ctx, c.Name)
	if err != nil {
		return fmt.Errorf("look at modem %s: %w", c.Name, err)
	}
	return c.show(con, m)
}

type modemPauseCmd struct {
	modemArg `embed:""`
}

// Run pauses a modem; what it is sending ends in peace.
func (c *modemPauseCmd) Run(ctx context.Context, con *Console) error {
	daemon, err := c.dial(con)
	if err != nil {
		return err
	}
	m, err := daemon.PauseModem(ctx, c.Name)
	if err != nil {
		return fmt.Errorf("pause modem %s: %w", c.Name, err)
	}
	return c.show(con, m)
}

type modemResumeCmd struct {
	modemArg `embed:""`
}

// Run resumes a modem.
func (c *modemResumeCmd) Run(ctx context.Context, con *Console) error {
	daemon, err := c.dial(con)
	if err != nil {
		return err
	}
	m, err := daemon.ResumeModem(ctx, c.Name)
	if err != nil {
		return fmt.Errorf("resume modem %s: %w", c.Name, err)
	}
	return c.show(con, m)
}

type modemResetCmd struct {
	modemArg `embed:""`
}

// Run resets a modem.
func (c *modemResetCmd) Run(ctx context.Context, con *Console) error {
	daemon, err := c.dial(con)
	if err != nil {
		return err
	}
	m, err := daemon.ResetModem(ctx, c.Name)
	if err != nil {
		return fmt.Errorf("reset modem %s: %w", c.Name, err)
	}
	return c.show(con, m)
}

type modemUSSDCmd struct {
	modemArg `embed:""`
	Code     string `arg:"" help:"The code to dial; - reads it from standard input, for top-up codes and the like."`
}

// Help shows the command at work.
func (*modemUSSDCmd) Help() string {
	return examples("otpost modem ussd sim800 '*100#'", "otpost modem ussd sim800 - < top-up-code")
}

// Run prints the network's answer.
func (c *modemUSSDCmd) Run(ctx context.Context, con *Console) error {
	code := c.Code
	if code == "-" {
		b, err := io.ReadAll(io.LimitReader(con.in, 1<<10))
		if err != nil {
			return fmt.Errorf("read the code: %w", err)
		}
		code = strings.TrimSpace(string(b))
	}
	daemon, err := c.dial(con)
	if err != nil {
		return err
	}
	text, err := daemon.DialUSSD(ctx, c.Name, code)
	if err != nil {
		return fmt.Errorf("dial on modem %s: %w", c.Name, err)
	}
	return c.print(con.out, wire.USSDAnswer{Answer: text}, func(w io.Writer) { fmt.Fprintln(w, oneLine(text)) })
}
