package storetest

import (
	"context"
	"time"

	"otpost/gateway/store"
)

// Counting is a store that notes how many records each update writes, also of one that fails. Updates must come one at a time.
type Counting struct {
	store.KV
	Written []int
}

// Update implements store.KV.
func (c *Counting) Update(ctx context.Context, f func(store.Txn) error) error {
	n := 0
	err := c.KV.Update(ctx, func(tx store.Txn) (err error) {
		n, err = writes(tx, f)
		return err
	})
	c.Written = append(c.Written, n)
	return err
}

// Bounded is a store that refuses updates which write more records than Most, as an engine refuses what one commit cannot take.
type Bounded struct {
	store.KV
	Most int
}

// Update implements store.KV. Its errors are those of f, and store.ErrTooBig.
func (b Bounded) Update(ctx context.Context, f func(store.Txn) error) error {
	return b.KV.Update(ctx, func(tx store.Txn) error {
		n, err := writes(tx, f)
		if err == nil && n > b.Most {
			return store.ErrTooBig
		}
		return err
	})
}

// writes calls f and returns how many records it wrote.
func writes(tx store.Txn, f func(store.Txn) error) (int, error) {
	keys := map[string]bool{}
	err := f(countingTxn{tx, keys})
	return len(keys), err
}

// countingTxn notes the keys that are written.
type countingTxn struct {
	store.Txn
	keys map[string]bool
}

func (t countingTxn) Set(key string, value []byte, collect time.Time) error {
	t.keys[key] = true
	return t.Txn.Set(key, value, collect)
}

func (t countingTxn) Delete(key string) error {
	t.keys[key] = true
	return t.Txn.Delete(key)
}
