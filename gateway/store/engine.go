package store

import (
	"encoding/binary"
	"errors"
	"fmt"
	"runtime"
	"sync/atomic"
	"time"

	"github.com/dgraph-io/badger/v4"
)

// engine commits the writer's batches to Badger.
type engine struct {
	b       *Badger
	durable atomic.Uint64 // number of the newest commit
	recent  recent        // the writer's
	written int           // the writer's: bytes since it was last looked for another log
}

func (b *Badger) startWriter(commit uint64) {
	e := &engine{b: b}
	e.durable.Store(commit)
	b.engine = e
	// There must be room for the commit's own record. What is as large as maxCommit would go to the value log; see spareValueLog.
	count, size := b.db.MaxBatchCount()-1, min(b.db.MaxBatchSize(), maxCommit)-entryOverhead
	b.writer = &writer{
		metrics: b.metrics,
		ready:   e.ready,
		commit:  e.commit,
		settle:  e.settle,
		fits:    func(n, bytes int) bool { return int64(n) < count && int64(bytes) < size },
		die:     e.die,
		yield:   runtime.Gosched,
		base: func() (reader, func()) {
			r := b.newReader()
			return recentReader{r, &e.recent}, r.close
		},
	}
	b.writer.start()
}

// ready waits until the disk has room for a commit. The error is ErrFull.
func (e *engine) ready() error {
	if !e.b.awaitRoom() {
		e.b.metrics.failures.WithLabelValues(failFull).Inc()
		return ErrFull
	}
	return nil
}

// commit writes l in one synced transaction. ErrTooBig means that nothing was changed; after any other error it is unknown
// whether it was.
func (e *engine) commit(l layer) error {
	start := time.Now()
	if e.b.cfg.BeforeCommit != nil {
		e.b.cfg.BeforeCommit()
	}
	n := e.durable.Load() + 1
	err := e.b.versions.commit(func(txn *badger.Txn) error {
		return e.put(txn, l, layer{commitKey: {value: binary.BigEndian.AppendUint64(nil, n)}})
	})
	if err != nil {
		return tooBig(err)
	}
	e.durable.Store(n)
	e.b.metrics.commits.Inc()
	e.b.metrics.seconds.Observe(time.Since(start).Seconds())
	return nil
}

// settle takes note of what a commit has written.
func (e *engine) settle(l layer) {
	for key, rec := range l {
		e.recent.wrote(key, rec)
	}
	e.wrote(l)
}

// put has txn write layers. Keys and values lie side by side in memory: there are some dozens of them in a commit.
func (e *engine) put(txn *badger.Txn, layers ...layer) error {
	var mem slab
	for _, l := range layers {
		for key, rec := range l {
			name := mem.keep(append(mem.room(len(key)), key...))
			if rec.deleted {
				if err := txn.Delete(name); err != nil {
					return err
				}
				continue
			}
			value := mem.keep(e.b.sealer.seal(mem.room(e.b.sealer.sealedAtMost(rec.value)), key, rec.value))
			if err := txn.SetEntry(&badger.Entry{Key: name, Value: value, ExpiresAt: expiry(rec.collect)}); err != nil {
				return err
			}
		}
	}
	return nil
}

// slab gives out memory in pieces, one behind the other. The zero value is ready for use.
type slab struct{ free []byte }

const slabSize = 4 << 10 // is taken from the heap in one go

// room returns an empty slice with room for n bytes, which stay free until they are kept.
func (m *slab) room(n int) []byte {
	if n > cap(m.free) {
		m.free = make([]byte, 0, max(n, slabSize))
	}
	return m.free
}

// keep returns b, which begins at what room returned, for good.
func (m *slab) keep(b []byte) []byte {
	m.free = m.free[len(b):cap(m.free)][:0]
	return b[:len(b):len(b)]
}

func tooBig(err error) error {
	if errors.Is(err, badger.ErrTxnTooBig) {
		return ErrTooBig
	}
	return fmt.Errorf("commit: %w", err)
}

// die notes that a commit's outcome is unknown. There is no way back on this handle: after a failed sync the kernel may
// have dropped the pages and call them clean.
func (e *engine) die(cause error) {
	e.b.metrics.failures.WithLabelValues(failUnknown).Inc()
	e.b.log.Error("commit failed; the process must stop and start afresh", "error", cause)
	close(e.b.dead)
}

// shut closes the engine after the writer and all readers have ended.
func (b *Badger) shut() error {
	if b.isDead() {
		return ErrUnknown // the engine is not touched again; the process is about to end
	}
	b.viewing.Wait()
	err := b.space.makeRoom()
	err = errors.Join(err, b.note.write(b.engine.durable.Load(), time.Now()))
	if cerr := b.closeEngine(); cerr != nil {
		err = errors.Join(err, fmt.Errorf("close store: %w", cerr))
	}
	return errors.Join(err, b.lock.Close())
}

// wrote counts what a commit wrote, and has it looked for another log when it was enough.
func (e *engine) wrote(l layer) {
	for key, rec := range l {
		e.written += rec.size(key)
	}
	if e.written < aheadAfter {
		return
	}
	e.written = 0
	select {
	case e.b.ahead <- struct{}{}:
	default:
	}
}
