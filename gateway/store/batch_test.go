package store

import (
	"fmt"
	"testing"
)

// A commit holds more deletions than records, and as many as are thought to fit are not too many for the engine, time and again.
func TestDeletionsInOneCommit(t *testing.T) {
	b := mustOpen(t, BadgerConfig{Dir: t.TempDir(), Keys: newRing(t), unsynced: true})
	key := func(i int) string { return fmt.Sprintf("t/%0100d", i) }
	for i := range 100 {
		if err := b.Update(t.Context(), func(tx Txn) error { return tx.Set(key(i), nil, never) }); err != nil {
			t.Fatal(err)
		}
	}
	remove := func(n int) error {
		return b.Update(t.Context(), func(tx Txn) error {
			for i := range n {
				if err := tx.Delete(key(i)); err != nil {
					return err
				}
			}
			return nil
		})
	}
	most := (maxCommit - entryOverhead - 1) / (len(key(0)) + deletionOverhead)
	if records := maxCommit / (len(key(0)) + entryOverhead); most < records*3/2 {
		t.Errorf("%d deletions fit, and %d records", most, records)
	}
	if err := remove(most + 1); err != ErrTooBig {
		t.Errorf("%d deletions: %v, want %v", most+1, err, ErrTooBig)
	}
	if n := countAll(t, b, "t/"); n != 100 {
		t.Errorf("%d records are there, want 100", n)
	}
	for range 20 {
		if err := remove(most); err != nil {
			t.Fatalf("%d deletions: %v", most, err)
		}
	}
	if n := countAll(t, b, "t/"); n != 0 {
		t.Errorf("%d records are left", n)
	}
}
