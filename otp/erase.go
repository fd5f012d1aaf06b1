package otp

import (
	"context"
	"time"

	"otpost/gateway/store"
)

// owned returns the ids of the account's challenges that are still in the store.
func (w *work) owned(accountID string) (ids []string, err error) {
	prefix := w.ownedPrefix(accountID)
	err = store.Keys(w.tx, store.Range{Prefix: prefix}, func(key string) bool {
		ids = append(ids, key[len(prefix):])
		return true
	})
	return ids, err
}

// Erase removes the account with its phone, PIN, challenges and messages. What stays are counters under keyed hashes
// (erasing must not be a way around a limit) and the audit trail, which knows the account by a pseudonym.
func (s *Service) Erase(ctx context.Context, now time.Time, by Caller, accountID string) error {
	if err := checkAccount(accountID); err != nil {
		return err
	}
	return s.do(ctx, now, by, "account.erase", accountID, func(w *work) error {
		a, found, err := w.loadAccount()
		if err != nil && rotten(err) == "" { // one that does not open can still be erased
			return err
		}
		if !found && err == nil {
			return refuse(NotFound, "there is no such account")
		}
		if err := w.endAll(accountID); err != nil {
			return err
		}
		phones, err := w.eraseChallenges(accountID)
		if err != nil {
			return err
		}
		if a.SMS != nil {
			phones = append(phones, a.SMS.Phone)
		}
		if err := w.tx.Delete(w.accountKey(accountID)); err != nil {
			return err
		}
		return w.cfg.Outbox.Erase(w.tx, now, accountID, phones...)
	})
}

// eraseChallenges removes the account's challenges, and returns the phones that they were about.
func (w *work) eraseChallenges(accountID string) (phones []string, err error) {
	ids, err := w.owned(accountID)
	if err != nil {
		return nil, err
	}
	keys := []string{}
	for _, id := range ids {
		c, found, err := load[challenge](w.tx, challengeKey(id))
		if err != nil && rotten(err) == "" {
			return nil, err
		}
		if found {
			phones = append(phones, c.Phone)
		}
		keys = append(keys, challengeKey(id), w.ownedPrefix(accountID)+id)
	}
	for p := range w.policy.Purposes {
		keys = append(keys, w.latestKey(accountID, p))
	}
	for _, key := range keys {
		if err := w.tx.Delete(key); err != nil {
			return nil, err
		}
	}
	return phones, nil
}
