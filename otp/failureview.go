package otp

import (
	"context"
	"time"

	"otpost/gateway/store"
)

// FailureView is where one counter of wrong answers stands.
type FailureView struct {
	Of        string        // "account", "phone" or "pin"
	Row       int           // wrong answers since the last right one
	Left      int           // answers that somebody known may still give before a block
	Blocked   time.Duration // what is left of a block for everyone
	Strangers time.Duration // what is left of a block for those not known
	Locked    bool          // only an unlock helps
	Last      time.Time     // of the last change; zero: there was none
}

// Failures tells where the counters stand that judge an account's answers: of codes by the account and by its phone, and
// of its PIN.
func (s *Service) Failures(ctx context.Context, now time.Time, accountID string) (views []FailureView, err error) {
	if err := checkAccount(accountID); err != nil {
		return nil, err
	}
	err = s.cfg.KV.View(ctx, func(tx store.Txn) error {
		if _, err := s.accountIn(tx, now, accountID); err != nil {
			return err
		}
		w := &work{Service: s, tx: tx, now: now, account: accountID}
		judges, err := w.unlockJury(accountID)
		if err != nil {
			return err
		}
		views = views[:0]
		for _, j := range judges {
			views = append(views, FailureView{Of: j.kind, Row: j.f.Row, Left: j.f.left(s.policy.Failures, now, ""), Blocked: j.f.Everyone.left(now),
				Strangers: j.f.Strangers.left(now), Locked: j.f.Locked, Last: j.f.At})
		}
		return nil
	})
	return views, err
}

// AuditEnd returns the number of the trail's last entry; 0: there is none.
func (s *Service) AuditEnd(ctx context.Context) (seq uint64, err error) {
	err = s.cfg.KV.View(ctx, func(tx store.Txn) error {
		end, err := (&work{Service: s, tx: tx}).auditEnd()
		seq = end.Seq
		return err
	})
	return seq, err
}
