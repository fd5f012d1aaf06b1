package gateway

import (
	"slices"
	"time"

	"otpost/driver"
)

// The rules of one message: pure functions of the record, the instant and what a modem said. Whoever calls them holds
// the transaction.

const (
	maxAttempts   = 24
	firstPause    = 2 * time.Second
	codePause     = time.Minute // the longest pause between attempts of a code
	textPause     = 15 * time.Minute
	unknownBefore = 1 // refusals of unknown cause that are still retried
)

// Stable codes of Message.Error that are not a modem's.
const (
	errExpired    = "expired-in-queue"
	errCanceled   = "canceled"
	errMoot       = "no-longer-wanted"
	errRender     = "text-failed"
	errAttempts   = "too-many-attempts"
	errOverdue    = "overdue"
	errRestart    = "restart"
	errReport     = "report"
	errStopped    = "stopped"
	errSIMChanged = "sim-changed"
)

// Final says whether nothing can happen to the message any more. Sent and Uncertain are final once their time to be
// settled by a report has passed.
func (m *Message) Final() bool { return !m.FinalAt.IsZero() }

// live says whether the message still is in the queue or with a modem.
func (m *Message) live() bool { return m.Status == Queued || m.Status == Sending }

// claim records that the message is about to be handed to a modem, and returns the attempt's place.
func (m *Message) claim(now time.Time, modem, iccid string) int {
	m.Attempts = append(m.Attempts, Attempt{
		Modem: modem, ICCID: iccid, Again: m.Again, First: m.taken(iccid), ClaimedAt: now,
	})
	m.Status, m.Again, m.NotBefore = Sending, false, time.Time{}
	return len(m.Attempts) - 1
}

// upTo is the part that comes next: also those parts count whose reference the modem did not tell ("OK" without +CMGS).
func (a Attempt) upTo() int { return a.First + max(a.Taken, len(a.References)) }

// taken returns how many parts the SIM has already got accepted.
func (m *Message) taken(iccid string) int {
	n := 0
	for _, a := range m.Attempts {
		if a.ICCID == iccid {
			n = max(n, a.upTo())
		}
	}
	return n
}

// own says whether a refusal is the gateway's or the caller's, so that it tells nothing of modem and SIM.
func own(code string) bool {
	switch code {
	case errExpired, errStopped, errSIMChanged, driver.CodeCanceled, driver.CodeYielded:
		return true
	}
	return false
}

// failedOn returns the SIMs that should only be tried again when there is no other.
func (m *Message) failedOn() []string {
	var sims []string
	if m.Shun != "" {
		sims = append(sims, m.Shun)
	}
	for _, a := range m.Attempts {
		if a.Outcome == driver.Refused && !own(a.Code) || a.Outcome == driver.Unknown {
			sims = append(sims, a.ICCID)
		}
	}
	return sims
}

// doubtful says whether some hand-over may have gone out without our knowing.
func (m *Message) doubtful() bool {
	for _, a := range m.Attempts {
		if a.Outcome == driver.Unknown && !m.settled(a) {
			return true
		}
	}
	return false
}

// nameless says whether parts went out, or may have, whose references nobody told: a report finds them by phone and time.
func (m *Message) nameless(a Attempt) bool {
	if a.Outcome == driver.Unknown {
		return a.First+len(a.References) < max(m.Parts, 1)
	}
	return len(a.References) < a.Taken
}

// settled says whether reports have shown that every part of an attempt went out.
func (m *Message) settled(a Attempt) bool {
	return len(a.Reports) > 0 && a.First+len(a.References) >= m.Parts
}

// end puts the message into a last state. What may have gone out without our knowing is uncertain, whatever else is
// given up: a report may still settle it.
func (m *Message) end(now time.Time, s Status, code string) {
	m.Status, m.Error, m.NotBefore, m.Again = s, code, time.Time{}, false
	if m.doubtful() {
		m.Status = Uncertain
		return
	}
	m.finish(now)
}

// finish closes the record: nothing more can happen, so its text goes.
func (m *Message) finish(now time.Time) {
	m.FinalAt, m.Text = now, ""
}

// expire ends a queued message whose deadline has passed.
func (m *Message) expire(now time.Time) { m.end(now, Expired, errExpired) }

