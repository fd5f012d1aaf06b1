package otp

import (
	"bytes"
	"context"
	"time"

	"otpost/gateway/store"
)

// pinVerdict is what a PIN came to outside the transaction.
type pinVerdict struct {
	right bool
	local bool
	hash  []byte // what it was compared with
}

// stands tells whether the verdict holds for the account as it is now.
func (v *pinVerdict) stands(a account) bool {
	if v.local && (a.PIN == nil || !bytes.Equal(a.PIN.Hash, v.hash)) {
		return false // changed meanwhile: it was compared with a PIN that is no longer one
	}
	return v.right
}

// errUnblocked is the answer when a counter blocked a moment ago, so no PIN was computed, and does no more.
func errUnblocked() *Error {
	e := refuse(Blocked, "the account has just been unlocked; try again")
	e.RetryAfter = time.Second
	return e
}

// askPIN finds out whether pin is the account's. It takes as long for an account that has none. When walled says so it
// computes nothing and returns nil.
func (s *Service) askPIN(ctx context.Context, accountID, pin string, walled func(store.Txn) (bool, error)) (*pinVerdict, error) {
	pin, err := parsePIN(pin)
	if err != nil {
		return nil, err
	}
	var stored *pinHash
	var blocked bool
	err = s.cfg.KV.View(ctx, func(tx store.Txn) error {
		acct, _, err := load[account](tx, s.accountKey(accountID))
		if err != nil {
			return err
		}
		stored = acct.PIN
		blocked, err = walled(tx)
		return err
	})
	if err != nil || blocked {
		return nil, err
	}
	if s.policy.PIN.Mode == PINPortal {
		right, err := s.askPortal(ctx, accountID, pin)
		return &pinVerdict{right: right}, err
	}
	v := &pinVerdict{local: true}
	if stored != nil {
		v.hash = stored.Hash
	}
	v.right, err = s.pins.matches(ctx, stored, accountID, pin)
	return v, err
}

// pinWalled looks ahead whether the PIN's own counter blocks.
func (s *Service) pinWalled(now time.Time, by Caller, accountID string) func(store.Txn) (bool, error) {
	return func(tx store.Txn) (bool, error) {
		w := &work{Service: s, tx: tx, now: now, by: by, account: accountID}
		j, err := w.pinJury(accountID, w.actor())
		return err == nil && j.wait(w) > 0, err
	}
}

// askPortal fails closed: no answer is no yes, but it burns nothing either.
func (s *Service) askPortal(ctx context.Context, account, pin string) (bool, error) {
	right, err := s.cfg.PIN.CheckPIN(ctx, account, pin)
	if err != nil {
		s.cfg.Log.Warn("portal did not check a pin", "error", err)
		s.metrics.pins.WithLabelValues("unavailable").Inc()
		e := refuse(PINUnavailable, "the PIN could not be checked; try again soon")
		e.RetryAfter = 10 * time.Second
		return false, e
	}
	return right, nil
}

// judgePIN counts and decides on a PIN that stands alone.
func (w *work) judgePIN(v *pinVerdict) error {
	judges, err := w.pinJury(w.account, w.actor())
	if err != nil {
		return err
	}
	if err := judges.blocked(w); err != nil {
		return err
	}
	if v == nil {
		return errUnblocked()
	}
	acct, _, err := w.loadAccount()
	if err != nil {
		return err
	}
	judges.raise(w)
	if !v.stands(acct) {
		if err := judges.save(w); err != nil {
			return err
		}
		w.count(func() { w.metrics.pins.WithLabelValues("wrong").Inc() })
		if err := w.tellBlock(judges, map[string]any{}); err != nil {
			return err
		}
		return judges.failed(w)
	}
	w.count(func() { w.metrics.pins.WithLabelValues("right").Inc() })
	return judges.clear(w)
}
