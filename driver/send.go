package driver

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"
)

// faultLimit is how many refusals of class modem in a row send the modem into recovery.
const faultLimit = 3

// errBarren ends a session whose modem answers and does not send.
var errBarren = errors.New("the modem sends nothing and is started afresh")

// send serves one request and answers it, whatever happens.
func (s *session) send(r sendRequest) error {
	res, err := Result{Outcome: Refused, Class: ClassModem, Code: CodeCanceled, ICCID: s.caps.iccid}, error(nil)
	defer func() {
		res.Done = time.Now()
		r.done <- res
	}()
	switch {
	case r.ctx.Err() != nil:
		return nil
	case !s.ready:
		res.Code = CodeNotReady
		return nil
	case !s.handOver(true):
		return nil
	}
	defer s.handOver(false)
	parts, err := encode(r.submit, s.caps.reports > 0)
	if err != nil {
		res.Class, res.Code = ClassContent, CodeBadText
		if errors.Is(err, errRecipient) {
			res.Class, res.Code = ClassRecipient, CodeBadNumber
		}
		return nil
	}
	s.m.sending(true)
	s.alone(func() { res, err = s.hand(r.ctx, parts, r.submit) })
	if err != nil { // known before the verdict is, so that nobody sends into a session that is over
		s.m.serve(nil)
		s.m.change(func(st *Status) { st.State, st.LastError, st.Sending = stateAfter(err), reason(err), false })
	}
	return err
}

// hand submits the parts that are not out yet, back to back, for as long as the message lives.
func (s *session) hand(life context.Context, parts [][]byte, sub Submit) (Result, error) {
	res := Result{Outcome: Accepted, Parts: len(parts), ICCID: s.caps.iccid}
	for i, part := range parts[min(max(0, sub.SkipParts), len(parts)):] {
		last := sub.SkipParts+i == len(parts)-1
		if err := s.keepLinkOpen(!last || sub.More); err != nil {
			res.Outcome, res.Class, res.Code = Refused, ClassModem, errCode(err)
			return res, err
		}
		if end, ok := life.Deadline(); ok {
			stamp(part, time.Until(end))
		}
		one := s.part(life, part, sub)
		if !one.submitted.IsZero() {
			res.Submitted = one.submitted
		}
		if one.outcome == Refused && one.code == "cms-197" && sub.Again {
			one.outcome, one.class = Accepted, ClassNone // the network has this very message already: TP-RD did its work
		}
		if one.outcome != Accepted {
			res.Outcome, res.Class, res.Code = one.outcome, one.class, one.code
			return res, s.afterFault(one)
		}
		s.faults = 0
		s.m.ladder.sent()
		res.Taken++
		if one.reference >= 0 {
			res.References = append(res.References, uint8(one.reference))
		}
		if one.err != nil {
			return res, one.err
		}
		if !last && sub.Yield != nil && sub.Yield() {
			res.Outcome, res.Code = Refused, CodeYielded
			return res, nil
		}
	}
	return res, nil
}

// part submits one TPDU and measures it.
func (s *session) part(life context.Context, tpdu []byte, sub Submit) submission {
	start := time.Now()
	one := s.l.submit(s.ctx, life, tpdu)
	took := time.Since(start)
	s.m.barring.judge(&one, s.caps.iccid, sub.To, s.m.cfg.Classes)
	m := s.m.metrics
	m.submitSeconds.WithLabelValues(s.m.cfg.Name).Observe(took.Seconds())
	m.submits.WithLabelValues(s.m.cfg.Name, string(one.outcome), string(one.class)).Inc()
	level := slog.LevelDebug
	if one.outcome != Accepted {
		level = slog.LevelInfo
	}
	if s.m.log.Enabled(context.Background(), level) {
		s.m.log.Log(context.Background(), level, "part", "message_id", sub.Message, "request_id", sub.Request,
			"outcome", one.outcome, "class", one.class, "code", one.code, "took", took)
	}
	if one.class == ClassStorage {
		s.soon(task{"sweep", s.sweep})
	}
	return one
}

// afterFault decides whether a hand-over that was not accepted ends the session. Only faults of the modem count, and a
// wait that ran out: the line may still owe that result, so the port is opened afresh.
func (s *session) afterFault(one submission) error {
	switch {
	case one.err != nil:
		return one.err
	case one.code == CodeCanceled: // the message's fault, if anybody's
	case one.outcome == Unknown && one.code == CodeTimeout:
		s.m.unsettled = true
		return fmt.Errorf("%w: no result for %v", errBarren, s.m.cfg.LateWindow)
	case one.class == ClassModem || one.class == ClassUnknown && one.outcome == Refused:
		if s.faults++; s.faults >= faultLimit {
			return fmt.Errorf("%w: %s, %d times in a row", errBarren, one.code, s.faults)
		}
		s.soon(task{"alive", s.alive})
	default:
		s.faults = 0
	}
	return nil
}

// alive probes a modem that just failed, so that the next hand-over finds it in step or not at all.
func (s *session) alive(context.Context) error {
	_, err := s.l.command("", commandTime)
	return err
}

// keepLinkOpen sets +CMMS=2 once messages queue up, where the modem takes it (27.005 3.5.6): the radio link then stays up
// between them. Mode 2 lasts until the port is opened again.
func (s *session) keepLinkOpen(more bool) error {
	if s.caps.noCMMS || s.caps.linkOpen || !more {
		return nil
	}
	_, err := s.l.command("+CMMS=2", commandTime)
	var cause *Cause
	switch {
	case err == nil:
		s.caps.linkOpen = true
	case errors.As(err, &cause), errors.Is(err, errTimeout):
		s.caps.noCMMS = true // quirk Q51
	default:
		return err
	}
	return nil
}
