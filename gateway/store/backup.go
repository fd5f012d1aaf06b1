package store

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"filippo.io/age"
)

// ErrNotEmpty means that a restore was asked for into a store that holds something already.
var ErrNotEmpty = errors.New("the store is not empty")

// Summary says what a backup holds.
type Summary struct {
	Created time.Time // when it was begun: the state that it holds
	Records int
}

// Backup writes one consistent state of kv, encrypted to the recipients, to w. The store goes on meanwhile. A backup
// holds everything, the store's Secrets too, but no key of the key file: it is restored under whatever keys there are.
//
// The encryption keeps a backup secret and whole; it does not prove who made it.
func Backup(ctx context.Context, kv KV, w io.Writer, recipients ...age.Recipient) (Summary, error) {
	sum := Summary{Created: time.Now().UTC()}
	err := func() error {
		enc, err := age.Encrypt(w, recipients...)
		if err != nil {
			return err
		}
		sum.Records, err = writeStream(ctx, kv, enc, sum.Created)
		if err != nil {
			return err // without Close, so that what was written is no backup
		}
		return enc.Close()
	}()
	if err != nil {
		return Summary{}, fmt.Errorf("back up the store: %w", err)
	}
	return sum, nil
}

func writeStream(ctx context.Context, kv KV, w io.Writer, now time.Time) (int, error) {
	s, err := newStreamWriter(w, now)
	if err != nil {
		return 0, err
	}
	err = kv.View(ctx, func(tx Txn) error {
		t, ok := tx.(*txn)
		if !ok {
			return fmt.Errorf("store of type %T: %w", kv, errors.ErrUnsupported)
		}
		var werr error
		err := t.base.scan(Range{}, func(key string, rec record) bool {
			if key != commitKey { // that is the engine's own
				werr = s.record(key, rec)
			}
			if werr == nil {
				werr = ctx.Err()
			}
			return werr == nil
		})
		return errors.Join(err, werr)
	})
	if err != nil {
		return 0, err
	}
	return int(s.records), s.end()
}

// Check reads a backup to its end and says what it holds. A backup that passes can be restored.
func Check(ctx context.Context, r io.Reader, identities ...age.Identity) (Summary, error) {
	sum, err := readBackup(ctx, r, identities, func(string, record) error { return nil })
	if err != nil {
		return Summary{}, fmt.Errorf("check the backup: %w", err)
	}
	return sum, nil
}

// readBackup calls f with every record. They may be trusted only if it returns nil.
func readBackup(ctx context.Context, r io.Reader, identities []age.Identity, f func(string, record) error) (Summary, error) {
	dec, err := age.Decrypt(r, identities...)
	if err != nil {
		return Summary{}, err
	}
	s, err := newStreamReader(dec)
	if err != nil {
		return Summary{}, err
	}
	named := false
	for {
		key, rec, err := s.next()
		if err == io.EOF && !named {
			err = fmt.Errorf("%w: it lacks the record %s", errStream, identityKey)
		}
		if err == io.EOF {
			return Summary{Created: s.head.Created, Records: int(s.records)}, nil
		}
		if err == nil {
			err = ctx.Err()
		}
		if err == nil {
			named = named || key == identityKey
			err = f(key, rec)
		}
		if err != nil {
			return Summary{}, err
		}
	}
}

