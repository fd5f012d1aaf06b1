// Package keys reads the key file and derives from it, by HKDF-SHA-256 (RFC 5869) with a label each, the keys that seal
// records and make codes. The key file is the one secret that lives outside the store; without it the store is noise.
//
// It is not a key server: a [Ring] is read once and never changes. A rotation ([Rotate]) adds a key to the file, which
// a program sees when it loads the file again; old keys stay until [Drop], since records sealed with them may remain.
package keys

import (
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/base32"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
)

// Size is the length of a master key and of a derived key, in bytes.
const Size = 32

// infoPrefix begins the HKDF info of every derived key, so that no other program's derivation can give the same.
const infoPrefix = "otpost/key/v1/"

// ErrUnknownKey is wrapped by the errors about an id that is not in the ring.
var ErrUnknownKey = errors.New("no such key in the key file")

// Ring is the set of master keys by id. It is a secret: it prints as "keys.Ring(redacted)".
type Ring struct {
	keys []key // oldest first; the last is current; never empty
}

// key holds its secret in a closure: fmt walks through unexported fields, past any method that would redact them, but
// not into functions.
type key struct {
	id     string
	secret func() [Size]byte
}

func keep(id string, secret [Size]byte) key {
	return key{id: id, secret: func() [Size]byte { return secret }}
}

// Generate returns a ring with one new key, for tests and for the demo.
func Generate(random io.Reader) (*Ring, error) {
	k, err := newKey(random)
	if err != nil {
		return nil, err
	}
	return &Ring{keys: []key{k}}, nil
}

func newKey(random io.Reader) (key, error) {
	var id [5]byte
	var secret [Size]byte
	for _, b := range [][]byte{id[:], secret[:]} {
		if _, err := io.ReadFull(random, b); err != nil {
			return key{}, fmt.Errorf("make a key: %w", err)
		}
	}
	return keep("k"+strings.ToLower(base32.StdEncoding.EncodeToString(id[:])), secret), nil
}

// Current returns the id of the key that new records are sealed with.
func (r *Ring) Current() string { return r.keys[len(r.keys)-1].id }

// IDs returns the ids of all keys, the oldest first. They are not secret.
func (r *Ring) IDs() []string {
	ids := make([]string, len(r.keys))
	for i := range r.keys {
		ids[i] = r.keys[i].id
	}
	return ids
}

// Derive returns 32 bytes for label from the key named id, or an error that names an id that is not in the ring.
func (r *Ring) Derive(id, label string) ([]byte, error) {
	for i := range r.keys {
		if r.keys[i].id == id {
			secret := r.keys[i].secret()
			return hkdf.Key(sha256.New, secret[:], nil, infoPrefix+label, Size)
		}
	}
	return nil, fmt.Errorf("key %q: %w (it has %s); put the file that holds it back", id, ErrUnknownKey,
		strings.Join(r.IDs(), ", "))
}

const redacted = "keys.Ring(redacted)"

// Format prints the ring redacted under every verb.
func (Ring) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, redacted) } // fmt has no way to take the error

// LogValue logs the ring redacted.
func (Ring) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalText encodes the ring redacted, for JSON and whatever else encodes texts.
func (Ring) MarshalText() ([]byte, error) { return []byte(redacted), nil }

var (
	_ fmt.Formatter  = Ring{}
	_ slog.LogValuer = Ring{}
)
