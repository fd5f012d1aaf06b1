package store

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/oklog/ulid/v2"
)

// Load reads the record at key into a T. It returns ErrNotFound as Get does, and a *CorruptError for a record that is
// not a T.
func Load[T any](tx Txn, key string) (T, error) {
	var v T
	b, err := tx.Get(key)
	if err != nil {
		return v, err
	}
	if err := json.Unmarshal(b, &v); err != nil {
		return v, &CorruptError{Key: key, Err: err}
	}
	return v, nil
}

// Save writes v as the record at key, to be collected some time after collect (zero: never).
func Save[T any](tx Txn, key string, v T, collect time.Time) error {
	b, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("encode record %s: %w", key, err)
	}
	return tx.Set(key, b, collect)
}

// NewID returns prefix followed by a ULID in lower case: 26 characters that sort by now, 80 of their bits from random.
func NewID(prefix string, now time.Time, random io.Reader) (string, error) {
	id, err := ulid.New(ulid.Timestamp(now), random)
	if err != nil {
		return "", fmt.Errorf("make an id: %w", err)
	}
	return prefix + strings.ToLower(id.String()), nil
}
