package otp

import (
	"context"
	"time"

	"otpost/gateway/store"
)

// eraseAtOnce is how many challenges one transaction of an erasure removes.
const eraseAtOnce = 100

// Erase removes the account with its phone, PIN, challenges and messages. What stays are counters under keyed hashes
// (erasing must not be a way around a limit) and the audit trail, which knows the account by a pseudonym.
//
// There may be more of it than one transaction can remove. So the account itself goes last, with the audit entry: whatever
// ends in between, the account is there and can be erased.
func (s *Service) Erase(ctx context.Context, now time.Time, by Caller, accountID string) error {
	if err := checkAccount(accountID); err != nil {
		return err
	}
	for more := true; more; {
		if err := s.do(ctx, now, by, "account.erase", accountID, func(w *work) (err error) {
			more, err = w.erase()
			w.partial = more
			return err
		}); err != nil {
			return err
		}
	}
	return nil
}

// erase removes as much of the account as one transaction should, and tells whether there may be more. What is pending is
// ended before anything goes, or its code would be sent once more; what comes all the same meanwhile goes like the rest.
func (w *work) erase() (more bool, err error) {
	a, found, err := w.loadAccount()
	if err != nil && rotten(err) == "" { // one that does not open can still be erased
		return false, err
	}
	if !found && err == nil {
		return false, refuse(NotFound, "there is no such account")
	}
	ids, err := w.owned(w.account, eraseAtOnce)
	if err != nil {
		return false, err
	}
	if err := w.endPending(ids); err != nil {
		return false, err
	}
	phones, err := w.phonesOf(ids)
	if err != nil {
		return false, err
	}
	if a.SMS != nil {
		phones = append(phones, a.SMS.Phone)
	}
	if more, err := w.cfg.Outbox.Erase(w.tx, w.now, w.account, phones...); more || err != nil {
		return more, err // and the challenges stay: they know the phones
	}
	if err := w.eraseChallenges(ids); err != nil || len(ids) == eraseAtOnce {
		return true, err
	}
	return false, w.tx.Delete(w.accountKey(w.account))
}

// owned returns the ids of the account's challenges that are still in the store, the newest first, and no more than so many.
func (w *work) owned(accountID string, most int) (ids []string, err error) {
	prefix := w.ownedPrefix(accountID)
	err = store.Keys(w.tx, store.Range{Prefix: prefix, Reverse: true}, func(key string) bool {
		ids = append(ids, key[len(prefix):])
		return len(ids) < most
	})
	return ids, err
}

// phonesOf returns the phones that challenges are about.
func (w *work) phonesOf(ids []string) (phones []string, err error) {
	for _, id := range ids {
		c, found, err := load[challenge](w.tx, challengeKey(id))
		if err != nil && rotten(err) == "" {
			return nil, err
		}
		if found {
			phones = append(phones, c.Phone)
		}
	}
	return phones, nil
}

// eraseChallenges removes challenges of the account, and which ones were the newest.
func (w *work) eraseChallenges(ids []string) error {
	var keys []string
	for _, id := range ids {
		keys = append(keys, challengeKey(id), w.ownedPrefix(w.account)+id)
	}
	for p := range w.policy.Purposes {
		keys = append(keys, w.latestKey(w.account, p))
	}
	for _, key := range keys {
		if err := w.tx.Delete(key); err != nil {
			return err
		}
	}
	return nil
}
