// Package keys reads the key file and derives from it, by HKDF-SHA-256 (RFC 5869) with a label each, the keys that seal
// records and make codes. The key file is the one secret that lives outside the store; without it the store is noise.
package keys

import "io"

// Ring is the set of master keys by id. It is a secret: it prints as "keys.Ring(redacted)".
type Ring struct{}

// Load reads the key file at path, which must not be readable by others.
func Load(path string) (*Ring, error) { panic("not yet") }

// Create makes a key file at path (mode 0600, synced) with one new key; it never replaces a file.
func Create(path string, random io.Reader) (*Ring, error) { panic("not yet") }

// Generate returns a ring with one new key, for tests and for the demo.
func Generate(random io.Reader) (*Ring, error) { panic("not yet") }

// Current returns the id of the key that new records are sealed with.
func (r *Ring) Current() string { panic("not yet") }

// Derive returns 32 bytes for label from the key named id, or an error that names an id that is not in the ring.
func (r *Ring) Derive(id, label string) ([]byte, error) { panic("not yet") }
