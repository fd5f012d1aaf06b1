// Package store is the ground that otp and gateway stand on: ordered keys under serialisable transactions.
//
// Nothing above it knows the engine. [Badger] is the embedded engine and [Memory] the one for tests; a shared one may
// follow. What every engine promises:
//
//   - An update whose Update returned nil is durable (synced) and visible to every later transaction.
//   - Updates behave as if run one after the other; the function may run more than once, so it must not touch anything
//     but its transaction (use OnDone for what must happen after a commit).
//   - Values are sealed with the key's name as associated data; a value that does not open is a *[CorruptError], never
//     "not found".
//   - Expiry only collects garbage, some time after the instant given; records carry their exact times and their owners
//     check them.
//
// Key names are paths of ASCII ("gw/msg/…"), owned by one package each: "otp/", "gw/", "api/", "meta/". They never
// hold a phone number or an account id; [Secrets.Pseudonym] stands in.
package store

import (
	"context"
	"errors"
	"time"
)

var (
	// ErrNotFound is returned by Get for a key that is not there.
	ErrNotFound = errors.New("not found")
	// ErrLocked means that another process has the data folder open.
	ErrLocked = errors.New("data folder is in use by another process")
	// ErrFull means that the disk has less free space than the store needs to be opened or written safely.
	ErrFull = errors.New("not enough free disk space")
	// ErrOlder means that the store is older than the newest commit noted beside it: part of it was lost or replaced.
	ErrOlder = errors.New("store is older than its last noted commit")
	// ErrUnknown means that a commit may or may not have happened (a failed sync). The store is dead from then on: every
	// later call returns it too, and the process must stop and start afresh.
	ErrUnknown = errors.New("commit outcome is unknown")
	// ErrClosed is returned by every call after Close.
	ErrClosed = errors.New("store is closed")
)

// A CorruptError names a record that is there but does not open: rot, tampering, or the wrong key.
type CorruptError struct {
	Key string // the record's key
	Err error
}

func (e *CorruptError) Error() string { return "record " + e.Key + " does not open: " + e.Err.Error() }
func (e *CorruptError) Unwrap() error { return e.Err }

// KV is an ordered key-value store. It is safe for concurrent use.
type KV interface {
	// Update runs f in a read-write transaction and commits it when f returns nil; any other error of f is returned as
	// it is and nothing is changed. f may run several times, on another goroutine, and must be quick: no I/O, no waiting.
	// It must not call Update: that would wait for itself. A panic of f, or runtime.Goexit, happens to the caller.
	Update(ctx context.Context, f func(Txn) error) error
	// View runs f in a read-only transaction over one consistent state.
	View(ctx context.Context, f func(Txn) error) error
}

// Txn is one transaction, to be used only inside the function it was handed to and by one goroutine.
type Txn interface {
	// Get returns the value of key, or ErrNotFound. The slice may be kept.
	Get(key string) ([]byte, error)
	// Set writes key. After collect (zero: never) the record may vanish by itself.
	Set(key string, value []byte, collect time.Time) error
	// Delete removes key; a key that is not there is no error.
	Delete(key string) error
	// Scan calls f for each record in r in order, the transaction's own writes included, until f returns false.
	Scan(r Range, f func(key string, value []byte) bool) error
	// OnDone registers f to be called once after this run of the transaction, with whether it was committed. f must not
	// block, call the store, or end its goroutine. Functions of later updates may run before it and between it and what they
	// register themselves, which is called after it, unless they are to run again.
	OnDone(f func(committed bool))
}

// Range is a slice of the keys.
type Range struct {
	Prefix  string // keys that begin so
	From    string // start at this full key, inclusive; empty: at the prefix's begin (its end when Reverse)
	Reverse bool   // from high to low
}
