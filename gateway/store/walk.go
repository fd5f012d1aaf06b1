package store

import (
	"errors"
	"strings"
)

// Walk is Scan that does not end at a record that does not open: it tells bad of it and goes on behind. It ends when f or
// bad returns false.
func Walk(tx Txn, r Range, f func(key string, value []byte) bool, bad func(*CorruptError) bool) error {
	for {
		err := tx.Scan(r, f)
		var c *CorruptError
		if !errors.As(err, &c) || !strings.HasPrefix(c.Key, r.Prefix) {
			return err
		}
		if !bad(c) {
			return nil
		}
		r.From = behind(c.Key, r.Reverse)
	}
}

// Keys calls f with each key of the range until it returns false, whether its record opens or not.
func Keys(tx Txn, r Range, f func(key string) bool) error {
	return Walk(tx, r, func(key string, _ []byte) bool { return f(key) }, func(c *CorruptError) bool { return f(c.Key) })
}

// behind returns where a scan goes on that could not open the record at key.
func behind(key string, reverse bool) string {
	if !reverse {
		return key + "\x00"
	}
	last := len(key) - 1
	return key[:last] + string(rune(key[last]-1)) + "\x7f"
}
