package store

import (
	"bytes"
	"context"
	"encoding/json"
	"slices"
	"strings"
	"sync"
	"time"
)

// Memory is the engine for tests: ordered, serial, gone with the process. Nothing in it is sealed, and nothing is
// collected: tests see that owners check their records' times.
type Memory struct {
	mu   sync.RWMutex      // updates hold it, so they are serial; OnDone runs under it, so it is in commit order
	keys []string          // sorted
	recs map[string]record // the identity with the secrets among them, so that backups are whole
}

var _ KV = (*Memory)(nil)

// NewMemory returns an empty store with fixed secrets.
func NewMemory() *Memory {
	m := &Memory{recs: map[string]record{}}
	b, err := json.Marshal(identity{Format: format, ID: "memory", Root: []byte("otpost: the tests' fixed secret!")})
	if err != nil {
		panic(err) // a plain struct
	}
	m.apply(layer{identityKey: record{value: b}})
	return m
}

// Secrets returns the store's secrets, always the same ones unless a backup was restored.
func (m *Memory) Secrets() *Secrets {
	m.mu.RLock()
	defer m.mu.RUnlock()
	var id identity
	if err := id.parse(m.recs[identityKey].value); err != nil {
		panic(err) // NewMemory and restore write a sound one
	}
	return newSecrets([rootSize]byte(id.Root))
}

// Update implements KV.
func (m *Memory) Update(ctx context.Context, f func(Txn) error) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return err
	}
	tx := &txn{base: (*memoryReader)(m)}
	committed := false
	defer func() { tx.finish(committed) }() // also when f panics
	if err := f(tx); err != nil {
		return err
	}
	if err := tx.encode(); err != nil {
		return err
	}
	m.apply(tx.own)
	committed = true
	return nil
}

// View implements KV.
func (m *Memory) View(ctx context.Context, f func(Txn) error) error {
	m.mu.RLock()
	defer m.mu.RUnlock()
	if err := ctx.Err(); err != nil {
		return err
	}
	tx := &txn{base: (*memoryReader)(m), readOnly: true}
	defer tx.finish(false)
	return f(tx)
}

func (m *Memory) apply(l layer) {
	for key, rec := range l {
		i, found := slices.BinarySearch(m.keys, key)
		switch {
		case rec.deleted && found:
			m.keys = slices.Delete(m.keys, i, i+1)
			delete(m.recs, key)
		case !rec.deleted:
			if !found {
				m.keys = slices.Insert(m.keys, i, key)
			}
			m.recs[key] = rec
		}
	}
}

// Collect removes, as an engine may, every record whose collect time is before now.
func (m *Memory) Collect(now time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	old := layer{}
	for key, rec := range m.recs {
		if !rec.collect.IsZero() && rec.collect.Before(now) {
			old[key] = record{deleted: true}
		}
	}
	m.apply(old)
}

// memoryReader reads a Memory whose mutex is held.
type memoryReader Memory

func (m *memoryReader) get(key string) (record, error) {
	rec, ok := m.recs[key]
	if !ok {
		return record{}, ErrNotFound
	}
	return rec, nil
}

func (m *memoryReader) scan(r Range, f func(string, record) bool) error {
	i, step := m.start(r), 1
	if r.Reverse {
		step = -1
	}
	for ; i >= 0 && i < len(m.keys) && strings.HasPrefix(m.keys[i], r.Prefix); i += step {
		rec, err := m.get(m.keys[i])
		if err != nil {
			return err
		}
		rec.value = bytes.Clone(rec.value)
		if !f(m.keys[i], rec) {
			break
		}
	}
	return nil
}

// start returns the index of the first key of r, in its order; it may be outside of r or of the keys.
func (m *memoryReader) start(r Range) int {
	if !r.Reverse {
		i, _ := slices.BinarySearch(m.keys, max(r.Prefix, r.From))
		return i
	}
	i, found := slices.BinarySearch(m.keys, r.last())
	if !found {
		i--
	}
	return i
}
