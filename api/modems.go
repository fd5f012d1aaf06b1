package api

import (
	"context"
	"net/http"
	"slices"
	"time"

	"otpost/api/wire"
	"otpost/gateway"
)

// modemPatience is how long a reset or a USSD dialogue may take.
const modemPatience = 3 * time.Minute

// ModemPath is the modem in a path.
type ModemPath struct {
	Name string `path:"name" maxLength:"64" pattern:"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$" patternDescription:"a modem's name" doc:"The modem's name." example:"sim800"`
}

func (s *Server) modemCalls() {
	const one = "/v1/modems/{name}"
	ops := []Scope{ScopeOps}
	register(s, call{id: "list-modems", method: http.MethodGet, path: "/v1/modems", tag: "modems", may: ops,
		summary: "List the modems", answer: wire.Modems{Modems: []wire.Modem{exampleModem()}}}, s.listModems)
	register(s, call{id: "get-modem", method: http.MethodGet, path: one, tag: "modems", may: ops,
		summary: "Look at a modem", codes: []string{"not-found"}, answer: exampleModem()}, s.getModem)
	register(s, call{id: "pause-modem", method: http.MethodPost, path: one + "/pause", tag: "modems", may: ops, once: true,
		summary: "Take a modem out of routing", about: "What it is sending ends in peace; the rest goes by other modems. Lasts until it is resumed, over restarts.",
		codes: []string{"not-found"}, answer: exampleModem()}, s.pauseModem)
	register(s, call{id: "resume-modem", method: http.MethodPost, path: one + "/resume", tag: "modems", may: ops, once: true,
		summary: "Put a modem back into routing", codes: []string{"not-found"}, answer: exampleModem()}, s.resumeModem)
	register(s, call{id: "reset-modem", method: http.MethodPost, path: one + "/reset", tag: "modems", may: ops, once: true,
		summary: "Take a modem through its recovery", codes: []string{"not-found", "modem-failed"}, answer: exampleModem()}, s.resetModem)
	register(s, call{id: "dial-ussd", method: http.MethodPost, path: one + "/ussd", tag: "modems", may: ops, once: true,
		summary: "Dial a USSD code", about: "For example to ask for the balance of a prepaid SIM.",
		codes: []string{"not-found", "modem-failed"}, example: map[string]any{"code": "*100#"}, answer: wire.USSDAnswer{Answer: "Your balance is 12.50"}}, s.dialUSSD)
	register(s, call{id: "trace-modem", method: http.MethodGet, path: one + "/trace", tag: "modems", may: ops,
		summary: "See what a modem says", about: "The latest lines of the AT exchange, without PDUs, texts, PINs, USSD and full numbers.",
		codes: []string{"not-found"}, answer: wire.Trace{Lines: []wire.TraceLine{{At: exampleTime(0), Direction: "to-modem", Line: "AT+CSQ"}}}}, s.traceModem)
}

func (s *Server) traceModem(ctx context.Context, in *ModemPath) (*answer[wire.Trace], error) {
	if _, err := s.getModem(ctx, in); err != nil {
		return nil, err
	}
	if s.cfg.Modems == nil {
		return nil, after(problem(codeUnavailable, "the modems cannot be reached from here"), time.Minute)
	}
	lines, err := s.cfg.Modems.Trace(in.Name)
	if err != nil {
		return nil, err
	}
	out := wire.Trace{Lines: make([]wire.TraceLine, len(lines))}
	for i, l := range lines {
		out.Lines[i] = wire.TraceLine{At: l.At.UTC(), Direction: string(l.Direction), Line: l.String()}
	}
	return &answer[wire.Trace]{out}, nil
}

func (s *Server) listModems(ctx context.Context, _ *struct{}) (*answer[wire.Modems], error) {
	views, err := s.cfg.Gateway.Modems(ctx)
	if err != nil {
		return nil, err
	}
	out := wire.Modems{Modems: make([]wire.Modem, len(views))}
	for i, v := range views {
		out.Modems[i] = modemOf(v)
	}
	return &answer[wire.Modems]{out}, nil
}

