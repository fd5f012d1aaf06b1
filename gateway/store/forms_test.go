package store_test

import (
	"testing"
	"time"

	"otpost/gateway/store"
)

type wholeRecord struct {
	A string `json:"a"`
	B string `json:"b"`
}

type partRecord struct {
	A string `json:"a"`
}

// A record that is also read as a type of which it is more than that type holds, stays whole on every engine.
func TestFormsOfTwoTypes(t *testing.T) {
	want := wholeRecord{"a", "b"}
	for name, kv := range map[string]store.KV{"memory": store.NewMemory(), "badger": open(t, t.TempDir(), ring(t))} {
		load := func(when string) {
			t.Helper()
			if err := kv.Update(t.Context(), func(tx store.Txn) error {
				got, err := store.Load[wholeRecord](tx, "t/a")
				if got != want {
					t.Errorf("%s: %s: %+v", name, when, got)
				}
				return err
			}); err != nil {
				t.Error(name, when, err)
			}
		}
		part := func(tx store.Txn) error {
			_, err := store.Load[partRecord](tx, "t/a")
			return err
		}
		if err := kv.Update(t.Context(), func(tx store.Txn) error { return store.Save(tx, "t/a", want, time.Time{}) }); err != nil {
			t.Fatal(err)
		}
		if err := kv.Update(t.Context(), part); err != nil {
			t.Fatal(err)
		}
		load("read in part later")
		if err := kv.Update(t.Context(), func(tx store.Txn) error {
			if err := store.Save(tx, "t/a", want, time.Time{}); err != nil {
				return err
			}
			return part(tx)
		}); err != nil {
			t.Fatal(err)
		}
		load("read in part in the transaction")
		if err := kv.View(t.Context(), func(tx store.Txn) error {
			got, err := store.Load[wholeRecord](tx, "t/a")
			if got != want {
				t.Errorf("%s: durably: %+v", name, got)
			}
			return err
		}); err != nil {
			t.Error(name, err)
		}
	}
}
