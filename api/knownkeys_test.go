package api

import (
	"context"
	"log/slog"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"otpost/gateway/store"
)

// viewsKV counts reading transactions, and lets a test do something behind one, before what was read is used.
type viewsKV struct {
	store.KV
	views  atomic.Int64
	behind func()
}

func (v *viewsKV) View(ctx context.Context, f func(store.Txn) error) error {
	v.views.Add(1)
	err := v.KV.View(ctx, f)
	if behind := v.behind; behind != nil {
		v.behind = nil
		behind()
	}
	return err
}

// A key is read once, and again when any key has changed.
func TestKeysAreReadOnce(t *testing.T) {
	ctx, now := t.Context(), time.Now()
	kv := &viewsKV{KV: store.NewMemory()}
	keys := must(NewKeys(KeysConfig{KV: kv, Log: slog.New(slog.DiscardHandler)}))
	var tokens, ids []string
	for _, name := range []string{"a", "b"} {
		key, token, err := keys.Create(ctx, now, KeySpec{Name: name, Scopes: []Scope{ScopePortal}})
		if err != nil {
			t.Fatal(err)
		}
		tokens, ids = append(tokens, token), append(ids, key.ID)
	}
	use := func(token string, want error, views int64) {
		t.Helper()
		before := kv.views.Load()
		for range 3 {
			if _, err := keys.Authenticate(ctx, now, token, netip.Addr{}); err != want {
				t.Errorf("%v, want %v", err, want)
			}
		}
		if got := kv.views.Load() - before; got != views {
			t.Errorf("read %d times in three uses, want %d", got, views)
		}
	}
	use(tokens[0], nil, 1)
	use(tokens[1], nil, 1)
	use(must(newToken(keys.cfg.Random)), errKeyUnknown, 3) // strangers are not remembered
	keys.note(ctx)
	use(tokens[0], nil, 0)
	if _, _, err := keys.Rotate(ctx, now, ids[0], time.Minute); err != nil {
		t.Fatal(err)
	}
	use(tokens[0], nil, 1)
	use(tokens[1], nil, 1)
	must(keys.Revoke(ctx, now, ids[0]))
	use(tokens[0], errKeyUnknown, 3)
	use(tokens[1], nil, 1)
}

// A key that is revoked between the reading of its record and the end of the request that read it does not come back.
func TestRevokedKeyIsNotRemembered(t *testing.T) {
	ctx, now := t.Context(), time.Now()
	kv := &viewsKV{KV: store.NewMemory()}
	keys := must(NewKeys(KeysConfig{KV: kv, Log: slog.New(slog.DiscardHandler)}))
	key, token, err := keys.Create(ctx, now, KeySpec{Name: "n", Scopes: []Scope{ScopePortal}})
	if err != nil {
		t.Fatal(err)
	}
	kv.behind = func() { must(keys.Revoke(ctx, now, key.ID)) }
	if _, err := keys.Authenticate(ctx, now, token, netip.Addr{}); err != nil {
		t.Errorf("the request that was there before: %v", err)
	}
	if _, err := keys.Authenticate(ctx, now, token, netip.Addr{}); err != errKeyUnknown {
		t.Errorf("the next one: %v", err)
	}
}

// Whoever asks after a revocation was answered is refused, however many are at it.
func TestRevokeWhileInUse(t *testing.T) {
	ctx, now := t.Context(), time.Now()
	keys := must(NewKeys(KeysConfig{KV: store.NewMemory(), Log: slog.New(slog.DiscardHandler)}))
	for range 50 * *soak {
		key, token, err := keys.Create(ctx, now, KeySpec{Name: "n", Scopes: []Scope{ScopePortal}})
		if err != nil {
			t.Fatal(err)
		}
		var (
			revoked atomic.Bool
			g       sync.WaitGroup
		)
		for range 4 {
			g.Go(func() {
				for refused := 0; refused < 10; {
					after := revoked.Load()
					_, err := keys.Authenticate(ctx, now, token, netip.Addr{})
					if after && err == nil {
						t.Error("let in after the revocation was answered")
						return
					}
					if err != nil {
						refused++
					}
				}
			})
		}
		_, err = keys.Revoke(ctx, now, key.ID)
		revoked.Store(true)
		g.Wait()
		if err != nil {
			t.Fatal(err)
		}
	}
}
