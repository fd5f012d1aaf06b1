package store

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"testing"
	"time"

	"otpost/gateway/store/keys"
)

// What updates read is what a view reads, whatever was remembered in between: values of all sizes, deletions, what was
// never there, commits that were undone, and more than is remembered.
func TestRecentIsNeverWrong(t *testing.T) {
	dir := t.TempDir()
	ring, err := keys.Create(filepath.Join(dir, "key"), rand.NewChaCha8([32]byte{}))
	if err != nil {
		t.Fatal(err)
	}
	b, err := OpenBadger(t.Context(), BadgerConfig{Dir: filepath.Join(dir, "store"), Keys: ring, Reserve: 1, unsynced: true})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	}()
	rnd := rand.New(rand.NewPCG(1, 2))
	undo := errors.New("undo")
	turned := 0
	for range 4000 {
		key := fmt.Sprintf("test/%03d", rnd.IntN(1500))
		old := b.engine.recent.old
		var got []byte
		err := b.Update(t.Context(), func(tx Txn) (err error) {
			if got, err = tx.Get(key); err != nil && !errors.Is(err, ErrNotFound) {
				return err
			}
			switch rnd.IntN(5) {
			case 0:
				return tx.Delete(key)
			case 1:
				return errors.Join(tx.Set(key, []byte("undone"), time.Time{}), undo)
			case 2:
				clear(got) // a caller may do with it what it likes
				return nil
			}
			return tx.Set(key, bytes.Repeat([]byte{byte(rnd.IntN(256))}, rnd.IntN(2*recentLarge)), time.Time{})
		})
		if err != nil && !errors.Is(err, undo) {
			t.Fatal(err)
		}
		if old != nil && len(b.engine.recent.young) == 1 {
			turned++
		}
		compare(t, b, key)
	}
	if turned == 0 {
		t.Error("nothing was ever forgotten: the test is too small")
	}
	if n := b.engine.recent.size; n > recentSize+2*recentLarge {
		t.Errorf("%d bytes are remembered, want at most %d", n, recentSize)
	}
}

func compare(t *testing.T, b *Badger, key string) {
	t.Helper()
	var committed, remembered []byte
	var err1, err2 error
	if err := b.View(t.Context(), func(tx Txn) error {
		committed, err1 = tx.Get(key)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if err := b.Update(t.Context(), func(tx Txn) error {
		remembered, err2 = tx.Get(key)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(committed, remembered) || !errors.Is(err1, err2) && err1 != err2 {
		t.Fatalf("%s: %d bytes (%v) in the store, %d bytes (%v) remembered", key, len(committed), err1, len(remembered), err2)
	}
}
