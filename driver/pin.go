package driver

import (
	"context"
	"fmt"
	"strconv"
)

// tryPIN enters the configured PIN, once per SIM. It refuses to when the SIM was tried before, or when the modem says that
// fewer than two attempts are left, or when no mark can be made.
func (s *session) tryPIN(context.Context) error {
	if s.m.cfg.SIMPIN == "" {
		return fmt.Errorf("%w: it asks for a PIN and sim_pin_file is not set", errSIMLocked)
	}
	sim := s.simKey()
	if sim == "" {
		return fmt.Errorf("%w: it asks for a PIN, and neither SIM nor modem tells a number to remember the attempt by; unlock it in a phone", errSIMLocked)
	}
	tried, err := s.m.cfg.PINs.Tried(sim)
	switch {
	case err != nil:
		return fmt.Errorf("%w: no PIN is tried: %w", errSIMLocked, err)
	case tried:
		return fmt.Errorf("%w: the PIN in sim_pin_file was refused before and is not tried again; correct it and remove the record of tried SIMs", errSIMLocked)
	}
	if left := s.attemptsLeft(); left == 0 || left == 1 {
		return fmt.Errorf("%w: %d PIN attempts left; unlock it in a phone", errSIMLocked, left)
	}
	s.caps.pinKey = sim // the ICCID may become readable with the PIN
	if err := s.m.cfg.PINs.Mark(sim); err != nil {
		return fmt.Errorf("%w: no PIN is tried: %w", errSIMLocked, err)
	}
	_, err = s.l.command("+CPIN="+strconv.Quote(s.m.cfg.SIMPIN), 2*commandTime)
	if err == nil {
		s.pinAccepted()
	}
	return s.fatal(err) // without an OK, +CPIN? tells whether it was right
}

// simKey names the SIM for the memory of tried PINs.
func (s *session) simKey() string {
	if s.caps.iccid = s.iccid(); s.caps.iccid != "" {
		s.m.change(func(st *Status) { st.ICCID = s.caps.iccid })
		return s.caps.iccid
	}
	if s.caps.imei != "" {
		return "imei:" + s.caps.imei
	}
	return ""
}

// pinAccepted takes the mark away, so that the PIN is entered again after the next power cut.
func (s *session) pinAccepted() {
	s.caps.pinTaken = true
	if err := s.m.cfg.PINs.Clear(s.caps.pinKey); err != nil {
		s.m.log.Warn("cannot note that the SIM took its PIN; it will not be entered after the next power cut", "error", err)
	}
}

// attemptsLeft asks the modem how many attempts the PIN has left; -1: it does not tell.
func (s *session) attemptsLeft() int {
	for _, cmd := range []string{"^CPIN?", "+SPIC", "+CPINR", "+QPINC?", "#PCT"} {
		info, err := s.l.command(cmd, commandTime)
		if err != nil {
			continue
		}
		if n := attempts(info); n >= 0 {
			return n
		}
	}
	return -1
}