func (s *Server) getModem(ctx context.Context, in *ModemPath) (*answer[wire.Modem], error) {
	views, err := s.cfg.Gateway.Modems(ctx)
	if err != nil {
		return nil, err
	}
	i := slices.IndexFunc(views, func(v gateway.ModemView) bool { return v.Name == in.Name })
	if i < 0 {
		return nil, problem(codeNotFound, "there is no such modem")
	}
	return &answer[wire.Modem]{modemOf(views[i])}, nil
}

// withModem checks the name, does f and answers with the modem as it is then.
func (s *Server) withModem(ctx context.Context, in *ModemPath, f func() error) (*answer[wire.Modem], error) {
	if _, err := s.getModem(ctx, in); err != nil {
		return nil, err
	}
	if err := f(); err != nil {
		return nil, err
	}
	return s.getModem(ctx, in)
}

func (s *Server) pauseModem(ctx context.Context, in *ModemPath) (*answer[wire.Modem], error) {
	return s.withModem(ctx, in, func() error { return s.cfg.Gateway.Pause(ctx, in.Name) })
}

func (s *Server) resumeModem(ctx context.Context, in *ModemPath) (*answer[wire.Modem], error) {
	return s.withModem(ctx, in, func() error { return s.cfg.Gateway.Resume(ctx, in.Name) })
}

func (s *Server) resetModem(ctx context.Context, in *ModemPath) (*answer[wire.Modem], error) {
	return s.withModem(ctx, in, func() error {
		return s.control(ctx, func(ctx context.Context) error { return s.cfg.Modems.Reset(ctx, in.Name) })
	})
}

func (s *Server) dialUSSD(ctx context.Context, in *struct {
	ModemPath
	Body wire.USSD
}) (*answer[wire.USSDAnswer], error) {
	if _, err := s.getModem(ctx, &in.ModemPath); err != nil {
		return nil, err
	}
	var text string
	err := s.control(ctx, func(ctx context.Context) (err error) {
		text, err = s.cfg.Modems.USSD(ctx, in.Name, string(in.Body.Code))
		return err
	})
	if err != nil {
		return nil, err
	}
	return &answer[wire.USSDAnswer]{wire.USSDAnswer{Answer: text}}, nil
}

// control reaches into a modem with a patience of minutes. Its errors are the driver's own words and may be shown.
func (s *Server) control(ctx context.Context, f func(context.Context) error) error {
	if s.cfg.Modems == nil {
		return after(problem(codeUnavailable, "the modems cannot be reached from here"), time.Minute)
	}
	extendDeadlines(ctx, modemPatience)
	ctx, cancel := context.WithTimeout(ctx, modemPatience)
	defer cancel()
	stop := context.AfterFunc(s.drain, cancel)
	defer stop()
	if err := f(ctx); err != nil {
		return problem(codeModemFailed, err.Error())
	}
	return nil
}

func modemOf(v gateway.ModemView) wire.Modem {
	m := wire.Modem{Name: v.Name, State: string(v.State), Since: v.Since.UTC(), Paused: v.Paused, Quarantined: v.Quarantined, SignalDBm: v.SignalDBm,
		Operator: v.Operator, Registration: v.Registration, Device: v.Device, Manufacturer: v.Manufacturer, Model: v.Model, Revision: v.Revision,
		IMEI: v.IMEI, ICCID: v.ICCID, Reports: v.Reports, StorageUsed: v.StorageUsed, StorageTotal: v.StorageTotal, Queue: v.Queue,
		SentToday: v.SentToday, Resets: v.Resets, LastError: v.LastError, LastGoodAt: v.LastGood.UTC()}
	if v.DayLeft >= 0 {
		m.DayLeft = &v.DayLeft
	}
	if v.MonthLeft >= 0 {
		m.MonthLeft = &v.MonthLeft
	}
	if !v.BalanceAt.IsZero() {
		m.Balance, m.BalanceAt = &v.Balance, v.BalanceAt.UTC()
	}
	if v.MinuteLeft >= 0 {
		m.MinuteLeft = &v.MinuteLeft
	}
	return m
}
