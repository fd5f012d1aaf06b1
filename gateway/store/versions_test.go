package store

import (
	"errors"
	"fmt"
	"math"
	"os"
	"testing"

	"github.com/dgraph-io/badger/v4"
)

// fillTable writes so much that all before it is in a table.
func fillTable(t *testing.T, b *Badger) {
	t.Helper()
	for i := range 12 {
		mustUpdate(t, b, func(tx Txn) error { return tx.Set(fmt.Sprintf("t/other/%02d", i), noise(memTable/10), never) })
	}
}

// mergeAll merges all tables that there are.
func mergeAll(t *testing.T, b *Badger) {
	t.Helper()
	for b.db.Levels()[0].NumTables == len(b.db.Tables()) { // nothing was merged yet, and one level alone is not
		fillTable(t, b)
	}
	if err := b.db.Flatten(1); err != nil {
		t.Fatal(err)
	}
}

// What is looked at outlives merges; what is not is dropped by them.
func TestViewOutlivesMerges(t *testing.T) {
	b := mustOpen(t, BadgerConfig{Dir: t.TempDir(), Keys: newRing(t), unsynced: true})
	set := func(value string) {
		mustUpdate(t, b, func(tx Txn) error { return tx.Set("t/looked-at", []byte(value), never) })
		fillTable(t, b)
	}
	set("first")
	old := b.newReader()
	for i := range 10 {
		set(fmt.Sprint("later ", i))
	}
	mergeAll(t, b)
	if rec, err := old.get("t/looked-at"); err != nil || string(rec.value) != "first" {
		t.Errorf("the view has %q, %v; want what was there when it began", rec.value, err)
	}
	if n := versionsOf(t, b, "t/looked-at"); n < 10 {
		t.Errorf("%d versions are left though a view needs the oldest: the test is too small", n)
	}
	old.close()
	set("last")
	set("last")
	mergeAll(t, b)
	if n := versionsOf(t, b, "t/looked-at"); n > 3 {
		t.Errorf("%d versions are left that nobody looks at", n)
	}
}

// What was deleted stays so over a kill, also while the tables, and with them the engine's logs, are held.
func TestDeletedWhileTablesAreHeld(t *testing.T) {
	dir, ring := t.TempDir(), newRing(t)
	b := mustOpen(t, BadgerConfig{Dir: dir, Keys: ring, unsynced: true})
	mustUpdate(t, b, func(tx Txn) error { return tx.Set("t/deleted", []byte("once there"), never) })
	release := b.holdTables()
	defer release()
	fillTable(t, b)
	mustUpdate(t, b, func(tx Txn) error { return tx.Delete("t/deleted") })
	fillTable(t, b)
	mergeAll(t, b)
	killed := t.TempDir()
	if err := os.CopyFS(killed, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	c := mustOpen(t, BadgerConfig{Dir: killed, Keys: ring, unsynced: true})
	err := c.View(t.Context(), func(tx Txn) error { _, err := tx.Get("t/deleted"); return err })
	if !errors.Is(err, ErrNotFound) {
		t.Errorf("what was deleted is back: %v", err)
	}
}

// versionsOf counts what the engine has of a record.
func versionsOf(t *testing.T, b *Badger, key string) (n int) {
	t.Helper()
	txn := b.db.NewTransactionAt(math.MaxUint64, false)
	defer txn.Discard()
	it := txn.NewKeyIterator([]byte(key), badger.IteratorOptions{AllVersions: true})
	defer it.Close()
	for it.Rewind(); it.Valid(); it.Next() {
		n++
	}
	return n
}

// Merges may drop what is older than the oldest version that is looked at, wherever views end meanwhile.
func TestOldestViewed(t *testing.T) {
	b := mustOpen(t, BadgerConfig{Dir: t.TempDir(), Keys: newRing(t), unsynced: true})
	b.writer.close() // no commits but these
	v := b.versions
	first := v.newest
	commit := func() {
		t.Helper()
		if err := v.commit(func(txn *badger.Txn) error { return txn.Set([]byte("t/a"), nil) }); err != nil {
			t.Fatal(err)
		}
	}
	expect := func(want uint64) {
		t.Helper()
		if got := v.oldest(); got != want {
			t.Errorf("the oldest version looked at is %d, want %d", got-first, want-first)
		}
	}
	one, other := v.view(), v.view()
	commit()
	later := v.view()
	commit()
	expect(first)
	v.end(one)
	expect(first)
	v.end(other)
	expect(first + 1)
	commit()
	v.end(later)
	expect(first + 3)
	if len(v.viewed) != 0 {
		t.Errorf("%v are looked at, want none", v.viewed)
	}
}