// verdict records how attempt i ended and moves the message on. It reports false for a verdict that is known already.
func (m *Message) verdict(now time.Time, i int, r driver.Result) bool {
	a := &m.Attempts[i]
	if !a.DoneAt.IsZero() {
		return false
	}
	current := i == len(m.Attempts)-1 && m.Status == Sending
	a.Outcome, a.Class, a.Code, a.Taken, a.DoneAt = r.Outcome, r.Class, r.Code, r.Taken, r.Done
	a.learn(r)
	if a.DoneAt.IsZero() {
		a.DoneAt = now
	}
	if r.ICCID != "" {
		a.ICCID = r.ICCID
	}
	if r.Parts > 0 {
		m.Parts = r.Parts
	}
	switch {
	case m.Final():
	case r.Outcome == driver.Accepted:
		m.accepted(now, current, r)
	case r.Outcome == driver.Unknown && current:
		m.unsure(now)
	case r.Outcome == driver.Refused && (current || m.Status == Uncertain && !m.doubtful()):
		m.refused(now, r.Class, r.Code)
	case r.Outcome == driver.Refused && m.Status == Queued && !m.doubtful():
		m.Again = false // nothing of it went out: what waits is no second send
	}
	m.conclude(now)
	return true
}

// accepted: the network has every part. A late success while a second send is on its way leaves that one its verdict.
func (m *Message) accepted(now time.Time, current bool, r driver.Result) {
	if m.SentAt.IsZero() {
		m.SentAt = now
		if !r.Submitted.IsZero() {
			m.SentAt = r.Submitted
		}
	}
	if m.Status == Sending && !current {
		return
	}
	m.Status, m.Error, m.Text, m.Again, m.NotBefore = Sent, "", "", false, time.Time{}
}

// overdue marks the attempt in flight as one that may have gone out, although its modem may still tell. It reports
// false if the verdict has come meanwhile.
func (m *Message) overdue(now time.Time, i int, code string) bool {
	if m.Status != Sending || i != len(m.Attempts)-1 || !m.Attempts[i].DoneAt.IsZero() {
		return false
	}
	m.Attempts[i].Outcome, m.Attempts[i].Code = driver.Unknown, code
	m.unsure(now)
	return true
}

// unsure applies the policy: once more if that is allowed and worth while, else leave it be.
func (m *Message) unsure(now time.Time) {
	if !m.SentAt.IsZero() {
		m.Status, m.Text = Sent, "" // an earlier hand-over was accepted late
		return
	}
	m.Status = Uncertain
	for _, a := range m.Attempts {
		if a.Again {
			return
		}
	}
	if m.Unsure == ResendOnce && m.NotAfter.Sub(now) >= minResendLife {
		m.Status, m.Again = Queued, true
	}
}

// refused: it did not go out, so it may be tried again, there or elsewhere, unless the fault is the message's own.
func (m *Message) refused(now time.Time, class driver.Class, code string) {
	last := &m.Attempts[len(m.Attempts)-1]
	m.Again = last.Again && last.Outcome == driver.Refused
	switch {
	case !m.SentAt.IsZero():
		m.Status, m.Again, m.Text = Sent, false, ""
	case class == driver.ClassRecipient || class == driver.ClassContent,
		class == driver.ClassUnknown && m.count(driver.ClassUnknown) > unknownBefore:
		m.end(now, Failed, code)
	case !now.Before(m.NotAfter):
		m.expire(now)
	case code == driver.CodeYielded: // to a code: the rest goes behind it
		m.Status = Queued
	case len(m.Attempts) >= maxAttempts:
		m.end(now, Failed, errAttempts)
	default:
		m.Status, m.NotBefore = Queued, now.Add(m.pause(class))
	}
}

// count returns how many attempts were refused with the class.
func (m *Message) count(class driver.Class) int {
	n := 0
	for _, a := range m.Attempts {
		if a.Outcome == driver.Refused && a.Class == class {
			n++
		}
	}
	return n
}

// pause returns how long a refused message waits: a fault of modem or SIM is answered at once by another modem, a busy
// network is given time, and everything is given more with every attempt.
func (m *Message) pause(class driver.Class) time.Duration {
	n := len(m.Attempts)
	if class != driver.ClassNetwork {
		n--
	}
	if n == 0 {
		return 0
	}
	longest := textPause
	if m.Kind == KindCode {
		longest = codePause
	}
	return backoff(firstPause, longest, n)
}

