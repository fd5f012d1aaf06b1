package otp

import (
	"context"
	"strconv"
	"time"

	"otpost/gateway/store"
)

// Account returns what an account looks like.
func (s *Service) Account(ctx context.Context, now time.Time, accountID string) (view AccountView, err error) {
	if err := checkAccount(accountID); err != nil {
		return view, err
	}
	err = s.cfg.KV.View(ctx, func(tx store.Txn) error {
		view, err = s.accountIn(tx, now, accountID)
		return err
	})
	return view, err
}

func (s *Service) accountIn(tx store.Txn, now time.Time, accountID string) (AccountView, error) {
	a, found, err := load[account](tx, s.accountKey(accountID))
	if err != nil {
		return AccountView{}, err
	}
	if !found {
		return AccountView{}, refuse(NotFound, "there is no such account")
	}
	c, found, err := s.latestSound(tx, accountID, SMSEnable)
	if err != nil || !found {
		return s.accountView(a, nil), err
	}
	if c.current(now) != Pending {
		return s.accountView(a, nil), nil
	}
	return s.accountView(a, &c), nil
}

// accountView shows a; enabling is its pending enable challenge, if any.
func (s *Service) accountView(a account, enabling *challenge) AccountView {
	v := AccountView{
		Account: a.ID, Grade: a.Grade, PINSet: a.PIN != nil || s.policy.PIN.Mode == PINPortal,
		SMS: IdentityView{Type: "sms", Status: "disabled"}, CreatedAt: a.CreatedAt, UpdatedAt: a.UpdatedAt,
	}
	switch {
	case a.SMS != nil:
		v.SMS = IdentityView{Type: "sms", Status: "enabled", Phone: maskPhone(a.SMS.Phone), EnabledAt: a.SMS.EnabledAt, LastUsed: a.SMS.LastUsed}
	case enabling != nil:
		v.SMS = IdentityView{Type: "sms", Status: "pending", Phone: maskPhone(enabling.Phone)}
	}
	return v
}

// Identities lists the account's ways to get codes, the disabled ones too.
func (s *Service) Identities(ctx context.Context, now time.Time, accountID string) ([]IdentityView, error) {
	v, err := s.Account(ctx, now, accountID)
	if err != nil {
		return nil, err
	}
	return []IdentityView{v.SMS}, nil
}

// SetPIN sets the account's PIN, and makes the account if it is new. A PIN that is set changes only with the current one.
func (s *Service) SetPIN(ctx context.Context, now time.Time, by Caller, accountID, pin, current string) error {
	const action = "pin.set"
	if err := checkAccount(accountID); err != nil {
		return err
	}
	if s.policy.PIN.Mode == PINPortal {
		return refuse(InvalidRequest, "the portal keeps the PINs (pin.mode portal); set it there")
	}
	pin, err := parsePIN(pin)
	if err != nil {
		return err
	}
	if err := s.policy.PIN.checkNew(pin); err != nil {
		return s.refused(ctx, now, by, action, accountID, err)
	}
	var verdict *pinVerdict
	if current != "" {
		if verdict, err = s.askPIN(ctx, accountID, current, s.pinWalled(now, by, accountID)); err != nil {
			return err
		}
	}
	rec, err := s.pins.hash(ctx, s.cfg.Random, accountID, pin)
	if err != nil {
		return err
	}
	return s.do(ctx, now, by, action, accountID, func(w *work) error {
		a, _, err := w.loadAccount()
		if err != nil {
			return err
		}
		if a.PIN != nil && current == "" {
			return refuse(InvalidRequest, "the account has a PIN; give it as current_pin to change it")
		}
		if a.PIN != nil {
			if err := w.judgePIN(verdict); err != nil {
				return err
			}
		}
		a.PIN = rec
		return w.saveAccount(a)
	})
}

// SetGrade sets the account's grade, and makes the account if it is new.
func (s *Service) SetGrade(ctx context.Context, now time.Time, by Caller, accountID string, grade int) (AccountView, error) {
	if err := checkAccount(accountID); err != nil {
		return AccountView{}, err
	}
	if grade < 0 || grade > s.policy.Grade.Max {
		return AccountView{}, refuse(InvalidRequest, "a grade is 0 to %d", s.policy.Grade.Max)
	}
	var view AccountView
	err := s.do(ctx, now, by, "grade.set", accountID, func(w *work) error {
		a, _, err := w.loadAccount()
		if err != nil {
			return err
		}
		if err := w.regrade(&a, grade); err != nil {
			return err
		}
		a.GradeBySMS = false // from now on it is the portal's
		if err := w.saveAccount(a); err != nil {
			return err
		}
		view, err = w.accountIn(w.tx, now, accountID)
		return err
	})
	return view, err
}

// Unlock forgets the failures of the account, of its PIN and of its phone.
func (s *Service) Unlock(ctx context.Context, now time.Time, by Caller, accountID string) (AccountView, error) {
	if err := checkAccount(accountID); err != nil {
		return AccountView{}, err
	}
	var view AccountView
	err := s.do(ctx, now, by, "account.unlock", accountID, func(w *work) (err error) {
		if view, err = w.accountIn(w.tx, now, accountID); err != nil {
			return err
		}
		judges, err := w.unlockJury(accountID)
		if err != nil {
			return err
		}
		for _, j := range judges {
			w.note("failures_"+j.kind, strconv.Itoa(j.f.Row))
			j.f.unlock(now)
			if err := w.saveSubject(j); err != nil {
				return err
			}
		}
		return nil
	})
	return view, err
}

// unlockJury is every counter that may block the account: its own, its PIN's, and that of the phone it has or is enabling.
func (w *work) unlockJury(accountID string) (jury, error) {
	a, _, err := w.loadAccount()
	if err != nil {
		return nil, err
	}
	judges, err := w.pinJury(accountID, "")
	if err != nil {
		return nil, err
	}
	own, err := w.loadSubject(failAccount, accountID, "")
	if err != nil {
		return nil, err
	}
	judges = append(judges, own)
	numbers := []string{}
	if a.SMS != nil {
		numbers = append(numbers, a.SMS.Phone)
	} else if c, found, err := w.latestSound(w.tx, accountID, SMSEnable); err != nil {
		return nil, err
	} else if found {
		numbers = append(numbers, c.Phone)
	}
	for _, n := range numbers {
		s, err := w.loadSubject(failPhone, n, "")
		if err != nil {
			return nil, err
		}
		judges = append(judges, s)
	}
	return judges, nil
}
