package driver

import (
	"context"
	"errors"
	"log/slog"
	"time"
)

// The ladder's pauses. A port is tried again at least every maxPause; the steps that restart hardware are far apart.
const (
	firstPause  = 500 * time.Millisecond
	maxPause    = 15 * time.Second
	absentPause = time.Second      // a missing port is looked for this often
	restartTime = 3 * time.Second  // a modem that was told to restart is left alone: it answers on for a moment
	firmTime    = 60 * time.Second // a port that has not been there this long is not reset
	cfunAfter   = 3                // openings in vain before the modem is told to restart
	busAfter    = 6                // before it is taken off the bus, or the hook runs
	firstRest   = 5 * time.Minute  // between two resets of the same kind, doubling
	maxRest     = time.Hour

	reopensLogged = 240 // of so many openings in vain one is told, after the first few: about one an hour
)

// ladder brings a modem back: resynchronise (in the line itself), open again, CFUN, USB, the operator's hook; each step is
// counted and logged. It belongs to the modem's loop.
type ladder struct {
	m       *Modem
	vain    int       // openings in a row that led nowhere
	barren  int       // sessions in a row that ended because the modem would not send, and nothing was sent since
	present time.Time // since when the port has been there
	rest    map[string]*resting
}

// resting keeps two resets of one kind apart.
type resting struct {
	until time.Time
	next  time.Duration
}

func newLadder(m *Modem) *ladder {
	return &ladder{m: m, rest: map[string]*resting{"cfun": {}, "usb": {}, "hook": {}}}
}

// healthy starts the ladder afresh, but for a modem that answers whatever it is asked and sends nothing.
func (l *ladder) healthy() {
	l.vain = 0
	if l.barren > 0 {
		return
	}
	for _, r := range l.rest {
		r.next = 0
	}
}

// sent says that the network took a message.
func (l *ladder) sent() { l.barren = 0 }

// height is how far up to climb: a modem that opens and does not send is as bad as one that does not open.
func (l *ladder) height() int { return max(l.vain, (l.barren-1)*cfunAfter) }

// count notes a step.
func (l *ladder) count(step string) {
	l.m.metrics.resets.WithLabelValues(l.m.cfg.Name, step).Inc()
	l.m.change(func(s *Status) { s.Resets[step]++ })
	level := slog.LevelInfo
	if step == "reopen" && l.vain > busAfter && l.vain%reopensLogged != 0 {
		level = slog.LevelDebug
	}
	l.m.log.Log(context.Background(), level, "modem recovery", "step", step, "openings_in_vain", l.vain)
}

// recover does what the end of a session calls for, and waits before the next.
func (l *ladder) recover(ctx context.Context, why error) {
	state := stateAfter(why)
	l.m.change(func(s *Status) {
		s.State, s.LastError, s.Registration, s.SignalDBm = state, reason(why), RegistrationUnknown, 0
	})
	now := time.Now()
	if state == StateAbsent {
		l.present, l.vain = time.Time{}, 0
		_ = pause(ctx, absentPause) // a done ctx is seen by the caller
		return
	}
	if l.present.IsZero() {
		l.present = now
	}
	if errors.Is(why, errReinit) || errors.Is(why, errReset) || errors.Is(why, errRestarting) {
		l.count("reinit")
		wait := l.pauseNow()
		if errors.Is(why, errRestarting) {
			wait = max(wait, restartTime)
		}
		_ = pause(ctx, wait) // as above
		l.vain++
		return
	}
	l.count("reopen")
	l.vain++
	if errors.Is(why, errBarren) {
		l.barren++
	}
	if firm := now.Sub(l.present) >= firmTime; firm && state == StateRecovering {
		l.climb(ctx, now)
	} else if firm && state == StateSIMMissing { // some notice a SIM only when they start (quirk Q52)
		l.restart(ctx, now)
	}
	_ = pause(ctx, l.pauseNow()) // as above
}

// pauseNow doubles from firstPause to maxPause.
func (l *ladder) pauseNow() time.Duration {
	return min(firstPause<<min(l.vain, 8), maxPause)
}

// climb takes the next reset that is due.
func (l *ladder) climb(ctx context.Context, now time.Time) {
	cfg := l.m.cfg
	switch {
	case l.height() >= busAfter && cfg.USBReset && l.may("usb", now):
		l.count("usb")
		if err := usbReset(ctx, cfg.Sysfs, l.m.Status().Device); err != nil {
			l.m.log.Warn("usb reset", "error", err)
		}
		l.present = time.Time{}
	case l.height() >= busAfter && len(cfg.ResetHook) > 0 && l.may("hook", now):
		l.count("hook")
		if err := runHook(ctx, cfg.ResetHook, cfg.HookLimit, cfg.Name, l.m.Status()); err != nil {
			l.m.log.Warn("reset hook", "error", err)
		}
		l.present = time.Time{}
	default:
		l.restart(ctx, now)
	}
}

// restart tells the modem to, if that is due.
func (l *ladder) restart(ctx context.Context, now time.Time) {
	if l.height() >= cfunAfter && l.may("cfun", now) {
		l.count("cfun")
		l.blindRestart(ctx)
	}
}

// may says whether a kind of reset is due, and starts its rest.
func (l *ladder) may(kind string, now time.Time) bool {
	r := l.rest[kind]
	if now.Before(r.until) {
		return false
	}
	r.next = min(max(firstRest, 2*r.next), maxRest)
	r.until = now.Add(r.next)
	return true
}

// blindRestart tells a modem that answers nothing to restart; some still listen.
func (l *ladder) blindRestart(ctx context.Context) {
	p, _, err := l.m.open(ctx)
	if err != nil {
		return
	}
	f := newLine(p, l.m.cfg, l.m.classes)
	f.at.Escape('\r', '\n')
	if _, err := f.command("+CFUN=1,1", commandTime); err != nil {
		l.m.log.Debug("restart command unanswered", "error", err)
	}
	if err := f.close(); err != nil {
		l.m.log.Debug("close", "error", err)
	}
}

// stateAfter says where a modem stands after a session ended so.
func stateAfter(err error) State {
	switch {
	case errors.Is(err, ErrAbsent), errors.Is(err, ErrHangup):
		return StateAbsent
	case errors.Is(err, ErrHeld), errors.Is(err, ErrNotSerial), errors.Is(err, ErrPermission), errors.Is(err, ErrBaud),
		errors.Is(err, errNoSMS), errors.Is(err, errWrongModem):
		return StateDown
	case errors.Is(err, errSIMMissing):
		return StateSIMMissing
	case errors.Is(err, errSIMLocked):
		return StateSIMLocked
	case errors.Is(err, errReinit), errors.Is(err, errRestarting):
		return StateStarting
	}
	return StateRecovering
}

// reason is the text of Status.LastError.
func reason(err error) string {
	if err == nil {
		return ""
	}
	return clip(err.Error(), 300)
}
