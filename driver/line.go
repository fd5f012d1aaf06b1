package driver

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/warthog618/modem/at"
)

// Intervals of the AT line.
const (
	commandTime  = 5 * time.Second        // a modem answers housekeeping in this time, or is asked again
	markerTime   = 3 * time.Second        // for the query that proves that question and answer are in step
	drainQuiet   = 150 * time.Millisecond // this long a silence ends a drain
	drainLimit   = 2 * time.Second        // of a modem that never falls silent
	escapeGuard  = 20 * time.Millisecond  // between ESC and the next command
	markerTries  = 3
	marker       = "+CMGF?" // every SMS modem answers it, with its own prefix (27.005 3.2.3)
	earlyVerdict = time.Minute
)

var (
	errTimeout = errors.New("no answer in time")
	errReset   = errors.New("the modem restarted")
)

// line is one AT command line in step: whatever was asked before has been answered, or has been given up and is known to
// be. It belongs to one loop.
type line struct {
	at      *at.AT
	f       *filter
	port    io.Closer
	classes classTable
	late    time.Duration // how long a verdict waits behind Ctrl-Z
	prompt  time.Duration
	grace   time.Duration // of that wait when the daemon stops
	dirty   bool          // a command was given up: resynchronise before the next
	stale   bool          // at gave up just before the final came: it may still hold that final
	good    time.Time     // last sensible answer
	heard   func()        // takes the PDUs that come while a verdict is awaited; must not use the line
}

func newLine(p io.ReadWriteCloser, cfg Config, classes classTable) *line {
	f := newFilter(p, cfg.tap())
	f.chunk, f.gap = cfg.WriteChunk, cfg.WriteGap
	return &line{
		at: at.New(f, at.WithEscTime(escapeGuard)), f: f, port: p, classes: classes,
		late: cfg.LateWindow, prompt: cfg.PromptTimeout, grace: cfg.StopGrace, heard: func() {},
	}
}

// close closes the port and waits until at's goroutines have seen it.
func (l *line) close() error {
	err := l.port.Close()
	<-l.at.Closed()
	if errors.Is(err, os.ErrClosed) {
		return nil
	}
	return err
}

// command runs one command. Its error is a *Cause, errTimeout (then the answer so far is returned too), errReset or
// ErrHangup.
func (l *line) command(cmd string, limit time.Duration) ([]string, error) {
	if l.dirty || l.f.lost() {
		if err := l.resync(); err != nil {
			return nil, err
		}
	}
	r, err := l.exchange(cmd, limit)
	return r.info, err
}

// query runs a command and returns the lines that carry its prefix, without it. A modem that gives the answer and no OK
// (quirks Q42, Q46) is taken at its word.
func (l *line) query(cmd string) ([]string, error) { return l.queryFor(cmd, commandTime) }

func (l *line) queryFor(cmd string, limit time.Duration) ([]string, error) {
	info, err := l.command(cmd, limit)
	prefix := strings.TrimRight(cmd[:max(0, strings.IndexAny(cmd+"?", "?="))], "?=") + ":"
	var out []string
	for _, s := range info {
		if rest, ok := cutPrefixFold(s, prefix); ok {
			out = append(out, strings.TrimSpace(rest))
		}
	}
	if errors.Is(err, errTimeout) && len(out) > 0 {
		return out, nil
	}
	return out, err
}

func cutPrefixFold(s, prefix string) (string, bool) {
	if len(s) >= len(prefix) && strings.EqualFold(s[:len(prefix)], prefix) {
		return s[len(prefix):], true
	}
	return s, false
}

func (l *line) exchange(cmd string, limit time.Duration) (result, error) {
	l.flush()
	_, err := l.at.Command(cmd, at.WithTimeout(limit))
	if errors.Is(err, at.ErrClosed) {
		return result{}, ErrHangup
	}
	r := l.f.settle(l.f.current())
	l.stale = errors.Is(err, at.ErrDeadlineExceeded)
	switch {
	case r.broken == CodeHangup:
		return r, ErrHangup
	case r.broken != "":
		return r, errReset
	case r.final != "":
		l.good = time.Now()
		return r, l.verdict(r.final)
	case errors.Is(err, at.ErrDeadlineExceeded):
		l.dirty = true
		return r, errTimeout
	}
	l.dirty = true
	return r, writeError(err)
}

