package store

// Secrets are the keys that live sealed in the store itself and survive a rotation of the key file.
type Secrets struct{ root [32]byte }

// Pseudonym returns a stable keyed hash of value, 26 characters of [a-z2-7], for use in key names. label separates uses.
func (s *Secrets) Pseudonym(label, value string) string { panic("not yet") }

// Key returns a 32-byte key for the use that label names.
func (s *Secrets) Key(label string) []byte { panic("not yet") }
