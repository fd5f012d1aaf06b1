package driver

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
)

// ErrNotByHand refuses a command that must not be typed at a modem; it is wrapped with the reason and the way to go.
var ErrNotByHand = errors.New("not by hand")

// Answer is what a modem said to one command.
type Answer struct {
	Command string
	Lines   []string
	Result  string // "OK" or the cause: "error", "cme-10", "cms-500"
}

// Commands opens a port that nobody else uses, sends AT commands (with or without "AT" before them) one after the other,
// and closes it. Each has limit to be answered. It ends at the first command that the modem refuses or does not answer.
// Commands that open an editor or take a SIM's PIN are refused beforehand with ErrNotByHand.
func Commands(ctx context.Context, device string, baud int, limit time.Duration, commands ...string) ([]Answer, error) {
	for _, c := range commands {
		if err := byHand(c); err != nil {
			return nil, err
		}
	}
	cfg, err := Config{Name: "at", Device: device, Baud: baud, Handler: noHandler{}}.withDefaults()
	if err != nil {
		return nil, err
	}
	p, err := openPort(device, cfg.Baud)
	if err != nil {
		return nil, err
	}
	l := newLine(p, cfg, builtinClasses())
	stop := context.AfterFunc(ctx, func() { _ = p.Close() }) // closed once more below, which says how it went
	answers, err := l.typed(limit, commands)
	if stop(); ctx.Err() != nil {
		err = ctx.Err()
	}
	if errors.Is(err, ErrSilent) {
		err = fmt.Errorf("%s: %w at %d baud; try the device's other ports, or another baud rate", device, ErrSilent, cfg.Baud)
	}
	return answers, errors.Join(err, l.close())
}

// typed runs commands in step.
func (l *line) typed(limit time.Duration, commands []string) ([]Answer, error) {
	if err := l.resync(); err != nil {
		return nil, err
	}
	var all []Answer
	for _, c := range commands {
		lines, err := l.command(bare(c), limit)
		a := Answer{Command: "AT" + bare(c), Lines: lines, Result: "OK"}
		var cause *Cause
		if errors.As(err, &cause) {
			a.Result = cause.Code
			return append(all, a), nil
		}
		if err != nil {
			return all, fmt.Errorf("%s: %w", a.Command, err)
		}
		all = append(all, a)
	}
	return all, nil
}

// bare is a command without its "AT".
func bare(c string) string {
	rest, _ := cutPrefixFold(strings.TrimSpace(c), "AT")
	return rest
}

func byHand(c string) error {
	if strings.ContainsFunc(c, func(r rune) bool { return r < ' ' || r > '~' }) {
		return fmt.Errorf("%w: a command holds printable ASCII only", ErrNotByHand)
	}
	c = strings.ToUpper(bare(c))
	switch {
	case strings.Contains(c, "+CMGS="), strings.Contains(c, "+CMGW="), strings.Contains(c, "+CMGC="):
		return fmt.Errorf("%w: the command waits for a text; use otpost send", ErrNotByHand)
	case strings.Contains(c, "+CPIN="), strings.Contains(c, "+CPWD="), strings.Contains(c, "+CLCK="):
		return fmt.Errorf("%w: a wrong PIN locks the SIM, and PINs do not belong on a command line; use sim_pin_file in the configuration", ErrNotByHand)
	}
	return nil
}
