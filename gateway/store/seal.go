package store

import (
	"crypto/cipher"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"

	"golang.org/x/crypto/chacha20poly1305"

	"otpost/gateway/store/keys"
)

// A sealed value is: version (1 byte), length of the key's id (1), the id, a random nonce (24), then the value under
// XChaCha20-Poly1305, whose tag (16) also covers all that precedes the nonce and the record's name. The long nonce may
// be drawn at random for as many records as one likes, and no CPU support is needed to be fast on a small board. The version
// tells whether it is the value itself that is sealed, or what squeeze made of it.
const (
	sealPlain    = 1
	sealSqueezed = 2
	sealLabel    = "store/seal"
)

var (
	errNotSealed = errors.New("it is not a sealed value")
	errNotOpened = errors.New("it was altered, is another record's, or the key file holds a different key of that id")
)

// sealer seals values with the ring's current key and opens those of all its keys. It is safe for concurrent use.
type sealer struct {
	current string
	header  []byte // of the current key, for a plain value
	aeads   map[string]cipher.AEAD
	ring    *keys.Ring
}

func newSealer(ring *keys.Ring) (*sealer, error) {
	s := &sealer{current: ring.Current(), aeads: map[string]cipher.AEAD{}, ring: ring}
	for _, id := range ring.IDs() {
		k, err := ring.Derive(id, sealLabel)
		if err != nil {
			return nil, err
		}
		if s.aeads[id], err = chacha20poly1305.NewX(k); err != nil {
			return nil, fmt.Errorf("seal with key %s: %w", id, err)
		}
	}
	s.header = append([]byte{sealPlain, byte(len(s.current))}, s.current...)
	return s, nil
}

// sealedAtMost is how many bytes seal may need for value.
func (s *sealer) sealedAtMost(value []byte) int {
	return len(s.header) + chacha20poly1305.NonceSizeX + squeezedAtMost(len(value)) + chacha20poly1305.Overhead
}

// seal returns value sealed under name: in room, which is empty, if that has sealedAtMost.
func (s *sealer) seal(room []byte, name string, value []byte) []byte {
	aead := s.aeads[s.current]
	header, nonce := len(s.header), len(s.header)+chacha20poly1305.NonceSizeX
	out := append(slices.Grow(room, s.sealedAtMost(value)), s.header...)[:nonce]
	_, _ = rand.Read(out[header:]) // never fails: it ends the process instead
	squeezed := false
	if name == identityKey || name == noteName { // so that an older program can tell what it has before it
		out = append(out, value...)
	} else if out, squeezed = squeeze(out, value); squeezed {
		out[0] = sealSqueezed
	}
	return aead.Seal(out[:nonce], out[header:nonce], out[nonce:], associated(out[:header], name))
}

// sealedBy returns the id of the key that b was sealed with, and its header's length.
func sealedBy(b []byte) (id string, header int, err error) {
	if len(b) < 2 || b[0] != sealPlain && b[0] != sealSqueezed || len(b) < 2+int(b[1])+chacha20poly1305.NonceSizeX+chacha20poly1305.Overhead {
		return "", 0, errNotSealed
	}
	header = 2 + int(b[1])
	return string(b[2:header]), header, nil
}

// open returns the value that was sealed under name. Its errors are *CorruptError, or wrap keys.ErrUnknownKey as well.
func (s *sealer) open(name string, b []byte) ([]byte, error) {
	id, header, err := sealedBy(b)
	if err != nil {
		return nil, &CorruptError{Key: name, Err: err}
	}
	aead, ok := s.aeads[id]
	if !ok {
		_, err := s.ring.Derive(id, sealLabel) // says which keys there are, and what to do
		return nil, &CorruptError{Key: name, Err: err}
	}
	nonce, sealed := b[header:header+chacha20poly1305.NonceSizeX], b[header+chacha20poly1305.NonceSizeX:]
	value, err := aead.Open(make([]byte, 0, len(sealed)), nonce, sealed, associated(b[:header], name))
	if err != nil {
		return nil, &CorruptError{Key: name, Err: errNotOpened}
	}
	if b[0] == sealSqueezed {
		if value, err = expand(value); err != nil {
			return nil, &CorruptError{Key: name, Err: err}
		}
	}
	return value, nil
}

func associated(header []byte, name string) []byte {
	ad := make([]byte, 0, len(header)+len(name))
	return append(append(ad, header...), name...)
}
