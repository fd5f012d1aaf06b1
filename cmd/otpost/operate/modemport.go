package operate

import (
	"context"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"
	"time"

	"otpost/driver"
)

type modemProbeCmd struct {
	asJSON `embed:""`
	Device []string `arg:"" optional:"" help:"Ports to look at; default: all serial ports that a modem may be on." type:"path"`
	Baud   int      `default:"115200" help:"The line speed."`
}

// Help shows the command at work.
func (*modemProbeCmd) Help() string {
	return "It opens the ports itself, so ports that a running daemon has are named and left alone. No SIM PIN is tried. Exit code 1: no modem was found.\n" +
		examples("otpost modem probe", "otpost modem probe /dev/ttyUSB2 --baud 9600")
}

// probed is what was found on one port.
type probed struct {
	Device       string `json:"device"`
	Error        string `json:"error,omitempty"`
	State        string `json:"state,omitempty"`
	Manufacturer string `json:"manufacturer,omitempty"`
	Model        string `json:"model,omitempty"`
	IMEI         string `json:"imei,omitempty"`
	ICCID        string `json:"iccid,omitempty"`
	Operator     string `json:"operator,omitempty"`
	Registration string `json:"registration,omitempty"`
	SignalDBm    int    `json:"signal_dbm,omitempty"`
	SMSC         bool   `json:"smsc"` // whether one is set
}

// probeTime bounds one port: a port on which nobody answers is given up in this time.
const probeTime = 30 * time.Second

// Run looks at each port in turn.
func (c *modemProbeCmd) Run(ctx context.Context, con *Console) error {
	ports := c.Device
	if len(ports) == 0 {
		ports = driver.Ports()
	}
	var all []probed
	found := 0
	for _, port := range ports {
		if !c.JSON {
			fmt.Fprintf(con.err, "looking at %s\n", port)
		}
		one := probe(ctx, port, c.Baud)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if one.Error == "" {
			found++
		}
		all = append(all, one)
	}
	if c.JSON {
		if err := PrintJSON(con.out, map[string]any{"ports": all}); err != nil {
			return err
		}
	} else {
		for _, one := range all {
			one.print(con.out)
		}
	}
	if found == 0 {
		return fmt.Errorf("no modem found on %d ports; is it plugged in, and may you open its port (group dialout)? otpost doctor says more", len(ports))
	}
	return nil
}

func probe(ctx context.Context, port string, baud int) probed {
	ctx, cancel := context.WithTimeout(ctx, probeTime)
	defer cancel()
	st, err := driver.Probe(ctx, port, baud)
	one := probed{Device: port}
	if err != nil {
		one.Error = err.Error()
		if errors.Is(err, context.DeadlineExceeded) {
			one.Error = port + ": it took too long to answer"
		}
		return one
	}
	one.State, one.Manufacturer, one.Model, one.IMEI, one.ICCID = string(st.State), st.Manufacturer, st.Model, st.IMEI, st.ICCID
	one.Operator, one.Registration, one.SignalDBm, one.SMSC = st.Operator, st.Registration, st.SignalDBm, st.SMSC != ""
	return one
}

// print writes the stanza for the configuration, with what was found as comments.
func (p probed) print(w io.Writer) {
	if p.Error != "" {
		fmt.Fprintf(w, "# %s\n", p.Error)
		return
	}
	fmt.Fprintf(w, "# %s: %s, SIM %s", p.Device, dash(strings.TrimSpace(p.Manufacturer+" "+p.Model)), dash(p.ICCID))
	switch p.State {
	case string(driver.StateSIMLocked):
		fmt.Fprint(w, ", locked: put its PIN into a file of mode 0600 and name that as sim_pin_file")
	case string(driver.StateSIMMissing):
		fmt.Fprint(w, ", no SIM inside")
	default:
		fmt.Fprintf(w, ", registration %s %s, %d dBm", dash(p.Registration), p.Operator, p.SignalDBm)
		if !p.SMSC {
			fmt.Fprint(w, ", no message centre (SMSC): the SIM needs one")
		}
	}
	fmt.Fprintf(w, "\n  - name: %s\n    device: %s\n", stanzaName(p), p.Device)
	if p.IMEI != "" {
		fmt.Fprintf(w, "    imei: \"%s\"\n", p.IMEI)
	}
}

var notName = regexp.MustCompile(`[^a-z0-9]+`)

// stanzaName makes a name out of model and the end of the IMEI, so that two sticks of one kind differ.
func stanzaName(p probed) string {
	name := notName.ReplaceAllString(strings.ToLower(p.Model), "")
	if name == "" {
		name = "modem"
	}
	if p.IMEI == "" {
		return name
	}
	return name + "-" + p.IMEI[max(0, len(p.IMEI)-4):]
}

type modemAtCmd struct {
	asJSON  `embed:""`
	Device  string        `arg:"" help:"The port." type:"path"`
	Command []string      `arg:"" help:"AT commands, with or without AT."`
	Baud    int           `default:"115200" help:"The line speed."`
	Timeout time.Duration `default:"10s" help:"How long the modem has to answer each."`
}

// Help shows the command at work.
func (*modemAtCmd) Help() string {
	return "For a port that no daemon uses; while one does, it is refused. Commands that open an editor or take a SIM's PIN are refused always. " +
		"Exit code 1: the modem refused a command or did not answer.\n" +
		examples("otpost modem at /dev/ttyUSB2 +CSQ '+COPS?'")
}

// Run sends the commands and prints the answers as the modem gave them.
func (c *modemAtCmd) Run(ctx context.Context, con *Console) error {
	answers, err := driver.Commands(ctx, c.Device, c.Baud, c.Timeout, c.Command...)
	if errors.Is(err, driver.ErrNotByHand) {
		return UsageError(err.Error())
	}
	if errors.Is(err, driver.ErrHeld) {
		err = fmt.Errorf("%w; if that is otpost serve, stop it first or use otpost modem show|reset|ussd", err)
	}
	if perr := c.print(con.out, answers, func(w io.Writer) {
		for _, a := range answers {
			row(w, a.Command)
			for _, line := range a.Lines {
				row(w, oneLine(line))
			}
			row(w, a.Result)
		}
	}); perr != nil {
		return perr
	}
	if err != nil {
		return err
	}
	if n := len(answers); n > 0 && answers[n-1].Result != "OK" {
		return fmt.Errorf("%s: the modem answered %s", answers[n-1].Command, answers[n-1].Result)
	}
	return nil
}
