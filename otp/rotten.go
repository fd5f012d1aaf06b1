package otp

import (
	"errors"
	"strconv"
	"strings"
	"time"

	"otpost/gateway/store"
)

// Records that do not open. One of them must not stop the service: what is only counted for the operator begins anew; what
// guards somebody fails closed, for that one only and for a time, and an operator can end it (unlock, erase). An account or
// a challenge that does not open is an error to whoever asks for it, and to nobody else.

// rotten returns the key of the record that does not open, or nothing if err is of another kind.
func rotten(err error) string {
	var c *store.CorruptError
	if errors.As(err, &c) {
		return c.Key
	}
	return ""
}

func (s *Service) leftOut(err error, what string) {
	s.cfg.Log.Error("record does not open", "record", rotten(err), "consequence", what, "error", err)
}

// loadCount is load for what only counts for operators: a record that does not open begins anew.
func loadCount[T any](s *Service, tx store.Txn, key string) (v T, found bool, err error) {
	v, found, err = load[T](tx, key)
	if rotten(err) == key {
		s.leftOut(err, "it begins anew")
		var none T
		return none, false, nil
	}
	return v, found, err
}

// loadWindow returns what counts on l. One that does not open counts as full from now on, if it is about one phone, account
// or client; one that many share begins anew, or all of them would wait for a day.
func (w *work) loadWindow(l limit) (window, error) {
	win, _, err := load[window](w.tx, l.recordKey())
	if rotten(err) != l.recordKey() {
		return win, err
	}
	if l.quota > fineQuota {
		w.leftOut(err, "it begins anew")
		return nil, nil
	}
	w.leftOut(err, "the limit counts as used up")
	return window{{At: w.now, N: l.quota}}, nil
}

// unreadable is a counter of failures that does not open: it blocks everyone for the longest time.
func unreadable(p FailurePolicy, now time.Time) failures {
	return failures{At: now, Everyone: block{Since: now, For: p.MaxBlock, Level: 1}}
}

// latestSound is latest for those who can do without: a challenge that does not open counts as none, and never verifies.
func (s *Service) latestSound(tx store.Txn, account string, p Purpose) (challenge, bool, error) {
	c, found, err := s.latest(tx, account, p)
	if rotten(err) != "" {
		s.leftOut(err, "the challenge counts as none")
		return challenge{}, false, nil
	}
	return c, found, err
}

// auditEnd returns the end of the trail. If its head does not open, it is made anew from the last entry, and the next one
// says so; whether entries are missing in front of that, only a note of the last hash kept elsewhere can tell.
func (w *work) auditEnd() (head, error) {
	last, _, err := load[head](w.tx, auditHead)
	if rotten(err) != auditHead {
		return last, err
	}
	w.leftOut(err, "the audit trail goes on from its last entry")
	w.note("audit_head", "did not open, made anew")
	scan := store.Keys(w.tx, store.Range{Prefix: auditPrefix, Reverse: true}, func(key string) bool {
		last.Seq, err = strconv.ParseUint(strings.TrimPrefix(key, auditPrefix), 10, 64)
		return false
	})
	if last.Seq == 0 || scan != nil {
		return last, errors.Join(scan)
	}
	e, _, err := load[AuditEntry](w.tx, auditKey(last.Seq))
	if rotten(err) != "" {
		return last, nil // the chain shows it
	}
	last.Hash = e.Hash
	return last, err
}
