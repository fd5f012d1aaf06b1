package storetest

import (
	"context"

	"otpost/gateway/store"
)

// Bounded is a store that refuses updates which write more records than Most, as an engine refuses what one commit cannot
// take.
type Bounded struct {
	store.KV
	Most int
}

// Update implements store.KV. Its errors are those of f, and store.ErrTooBig.
func (b Bounded) Update(ctx context.Context, f func(store.Txn) error) error {
	return b.KV.Update(ctx, func(tx store.Txn) error {
		keys := map[string]bool{}
		if err := f(countingTxn{tx, keys}); err != nil {
			return err
		}
		if len(keys) > b.Most {
			return store.ErrTooBig
		}
		return nil
	})
}