// RestoreBadger makes the store of a backup in cfg.Dir, which must not hold one, and closes it. If r can be rewound, the
// backup is first read to its end, so that a bad one is refused before anything is written; otherwise, as after any
// other failure, what was written is removed.
func RestoreBadger(ctx context.Context, r io.Reader, cfg BadgerConfig, identities ...age.Identity) (Summary, error) {
	f := filesIn(cfg.Dir)
	if _, err := os.Stat(f.db); err == nil {
		return Summary{}, fmt.Errorf("restore into %s: %w", cfg.Dir, ErrNotEmpty)
	}
	if rs, ok := r.(io.ReadSeeker); ok {
		start, err := rs.Seek(0, io.SeekCurrent)
		if err == nil {
			if _, err := Check(ctx, rs, identities...); err != nil {
				return Summary{}, err
			}
			if _, err := rs.Seek(start, io.SeekStart); err != nil {
				return Summary{}, fmt.Errorf("rewind the backup: %w", err)
			}
		}
	}
	b, err := OpenBadger(ctx, cfg)
	if err != nil {
		return Summary{}, err
	}
	sum, err := Restore(ctx, r, b, identities...)
	if err = errors.Join(err, b.Close()); err != nil {
		for _, path := range []string{f.db, f.note, f.ballast} {
			err = errors.Join(err, os.RemoveAll(path))
		}
		return Summary{}, err
	}
	return sum, nil
}

// Restore reads a backup into dst, which must be empty. A backup that turns out to be cut short or altered is an error,
// and leaves a store that does not open. After a success dst must be closed and opened again: its Secrets are now the
// backup's. RestoreBadger does all that.
func Restore(ctx context.Context, r io.Reader, dst KV, identities ...age.Identity) (Summary, error) {
	sum, err := restore(ctx, r, dst, identities)
	if err != nil {
		return Summary{}, fmt.Errorf("restore the backup: %w", err)
	}
	return sum, nil
}

func restore(ctx context.Context, r io.Reader, dst KV, identities []age.Identity) (Summary, error) {
	own, err := claimEmpty(ctx, dst)
	if err != nil {
		return Summary{}, err
	}
	l := &loader{ctx: ctx, dst: dst}
	was := identity{}
	sum, err := readBackup(ctx, r, identities, func(key string, rec record) error {
		switch key {
		case identityKey:
			return was.parse(rec.value)
		case restoreKey, commitKey:
			return fmt.Errorf("%w: it holds the record %s", errStream, key)
		}
		return l.add(key, rec)
	})
	if err == nil {
		err = l.flush()
	}
	if err != nil {
		return Summary{}, err
	}
	own.Created, own.Root = was.Created, was.Root
	return sum, dst.Update(ctx, func(tx Txn) error {
		return errors.Join(Save(tx, identityKey, own, never), tx.Delete(restoreKey))
	})
}

// claimEmpty marks an empty store as one that is being restored, and returns its identity.
func claimEmpty(ctx context.Context, dst KV) (identity, error) {
	var id identity
	err := dst.Update(ctx, func(tx Txn) (err error) {
		other := ""
		err = tx.Scan(Range{}, func(key string, _ []byte) bool {
			other = key
			return false
		})
		if err == nil && other != "" {
			err = fmt.Errorf("%w: it holds %s", ErrNotEmpty, other)
		}
		if err != nil {
			return err
		}
		if id, err = Load[identity](tx, identityKey); err != nil {
			return err
		}
		return tx.Set(restoreKey, nil, never)
	})
	return id, err
}

// loader writes many records, several in one update.
type loader struct {
	ctx     context.Context
	dst     KV
	waiting []keyed
	size    int
}

const (
	loadRecords = 1000
	loadBytes   = 256 << 10 // of a commit, which has room for one record that is larger
)

func (l *loader) add(key string, rec record) error {
	if len(l.waiting) == loadRecords || l.size+rec.size(key) > loadBytes {
		if err := l.flush(); err != nil {
			return err
		}
	}
	l.waiting = append(l.waiting, keyed{key, rec})
	l.size += rec.size(key)
	return nil
}

func (l *loader) flush() error {
	err := l.dst.Update(l.ctx, func(tx Txn) error {
		for _, w := range l.waiting {
			if err := tx.Set(w.key, w.rec.value, w.rec.collect); err != nil {
				return err
			}
		}
		return nil
	})
	l.waiting, l.size = l.waiting[:0], 0
	return err
}
