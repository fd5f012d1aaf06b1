package store_test

import (
	"crypto/rand"
	"testing"

	"otpost/gateway/store"
	"otpost/gateway/store/keys"
	"otpost/gateway/store/storetest"
)

func ring(t testing.TB) *keys.Ring {
	t.Helper()
	r, err := keys.Generate(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// open opens the store in dir; the test's cleanup closes it.
func open(t testing.TB, dir string, r *keys.Ring) *store.Badger {
	t.Helper()
	return openWith(t, store.BadgerConfig{Dir: dir, Keys: r})
}

func openWith(t testing.TB, cfg store.BadgerConfig) *store.Badger {
	t.Helper()
	b, err := store.OpenBadger(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return b
}

func TestBadger(t *testing.T) {
	storetest.Run(t, func(t *testing.T) store.KV {
		return openWith(t, store.Unsynced(store.BadgerConfig{Dir: t.TempDir(), Keys: ring(t)}))
	})
}
