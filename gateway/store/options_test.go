package store

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/dgraph-io/badger/v4"
)

// killedOld returns what a kill leaves of a store of an earlier version, whose memtable was larger and is full: with today's the
// engine would end the process ("Arena too small"). Each record is a kilobyte.
func killedOld(t *testing.T, memTable int64, records int) (dir string) {
	t.Helper()
	was, dir := t.TempDir(), filepath.Join(t.TempDir(), "db")
	old, err := badger.Open(EngineOptions(was, nil).WithMemTableSize(memTable).WithSyncWrites(false))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = old.Close() }() // it is the other folder's
	for i := 0; i < records; i += 100 {
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
	if err := os.CopyFS(dir, os.DirFS(was)); err != nil {
		t.Fatal(err)
	}
	return dir
}

// openOld opens a store with the memtables wanted, finds every record, and closes it.
func openOld(t *testing.T, dir string, want int64, records int) {
	t.Helper()
	opt, err := roomForOld(EngineOptions(dir, nil))
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

// oldVersions checks something for the memtables that earlier versions had, and as many records as fill one.
func oldVersions(t *testing.T, check func(t *testing.T, memTable int64, records int)) {
	t.Run("the first", func(t *testing.T) { check(t, oldMemTable, 7900) })
	t.Run("the second", func(t *testing.T) { check(t, 6<<20, 5900) })
}

// A store of an earlier version, whose memtables were larger, opens whole after that version was killed with a full one; and
// with its next end its memtables have the size of today.
func TestLargerMemtableOfAKilledProcess(t *testing.T) {
	oldVersions(t, func(t *testing.T, was int64, records int) {
		dir := killedOld(t, was, records)
		openOld(t, dir, oldMemTable, records)
		openOld(t, dir, memTable, records)
	})
}

// The engine cuts a memtable's file to what is in it as it opens, and only then makes the next one. A process that is killed
// in between (there may be three to read) leaves files that are larger than a memtable of today but not of the old size.
func TestLargerMemtableCutShort(t *testing.T) {
	oldVersions(t, func(t *testing.T, was int64, records int) {
		dir := killedOld(t, was, records)
		names, err := filepath.Glob(filepath.Join(dir, "*.mem"))
		if err != nil || len(names) == 0 {
			t.Fatalf("memtables: %v, %v", names, err)
		}
		for _, name := range names { // as the engine does
			b, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.Truncate(name, int64(len(bytes.TrimRight(b, "\x00")))); err != nil {
				t.Fatal(err)
			}
		}
		openOld(t, dir, oldMemTable, records)
	})
}
