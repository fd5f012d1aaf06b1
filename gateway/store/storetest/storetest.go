// Package storetest holds what every engine of package store must pass: one test body, run against each.
package storetest

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"otpost/gateway/store"
)

// Run runs every conformance test against stores that open makes, each empty and closed by the test's cleanup.
func Run(t *testing.T, open func(t *testing.T) store.KV) {
	for _, tt := range []struct {
		name string
		test func(*testing.T, store.KV)
	}{
		{"GetSetDelete", getSetDelete},
		{"FailedUpdateChangesNothing", failedUpdate},
		{"ReadYourWrites", readYourWrites},
		{"Scan", scan},
		{"ScanMeetsOwnWrites", scanOwn},
		{"ScanIsASnapshot", scanSnapshot},
		{"BadKeys", badKeys},
		{"ViewIsReadOnly", viewReadOnly},
		{"ValuesAreCopies", copies},
		{"OnDone", onDone},
		{"Serial", serial},
		{"NoPhantoms", phantoms},
		{"Context", contexts},
		{"Panic", panics},
		{"ViewIsOneState", viewOneState},
		{"Records", records},
		{"Model", model},
	} {
		t.Run(tt.name, func(t *testing.T) { tt.test(t, open(t)) })
	}
}

var never time.Time

func update(t *testing.T, kv store.KV, f func(store.Txn) error) {
	t.Helper()
	if err := kv.Update(t.Context(), f); err != nil {
		t.Fatalf("update: %v", err)
	}
}

func put(t *testing.T, kv store.KV, keys ...string) {
	t.Helper()
	update(t, kv, func(tx store.Txn) error {
		for _, k := range keys {
			if err := tx.Set(k, []byte("value of "+k), never); err != nil {
				return err
			}
		}
		return nil
	})
}

func get(t *testing.T, kv store.KV, key string) (value string, ok bool) {
	t.Helper()
	err := kv.View(t.Context(), func(tx store.Txn) error {
		b, err := tx.Get(key)
		value = string(b)
		return err
	})
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		t.Fatalf("get %s: %v", key, err)
	}
	return value, err == nil
}

func list(tx store.Txn, r store.Range) ([]string, error) {
	var keys []string
	err := tx.Scan(r, func(key string, _ []byte) bool {
		keys = append(keys, key)
		return true
	})
	return keys, err
}

func getSetDelete(t *testing.T, kv store.KV) {
	if _, ok := get(t, kv, "t/a"); ok {
		t.Error("a new store holds t/a")
	}
	put(t, kv, "t/a")
	if v, _ := get(t, kv, "t/a"); v != "value of t/a" {
		t.Errorf("got %q", v)
	}
	update(t, kv, func(tx store.Txn) error { return tx.Set("t/empty", nil, never) })
	if v, ok := get(t, kv, "t/empty"); !ok || v != "" {
		t.Errorf("an empty value came back as %q, %v", v, ok)
	}
	update(t, kv, func(tx store.Txn) error {
		return errors.Join(tx.Delete("t/a"), tx.Delete("t/never"))
	})
	if _, ok := get(t, kv, "t/a"); ok {
		t.Error("a deleted key is still there")
	}
}

func failedUpdate(t *testing.T, kv store.KV) {
	put(t, kv, "t/a")
	want := errors.New("no")
	err := kv.Update(t.Context(), func(tx store.Txn) error {
		if err := errors.Join(tx.Set("t/a", []byte("changed"), never), tx.Set("t/b", nil, never)); err != nil {
			return err
		}
		return want
	})
	if err != want {
		t.Errorf("got %v, want the function's own error", err)
	}
	if v, _ := get(t, kv, "t/a"); v != "value of t/a" {
		t.Errorf("t/a is %q", v)
	}
	if _, ok := get(t, kv, "t/b"); ok {
		t.Error("t/b is there")
	}
}

func readYourWrites(t *testing.T, kv store.KV) {
	put(t, kv, "t/a", "t/b")
	update(t, kv, func(tx store.Txn) error {
		if err := errors.Join(tx.Set("t/a", []byte("new"), never), tx.Delete("t/b")); err != nil {
			return err
		}
		if b, err := tx.Get("t/a"); string(b) != "new" || err != nil {
			t.Errorf("own write reads %q, %v", b, err)
		}
		if _, err := tx.Get("t/b"); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("own delete reads %v", err)
		}
		return tx.Set("t/b", []byte("again"), never)
	})
	if v, _ := get(t, kv, "t/b"); v != "again" {
		t.Errorf("t/b is %q, want what was set last", v)
	}
}

