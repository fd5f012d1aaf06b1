package gateway

import (
	"slices"
	"strings"
	"time"

	"otpost/gateway/store"
)

// maxShelf is how many keys of a shelf are remembered; of one that holds more the store is asked.
const maxShelf = 64

// A shelf remembers which records there are under one prefix, as long as they are few. There are hardly ever any reports that
// wait or hand-overs in doubt, but every verdict and report asks for them, and the store takes long to say that there are none:
// a scan opens every table and steps over all that was deleted lately.
//
// It is made by a scan, so that a start changes nothing. A key on it may be of no record, but no record is missing: a key is
// noted before its record is written, and taken off when the deletion is durable, unless a later function, which may have run
// already, writes it again. When a deletion comes to nothing the shelf is forgotten, for a scan in between did not see that
// record. It belongs to functions that the store runs one after the other.
type shelf struct {
	known bool
	keys  []string // sorted
}

func (s *shelf) add(key string) {
	i, found := slices.BinarySearch(s.keys, key)
	switch {
	case !s.known || found:
	case len(s.keys) == maxShelf:
		*s = shelf{}
	default:
		s.keys = slices.Insert(s.keys, i, key)
	}
}

func (s *shelf) remove(key string) {
	if i, found := slices.BinarySearch(s.keys, key); found {
		s.keys = slices.Delete(s.keys, i, i+1)
	}
}

// shelfName returns the prefix, as refPrefix makes it, that a key begins with.
func shelfName(key string) string {
	kind := len("gw/") + strings.IndexByte(key[len("gw/"):], '/') + 1
	return key[:kind+strings.IndexByte(key[kind:], '/')+1]
}

// shelfOf returns the shelf of a key. The caller holds mu.
func (g *Gateway) shelfOf(key string) *shelf {
	name := shelfName(key)
	if g.shelves[name] == nil {
		g.shelves[name] = &shelf{}
	}
	return g.shelves[name]
}

// shelve is store.Save for a record that is on a shelf.
func shelve[T any](g *Gateway, tx store.Txn, key string, v T, collect time.Time) error {
	note := func(under int) {
		g.mu.Lock()
		defer g.mu.Unlock()
		g.shelfOf(key).add(key)
		if g.shelving[key] += under; g.shelving[key] == 0 {
			delete(g.shelving, key)
		}
	}
	note(1)
	tx.OnDone(func(bool) { note(-1) }) // again, if it was deleted in front of this
	return store.Save(tx, key, v, collect)
}

// unshelve deletes records that are on a shelf.
func (g *Gateway) unshelve(tx store.Txn, keys ...string) error {
	for _, key := range keys {
		tx.OnDone(func(committed bool) {
			g.mu.Lock()
			defer g.mu.Unlock()
			switch s := g.shelfOf(key); {
			case !committed:
				*s = shelf{}
			case g.shelving[key] == 0:
				s.remove(key)
			}
		})
	}
	return deleteAll(tx, keys)
}

// shelved is scan for the records of a shelf whose keys begin with prefix.
func shelved[T any](g *Gateway, tx store.Txn, prefix string, f func(key string, v T) bool) error {
	g.mu.Lock()
	s := g.shelfOf(prefix)
	known, keys := s.known, slices.Clone(s.keys)
	g.mu.Unlock()
	if !known {
		return takeStock(g, tx, prefix, f)
	}
	for _, key := range keys {
		if !strings.HasPrefix(key, prefix) {
			continue
		}
		v, err := store.Load[T](tx, key)
		switch {
		case isNotFound(err):
		case rotten(err) == key:
			g.leftOut(key, err)
		case err != nil:
			return err
		case !f(key, v):
			return nil
		}
	}
	return nil
}

// takeStock is shelved by a scan; one of a whole shelf makes it known.
func takeStock[T any](g *Gateway, tx store.Txn, prefix string, f func(key string, v T) bool) error {
	var keys []string
	whole := true
	err := walk(tx, store.Range{Prefix: prefix}, func(key string, v T) bool {
		keys = append(keys, key)
		whole = f(key, v)
		return whole
	}, func(key string, err error) bool {
		keys = append(keys, key)
		g.leftOut(key, err)
		return true
	})
	g.mu.Lock()
	defer g.mu.Unlock()
	if err == nil && whole && len(keys) <= maxShelf && prefix == shelfName(prefix) {
		*g.shelfOf(prefix) = shelf{known: true, keys: keys}
	}
	return err
}
