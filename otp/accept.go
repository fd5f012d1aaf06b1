package otp

import (
	"math"
	"strconv"
)

// accept is what follows a right answer, in the same transaction: the code is used up, the counters are cleared, and what
// the purpose asks for is done.
func (w *work) accept(judges jury, c *challenge, acct account) error {
	if err := judges.clear(w); err != nil {
		return err
	}
	if err := w.end(c, Verified); err != nil {
		return err
	}
	if err := w.emit("challenge.verified", map[string]any{"challenge": c.ID, "purpose": string(c.Purpose)}); err != nil {
		return err
	}
	if err := w.converted(c); err != nil {
		return err
	}
	switch c.Purpose {
	case SMSEnable:
		return w.enable(c, acct)
	case SMSDisable:
		return w.disable(c, acct)
	default:
		acct.SMS.LastUsed = w.now
		return w.saveAccount(acct)
	}
}

// enable turns SMS codes on. The grade becomes 1 if it was 0; a higher one is never lowered.
func (w *work) enable(c *challenge, acct account) error {
	acct.SMS = &identity{Phone: c.Phone, Country: c.Country, Prefix: c.Prefix, EnabledAt: w.now, LastUsed: w.now}
	if acct.Grade < 1 {
		if err := w.regrade(&acct, 1); err != nil {
			return err
		}
		acct.GradeBySMS = true
	}
	if err := w.emit("account.sms_enabled", map[string]any{"phone": maskPhone(c.Phone)}); err != nil {
		return err
	}
	return w.saveAccount(acct)
}

// disable turns SMS codes off and ends what was still waiting for one.
func (w *work) disable(c *challenge, acct account) error {
	acct.SMS = nil
	if w.policy.Grade.OnDisable == GradeRevoke && acct.Grade == 1 && acct.GradeBySMS {
		if err := w.regrade(&acct, 0); err != nil {
			return err
		}
	}
	if err := w.emit("account.sms_disabled", map[string]any{"phone": maskPhone(c.Phone)}); err != nil {
		return err
	}
	if err := w.saveAccount(acct); err != nil {
		return err
	}
	return w.endAll(c.Account)
}

// regrade changes the grade and tells of it.
func (w *work) regrade(acct *account, grade int) error {
	if acct.Grade == grade {
		return nil
	}
	w.note("grade_old", strconv.Itoa(acct.Grade))
	w.note("grade_new", strconv.Itoa(grade))
	err := w.emit("account.grade_changed", map[string]any{"old": acct.Grade, "new": grade})
	acct.Grade, acct.GradeBySMS = grade, false
	return err
}

// endAll cancels every pending challenge of the account.
func (w *work) endAll(accountID string) error {
	ids, err := w.owned(accountID, math.MaxInt)
	if err != nil {
		return err
	}
	return w.endPending(ids)
}

// endPending cancels those of the challenges that are pending.
func (w *work) endPending(ids []string) error {
	for _, id := range ids {
		c, found, err := load[challenge](w.tx, challengeKey(id))
		if rotten(err) != "" {
			w.leftOut(err, "the challenge never verifies")
			continue
		}
		if err != nil {
			return err
		}
		if !found || c.Status != Pending {
			continue
		}
		status := Canceled
		if c.current(w.now) == ExpiredOut {
			status = ExpiredOut
		}
		if err := w.end(&c, status); err != nil {
			return err
		}
	}
	return nil
}
