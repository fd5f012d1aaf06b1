package storetest

import (
	"context"
	"errors"
	"time"

	"otpost/gateway/store"
)

// Rotting is a store in which records rot: those that Rot was called for show as an engine shows one that does not open,
// also to a scan that only wants their keys, until they are written anew.
type Rotting struct{ store.KV }

var _ store.KV = Rotting{}

const rot = "rot"

var errRot = errors.New("the test let it rot")

// Rot lets the record at key rot.
func (k Rotting) Rot(ctx context.Context, key string) error {
	return k.KV.Update(ctx, func(tx store.Txn) error { return tx.Set(key, []byte(rot), time.Time{}) })
}

// Update implements store.KV.
func (k Rotting) Update(ctx context.Context, f func(store.Txn) error) error {
	return k.KV.Update(ctx, func(tx store.Txn) error { return f(rottingTxn{tx}) })
}

// View implements store.KV.
func (k Rotting) View(ctx context.Context, f func(store.Txn) error) error {
	return k.KV.View(ctx, func(tx store.Txn) error { return f(rottingTxn{tx}) })
}

type rottingTxn struct{ store.Txn }

// Get implements store.Txn.
func (t rottingTxn) Get(key string) ([]byte, error) {
	v, err := t.Txn.Get(key)
	if string(v) == rot {
		return nil, &store.CorruptError{Key: key, Err: errRot}
	}
	return v, err
}

// Scan implements store.Txn.
func (t rottingTxn) Scan(r store.Range, f func(key string, value []byte) bool) error {
	var bad error
	err := t.Txn.Scan(r, func(key string, value []byte) bool {
		if string(value) == rot {
			bad = &store.CorruptError{Key: key, Err: errRot}
			return false
		}
		return f(key, value)
	})
	return errors.Join(bad, err)
}
