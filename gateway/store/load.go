package store

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"time"

	"github.com/dgraph-io/badger/v4"
	"github.com/dgraph-io/badger/v4/pb"
	"github.com/dgraph-io/ristretto/v2/z"
	"golang.org/x/sync/errgroup"
)

// Item is a record for LoadBadger.
type Item struct {
	Key     string
	Value   []byte
	Collect time.Time // zero: never
}

const (
	loadBuffer  = 1 << 20 // what a run hands to the engine at a time
	loadVersion = 1       // the engine's, of what is loaded
)

// LoadBadger makes a store in cfg.Dir, which must not hold one, of many records. Each run must ascend by key, and of two
// runs one must lie before the other; every run is sealed and written in a goroutine of its own.
//
// The records go straight into the engine's tables as they will lie in the end: nothing is logged or merged, and that is
// several times as quick as updates. Nothing is promised either before it has returned nil: after an error the folder
// is to be deleted.
func LoadBadger(ctx context.Context, cfg BadgerConfig, runs ...iter.Seq[Item]) error {
	b, err := OpenBadger(ctx, cfg)
	if err == nil {
		err = b.Close() // it has its identity now
	}
	if err != nil {
		return err
	}
	l := &tableLoader{}
	if l.sealer, err = newSealer(cfg.Keys); err != nil {
		return err
	}
	if l.db, err = badger.Open(EngineOptions(filesIn(cfg.Dir).db, nil)); err != nil {
		return fmt.Errorf("load the store: %w", err)
	}
	if err := errors.Join(l.load(ctx, runs), l.db.Close()); err != nil {
		return fmt.Errorf("load the store: %w", err)
	}
	return nil
}

// tableLoader writes tables.
type tableLoader struct {
	db     *badger.DB
	sealer *sealer
	writer *badger.StreamWriter
}

// load replaces what the engine holds by the runs and, above them, what it held before: the store's own records.
func (l *tableLoader) load(ctx context.Context, runs []iter.Seq[Item]) error {
	own, err := l.held()
	if err != nil {
		return err
	}
	if len(own) > ownRecords {
		return ErrNotEmpty
	}
	l.writer = l.db.NewStreamWriter()
	defer l.writer.Cancel()
	if err := l.writer.Prepare(); err != nil {
		return err
	}
	g, gctx := errgroup.WithContext(ctx)
	for i, run := range runs {
		g.Go(func() error { return l.run(gctx, uint32(i), run) })
	}
	if err := g.Wait(); err != nil {
		return err
	}
	if err := l.writer.Flush(); err != nil {
		return err
	}
	return l.db.Update(func(tx *badger.Txn) error {
		for _, e := range own {
			if err := tx.SetEntry(e); err != nil {
				return err
			}
		}
		return nil
	})
}

// ownRecords is how many records a new store has: its identity and the number of its newest commit.
const ownRecords = 2

// held returns what the engine holds, as it lies there.
func (l *tableLoader) held() (own []*badger.Entry, err error) {
	err = l.db.View(func(tx *badger.Txn) error {
		it := tx.NewIterator(badger.DefaultIteratorOptions)
		defer it.Close()
		for it.Rewind(); it.Valid() && len(own) <= ownRecords; it.Next() {
			value, err := it.Item().ValueCopy(nil)
			if err != nil {
				return err
			}
			own = append(own, badger.NewEntry(it.Item().KeyCopy(nil), value))
		}
		return nil
	})
	return own, err
}

// run writes one run, under the engine's number for it.
func (l *tableLoader) run(ctx context.Context, stream uint32, items iter.Seq[Item]) error {
	buf := z.NewBuffer(loadBuffer+loadBuffer/4, "otpost/load")
	defer func() { _ = buf.Release() }() // memory only
	last := ""
	for i := range items {
		if err := checkKey(i.Key); err != nil {
			return err
		}
		if i.Key <= last {
			return fmt.Errorf("%s comes behind %s", i.Key, last)
		}
		last = i.Key
		badger.KVToBuffer(&pb.KV{Key: []byte(i.Key), Value: l.sealer.seal(nil, i.Key, i.Value), Version: loadVersion,
			ExpiresAt: expiry(i.Collect), StreamId: stream}, buf)
		if buf.LenNoPadding() < loadBuffer {
			continue
		}
		if err := errors.Join(l.writer.Write(buf), ctx.Err()); err != nil {
			return err
		}
		buf.Reset()
	}
	return l.writer.Write(buf)
}
