package otp

import (
	"context"
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
		return eachRecord(tx, challengeKey(""), func(c challenge) {
			if c.current(now) == Pending {
				used[c.KeyID]++
			}
		})
	})
	return used, err
}
