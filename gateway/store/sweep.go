package store

import (
	"context"
	"errors"
	"time"

	"github.com/dgraph-io/badger/v4"
)

// After the key file was rotated, records sealed with an older key are read as ever. The sweep, part of Run, seals them
// anew in small updates between the others; then InUse tells that the old key may be dropped.
const (
	sweepEvery = 20 * time.Millisecond
	sweepLook  = 5000 // records to look at in one step
	sweepWrite = 100  // records to seal anew in one step
)

// sweep is how far it has come.
type sweep struct {
	from string // the next key to look at
	over bool
}

// step does a little of the sweep.
func (b *Badger) step(ctx context.Context, s *sweep) error {
	old, err := b.sealedWithOld(s)
	if err != nil {
		return err
	}
	return InParts(old, sweepWrite, func(part []string) error { return b.reseal(ctx, part) })
}

// reseal seals the records of some keys anew, in one update.
func (b *Badger) reseal(ctx context.Context, old []string) error {
	return b.Update(ctx, func(tx Txn) error {
		tx.OnDone(func(ok bool) {
			if ok {
				b.metrics.resealed.Add(float64(len(old)))
			}
		})
		for _, key := range old {
			if err := tx.(*txn).rewrite(key); err != nil {
				return err
			}
		}
		return nil
	})
}

// sealedWithOld returns the next keys whose records are not sealed with the current key, and moves s behind them.
func (b *Badger) sealedWithOld(s *sweep) (old []string, err error) {
	if err := b.enter(); err != nil {
		return nil, err
	}
	defer b.viewing.Done()
	looked := 0
	s.over = true
	err = b.eachSealed(s.from, func(key string, id string) bool {
		if looked == sweepLook || len(old) == sweepWrite {
			s.from, s.over = key, false
			return false
		}
		looked++
		if id != b.sealer.current {
			old = append(old, key)
		}
		return true
	})
	return old, err
}

// rewrite sets key to what it holds, unless that is already being written anew, has vanished, or does not open: then
// reading it says so, and its key remains in use.
func (t *txn) rewrite(key string) error {
	if t.awaits(key) {
		return nil
	}
	rec, err := t.base.get(key)
	if err == nil {
		rec, err = t.valued(key, rec)
	}
	var corrupt *CorruptError
	if errors.Is(err, ErrNotFound) || errors.As(err, &corrupt) {
		return nil
	}
	if err != nil {
		return err
	}
	return t.put(key, rec)
}

// InUse tells whether any record is still sealed with the key named id.
func (b *Badger) InUse(ctx context.Context, id string) (bool, error) {
	if err := b.enter(); err != nil {
		return false, err
	}
	defer b.viewing.Done()
	used := false
	err := b.eachSealed("", func(_ string, by string) bool {
		used = by == id
		return !used && ctx.Err() == nil
	})
	return used, errors.Join(err, ctx.Err())
}

// eachSealed calls f with each key from the one given on, and the id that its record is sealed with ("" if it is not
// sealed at all), until f returns false.
func (b *Badger) eachSealed(from string, f func(key, id string) bool) error {
	r := b.newReader()
	defer r.close()
	opt := badger.DefaultIteratorOptions
	opt.PrefetchValues = false
	it := r.txn.NewIterator(opt)
	defer it.Close()
	for it.Seek([]byte(from)); it.Valid(); it.Next() {
		var id string
		err := it.Item().Value(func(sealed []byte) error {
			id, _, _ = sealedBy(sealed) // what is not sealed has no id
			return nil
		})
		if err != nil {
			return &CorruptError{Key: string(it.Item().Key()), Err: err}
		}
		if !f(string(it.Item().Key()), id) {
			break
		}
	}
	return nil
}
