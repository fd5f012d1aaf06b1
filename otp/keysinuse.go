package otp

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"otpost/gateway/store"
)

// KeysInUse returns how many pending challenges need each key id for their codes. An id that is not in the result may be
// dropped from the key file as far as codes are concerned; one that is in it and not in the file was lost, and its codes
// can be neither sent nor verified.
func (s *Service) KeysInUse(ctx context.Context, now time.Time) (map[string]int, error) {
	used := map[string]int{}
	err := s.cfg.KV.View(ctx, func(tx store.Txn) error {
		clear(used)
		return eachRecord(s, tx, challengeKey(""), func(c challenge) {
			if c.current(now) == Pending {
				used[c.KeyID]++
			}
		})
	})
	return used, err
}

// CheckKeys says which keys pending challenges need and the key file does not have: at start, a lost or exchanged file. It
// changes nothing: with the right file put back their codes work again, and otherwise they expire.
func (s *Service) CheckKeys(ctx context.Context, now time.Time) error {
	used, err := s.KeysInUse(ctx, now)
	if err != nil {
		return err
	}
	var missing []error
	for _, id := range slices.Sorted(maps.Keys(used)) {
		if _, err := s.cfg.Keys.Derive(id, codeLabel); err != nil {
			missing = append(missing, fmt.Errorf("%d pending codes: %w", used[id], err))
		}
	}
	return errors.Join(missing...)
}
