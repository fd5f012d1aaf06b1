package driver

import (
	"context"
	"errors"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// plan queues the periodic looks that are due. Each is one short command.
func (s *session) plan(now time.Time) {
	s.due(now, 0, task{"registration", s.pollRegistration})
	s.due(now, 0, task{"signal", s.pollSignal})
	s.due(now, time.Minute, task{"operator", s.pollOperator})
	s.due(now, s.m.cfg.Sweep, task{"sweep", s.sweep})
	for i := range (len(s.m.debts) + debtsAtOnce - 1) / debtsAtOnce {
		s.soon(task{"debts" + strconv.Itoa(i), s.payDebts})
	}
}

func (s *session) due(now time.Time, every time.Duration, t task) {
	if last, ok := s.lazy[t.name]; ok && now.Sub(last) < every {
		return
	}
	s.lazy[t.name] = now
	s.soon(t)
}

// pollRegistration asks the three registrations, packet and circuit switched, and takes the best: each network tells the
// truth in another one.
func (s *session) pollRegistration(context.Context) error {
	best := RegistrationUnknown
	for _, cmd := range []string{"+CREG?", "+CEREG?", "+CGREG?"} {
		out, err := s.l.query(cmd)
		if err := s.fatal(err); err != nil {
			return err
		}
		for _, answer := range out {
			if r := registration(answer); rank(r) > rank(best) {
				best = r
			}
		}
		if best == RegistrationHome || best == RegistrationRoaming {
			break
		}
	}
	if best == RegistrationUnknown && s.ready {
		return nil // nothing was said: what an indication told stands
	}
	s.registered(best)
	return nil
}

// newsPace is how often an indication may cause a look: some modems answer the look with an indication (quirk Q49).
const newsPace = 2 * time.Second

// registrationNews takes a +CREG that came unasked: good news at its word, bad news as a reason to look, because one of
// the three registrations may be lost while another holds.
func (s *session) registrationNews(line string) {
	_, value, _ := strings.Cut(line, ":")
	switch r := registration(strings.TrimSpace(value)); r {
	case RegistrationHome, RegistrationRoaming:
		s.registered(r)
	default:
		s.due(time.Now(), newsPace, task{"registration news", s.pollRegistration})
	}
}

func (s *session) registered(best string) {
	s.ready = best == RegistrationHome || best == RegistrationRoaming
	s.m.change(func(st *Status) {
		st.Registration, st.State, st.LastGood, st.LastError = best, StateSearching, s.l.good, ""
		if s.ready {
			st.State = StateReady
		}
	})
}

func rank(registration string) int {
	switch registration {
	case RegistrationHome:
		return 5
	case RegistrationRoaming:
		return 4
	case RegistrationSearching:
		return 3
	case RegistrationDenied:
		return 2
	case RegistrationNone:
		return 1
	}
	return 0
}

var statField = regexp.MustCompile(`^0*([0-9]{1,2})$`)

// registration reads <stat> out of a +CREG answer in any of its shapes (quirk Q49): "0,1", "2,1,4CA,81DE445", "1" alone,
// `5,"25FF","1F"` (unsolicited: stat first), "002,001,…". The second field is stat when it looks like one.
func registration(answer string) string {
	fields := strings.Split(answer, ",")
	for i := range fields {
		fields[i] = strings.TrimSpace(fields[i])
	}
	stat := fields[0]
	if len(fields) > 1 && statField.MatchString(fields[1]) {
		stat = fields[1]
	} else if len(fields) == 3 && fields[1] == "" {
		return RegistrationUnknown // "2,,"
	}
	m := statField.FindStringSubmatch(stat)
	if m == nil {
		return RegistrationUnknown
	}
	n, _ := strconv.Atoi(m[1]) // two digits
	return registrationOf(n)
}

// registrationOf follows 27.007 7.2: 6 and 7 are for SMS only, 9 and 10 without CSFB preference.
func registrationOf(stat int) string {
	switch stat {
	case 1, 6, 9:
		return RegistrationHome
	case 5, 7, 10:
		return RegistrationRoaming
	case 2:
		return RegistrationSearching
	case 3:
		return RegistrationDenied
	case 0, 8, 11: // 8 and 11: emergency services only
		return RegistrationNone
	}
	return RegistrationUnknown
}

func (s *session) pollSIM(context.Context) error {
	state, err := s.simState()
	if err != nil {
		return err
	}
	if state != "READY" && state != "BUSY" {
		return errReinit
	}
	return nil
}

func (s *session) pollSignal(context.Context) error {
	cmd := "+CSQ"
	if s.caps.readCSQ {
		cmd = "+CSQ?"
	}
	out, err := s.l.query(cmd)
	var cause *Cause
	if errors.As(err, &cause) && !s.caps.readCSQ { // quirk Q50
		s.caps.readCSQ = true
		s.soon(task{"signal", s.pollSignal})
	}
	if err != nil || len(out) == 0 {
		return err
	}
	dbm := signal(out[0])
	s.m.change(func(st *Status) { st.SignalDBm = dbm })
	return nil
}

// signal turns <rssi> of +CSQ into dBm (27.007 8.5); 0: unknown.
func signal(answer string) int {
	first, _, _ := strings.Cut(answer, ",")
	n, err := strconv.Atoi(strings.TrimSpace(first))
	if err != nil || n < 0 || n > 31 {
		return 0
	}
	return -113 + 2*n
}

func (s *session) pollOperator(context.Context) error {
	out, err := s.l.query("+COPS?")
	if err != nil || len(out) == 0 {
		return err
	}
	name := operator(out[0])
	s.m.change(func(st *Status) { st.Operator = name })
	return nil
}

// operator reads the name out of `0,0,"Operator",7`, also as UCS-2 hexadecimal.
func operator(answer string) string {
	parts := strings.Split(answer, `"`)
	if len(parts) < 3 {
		return ""
	}
	if text, ok := ucs2Hex(parts[1]); ok {
		return clip(text, 64)
	}
	return clip(parts[1], 64)
}
