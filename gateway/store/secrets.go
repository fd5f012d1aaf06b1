package store

import (
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base32"
	"encoding/binary"
	"fmt"
	"hash"
	"io"
	"log/slog"
	"sync"
)

const (
	rootSize       = 32
	secretsInfo    = "otpost/secret/v1/"
	pseudonymLabel = "pseudonym"
)

// Secrets are the keys that live sealed in the store itself and survive a rotation of the key file. They print redacted.
type Secrets struct {
	// Closures, because fmt walks through unexported fields, past any method that would redact them.
	root  func() [rootSize]byte
	names *sync.Pool // of hash.Hash: HMACs with the key of Pseudonym
}

func newSecrets(root [rootSize]byte) *Secrets {
	s := &Secrets{root: func() [rootSize]byte { return root }}
	k := s.Key(pseudonymLabel)
	s.names = &sync.Pool{New: func() any { return hmac.New(sha256.New, k) }}
	return s
}

var pseudonymEncoding = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)

// Pseudonym returns a stable keyed hash of value, 26 characters of [a-z2-7], for use in key names. label separates uses.
func (s *Secrets) Pseudonym(label, value string) string {
	mac := s.names.Get().(hash.Hash) // keyed once, not for every name: there are a dozen of them in a send
	defer s.names.Put(mac)
	mac.Reset()
	var scratch [128]byte
	msg := binary.AppendUvarint(scratch[:0], uint64(len(label)))
	mac.Write(append(append(msg, label...), value...))
	return pseudonymEncoding.EncodeToString(mac.Sum(scratch[:0])[:16])
}

// Key returns a 32-byte key for the use that label names.
func (s *Secrets) Key(label string) []byte {
	root := s.root()
	k, err := hkdf.Key(sha256.New, root[:], nil, secretsInfo+label, 32)
	if err != nil {
		panic(err) // only a key longer than 255 hashes is an error
	}
	return k
}

const redactedSecrets = "store.Secrets(redacted)"

// Format prints the secrets redacted under every verb.
func (Secrets) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, redactedSecrets) } // fmt cannot take the error

// LogValue logs the secrets redacted.
func (Secrets) LogValue() slog.Value { return slog.StringValue(redactedSecrets) }

// MarshalText encodes the secrets redacted, for JSON and whatever else encodes texts.
func (Secrets) MarshalText() ([]byte, error) { return []byte(redactedSecrets), nil }
