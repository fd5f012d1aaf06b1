package store_test

import (
	"errors"
	"fmt"
	"iter"
	"strings"
	"testing"
	"time"

	"otpost/gateway/store"
)

// numbered is a run of n records under prefix.
func numbered(prefix string, n int) iter.Seq[store.Item] {
	return func(yield func(store.Item) bool) {
		for i := range n {
			if !yield(store.Item{Key: fmt.Sprintf("%s/%06d", prefix, i), Value: fmt.Append(nil, prefix, i), Collect: time.Now().Add(time.Hour)}) {
				return
			}
		}
	}
}

// What was loaded is a store like any other: it opens, every record opens, it takes updates, and it opens again.
func TestLoadBadger(t *testing.T) {
	dir, r := t.TempDir(), ring(t)
	const n = 20_000
	if err := store.LoadBadger(t.Context(), store.BadgerConfig{Dir: dir, Keys: r, Reserve: 1}, numbered("b", n), numbered("a", n), numbered("c", 1)); err != nil {
		t.Fatal(err)
	}
	for turn := range 2 {
		b := open(t, dir, r)
		at := 0
		err := b.View(t.Context(), func(tx store.Txn) error {
			return tx.Scan(store.Range{}, func(key string, value []byte) bool {
				prefix, number, _ := strings.Cut(key, "/")
				if prefix != "z" && fmt.Sprintf("%s%06d", prefix, at%n) != prefix+number {
					t.Fatalf("turn %d: %s is record %d", turn, key, at)
				}
				at++
				return true
			})
		})
		if want := 2*n + 1 + turn; err != nil || at != want {
			t.Fatalf("turn %d: %d records, %v; want %d", turn, at, err, want)
		}
		if err := b.Update(t.Context(), func(tx store.Txn) error {
			value, err := tx.Get("a/000007")
			if string(value) != "a7" {
				t.Errorf("a/000007 is %q", value)
			}
			return errors.Join(err, tx.Set("z", []byte("new"), time.Time{}))
		}); err != nil {
			t.Fatal(err)
		}
		if err := b.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestLoadBadgerRefuses(t *testing.T) {
	backwards := func(yield func(store.Item) bool) { _ = yield(store.Item{Key: "b"}) && yield(store.Item{Key: "a"}) }
	for _, tt := range []struct {
		name, want string
		kept       bool
		runs       []iter.Seq[store.Item]
	}{
		{"a store that holds something", store.ErrNotEmpty.Error(), true, nil},
		{"a run that does not ascend", "a comes behind b", false, []iter.Seq[store.Item]{backwards}},
		{"a key that is none", "printable ASCII", false, []iter.Seq[store.Item]{numbered("a b", 1)}},
		{"runs that lie across each other", "Smallest", false, []iter.Seq[store.Item]{numbered("a", 10), numbered("a", 10)}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			cfg := store.BadgerConfig{Dir: t.TempDir(), Keys: ring(t), Reserve: 1}
			if tt.kept {
				b := open(t, cfg.Dir, cfg.Keys)
				err := b.Update(t.Context(), func(tx store.Txn) error { return tx.Set("a", nil, time.Time{}) })
				if err := errors.Join(err, b.Close()); err != nil {
					t.Fatal(err)
				}
			}
			err := store.LoadBadger(t.Context(), cfg, tt.runs...)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("the error is %v, want one that says %q", err, tt.want)
			}
		})
	}
}
