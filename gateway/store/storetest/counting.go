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
	keys := map[string]bool{}
	err := c.KV.Update(ctx, func(tx store.Txn) error { return f(countingTxn{tx, keys}) })
	c.Written = append(c.Written, len(keys))
	return err
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