func scan(t *testing.T, kv store.KV) {
	put(t, kv, "s/a", "s/b", "s/b/1", "s/b/2", "s/b~", "s/c", "r/z", "t/a")
	tests := []struct {
		name string
		r    store.Range
		want []string
	}{
		{"prefix", store.Range{Prefix: "s/b"}, []string{"s/b", "s/b/1", "s/b/2", "s/b~"}},
		{"folder", store.Range{Prefix: "s/b/"}, []string{"s/b/1", "s/b/2"}},
		{"reverse", store.Range{Prefix: "s/b", Reverse: true}, []string{"s/b~", "s/b/2", "s/b/1", "s/b"}},
		{"from", store.Range{Prefix: "s/", From: "s/b/1"}, []string{"s/b/1", "s/b/2", "s/b~", "s/c"}},
		{"from between", store.Range{Prefix: "s/", From: "s/b/11"}, []string{"s/b/2", "s/b~", "s/c"}},
		{"from, reverse", store.Range{Prefix: "s/", From: "s/b/1", Reverse: true}, []string{"s/b/1", "s/b", "s/a"}},
		{"from between, reverse", store.Range{Prefix: "s/", From: "s/b/11", Reverse: true}, []string{"s/b/1", "s/b", "s/a"}},
		{"from below all", store.Range{Prefix: "s/", From: "s/", Reverse: true}, nil},
		{"from above all", store.Range{Prefix: "s/", From: "s/z"}, nil},
		{"from is a prefix of keys, reverse", store.Range{Prefix: "s/", From: "s/b", Reverse: true}, []string{"s/b", "s/a"}},
		{"nothing", store.Range{Prefix: "s/x"}, nil},
		{"past the end", store.Range{Prefix: "z"}, nil},
		{"past the end, reverse", store.Range{Prefix: "z", Reverse: true}, nil},
		{"before the begin, reverse", store.Range{Prefix: "a", Reverse: true}, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for name, run := range map[string]func(context.Context, func(store.Txn) error) error{"View": kv.View, "Update": kv.Update} {
				var got []string
				err := run(t.Context(), func(tx store.Txn) (err error) {
					got, err = list(tx, tt.r)
					return err
				})
				if diff := cmp.Diff(tt.want, got); diff != "" || err != nil {
					t.Errorf("%s: %v (-want +got):\n%s", name, err, diff)
				}
			}
		})
	}
	err := kv.View(t.Context(), func(tx store.Txn) error {
		return tx.Scan(store.Range{Prefix: "s/", From: "t/a"}, func(string, []byte) bool { return true })
	})
	if err == nil {
		t.Error("a start outside of the prefix was taken")
	}
	n := 0
	err = kv.View(t.Context(), func(tx store.Txn) error {
		return tx.Scan(store.Range{Prefix: "s/"}, func(string, []byte) bool { n++; return n < 2 })
	})
	if n != 2 || err != nil {
		t.Errorf("scan stopped after %d records, %v; want 2", n, err)
	}
}

func scanOwn(t *testing.T, kv store.KV) {
	put(t, kv, "s/a", "s/b", "s/d")
	update(t, kv, func(tx store.Txn) error {
		if err := errors.Join(tx.Set("s/0", nil, never), tx.Set("s/b", []byte("own"), never), tx.Set("s/c", nil, never),
			tx.Delete("s/d"), tx.Set("s/e", nil, never), tx.Set("t/a", nil, never)); err != nil {
			return err
		}
		up, err := list(tx, store.Range{Prefix: "s/"})
		if diff := cmp.Diff([]string{"s/0", "s/a", "s/b", "s/c", "s/e"}, up); diff != "" {
			t.Errorf("%v (-want +got):\n%s", err, diff)
		}
		down, err := list(tx, store.Range{Prefix: "s/", From: "s/c", Reverse: true})
		if diff := cmp.Diff([]string{"s/c", "s/b", "s/a", "s/0"}, down); diff != "" {
			t.Errorf("reverse: %v (-want +got):\n%s", err, diff)
		}
		return tx.Scan(store.Range{Prefix: "s/b"}, func(_ string, value []byte) bool {
			if string(value) != "own" {
				t.Errorf("s/b scans as %q", value)
			}
			return true
		})
	})
}

