package store

import (
	"fmt"
	"io"
	"strings"
	"time"

	json "github.com/go-json-experiment/json/v1"
	"github.com/oklog/ulid/v2"
)

// Load reads the record at key into a T. It returns ErrNotFound as Get does, and a *CorruptError for a record that is
// not a T.
func Load[T any](tx Txn, key string) (T, error) {
	if t, ok := tx.(*txn); ok {
		if s := shapeOf[T](); s != nil {
			return loadForm[T](t, s, key)
		}
	}
	var v T
	b, err := tx.Get(key)
	if err != nil {
		return v, err
	}
	return v, decode(key, b, &v)
}

// loadForm is Load by way of the record's form, which it makes and leaves there if there is none.
func loadForm[T any](t *txn, s *shape, key string) (v T, err error) {
	if err := checkKey(key); err != nil {
		return v, err
	}
	rec, err := t.lookup(key)
	if err != nil {
		return v, err
	}
	form, ok := rec.form.(*T)
	if !ok {
		if rec, err = t.valued(key, rec); err != nil {
			return v, err
		}
		form = new(T)
		if err := decode(key, rec.value, form); err != nil {
			return v, err
		}
		t.keep(key, form)
	}
	return *copyForm(s, form), nil
}

func decode(key string, b []byte, v any) error {
	if err := json.Unmarshal(b, v); err != nil {
		return &CorruptError{Key: key, Err: err}
	}
	return nil
}

// Save writes v as the record at key, to be collected some time after collect (zero: never).
func Save[T any](tx Txn, key string, v T, collect time.Time) error {
	t, ok := tx.(*txn)
	if s := shapeOf[T](); ok && s != nil {
		return t.put(key, record{form: copyForm(s, &v), collect: collect})
	}
	rec := record{form: v}
	if err := rec.encode(key); err != nil {
		return err
	}
	return tx.Set(key, rec.value, collect)
}

// encode makes the record's value from its form, if that is all there is.
func (r *record) encode(key string) (err error) {
	if r.value != nil || r.deleted {
		return nil
	}
	if r.value, err = json.Marshal(r.form); err != nil {
		return fmt.Errorf("encode record %s: %w", key, err)
	}
	return nil
}

// NewID returns prefix followed by a ULID in lower case: 26 characters that sort by now, 80 of their bits from random.
func NewID(prefix string, now time.Time, random io.Reader) (string, error) {
	id, err := ulid.New(ulid.Timestamp(now), random)
	if err != nil {
		return "", fmt.Errorf("make an id: %w", err)
	}
	return prefix + strings.ToLower(id.String()), nil
}
