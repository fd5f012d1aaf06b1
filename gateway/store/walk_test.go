package store

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"
)

// rotTxn cannot open records whose value is "rot".
type rotTxn struct{ Txn }

func (t rotTxn) Scan(r Range, f func(string, []byte) bool) error {
	var bad error
	err := t.Txn.Scan(r, func(key string, value []byte) bool {
		if string(value) == "rot" {
			bad = &CorruptError{Key: key, Err: errNotOpened}
			return false
		}
		return f(key, value)
	})
	return errors.Join(bad, err)
}

func TestWalk(t *testing.T) {
	kv := NewMemory()
	tests := map[string]string{"a/1": "ok", "a/2": "rot", "a/20": "rot", "a/21": "ok", "a/3": "ok", "a/4": "rot", "b/1": "rot"}
	if err := kv.Update(context.Background(), func(tx Txn) error {
		for key, value := range tests {
			if err := tx.Set(key, []byte(value), time.Time{}); err != nil {
				return err
			}
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	want := []string{"a/1", "!a/2", "!a/20", "a/21", "a/3", "!a/4"}
	for _, reverse := range []bool{false, true} {
		for stop := range len(want) {
			var got, keys []string
			note := func(all *[]string, s string) bool {
				*all = append(*all, s)
				return len(*all) <= stop
			}
			if err := kv.View(context.Background(), func(tx Txn) error {
				r := Range{Prefix: "a/", Reverse: reverse}
				return errors.Join(
					Walk(rotTxn{tx}, r, func(key string, _ []byte) bool { return note(&got, key) }, func(c *CorruptError) bool { return note(&got, "!"+c.Key) }),
					Keys(rotTxn{tx}, r, func(key string) bool { return note(&keys, key) }))
			}); err != nil {
				t.Fatal(err)
			}
			expected := slices.Clone(want)
			if reverse {
				slices.Reverse(expected)
			}
			expected = expected[:stop+1]
			if !slices.Equal(got, expected) {
				t.Errorf("reverse %v: walked %v, want %v", reverse, got, expected)
			}
			for i := range expected {
				expected[i] = strings.TrimPrefix(expected[i], "!")
			}
			if !slices.Equal(keys, expected) {
				t.Errorf("reverse %v: keys %v, want %v", reverse, keys, expected)
			}
		}
	}
}
