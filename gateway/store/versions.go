package store

import (
	"sync"

	"github.com/dgraph-io/badger/v4"
)

// versions numbers the engine's commits and keeps what is being looked at. The engine would do so itself, by messages to two
// goroutines of its own for each transaction, and the next transaction waits for them; with one writer a counter will do.
//
// Whoever has an iterator has a view, also who reads nothing: it holds the engine's logs, and a log that outlived the merge which
// dropped a deletion would bring back, after a kill, what was deleted.
type versions struct {
	db *badger.DB

	mu     sync.Mutex
	newest uint64         // of the newest commit
	viewed map[uint64]int // how many transactions look at each version
}

func newVersions(db *badger.DB) *versions {
	v := &versions{db: db, newest: db.MaxVersion(), viewed: map[uint64]int{}}
	v.drop()
	return v
}

// view returns a transaction over the newest state, to be given to end.
func (v *versions) view() *badger.Txn {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.viewed[v.newest]++
	return v.db.NewTransactionAt(v.newest, false)
}

// end ends a view; it is called once for each.
func (v *versions) end(txn *badger.Txn) {
	txn.Discard()
	v.mu.Lock()
	defer v.mu.Unlock()
	at := txn.ReadTs()
	if v.viewed[at]--; v.viewed[at] == 0 {
		delete(v.viewed, at)
		v.drop()
	}
}

// commit commits what write writes as the next version, durably when it returns nil. The caller sees to it that there is one
// commit at a time, and none after one of which it is not known whether it happened.
func (v *versions) commit(write func(*badger.Txn) error) error {
	// Nothing else changes newest, so it is read without mu.
	txn := v.db.NewTransactionAt(v.newest, true)
	defer txn.Discard()
	if err := write(txn); err != nil {
		return err
	}
	if err := txn.CommitAt(v.newest+1, nil); err != nil {
		return err
	}
	v.advance()
	return nil
}

// advance takes note of a commit.
func (v *versions) advance() {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.newest++
	v.drop()
}

// drop lets merges drop what is older than all that is looked at. It is called with mu held.
func (v *versions) drop() { v.db.SetDiscardTs(v.oldest()) }

// oldest returns the oldest version that is looked at, or may be from now on. It is called with mu held.
func (v *versions) oldest() uint64 {
	oldest := v.newest
	for at := range v.viewed {
		oldest = min(oldest, at)
	}
	return oldest
}
