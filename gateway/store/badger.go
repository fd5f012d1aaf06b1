package store

import (
	"context"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/dgraph-io/badger/v4"
	"github.com/prometheus/client_golang/prometheus"

	"otpost/gateway/store/keys"
)

// BadgerConfig is what OpenBadger needs.
type BadgerConfig struct {
	Dir      string                // the data folder; it is made if missing
	Keys     *keys.Ring            // seals every value
	Reserve  int64                 // bytes of free disk below which Low holds; 0: 256 MiB
	Log      *slog.Logger          // nil: nothing is logged
	Registry prometheus.Registerer // nil: metrics are not registered

	BeforeCommit func() // nil, or runs before each synced commit: what it takes is what a slower disk would take

	// For tests only: a faked disk, and commits that are not synced, to see that the power cut tests notice.
	free     func(dir string) (int64, error)
	unsynced bool
}

// Badger is the embedded engine. One goroutine, started by OpenBadger and ended by Close, runs the functions of all
// waiting updates and commits them together; see writer.go.
type Badger struct {
	cfg     BadgerConfig
	log     *slog.Logger
	metrics *metrics
	files   files
	lock    *os.File // holds the folder's flock

	db       *badger.DB
	versions *versions
	sealer   *sealer
	secrets  *Secrets
	space    *space
	note     *note
	writer   *writer
	engine   *engine
	pacer    *pacer
	stayed   int64 // Run's: bytes of mapped files that stayed resident when the tables' pages were last let go of

	dead  chan struct{} // closed when a commit's outcome is unknown
	ahead chan struct{} // of capacity 1: enough was written to look for another log
	low   atomic.Bool

	mu      sync.Mutex
	closed  bool
	viewing sync.WaitGroup // added to under mu, never once closed
	closing func() error
}

var _ KV = (*Badger)(nil)

// Update implements KV. Once the function has run, ctx no longer counts, also while the batch before its own is being
// committed: the answer then tells what became of it.
func (b *Badger) Update(ctx context.Context, f func(Txn) error) error {
	return b.writer.update(ctx, f)
}

// View implements KV. It is held up by nothing.
func (b *Badger) View(ctx context.Context, f func(Txn) error) error {
	if err := b.enter(); err != nil {
		return err
	}
	defer b.viewing.Done()
	if err := ctx.Err(); err != nil {
		return err
	}
	base := b.newReader()
	defer base.close()
	tx := &txn{base: base, readOnly: true}
	defer tx.finish(false)
	return f(tx)
}

// enter registers a reader, which Close waits for.
func (b *Badger) enter() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case b.isDead():
		return ErrUnknown
	case b.closed:
		return ErrClosed
	}
	b.viewing.Add(1)
	return nil
}

// Secrets returns the secrets that the store keeps.
func (b *Badger) Secrets() *Secrets { return b.secrets }

// Low tells whether the disk has less free space than the reserve: new work should be refused.
func (b *Badger) Low() bool { return b.low.Load() }

// Dead returns a channel that is closed when a commit's outcome is unknown (ErrUnknown): the process must stop.
func (b *Badger) Dead() <-chan struct{} { return b.dead }

func (b *Badger) isDead() bool {
	select {
	case <-b.dead:
		return true
	default:
		return false
	}
}

// Close ends the store: what is being committed and what has run meanwhile is finished, updates that still wait get
// ErrClosed, views are waited for. It may be called twice.
func (b *Badger) Close() error {
	b.mu.Lock()
	first := !b.closed
	b.closed = true
	b.mu.Unlock()
	if first {
		b.writer.close()
	}
	return b.closing()
}

// badgerReader reads one committed state.
type badgerReader struct {
	txn *badger.Txn
	b   *Badger
}

func (b *Badger) newReader() *badgerReader {
	return &badgerReader{txn: b.versions.view(), b: b}
}

func (r *badgerReader) close() { r.b.versions.end(r.txn) }

func (r *badgerReader) get(key string) (record, error) {
	item, err := r.txn.Get([]byte(key))
	if err == badger.ErrKeyNotFound {
		return record{}, ErrNotFound
	}
	if err != nil {
		return record{}, &CorruptError{Key: key, Err: err}
	}
	return r.open(key, item)
}

func (r *badgerReader) open(key string, item *badger.Item) (record, error) {
	var rec record
	err := item.Value(func(sealed []byte) (err error) {
		rec.value, err = r.b.sealer.open(key, sealed)
		return err
	})
	if err != nil {
		r.b.metrics.corrupt.Inc()
		return record{}, err
	}
	if at := item.ExpiresAt(); at != 0 {
		rec.collect = time.Unix(int64(at), 0).Add(-collectSlack)
	}
	return rec, nil
}

func (r *badgerReader) scan(rg Range, f func(string, record) bool) error {
	opt := badger.DefaultIteratorOptions
	opt.PrefetchValues = false // they lie beside their keys
	opt.Prefix = []byte(rg.Prefix)
	opt.Reverse = rg.Reverse
	it := r.txn.NewIterator(opt)
	defer it.Close()
	from := max(rg.Prefix, rg.From)
	if rg.Reverse {
		from = rg.last()
	}
	for it.Seek([]byte(from)); it.Valid(); it.Next() {
		key := string(it.Item().Key())
		rec, err := r.open(key, it.Item())
		if err != nil {
			return err
		}
		if !f(key, rec) {
			break
		}
	}
	return nil
}

// collectSlack is how long after its collect time a record vanishes at the earliest: Badger counts whole seconds and
// trusts the wall clock.
const collectSlack = time.Minute

// expiry is Badger's form of a collect time.
func expiry(collect time.Time) uint64 {
	if collect.IsZero() {
		return 0
	}
	return uint64(max(1, collect.Add(collectSlack+time.Second-1).Unix()))
}