// backoff returns first for n = 1, twice that for 2, and so on up to longest.
func backoff(first, longest time.Duration, n int) time.Duration {
	d := first
	for ; n > 1 && d < longest; n-- {
		d *= 2
	}
	return min(d, longest)
}

// report records what the network said of one part and moves the message on. part counts within the attempt.
func (m *Message) report(now time.Time, i, part int, r driver.Report) {
	a := &m.Attempts[i]
	if len(a.Reports) < len(a.References) {
		a.Reports = append(a.Reports, make([]PartReport, len(a.References)-len(a.Reports))...)
	}
	if old := a.Reports[part]; old.final() {
		return
	}
	a.Reports[part] = PartReport{Status: r.Status, At: now}
	if a.Outcome == driver.Unknown && m.settled(*a) && m.SentAt.IsZero() {
		m.SentAt = now // it went out after all, whatever becomes of a second send
	}
	m.conclude(now)
}

// conclude draws the conclusion from the reports: delivered when every part is, undelivered when some part has failed
// in every attempt. Until then a report shows at least that an uncertain message went out. While a hand-over is under
// way its verdict comes first.
func (m *Message) conclude(now time.Time) {
	if m.Final() || m.Status == Sending || !m.reported() {
		return
	}
	done, lost := 0, false
	_, begun := m.begun()
	for p := range max(m.Parts, 1) {
		switch m.fate(p) {
		case partDelivered:
			done++
		case partFailed:
			lost = true
		}
	}
	switch {
	case done >= m.Parts:
		m.conclusion(now, Delivered, "")
		m.DeliveredAt = now
		m.finish(now)
	case lost:
		m.conclusion(now, Undelivered, errReport)
		m.finish(now)
	case m.Status != Sent && !m.doubtful() && !begun:
		m.conclusion(now, Sent, "")
		m.Text = ""
	}
}

func (m *Message) conclusion(now time.Time, s Status, code string) {
	if m.SentAt.IsZero() {
		m.SentAt = now
	}
	m.Status, m.Error, m.NotBefore, m.Again = s, code, time.Time{}, false
}

func (m *Message) reported() bool {
	for _, a := range m.Attempts {
		if len(a.Reports) > 0 {
			return true
		}
	}
	return false
}

type partFate int

const (
	partOpen partFate = iota
	partDelivered
	partFailed
	partNone // not with this attempt
)

// fate tells what is known of part p over all attempts that submitted it: one that has brought it is enough, and it is
// lost only if none may still bring it.
func (m *Message) fate(p int) partFate {
	open, lost := false, false
	for _, a := range m.Attempts {
		switch m.fateBy(a, p) {
		case partDelivered:
			return partDelivered
		case partFailed:
			lost = true
		case partOpen:
			open = true
		}
	}
	if lost && !open {
		return partFailed
	}
	return partOpen
}

func (m *Message) fateBy(a Attempt, p int) partFate {
	k := p - a.First
	switch {
	case k < 0 || p >= a.upTo():
		if a.Outcome == driver.Unknown && !m.settled(a) {
			return partOpen // this attempt may have brought it
		}
		return partNone
	case len(a.References) < a.Taken: // nobody knows which of the parts the references are of
		if slices.ContainsFunc(a.Reports, func(r PartReport) bool { return r.final() && !r.delivered() }) {
			return partFailed
		}
		return partOpen
	case k >= len(a.Reports) || !a.Reports[k].final():
		return partOpen
	case a.Reports[k].delivered():
		return partDelivered
	}
	return partFailed
}

func (p PartReport) final() bool { return !p.At.IsZero() && driver.Report{Status: p.Status}.Final() }

func (p PartReport) delivered() bool {
	return !p.At.IsZero() && driver.Report{Status: p.Status}.Delivered()
}

// settleByReport takes a report for an attempt whose reference we never learned: the modem took the part after all.
func (m *Message) settleByReport(now time.Time, i int, r driver.Report) {
	a := &m.Attempts[i]
	a.References = append(a.References, r.Reference)
	m.report(now, i, len(a.References)-1, r)
}
