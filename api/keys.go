package api

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"otpost/api/wire"
	"otpost/gateway/store"
)

var (
	// ErrNoKey is returned for an id that names no key.
	ErrNoKey = errors.New("no such key")

	errKeyUnknown = errors.New("unknown key")
	errKeyExpired = errors.New("expired key")
	errKeyAddress = errors.New("key used from an address it may not be used from")
)

// maxOverlap is the longest that a replaced token may go on working.
const maxOverlap = 30 * 24 * time.Hour

// KeySpec is what a new key is made from.
type KeySpec struct {
	Name       string
	Scopes     []Scope
	Expires    time.Time // zero: never
	AllowFrom  []netip.Prefix
	PerMinute  int           // requests; 0: the daemon's limit
	Profile    string        // of POST /v1/messages; empty: none
	Recipients []wire.Secret // of profiles that name none
}

// Key is an API key as it is stored, without its token.
type Key struct {
	ID         string         `json:"id"`
	Name       string         `json:"name"`
	Scopes     []Scope        `json:"scopes"`
	Hashes     []keyHash      `json:"hashes"` // newest first; older ones until their overlap ends
	AllowFrom  []netip.Prefix `json:"allow_from,omitempty"`
	PerMinute  int            `json:"per_minute,omitempty"`
	Profile    string         `json:"profile,omitempty"`
	Recipients []wire.Secret  `json:"recipients,omitempty"`
	CreatedAt  time.Time      `json:"created_at"`
	ExpiresAt  time.Time      `json:"expires_at,omitzero"`
	RotatedAt  time.Time      `json:"rotated_at,omitzero"`
	RevokedAt  time.Time      `json:"revoked_at,omitzero"`
	LastUsedAt time.Time      `json:"last_used_at,omitzero"`
}

// keyHash is one token of a key.
type keyHash struct {
	Sum      []byte    `json:"sum"`
	NotAfter time.Time `json:"not_after,omitzero"` // zero: as long as the key
}

// KeysConfig is what Keys work with.
type KeysConfig struct {
	KV      store.KV
	Secrets *store.Secrets
	Random  io.Reader // nil: crypto/rand.Reader
	Log     *slog.Logger
}

// Keys makes, checks and revokes API keys. It is safe for concurrent use.
//
// Records: api/key/<id> is a Key, api/keyhash/<SHA-256 of a token> its id. A revoked key's record stays for the list; its
// hashes go, so its token is unknown from the commit on. Nobody else changes them, so keys that were read are known until
// one changes, or until its record is found not to open any more.
type Keys struct {
	cfg   KeysConfig
	known knownKeys

	mu   sync.Mutex
	used map[string]time.Time // key id to last use not yet written; under mu
}

// NewKeys returns the keys in a store.
func NewKeys(cfg KeysConfig) (*Keys, error) {
	if cfg.KV == nil || cfg.Log == nil {
		return nil, errors.New("keys: KV and Log are required")
	}
	if cfg.Random == nil {
		cfg.Random = rand.Reader
	}
	return &Keys{cfg: cfg, known: knownKeys{keys: map[[sha256.Size]byte]*Key{}}, used: map[string]time.Time{}}, nil
}

func keyRecord(id string) string { return "api/key/" + id }

func hashRecord(sum []byte) string { return "api/keyhash/" + hex.EncodeToString(sum) }

// Create makes a key. The token is returned this once and stored only as a hash.
func (k *Keys) Create(ctx context.Context, now time.Time, spec KeySpec) (Key, string, error) {
	if err := spec.check(now); err != nil {
		return Key{}, "", err
	}
	id, err := store.NewID("key_", now, k.cfg.Random)
	if err != nil {
		return Key{}, "", err
	}
	token, err := newToken(k.cfg.Random)
	if err != nil {
		return Key{}, "", err
	}
	sum := hashToken(token)
	key := Key{ID: id, Name: spec.Name, Scopes: spec.Scopes, AllowFrom: spec.AllowFrom, Profile: spec.Profile, PerMinute: spec.PerMinute,
		Recipients: spec.Recipients, CreatedAt: now.UTC(), ExpiresAt: spec.Expires, Hashes: []keyHash{{Sum: sum[:]}}}
	err = k.cfg.KV.Update(ctx, func(tx store.Txn) error { return k.save(tx, key) })
	return key, token, err
}

