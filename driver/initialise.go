package driver

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"
)

// Bounds of starting up.
const (
	wakeTries  = 5               // AT until the first OK; the first is lost by some (quirk Q48)
	wakeTime   = 1 * time.Second // for each
	startLimit = 60 * time.Second
	simTime    = 2 * time.Second // for +CPIN?, which some answer without an OK (quirk Q46) and a busy SIM not at all
	startPause = 1 * time.Second // between two tries of what a starting modem refuses (quirks Q27, Q45)
)

// Errors that leave a modem open but of no use; Status.State tells which.
var (
	errSIMMissing = errors.New("no SIM: insert one, or check its contacts")
	errSIMLocked  = errors.New("the SIM is locked")
	errNoSMS      = errors.New("the modem does not do SMS in PDU mode on this port")
)

// initialise brings the line in step, learns who modem and SIM are, and prepares both for messages.
func (s *session) initialise(ctx context.Context) error {
	if err := s.wake(ctx); err != nil {
		return err
	}
	s.identify()
	if err := s.checkIMEI(); err != nil {
		return err
	}
	if err := s.sim(ctx); err != nil {
		return err
	}
	s.identifySIM()
	if err := s.messaging(ctx); err != nil {
		return err
	}
	s.routeReports()
	s.smsc()
	for _, cmd := range []string{"+CREG=1", "+CGREG=1", "+CEREG=1"} { // so that changes are told; polling does without
		if _, err := s.l.command(cmd, commandTime); s.fatal(err) != nil {
			return err
		}
	}
	s.lazy["registration"] = time.Now()
	if err := s.fatal(s.pollRegistration(ctx)); err != nil {
		return err
	}
	s.plan(time.Now())
	s.soon(task{"sweep", s.sweep})
	return nil
}

// wake ends whatever the last user of the port left behind (an open editor, stale bytes) and sets the line's habits.
func (s *session) wake(ctx context.Context) error {
	s.l.at.Escape('\r', '\n')
	s.l.drain()
	err := ErrSilent
	for range wakeTries {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		s.l.dirty = false // nothing is in step yet: resync comes at the end
		s.l.f.owing(0)
		if _, err = s.l.command("", wakeTime); !errors.Is(err, errTimeout) {
			break
		}
		err = ErrSilent
	}
	var cause *Cause
	if err != nil && !errors.As(err, &cause) {
		return err
	}
	for _, cmd := range []string{"Z", "E0", "V1", "+CMEE=1"} {
		if _, err := s.l.command(cmd, commandTime); s.fatal(err) != nil {
			return err
		}
	}
	return s.l.resync()
}

// identify reads who the modem is. None of it is needed to send.
func (s *session) identify() {
	maker, model := s.first1("+CGMI", "+GMI"), s.first1("+CGMM", "+GMM")
	revision := s.first1("+CGMR", "+GMR")
	s.caps.imei = digits(s.first1("+CGSN", "+GSN"), 14, 16)
	s.m.change(func(st *Status) {
		st.Manufacturer, st.Model, st.Revision, st.IMEI = maker, model, revision, s.caps.imei
	})
	if strings.Contains(strings.ToLower(maker), "huawei") {
		_, _ = s.l.command("^CURC=0", commandTime) // less chatter (quirk Q23); all of it is survived too
	}
}

// first1 returns the first line of the first command that gives one, without prefix and quotes.
func (s *session) first1(cmds ...string) string {
	for _, cmd := range cmds {
		info, err := s.l.command(cmd, commandTime)
		if err != nil && !errors.Is(err, errTimeout) || len(info) == 0 {
			continue
		}
		text := info[0]
		name := cmd[:max(0, strings.IndexAny(cmd+"?", "?="))]
		if rest, ok := cutPrefixFold(text, name+":"); ok {
			text = rest
		}
		return clip(strings.Trim(text, ` "`), 64)
	}
	return ""
}

func clip(s string, n int) string { return strings.ToValidUTF8(s[:min(len(s), n)], "") }

var digitRuns = regexp.MustCompile(`[0-9]+`)

// digits finds a run of low to high digits in s, empty when there is none.
func digits(s string, low, high int) string {
	for _, run := range digitRuns.FindAllString(s, -1) {
		if len(run) >= low && len(run) <= high {
			return run
		}
	}
	return ""
}

