package api

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"log/slog"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"otpost/gateway/store"
	"otpost/gateway/store/storetest"
)

func TestToken(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		token, err := newToken(rand.Reader)
		if err != nil || !wellFormed(token) {
			t.Fatalf("%q is not well-formed (%v)", token, err)
		}
		i := rapid.IntRange(0, len(token)-1).Draw(t, "at")
		c := base62[rapid.IntRange(0, 61).Draw(t, "to")]
		other := token[:i] + string(c) + token[i+1:]
		if other != token && wellFormed(other) {
			t.Fatalf("%q with one character changed still passes", token)
		}
	})
	for _, s := range []string{"", tokenPrefix, strings.Repeat("x", 47), "Bearer x"} {
		if wellFormed(s) {
			t.Errorf("%q passes", s)
		}
	}
}

// Every character of a token is drawn from all 62, none much likelier than another.
func TestTokenIsUniform(t *testing.T) {
	const tokens = 4000
	count := map[rune]int{}
	for range tokens {
		token, err := newToken(rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range token[len(tokenPrefix) : len(tokenPrefix)+tokenRandom] {
			count[c]++
		}
	}
	want, chi := float64(tokens*tokenRandom)/62, 0.0
	for _, c := range base62 {
		d := float64(count[c]) - want
		chi += d * d / want
	}
	if chi > 130 { // 61 degrees of freedom: beyond 130 once in a million runs
		t.Errorf("chi-square is %.0f", chi)
	}
}

func TestKeyLife(t *testing.T) {
	k := newKit(t)
	ctx, now := context.Background(), time.Now()
	home, away := netip.MustParseAddr("192.0.2.7"), netip.MustParseAddr("198.51.100.7")
	key, token, err := k.keys.Create(ctx, now, KeySpec{Name: "n", Scopes: []Scope{ScopePortal}, Expires: now.Add(time.Hour),
		AllowFrom: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}})
	if err != nil {
		t.Fatal(err)
	}
	check := func(name, token string, at time.Time, from netip.Addr, want error) {
		t.Helper()
		who, err := k.keys.Authenticate(ctx, at, token, from)
		if !errors.Is(err, want) || err == nil && (who.id != key.ID || !who.may(access{scopes: []Scope{ScopePortal}}) || who.may(access{scopes: []Scope{ScopeOps}})) {
			t.Errorf("%s: got %+v, %v; want %v", name, who, err, want)
		}
	}
	check("good", token, now, home, nil)
	check("elsewhere", token, now, away, errKeyAddress)
	check("a unix socket is no address", token, now, netip.Addr{}, errKeyAddress)
	check("last moment", token, now.Add(time.Hour-1), home, nil)
	check("expired", token, now.Add(time.Hour), home, errKeyExpired)
	check("another", must(newToken(rand.Reader)), now, home, errKeyUnknown)
	check("nonsense", "otp_live_x", now, home, errKeyUnknown)

	_, second, err := k.keys.Rotate(ctx, now, key.ID, 10*time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	check("new token", second, now, home, nil)
	check("old token in the overlap", token, now.Add(10*time.Minute-1), home, nil)
	check("old token after the overlap", token, now.Add(10*time.Minute), home, errKeyExpired)
	_, third, err := k.keys.Rotate(ctx, now.Add(time.Minute), key.ID, 0)
	if err != nil {
		t.Fatal(err)
	}
	check("without overlap the old ones end at once", second, now.Add(time.Minute), home, errKeyUnknown)
	check("the oldest too", token, now.Add(time.Minute), home, errKeyUnknown)
	check("third token", third, now.Add(time.Minute), home, nil)

	if _, err := k.keys.Revoke(ctx, now, key.ID); err != nil {
		t.Fatal(err)
	}
	check("revoked", third, now, home, errKeyUnknown)
	if _, _, err := k.keys.Rotate(ctx, now, key.ID, 0); err == nil {
		t.Error("a revoked key was given a new token")
	}
	if _, err := k.keys.Revoke(ctx, now, "key_none"); !errors.Is(err, ErrNoKey) {
		t.Errorf("revoke of no key: %v", err)
	}
	list, err := k.keys.List(ctx)
	if err != nil || len(list) != len(Scopes())+1 || list[0].ID != key.ID && list[0].RevokedAt.IsZero() == false {
		t.Errorf("list: %+v, %v", list, err)
	}
}

// Neither a token nor its random part is in the store, and the hash is.
func TestTokensAreNotStored(t *testing.T) {
	k := newKit(t)
	_, token, err := k.keys.Create(context.Background(), time.Now(), KeySpec{Name: "n", Scopes: []Scope{ScopeOps}})
	if err != nil {
		t.Fatal(err)
	}
	sum := hashToken(token)
	secret, found := token[len(tokenPrefix):len(token)-tokenCheck], false
	err = k.kv.View(context.Background(), func(tx store.Txn) error {
		return tx.Scan(store.Range{}, func(name string, value []byte) bool {
			if strings.Contains(name+string(value), secret) {
				t.Errorf("%s holds the token: %s", name, value)
			}
			found = found || strings.Contains(name, hex.EncodeToString(sum[:]))
			return true
		})
	})
	if err != nil || !found {
		t.Errorf("hash found: %v, %v", found, err)
	}
}

func TestKeySpecIsChecked(t *testing.T) {
	now := time.Now()
	for name, spec := range map[string]KeySpec{
		"no name":       {Scopes: []Scope{ScopeOps}},
		"long name":     {Name: strings.Repeat("n", 65), Scopes: []Scope{ScopeOps}},
		"no scope":      {Name: "n"},
		"unknown scope": {Name: "n", Scopes: []Scope{"root"}},
		"past":          {Name: "n", Scopes: []Scope{ScopeOps}, Expires: now},
	} {
		if err := spec.check(now); err == nil {
			t.Errorf("%s passes", name)
		}
	}
}

// countingKV counts updates.
type countingKV struct {
	store.KV
	updates atomic.Int64
}

func (c *countingKV) Update(ctx context.Context, f func(store.Txn) error) error {
	c.updates.Add(1)
	return c.KV.Update(ctx, f)
}

// A thousand uses in a minute are one write, and what was not written yet is written at the end.
func TestLastUseIsNotedLazily(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newKit(t)
		kv := &countingKV{KV: k.kv}
		keys, err := NewKeys(KeysConfig{KV: kv, Log: k.cfg.Log})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- keys.Run(ctx) }()
		use := func() {
			for range 1000 {
				if _, err := keys.Authenticate(ctx, time.Now(), k.tokens[ScopeOps], netip.Addr{}); err != nil {
					t.Fatal(err)
				}
			}
		}
		use()
		if kv.updates.Load() != 0 {
			t.Errorf("%d writes before the minute is over", kv.updates.Load())
		}
		time.Sleep(noteEvery + time.Second)
		if kv.updates.Load() != 1 {
			t.Errorf("%d writes for a thousand uses in a minute, want 1", kv.updates.Load())
		}
		time.Sleep(10 * noteEvery)
		if kv.updates.Load() != 1 {
			t.Errorf("%d writes without use, want none more", kv.updates.Load()-1)
		}
		use()
		last := time.Now()
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		list, err := keys.List(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		for _, key := range list {
			if want := key.Name == string(ScopeOps); key.LastUsedAt.Equal(last) != want {
				t.Errorf("%s: last used %v", key.Name, key.LastUsedAt)
			}
		}
	})
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// A key whose record does not open lets nobody in, and is no reason not to list the others or to note their use.
func TestRottenKey(t *testing.T) {
	ctx, now := context.Background(), time.Now()
	kv := storetest.Rotting{KV: store.NewMemory()}
	keys := must(NewKeys(KeysConfig{KV: kv, Log: slog.New(slog.DiscardHandler)}))
	good, goodToken, err := keys.Create(ctx, now, KeySpec{Name: "good", Scopes: []Scope{ScopePortal}})
	if err != nil {
		t.Fatal(err)
	}
	bad, badToken, err := keys.Create(ctx, now, KeySpec{Name: "bad", Scopes: []Scope{ScopePortal}})
	if err != nil {
		t.Fatal(err)
	}
	from := netip.MustParseAddr("127.0.0.1")
	for _, token := range []string{goodToken, badToken} { // both are used
		if _, err := keys.Authenticate(ctx, now, token, from); err != nil {
			t.Fatal(err)
		}
	}
	if err := kv.Rot(ctx, keyRecord(bad.ID)); err != nil {
		t.Fatal(err)
	}
	keys.note(ctx)
	if _, err := keys.Authenticate(ctx, now, badToken, from); err == nil {
		t.Error("a key that does not open lets somebody in")
	}
	all, err := keys.List(ctx)
	if err != nil || len(all) != 1 || all[0].ID != good.ID || !all[0].LastUsedAt.Equal(now.UTC()) {
		t.Errorf("listed %+v, %v", all, err)
	}
}
