package store

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/dgraph-io/badger/v4"
)

// The engine cuts a memtable's file to what is in it as it opens, and only then makes the next one. A process that is killed
// in between (there may be three to read) leaves files that are larger than a memtable of today but not of the old size.
func TestLargerMemtableCutShort(t *testing.T) {
	was, dir := t.TempDir(), filepath.Join(t.TempDir(), "db")
	old, err := badger.Open(engineOptions(was, nil).WithMemTableSize(oldMemTable).WithSyncWrites(false))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = old.Close() }() // it is the other folder's
	for i := 0; i < 7900; i += 100 {
		err := old.Update(func(tx *badger.Txn) error {
			for k := range 100 {
				if err := tx.Set(fmt.Appendf(nil, "t/%06d", i+k), bytes.Repeat([]byte{1}, 1000)); err != nil {
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
	names, _ := filepath.Glob(filepath.Join(dir, "*.mem"))
	for _, name := range names { // as the engine does
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.Truncate(name, int64(len(bytes.TrimRight(b, "\x00")))); err != nil {
			t.Fatal(err)
		}
	}
	opt, err := roomForOld(engineOptions(dir, nil))
	if err != nil || opt.MemTableSize != oldMemTable {
		t.Errorf("memtables of %d bytes, %v, want %d", opt.MemTableSize, err, oldMemTable)
	}
	db, err := openCarefully(opt) // ends the process if the memtable does not fit
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
}