// iccid reads the SIM's number, which needs no PIN. Makers chose many names for it.
func (s *session) iccid() string {
	for _, cmd := range []string{"+CCID", "+QCCID", "+ICCID", "^ICCID?", "+CCID?", "+CICCID"} {
		info, err := s.l.command(cmd, commandTime)
		if err != nil {
			continue
		}
		if n := digits(strings.Join(info, " "), 18, 20); n != "" {
			return n
		}
	}
	info, err := s.l.command("+CRSM=176,12258,0,0,10", commandTime) // EF-ICCID (31.102), digits swapped
	if err != nil {
		return ""
	}
	return iccidOfFile(strings.Join(info, " "))
}

var crsm = regexp.MustCompile(`144 *, *0 *, *"?([0-9A-Fa-f]{20})`)

func iccidOfFile(answer string) string {
	m := crsm.FindStringSubmatch(answer)
	if m == nil {
		return ""
	}
	b := []byte(m[1])
	for i := 0; i+1 < len(b); i += 2 {
		b[i], b[i+1] = b[i+1], b[i]
	}
	return digits(string(b), 18, 20)
}

func (s *session) identifySIM() {
	imsi := digits(s.first1("+CIMI"), 14, 16)
	if s.caps.iccid == "" {
		s.caps.iccid = s.iccid()
	}
	s.m.change(func(st *Status) { st.IMSI, st.ICCID = imsi, s.caps.iccid })
}

// sim brings the SIM to READY, waiting for one that is still busy.
func (s *session) sim(ctx context.Context) error {
	tried := false
	for end := time.Now().Add(startLimit / 2); ; {
		state, err := s.simState()
		switch {
		case s.fatal(err) != nil:
			return err
		case state == "READY":
			if tried && !s.caps.pinTaken {
				s.pinAccepted()
			}
			return nil
		case state == "SIM PIN" && !tried:
			tried = true
			if err := s.tryPIN(ctx); err != nil {
				return err
			}
			continue
		case state == "SIM PIN" && s.caps.pinTaken && time.Now().Before(end): // some need a moment
		case state == "SIM PIN" || strings.Contains(state, "PUK") || strings.HasPrefix(state, "PH-"):
			return fmt.Errorf("%w: it asks for %s; unlock it in a phone", errSIMLocked, clip(state, 16))
		case state == "NOT INSERTED" || time.Now().After(end):
			return errSIMMissing
		}
		if err := pause(ctx, startPause); err != nil {
			return err
		}
	}
}

// simState asks +CPIN?: READY, SIM PIN, SIM PUK, …; NOT INSERTED; or BUSY when it is worth asking again.
func (s *session) simState() (string, error) {
	out, err := s.l.queryFor("+CPIN?", simTime)
	var cause *Cause
	switch {
	case len(out) > 0:
		state := strings.ToUpper(strings.Trim(out[len(out)-1], ` "`))
		if strings.Contains(state, "NOT INSERTED") {
			state = "NOT INSERTED"
		}
		return state, nil
	case errors.As(err, &cause):
		switch cause.Code {
		case "cme-10":
			return "NOT INSERTED", nil
		case "cme-11", "cms-311":
			return "SIM PIN", nil
		case "cme-12", "cms-316":
			return "SIM PUK", nil
		}
		return "BUSY", nil
	case err == nil:
		return "READY", nil // only OK (quirk Q46)
	}
	return "BUSY", err
}

// messaging sets PDU mode and the storage. A starting modem refuses both for a while.
func (s *session) messaging(ctx context.Context) error {
	for end := time.Now().Add(startLimit); ; {
		_, err := s.l.command("+CMGF=0", commandTime)
		if err == nil {
			break
		}
		if s.fatal(err) != nil {
			return err
		}
		if time.Now().After(end) {
			return errNoSMS
		}
		if err := pause(ctx, startPause); err != nil {
			return err
		}
	}
	_, _ = s.l.command("+CSMS=0", commandTime) // phase 2: reports and texts need no +CNMA (quirk Q40)
	if out, err := s.l.query("+CSMS?"); err == nil && len(out) > 0 {
		s.caps.acks = strings.HasPrefix(out[0], "1")
	}
	return s.fatal(s.chooseStorage())
}

// smsc reads the service centre's number, for the status; the PDU leaves it to the modem (quirk Q45).
func (s *session) smsc() {
	out, err := s.l.query("+CSCA?")
	if err != nil || len(out) == 0 {
		return
	}
	number := out[0]
	if parts := strings.Split(number, `"`); len(parts) >= 3 {
		number = parts[1]
	} else {
		number, _, _ = strings.Cut(number, ",")
	}
	if text, ok := ucs2Hex(number); ok {
		number = text
	}
	s.m.change(func(st *Status) { st.SMSC = clip(strings.TrimSpace(number), 24) })
}

// pause waits, or returns ctx's error.
func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
