package api

import (
	"crypto/sha256"
	"sync"
)

// knownKeys remembers what the store said of the tokens that callers show, so that it is not asked for each request. It
// forgets everything with every change of a key, before that change is answered: a key is revoked at once. It is safe for
// concurrent use.
type knownKeys struct {
	mu      sync.RWMutex
	keys    map[[sha256.Size]byte]*Key // by the hash of a token that is in the store, so there are no more than those; under mu
	changes uint64                     // how often it forgot; under mu
}

// find returns the key of a token, nil if it is not known, and how many changes there were so far. The key is shared and must
// not be changed.
func (k *knownKeys) find(sum [sha256.Size]byte) (*Key, uint64) {
	k.mu.RLock()
	defer k.mu.RUnlock()
	return k.keys[sum], k.changes
}

// remember notes what was read after find had said changes. If there was one since, what was read may be older than that.
func (k *knownKeys) remember(sum [sha256.Size]byte, key *Key, changes uint64) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if changes == k.changes {
		k.keys[sum] = key
	}
}

func (k *knownKeys) forget() {
	k.mu.Lock()
	defer k.mu.Unlock()
	clear(k.keys)
	k.changes++
}
