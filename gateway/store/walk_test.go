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

// rotReader is a committed state in which records whose value is "rot" do not open.
type rotReader struct{ reader }

func (r rotReader) scan(rg Range, f func(string, record) bool) (err error) {
	if bad := r.reader.scan(rg, func(key string, rec record) bool {
		if string(rec.value) == "rot" {
			err = &CorruptError{Key: key, Err: errNotOpened}
			return false
		}
		return f(key, rec)
	}); bad != nil {
		return bad
	}
	return err
}

// What a transaction has written stands where it belongs, also in front of a record that does not open, and in its place.
func TestWalkOfOwnWritesAmongRot(t *testing.T) {
	kv := NewMemory()
	kv.apply(layer{"a/2": {value: []byte("rot")}, "a/4": {value: []byte("rot")}, "a/6": {value: []byte("rot")}, "a/7": {value: []byte("ok")}})
	tx := &txn{
		base:    rotReader{(*memoryReader)(kv)},
		pending: [2]layer{{"a/1": {value: []byte("ok")}}, {"a/1": {deleted: true}, "a/6": {deleted: true}}},
		own:     layer{"a/3": {value: []byte("ok")}, "a/4": {value: []byte("mended")}, "a/5": {value: []byte("ok")}},
	}
	want := []string{"a/1", "!a/2", "a/3", "a/4", "a/5", "a/7"}
	for _, reverse := range []bool{false, true} {
		for stop := 1; stop <= len(want); stop++ {
			var got []string
			note := func(s string) bool {
				got = append(got, s)
				return len(got) < stop
			}
			if err := Walk(tx, Range{Prefix: "a/", Reverse: reverse}, func(key string, _ []byte) bool { return note(key) },
				func(c *CorruptError) bool { return note("!" + c.Key) }); err != nil {
				t.Fatal(err)
			}
			expected := slices.Clone(want)
			if reverse {
				slices.Reverse(expected)
			}
			if !slices.Equal(got, expected[:stop]) {
				t.Errorf("reverse %v: walked %v, want %v", reverse, got, expected[:stop])
			}
		}
	}
}