// flush lets at discard what it holds of a command whose timer ran out just before its final came: its guard time behind
// an ESC, which the filter keeps to itself, does that.
func (l *line) flush() {
	if !l.stale {
		return
	}
	l.stale = false
	l.f.mute(true)
	l.at.Escape()
	timer := time.NewTimer(escapeGuard)
	select {
	case <-timer.C:
	case <-l.at.Closed():
		timer.Stop()
	}
	l.f.mute(false)
}

// verdict turns a final result into nil or a *Cause.
func (l *line) verdict(final string) error {
	if code := finalCode(final); code != "" {
		return l.classes.cause(code)
	}
	return nil
}

func writeError(err error) error {
	if errors.Is(err, ErrHangup) || errors.Is(err, io.ErrClosedPipe) || errors.Is(err, os.ErrClosed) {
		return ErrHangup
	}
	return fmt.Errorf("%w: %w", errStuckWrite, err)
}

// resync brings questions and answers back in step after a command was given up: leave the editor, let the modem finish
// talking, then ask something whose answer carries its own name. A final that comes before that answer belongs to the
// command that was given up (libraries.md B 1 and 20).
func (l *line) resync() error {
	l.stale = false // ESC and drain are more than a flush
	l.at.Escape('\r', '\n')
	l.drain()
	for range markerTries {
		l.f.owing(1)
		r, err := l.exchange(marker, markerTime)
		switch {
		case errors.Is(err, ErrHangup), errors.Is(err, errReset), errors.Is(err, errStuckWrite):
			return err
		case !errors.Is(err, errTimeout), r.held > 1: // answered, or refused behind what was owed
			l.f.owing(0)
			l.f.lost() // what strayed in until now is behind us
			l.dirty = false
			return nil
		}
	}
	return ErrSilent
}

// drain waits until the modem has been silent for a moment.
func (l *line) drain() {
	for end := time.Now().Add(drainLimit); time.Now().Before(end); {
		left := drainQuiet - l.f.quietFor()
		if left <= 0 {
			return
		}
		timer := time.NewTimer(left)
		select {
		case <-timer.C:
		case <-l.at.Closed():
			timer.Stop()
			return
		}
	}
}

// submission is what became of one TPDU.
type submission struct {
	outcome   Outcome
	reference int // TP-MR, -1 when the modem did not tell
	code      string
	class     Class
	submitted time.Time
	err       error // the line is of no more use
}

// submit hands over one TPDU. Up to Ctrl-Z everything that goes wrong is a refusal that is safe to repeat; behind it only
// a final result is one, and its absence is Unknown. life ends when the message is dead, and then nothing of it leaves any
// more; ctx ends the wait for the result early, and only for a daemon that stops.
func (l *line) submit(ctx, life context.Context, tpdu []byte) submission {
	if l.dirty || l.f.lost() {
		if err := l.resync(); err != nil {
			return refusal(l.classes, errCode(err), err)
		}
	}
	l.flush()
	if life.Err() != nil {
		return refusal(l.classes, CodeCanceled, nil)
	}
	prompt := l.prompt
	if end, ok := life.Deadline(); ok {
		prompt = min(prompt, time.Until(end))
	}
	before := l.f.current()
	stopped := make(chan time.Time, 1)
	defer context.AfterFunc(ctx, func() { stopped <- time.Now() })()
	_, err := l.at.SMSCommand("+CMGS="+strconv.Itoa(len(tpdu)), pduHex(tpdu), at.WithTimeout(prompt))
	l.stale = errors.Is(err, at.ErrDeadlineExceeded)
	ex := l.f.current()
	if ex == before { // the port was gone before a byte of it was written: what stands there is the verdict of another
		return refusal(l.classes, CodeHangup, ErrHangup)
	}
	if sent := l.f.sent(ex); !sent.IsZero() {
		l.await(ex, sent, stopped)
	}
	return l.judge(ex, err)
}

