package driver

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"
)

// Probe opens a port, asks who is there, and closes it. It changes nothing that outlives it and never enters a PIN. Its
// errors say what is wrong with the port and what to do.
func Probe(ctx context.Context, device string, baud int) (Status, error) {
	cfg, err := Config{Name: "probe", Device: device, Baud: baud, Handler: noHandler{}}.withDefaults()
	if err != nil {
		return Status{}, err
	}
	m := &Modem{
		cfg: cfg, classes: builtinClasses(), metrics: newMetrics(nil), log: slog.New(slog.DiscardHandler),
		status: Status{Name: "probe", Device: device, Resets: map[string]uint64{}, Since: time.Now()},
	}
	m.ladder = newLadder(m)
	p, err := openPort(device, cfg.Baud)
	if err != nil {
		return m.Status(), err
	}
	s := newSession(m, p)
	err = s.interrogate(ctx)
	if errors.Is(err, ErrSilent) {
		err = fmt.Errorf("%s: %w at %d baud; try the device's other ports, or another baud rate", device, ErrSilent, cfg.Baud)
	}
	return m.Status(), errors.Join(err, s.close())
}

// interrogate fills in the status as far as the modem answers.
func (s *session) interrogate(ctx context.Context) error {
	s.ctx = ctx
	if err := s.wake(ctx); err != nil {
		return err
	}
	s.m.change(func(st *Status) { st.State = StateInterrogated })
	s.identify()
	state, err := s.simState()
	if err := s.fatal(err); err != nil {
		return err
	}
	switch state {
	case "READY":
	case "NOT INSERTED", "BUSY":
		s.m.change(func(st *Status) { st.State = StateSIMMissing })
		return nil
	default:
		s.m.change(func(st *Status) { st.State = StateSIMLocked })
		return nil
	}
	s.identifySIM()
	if err := s.fatal(s.chooseStorage()); err != nil {
		return err
	}
	s.smsc()
	for _, look := range []func(context.Context) error{s.pollRegistration, s.pollSignal, s.pollOperator} {
		if err := s.fatal(look(ctx)); err != nil {
			return err
		}
	}
	s.m.change(func(st *Status) { st.State = StateInterrogated })
	return nil
}

// noHandler is the handler of a probe.
type noHandler struct{}

var _ Handler = noHandler{}

func (noHandler) Report(context.Context, string, Report) error   { return errKept }
func (noHandler) Inbound(context.Context, string, Inbound) error { return errKept }
func (noHandler) Changed(Status)                                 {}
