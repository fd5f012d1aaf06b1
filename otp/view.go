package otp

import (
	"context"
	"errors"
	"time"

	"otpost/gateway"
	"otpost/gateway/store"
)

// Challenge returns what a challenge looks like.
func (s *Service) Challenge(ctx context.Context, now time.Time, id string) (view ChallengeView, err error) {
	err = s.cfg.KV.View(ctx, func(tx store.Txn) error {
		w := &work{Service: s, tx: tx, now: now}
		c, err := w.find(id)
		if err != nil {
			return err
		}
		view, err = w.view(&c)
		return err
	})
	return view, err
}

// view shows c with where its counters stand for whoever asked for it.
func (w *work) view(c *challenge) (ChallengeView, error) {
	v := ChallengeView{
		ID: c.ID, Account: c.Account, Purpose: c.Purpose, Status: c.current(w.now), Phone: maskPhone(c.Phone),
		CreatedAt: c.CreatedAt, ExpiresAt: c.ExpiresAt,
	}
	m := w.sent
	if m.ID == "" || m.ID != c.Message {
		var err error
		m, err = w.cfg.Outbox.Lookup(w.tx, c.Message)
		if err != nil && !errors.Is(err, gateway.ErrNotFound) && rotten(err) == "" {
			return v, err
		}
	}
	m.To, m.Text = "", ""
	v.Message = m
	if v.Status != Pending {
		return v, nil
	}
	judges, err := w.codeJury(c.Account, c.Phone, c.Address)
	if err != nil {
		return v, err
	}
	v.AttemptsLeft = judges.left(w)
	v.SendsLeft = max(0, w.policy.Resend.Sends-c.Sends)
	if v.SendsLeft > 0 {
		v.ResendAfter = c.LastSend.Add(w.policy.Resend.cooldown(c.Sends))
	}
	return v, nil
}
