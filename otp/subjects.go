package otp

import (
	"slices"
	"time"

	"otpost/gateway/store"
)

// subject is one of the counters of failures that an answer is judged under.
type subject struct {
	kind  string
	key   string
	actor string    // who is told apart under it, see failures
	f     *failures // one for all who ask in a transaction
	was   failures  // before an answer was counted
	moved bool      // settling changed it
}

// The kinds of subjects.
const (
	failAccount = "account"
	failPhone   = "phone"
	failPIN     = "pin"
)

func (w *work) loadSubject(kind, id, actor string) (*subject, error) {
	s := &subject{kind: kind, key: "otp/failures/" + kind + "/" + w.pseudonym("fail-"+kind, id), actor: actor}
	if known := w.judged[s.key]; known != nil {
		s.f, s.moved = known.f, known.moved
		return s, nil
	}
	f, _, err := load[failures](w.tx, s.key)
	switch {
	case rotten(err) == s.key:
		w.leftOut(err, "it blocks for the longest time, or until an operator unlocks the account")
		f = unreadable(w.policy.Failures, w.now)
		s.f, s.moved = &f, true
	case err != nil:
		return nil, err
	default:
		s.f, s.moved = &f, f.settle(w.now)
	}
	if w.judged == nil {
		w.judged = map[string]*subject{}
	}
	w.judged[s.key] = s
	return s, nil
}

func (w *work) saveSubject(s *subject) error {
	collect := w.now.Add(2 * forgetFailures)
	if s.f.Locked {
		collect = time.Time{}
	} else if len(s.f.Known) > 0 {
		collect = w.now.Add(knownFor)
	}
	return store.Save(w.tx, s.key, *s.f, collect)
}

// jury is every counter that one answer counts on.
type jury []*subject

// codeJury judges codes: by account, told apart by client address, and by phone, told apart by account.
func (w *work) codeJury(accountID, phone, address string) (jury, error) {
	a, err := w.loadSubject(failAccount, accountID, address)
	if err != nil {
		return nil, err
	}
	p, err := w.loadSubject(failPhone, phone, w.pseudonym("fail-actor", accountID))
	return jury{a, p}, err
}

// pinJury judges PINs, across purposes.
func (w *work) pinJury(accountID, address string) (jury, error) {
	p, err := w.loadSubject(failPIN, accountID, address)
	return jury{p}, err
}

// wait is how long until no counter blocks.
func (j jury) wait(w *work) (wait time.Duration) {
	for _, s := range j {
		wait = max(wait, s.f.blocked(w.now, s.actor))
	}
	return wait
}

// blocked refuses while any counter blocks.
func (j jury) blocked(w *work) error {
	wait := j.wait(w)
	for _, s := range j {
		if !s.moved {
			continue
		}
		if err := w.saveSubject(s); err != nil { // or a clock set back would be met anew each time
			return err
		}
	}
	if wait == 0 {
		return nil
	}
	return blockedFor(wait, w.policy.Failures)
}

func blockedFor(wait time.Duration, p FailurePolicy) *Error {
	e := refuse(Blocked, "too many wrong answers; try again later")
	e.RetryAfter = wait
	if wait == forever {
		e.Detail = "too many wrong answers; an operator has to unlock the account"
		e.RetryAfter = p.MaxBlock
	}
	return e
}

// raise counts an answer as wrong on every counter, before anything is compared. It is written with what the comparison
// comes to: save or clear.
func (j jury) raise(w *work) {
	for _, s := range j {
		s.was = *s.f
		s.f.raise(w.policy.Failures, w.now, s.actor)
	}
}

// save is for an answer that was wrong.
func (j jury) save(w *work) error {
	for _, s := range j {
		if err := w.saveSubject(s); err != nil {
			return err
		}
	}
	return nil
}

// clear is for an answer that was right.
func (j jury) clear(w *work) error {
	for _, s := range j {
		if s.was.welcomes(w.now, s.actor) {
			*s.f = s.was // nothing to write
			continue
		}
		s.f.clear(w.now, s.actor)
		if err := w.saveSubject(s); err != nil {
			return err
		}
	}
	return nil
}

// left is how many answers may still be given.
func (j jury) left(w *work) int {
	n := w.policy.Failures.Max
	for _, s := range j {
		n = min(n, s.f.left(w.policy.Failures, w.now, s.actor))
	}
	return n
}

// walled tells whether a counter now blocks everyone, known or not.
func (j jury) walled(w *work) bool {
	return slices.ContainsFunc(j, func(s *subject) bool { return s.f.Locked || s.f.Everyone.left(w.now) > 0 })
}

// tellBlock writes an event and a fact for the audit trail when the answer just counted raised a block: of whom ("account",
// "phone", "pin"), and against everyone or only against strangers.
func (w *work) tellBlock(j jury, data map[string]any) error {
	for _, s := range j {
		against := ""
		switch {
		case s.f.Locked, s.f.Everyone.Since.Equal(w.now):
			against = "everyone"
		case s.f.Strangers.Since.Equal(w.now):
			against = "strangers"
		default:
			continue
		}
		w.note("blocked_"+s.kind, against)
		data["counter"], data["against"] = s.kind, against
		data["seconds"] = int(min(j.wait(w), w.policy.Failures.MaxBlock) / time.Second)
	}
	if data["counter"] == nil {
		return nil
	}
	return w.emit("challenge.blocked", data)
}

// failed is the one answer to any wrong answer.
func (j jury) failed(w *work) *Error {
	e := refuse(VerificationFailed, "that was not right; check it and try again")
	n := j.left(w)
	e.AttemptsLeft = &n
	return e
}
