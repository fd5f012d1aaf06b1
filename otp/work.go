package otp

import (
	"context"
	"errors"
	"fmt"
	"time"

	"otpost/gateway"
	"otpost/gateway/store"
)

// work is one transaction with what all its steps share. It ends in an audit entry: of the change, or of the refusal.
type work struct {
	*Service
	tx  store.Txn
	now time.Time
	by  Caller

	action  string            // for the audit trail
	account string            // whom it is about
	phone   string            // the number concerned, if any
	country string            // of the phone
	facts   map[string]string // for the audit trail
	partial bool              // another transaction goes on with this one's work; the last writes the audit entry
	counts  []func()          // metrics, once committed
	traffic []*destinationTraffic
	judged  map[string]*subject // the counters of failures read so far, by key
	sent    gateway.Message     // queued by this transaction
}

// note adds a fact to the audit entry.
func (w *work) note(key, value string) {
	if w.facts == nil {
		w.facts = map[string]string{}
	}
	w.facts[key] = value
}

// count has f run once the transaction is committed.
func (w *work) count(f func()) { w.counts = append(w.counts, f) }

// do runs f in a transaction. A refusal (*Error) of f is committed with whatever f wrote before it, because a refusal has
// effects too: the counted failure, its audit entry, its metric. Any other error undoes everything.
func (s *Service) do(ctx context.Context, now time.Time, by Caller, action, account string, f func(*work) error) error {
	if err := by.check(); err != nil {
		return err
	}
	var refusal *Error
	err := s.cfg.KV.Update(ctx, func(tx store.Txn) error {
		w := &work{Service: s, tx: tx, now: now, by: by, action: action, account: account}
		refusal = nil
		if err := f(w); err != nil && !errors.As(err, &refusal) {
			return err
		}
		if err := w.finish(refusal); err != nil {
			return err
		}
		tx.OnDone(func(committed bool) {
			for _, count := range w.counts {
				if committed {
					count()
				}
			}
		})
		return nil
	})
	switch {
	case err != nil:
		return fmt.Errorf("%s: %w", action, err)
	case refusal != nil:
		return refusal
	}
	return nil
}

// finish writes what every transaction ends with.
func (w *work) finish(refusal *Error) error {
	switch {
	case refusal == nil && w.partial:
		return nil
	case refusal == nil:
		return w.audit("ok")
	}
	if refusal.Code == InvalidRequest || refusal.Code == NotFound { // malformed, and about nothing
		return nil
	}
	if err := w.reportRefusal(refusal); err != nil {
		return err
	}
	return w.audit(string(refusal.Code))
}

// refused records a refusal that was decided outside a transaction, and returns it.
func (s *Service) refused(ctx context.Context, now time.Time, by Caller, action, account string, refusal error) error {
	return s.do(ctx, now, by, action, account, func(*work) error { return refusal })
}

func (w *work) emit(kind string, data map[string]any) error {
	return w.cfg.Outbox.Emit(w.tx, w.now, gateway.Event{Type: kind, At: w.now, Account: w.account, Data: data})
}

// loadAccount returns the account, or a fresh one that is not saved yet.
func (w *work) loadAccount() (a account, found bool, err error) {
	a, found, err = load[account](w.tx, w.accountKey(w.account))
	if err == nil && !found {
		a = account{ID: w.account, CreatedAt: w.now}
	}
	return a, found, err
}

func (w *work) saveAccount(a account) error {
	a.UpdatedAt = w.now
	return store.Save(w.tx, w.accountKey(w.account), a, time.Time{})
}

func (w *work) saveChallenge(c *challenge) error {
	return store.Save(w.tx, challengeKey(c.ID), *c, c.ExpiresAt.Add(keepChallenge))
}

// latest returns the newest challenge of the account for p, whatever its status.
func (s *Service) latest(tx store.Txn, account string, p Purpose) (c challenge, found bool, err error) {
	id, found, err := load[string](tx, s.latestKey(account, p))
	if err != nil || !found {
		return c, false, err
	}
	return load[challenge](tx, challengeKey(id))
}

// end moves a pending challenge to its last status and takes its message out of the queue.
func (w *work) end(c *challenge, status Status) error {
	c.Status, c.EndedAt = status, w.now
	if err := w.recall(c); err != nil {
		return err
	}
	w.count(func() { w.metrics.challenges.WithLabelValues(c.Purpose.label(), string(status)).Inc() })
	return w.saveChallenge(c)
}

// recall cancels the latest message of c if it is still queued.
func (w *work) recall(c *challenge) error {
	if c.Message == "" {
		return nil
	}
	err := w.cfg.Outbox.Cancel(w.tx, w.now, c.Message)
	if rotten(err) != "" {
		w.leftOut(err, "the message is left to the queue")
		return nil
	}
	if errors.Is(err, gateway.ErrTooLate) || errors.Is(err, gateway.ErrNotFound) {
		return nil // it is with a modem, or gone: Render sees to the first
	}
	return err
}
