package store

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/dgraph-io/badger/v4"
)

// A store of an earlier version, whose memtables were larger, opens whole after that version was killed with a full one; and
// with its next end its memtables have the size of today.
func TestLargerMemtableOfAKilledProcess(t *testing.T) {
	was, dir := t.TempDir(), filepath.Join(t.TempDir(), "db")
	old, err := badger.Open(engineOptions(was, nil).WithMemTableSize(oldMemTable).WithSyncWrites(false))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = old.Close() }() // it is the other folder's
	const records = 7900
	for i := 0; i < records; i += 100 {
		err := old.Update(func(tx *badger.Txn) error {
			for k := range 100 {
				if err := tx.Set(fmt.Appendf(nil, "t/%06d", i+k), make([]byte, 1000)); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := os.CopyFS(dir, os.DirFS(was)); err != nil { // as a kill leaves it
		t.Fatal(err)
	}
	for _, want := range []int64{oldMemTable, memTable} {
		opt, err := roomForOld(engineOptions(dir, nil))
		if err != nil || opt.MemTableSize != want {
			t.Fatalf("memtables of %d bytes, %v, want %d", opt.MemTableSize, err, want)
		}
		db, err := openCarefully(opt)
		if err != nil {
			t.Fatal(err)
		}
		err = db.View(func(tx *badger.Txn) error {
			for i := range records {
				if _, err := tx.Get(fmt.Appendf(nil, "t/%06d", i)); err != nil {
					return fmt.Errorf("record %d: %w", i, err)
				}
			}
			return nil
		})
		if err != nil {
			t.Error(err)
		}
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
	}
}