func (s KeySpec) check(now time.Time) error {
	switch {
	case strings.TrimSpace(s.Name) == "" || len(s.Name) > 64:
		return problem(codeInvalidRequest, "a key needs a name of at most 64 characters")
	case len(s.Scopes) == 0:
		return problem(codeInvalidRequest, "a key needs a scope: "+scopeNames(Scopes()))
	case !s.Expires.IsZero() && !s.Expires.After(now):
		return problem(codeInvalidRequest, "expires_at must be in the future")
	}
	for i, scope := range s.Scopes { // huma's uniqueItems panics on items that are arrays
		if !slices.Contains(Scopes(), scope) || slices.Contains(s.Scopes[:i], scope) {
			return problem(codeInvalidRequest, "a scope is one of "+scopeNames(Scopes())+", each at most once")
		}
	}
	return checkProfile(s)
}

// save writes a key and the index of its hashes.
func (k *Keys) save(tx store.Txn, key Key) error {
	for _, h := range key.Hashes {
		if err := store.Save(tx, hashRecord(h.Sum), key.ID, time.Time{}); err != nil {
			return err
		}
	}
	return store.Save(tx, keyRecord(key.ID), key, time.Time{})
}

// List returns all keys, revoked ones too, newest first.
func (k *Keys) List(ctx context.Context) ([]Key, error) {
	var keys []Key
	err := k.cfg.KV.View(ctx, func(tx store.Txn) error {
		keys = nil
		var ids []string
		if err := store.Keys(tx, store.Range{Prefix: keyRecord(""), Reverse: true}, func(name string) bool {
			ids = append(ids, name)
			return true
		}); err != nil {
			return err
		}
		for _, name := range ids {
			key, err := store.Load[Key](tx, name)
			if k.rotten(err) {
				continue
			} else if err != nil {
				return err
			}
			keys = append(keys, key)
		}
		return nil
	})
	return keys, err
}

// rotten says whether a key's record does not open, and lets the log tell. Nobody is let in by that key, and the others are
// not to suffer for it: another one is made in its place.
func (k *Keys) rotten(err error) bool {
	c := new(store.CorruptError)
	if !errors.As(err, &c) {
		return false
	}
	k.known.forget()
	k.cfg.Log.Error("record of an api key does not open: make another key", "record", c.Key, "error", err)
	return true
}

// Revoke ends a key at once. Revoking it again changes nothing.
func (k *Keys) Revoke(ctx context.Context, now time.Time, id string) (Key, error) {
	return k.change(ctx, id, func(tx store.Txn, key *Key) error {
		for _, h := range key.Hashes {
			if err := tx.Delete(hashRecord(h.Sum)); err != nil {
				return err
			}
		}
		key.Hashes = nil
		if key.RevokedAt.IsZero() {
			key.RevokedAt = now.UTC()
		}
		return nil
	})
}

// Rotate gives a key a new token; the old ones go on working for overlap at the longest.
func (k *Keys) Rotate(ctx context.Context, now time.Time, id string, overlap time.Duration) (Key, string, error) {
	if overlap < 0 || overlap > maxOverlap {
		return Key{}, "", problem(codeInvalidRequest, "overlap is 0s to 720h")
	}
	token, err := newToken(k.cfg.Random)
	if err != nil {
		return Key{}, "", err
	}
	sum := hashToken(token)
	key, err := k.change(ctx, id, func(tx store.Txn, key *Key) error {
		if !key.RevokedAt.IsZero() {
			return problem(codeNotFound, "the key is revoked")
		}
		kept := []keyHash{{Sum: sum[:]}}
		for _, h := range key.Hashes {
			if end := now.Add(overlap); h.NotAfter.IsZero() || h.NotAfter.After(end) {
				h.NotAfter = end
			}
			if h.NotAfter.After(now) {
				kept = append(kept, h)
			} else if err := tx.Delete(hashRecord(h.Sum)); err != nil {
				return err
			}
		}
		key.Hashes, key.RotatedAt = kept, now.UTC()
		return nil
	})
	return key, token, err
}

func (k *Keys) change(ctx context.Context, id string, f func(store.Txn, *Key) error) (Key, error) {
	var key Key
	err := k.cfg.KV.Update(ctx, func(tx store.Txn) (err error) {
		tx.OnDone(func(bool) { k.known.forget() })
		if key, err = store.Load[Key](tx, keyRecord(id)); errors.Is(err, store.ErrNotFound) {
			return ErrNoKey
		} else if err != nil {
			return err
		}
		if err := f(tx, &key); err != nil {
			return err
		}
		return k.save(tx, key)
	})
	return key, err
}

