package store

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"
)

// Updates of a few records by many at once, over the engine, with refusals at any time: each function sees what the last one
// that was committed has left, by every way of reading, and the store has it in the end.
func TestUpdatesAreSerial(t *testing.T) {
	b := mustOpen(t, BadgerConfig{Dir: t.TempDir(), Keys: newRing(t), unsynced: true})
	commit := b.writer.commit
	b.writer.commit = func(l layer) error {
		if rand.IntN(3) == 0 {
			<-time.After(2 * patience) // a slow disk: functions of the next batch run meanwhile
		}
		switch rand.IntN(12) {
		case 0:
			return ErrFull
		case 1:
			return ErrTooBig
		}
		return commit(l)
	}
	s := serial{t: t, model: map[string]int{}}
	var g sync.WaitGroup
	for range 16 {
		g.Go(func() {
			for range 100 * *soak {
				s.update(b)
			}
		})
	}
	g.Wait()
	for key, want := range s.model {
		if got, err := s.read(b, key); err != nil || got != want {
			t.Errorf("%s is %d, %v; want %d", key, got, err, want)
		}
	}
}

// serial knows, from the hooks alone, what was committed.
type serial struct {
	t     *testing.T
	model map[string]int // the hooks'
}

type numbered struct {
	N    int    `json:"n"`
	Room []byte `json:"room,omitempty"` // so that not all fit into a commit
}

// update does something at random to a record.
func (s *serial) update(kv KV) {
	key, op, size := fmt.Sprintf("t/%d", rand.IntN(12)), rand.IntN(10), rand.IntN(20_000)
	failed := errors.New("failed")
	runs, hooks := 0, 0
	err := kv.Update(s.t.Context(), func(tx Txn) error {
		runs++
		was := s.look(tx, key)
		tx.OnDone(func(ok bool) {
			hooks++
			if ok && s.model[key] != was {
				s.t.Errorf("%s: a function saw %d and %d was committed", key, was, s.model[key])
			}
			switch {
			case ok && op < 7:
				s.model[key] = was + 1
			case ok && op == 7:
				s.model[key] = 0
			}
		})
		switch {
		case op < 7:
			return Save(tx, key, numbered{N: was + 1, Room: make([]byte, size)}, never)
		case op == 7:
			return tx.Delete(key)
		case op == 8:
			return errors.Join(failed, Save(tx, key, numbered{N: -1}, never))
		}
		return nil
	})
	if err != nil && !errors.Is(err, failed) && err != ErrFull && err != ErrTooBig || hooks != runs {
		s.t.Errorf("%v; %d hooks for %d runs", err, hooks, runs)
	}
}

// look reads a number in each way.
func (s *serial) look(tx Txn, key string) int {
	loaded, err := Load[numbered](tx, key)
	var got, scanned numbered
	raw, gerr := tx.Get(key)
	if gerr == nil {
		gerr = decode(key, raw, &got)
	}
	serr := tx.Scan(Range{Prefix: key, From: key}, func(k string, raw []byte) bool {
		if k == key {
			gerr = errors.Join(gerr, decode(k, raw, &scanned))
		}
		return false
	})
	if loaded.N != got.N || loaded.N != scanned.N || !errors.Is(err, gerr) || serr != nil {
		s.t.Errorf("%s: loaded %d (%v), got %d (%v), scanned %d (%v)", key, loaded.N, err, got.N, gerr, scanned.N, serr)
	}
	return loaded.N
}

func (s *serial) read(kv KV, key string) (n int, err error) {
	err = kv.View(s.t.Context(), func(tx Txn) error { n = s.look(tx, key); return nil })
	return n, err
}