// await waits behind Ctrl-Z for what is still missing: the final result, or a reason why there will be none. Reports are
// handed on meanwhile, for one of them may tell what the final result does not. A daemon that stops shortens the wait.
func (l *line) await(ex *exchange, sent time.Time, stopped <-chan time.Time) {
	timer := time.NewTimer(time.Until(sent.Add(l.late)))
	defer timer.Stop()
	for {
		select {
		case <-ex.done:
			return
		case <-timer.C:
			return
		case <-l.f.notify:
			l.heard()
		case at := <-stopped:
			timer.Reset(time.Until(at.Add(l.grace)))
		}
	}
}

func (l *line) judge(ex *exchange, err error) submission {
	r := l.f.settle(ex)
	if r.submitted.IsZero() {
		return l.unsubmitted(r, err)
	}
	s := submission{outcome: Unknown, reference: -1, submitted: r.submitted, code: r.broken}
	switch {
	case r.broken == CodeHangup:
		s.err = ErrHangup
	case r.broken != "":
		s.err = errReset
	case r.final == "":
		s.code, l.dirty = CodeTimeout, true
	case finalCode(r.final) == "":
		l.good = time.Now()
		s.outcome, s.reference = Accepted, reference(r.info)
	default:
		l.good = time.Now()
		s = l.refused(r, s)
	}
	return s
}

// refused judges an error behind Ctrl-Z. 350 after minutes is a modem that lost track, not a network that said no (quirk
// Q13 and table 3f), unless the operator classed it.
func (l *line) refused(r result, s submission) submission {
	cause := l.classes.cause(finalCode(r.final))
	s.outcome, s.code, s.class = Refused, cause.Code, cause.Class
	if _, classed := l.classes["cms-350"]; cause.Code == "cms-350" && !classed && time.Since(r.submitted) > earlyVerdict {
		s.outcome, s.class = Unknown, ClassNone
	}
	return s
}

// unsubmitted judges a hand-over that never got as far as Ctrl-Z.
func (l *line) unsubmitted(r result, err error) submission {
	switch {
	case r.broken == CodeHangup || errors.Is(err, at.ErrClosed):
		return refusal(l.classes, CodeHangup, ErrHangup)
	case r.broken != "":
		return refusal(l.classes, CodeReset, errReset)
	case r.final != "" && finalCode(r.final) != "":
		l.good = time.Now()
		cause := l.classes.cause(finalCode(r.final))
		return submission{outcome: Refused, reference: -1, code: cause.Code, class: cause.Class}
	case errors.Is(err, at.ErrDeadlineExceeded) || r.final != "":
		l.dirty = true
		return refusal(l.classes, CodeNoPrompt, nil)
	}
	l.dirty = true
	return refusal(l.classes, CodeWriteError, writeError(err))
}

// refusal is one of the driver's own, of class modem: nothing was submitted.
func refusal(t classTable, code string, err error) submission {
	s := submission{outcome: Refused, reference: -1, code: code, class: ClassModem, err: err}
	if class, ok := t[code]; ok {
		s.class = class
	}
	return s
}

func errCode(err error) string {
	switch {
	case errors.Is(err, ErrHangup):
		return CodeHangup
	case errors.Is(err, errReset):
		return CodeReset
	}
	return CodeNoPrompt
}

// reference finds TP-MR among the lines of an answer (quirk Q15), -1 when there is none.
func reference(info []string) int {
	for _, s := range info {
		rest, ok := cutPrefixFold(s, "+CMGS:")
		if !ok {
			continue
		}
		number, _, _ := strings.Cut(strings.TrimSpace(rest), ",")
		if n, err := strconv.Atoi(strings.TrimSpace(number)); err == nil && n >= 0 && n <= 255 {
			return n
		}
	}
	return -1
}