// Authenticate finds the key that token belongs to and checks it. It writes nothing: the use is noted by Run.
func (k *Keys) Authenticate(ctx context.Context, now time.Time, token string, from netip.Addr) (principal, error) {
	if len(token) != tokenLength {
		return principal{}, errKeyUnknown
	}
	sum := hashToken(token)
	key, changes := k.known.find(sum)
	if key == nil {
		if !wellFormed(token) {
			return principal{}, errKeyUnknown
		}
		var err error
		if key, err = k.read(ctx, sum); err != nil {
			return principal{}, err
		}
		k.known.remember(sum, key, changes)
	}
	if err := key.admits(now, sum, from); err != nil {
		return principal{}, err
	}
	k.mu.Lock()
	k.used[key.ID] = now
	k.mu.Unlock()
	return principal{id: key.ID, scopes: key.Scopes, profile: key.Profile, recipients: key.Recipients, perMinute: key.PerMinute}, nil
}

// read asks the store for the key of a token.
func (k *Keys) read(ctx context.Context, sum [sha256.Size]byte) (*Key, error) {
	var key Key
	err := k.cfg.KV.View(ctx, func(tx store.Txn) error {
		id, err := store.Load[string](tx, hashRecord(sum[:]))
		if err != nil {
			return err
		}
		key, err = store.Load[Key](tx, keyRecord(id))
		return err
	})
	if errors.Is(err, store.ErrNotFound) {
		return nil, errKeyUnknown
	} else if err != nil {
		return nil, fmt.Errorf("look up a key: %w", err)
	}
	return &key, nil
}

// admits checks what the key itself says: the token compared in constant time, its life, and where from.
func (k *Key) admits(now time.Time, sum [sha256.Size]byte, from netip.Addr) error {
	i := slices.IndexFunc(k.Hashes, func(h keyHash) bool { return subtle.ConstantTimeCompare(h.Sum, sum[:]) == 1 })
	if i < 0 || !k.RevokedAt.IsZero() {
		return errKeyUnknown
	}
	end := k.Hashes[i].NotAfter
	if !end.IsZero() && !now.Before(end) || !k.ExpiresAt.IsZero() && !now.Before(k.ExpiresAt) {
		return errKeyExpired
	}
	if len(k.AllowFrom) > 0 && !slices.ContainsFunc(k.AllowFrom, func(p netip.Prefix) bool { return p.Contains(from) }) {
		return errKeyAddress
	}
	return nil
}

// noteEvery is how often last uses are written, at most.
const noteEvery = time.Minute

// Run writes when keys were last used, once a minute and at the end, until ctx is done.
func (k *Keys) Run(ctx context.Context) error {
	tick := time.NewTicker(noteEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			k.note(ctx)
		case <-ctx.Done():
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
			defer cancel()
			k.note(last)
			return nil
		}
	}
}

func (k *Keys) note(ctx context.Context) {
	k.mu.Lock()
	used := k.used
	k.used = map[string]time.Time{}
	k.mu.Unlock()
	err := store.InParts(slices.Collect(maps.Keys(used)), notedAtOnce, func(ids []string) error { return k.noteSome(ctx, ids, used) })
	if err != nil {
		k.cfg.Log.Warn("last use of keys not written", "keys", len(used), "error", err)
	}
}

// notedAtOnce is how many keys one transaction notes the last use of.
const notedAtOnce = 100

// noteSome notes the last use of some keys.
func (k *Keys) noteSome(ctx context.Context, ids []string, used map[string]time.Time) error {
	return k.cfg.KV.Update(ctx, func(tx store.Txn) error {
		for _, id := range ids {
			at := used[id]
			key, err := store.Load[Key](tx, keyRecord(id))
			if errors.Is(err, store.ErrNotFound) || k.rotten(err) {
				continue
			} else if err != nil {
				return err
			}
			if at.After(key.LastUsedAt) {
				key.LastUsedAt = at.UTC()
			}
			if err := store.Save(tx, keyRecord(id), key, time.Time{}); err != nil {
				return err
			}
		}
		return nil
	})
}