// scanSnapshot: what the function writes while it scans is not met by that scan.
func scanSnapshot(t *testing.T, kv store.KV) {
	put(t, kv, "s/a", "s/b", "s/c")
	var got []string
	update(t, kv, func(tx store.Txn) error {
		var werr error
		err := tx.Scan(store.Range{Prefix: "s/"}, func(key string, _ []byte) bool {
			got = append(got, key)
			werr = errors.Join(werr, tx.Delete("s/c"), tx.Set(key+"x", nil, never))
			return true
		})
		return errors.Join(err, werr)
	})
	if diff := cmp.Diff([]string{"s/a", "s/b", "s/c"}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	_ = kv.View(t.Context(), func(tx store.Txn) (err error) { got, err = list(tx, store.Range{Prefix: "s/"}); return err })
	if diff := cmp.Diff([]string{"s/a", "s/ax", "s/b", "s/bx", "s/cx"}, got); diff != "" {
		t.Errorf("afterwards (-want +got):\n%s", diff)
	}
}

func badKeys(t *testing.T, kv store.KV) {
	long := make([]byte, 4096)
	for i := range long {
		long[i] = 'x'
	}
	for _, key := range []string{"", "a b", "a\n", "a\x00b", "ключ", "a\x7f", string(long)} {
		err := kv.Update(t.Context(), func(tx store.Txn) error { return tx.Set(key, nil, never) })
		if err == nil {
			t.Errorf("key %.20q was taken", key)
		}
		err = kv.View(t.Context(), func(tx store.Txn) error { _, err := tx.Get(key); return err })
		if err == nil || errors.Is(err, store.ErrNotFound) {
			t.Errorf("get %.20q: %v", key, err)
		}
	}
}

func viewReadOnly(t *testing.T, kv store.KV) {
	_ = kv.View(t.Context(), func(tx store.Txn) error {
		if err := tx.Set("t/a", nil, never); !errors.Is(err, store.ErrReadOnly) {
			t.Errorf("set: %v, want ErrReadOnly", err)
		}
		if err := tx.Delete("t/a"); !errors.Is(err, store.ErrReadOnly) {
			t.Errorf("delete: %v, want ErrReadOnly", err)
		}
		return nil
	})
	if _, ok := get(t, kv, "t/a"); ok {
		t.Error("a View wrote")
	}
}

func copies(t *testing.T, kv store.KV) {
	in := []byte("abc")
	var kept [][]byte
	keep := func(tx store.Txn) {
		b, _ := tx.Get("t/a")
		kept = append(kept, b)
		_ = tx.Scan(store.Range{Prefix: "t/"}, func(_ string, v []byte) bool { kept = append(kept, v); return true })
	}
	update(t, kv, func(tx store.Txn) error {
		if err := tx.Set("t/a", in, never); err != nil {
			return err
		}
		in[0] = 'X'
		keep(tx)
		for _, b := range kept {
			b[1] = 'Y'
		}
		return nil
	})
	kept = nil
	_ = kv.View(t.Context(), func(tx store.Txn) error { keep(tx); return nil })
	for _, b := range kept {
		if string(b) != "abc" {
			t.Errorf("got %q, want abc: the store shares its memory", b)
		}
		b[1] = 'Z'
	}
	if v, _ := get(t, kv, "t/a"); v != "abc" {
		t.Errorf("got %q, want abc", v)
	}
}

func onDone(t *testing.T, kv store.KV) {
	var got []string
	note := func(tx store.Txn, name string) {
		tx.OnDone(func(ok bool) { got = append(got, fmt.Sprint(name, " ", ok)) })
	}
	update(t, kv, func(tx store.Txn) error {
		got = nil // only the run that counts
		note(tx, "first")
		note(tx, "second")
		return tx.Set("t/a", nil, never)
	})
	if diff := cmp.Diff([]string{"first true", "second true"}, got); diff != "" {
		t.Errorf("committed (-want +got):\n%s", diff)
	}
	_ = kv.Update(t.Context(), func(tx store.Txn) error { got = nil; note(tx, "x"); return errors.New("no") })
	if diff := cmp.Diff([]string{"x false"}, got); diff != "" {
		t.Errorf("given up (-want +got):\n%s", diff)
	}
	_ = kv.View(t.Context(), func(tx store.Txn) error { got = nil; note(tx, "v"); return nil })
	if diff := cmp.Diff([]string{"v false"}, got); diff != "" {
		t.Errorf("view (-want +got):\n%s", diff)
	}
}

func records(t *testing.T, kv store.KV) {
	type rec struct{ A int }
	update(t, kv, func(tx store.Txn) error {
		return errors.Join(store.Save(tx, "t/a", rec{7}, never), tx.Set("t/bad", []byte("{"), never))
	})
	err := kv.View(t.Context(), func(tx store.Txn) error {
		if r, err := store.Load[rec](tx, "t/a"); r.A != 7 || err != nil {
			t.Errorf("got %+v, %v", r, err)
		}
		if _, err := store.Load[rec](tx, "t/none"); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("missing: %v", err)
		}
		_, err := store.Load[rec](tx, "t/bad")
		return err
	})
	var corrupt *store.CorruptError
	if !errors.As(err, &corrupt) || corrupt.Key != "t/bad" {
		t.Errorf("bad record: %v, want a CorruptError that names it", err)
	}
}
