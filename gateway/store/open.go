package store

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/dgraph-io/badger/v4"
	"golang.org/x/sys/unix"
)

// The store's own records.
const (
	ownPrefix   = "meta/store/"
	identityKey = ownPrefix + "identity" // first of all, so also the test of the keys
	commitKey   = ownPrefix + "commit"   // number of the newest commit, in every commit
	restoreKey  = ownPrefix + "restore"  // there while a restore has not ended
)

const (
	openTries = 3 // an open after SIGKILL may fail once (badger#2207)
	openPause = 100 * time.Millisecond
)

// files are the names in the data folder.
type files struct{ dir, db, note, ballast string }

func filesIn(dir string) files {
	return files{dir: dir, db: filepath.Join(dir, "db"), note: filepath.Join(dir, "newest-commit"),
		ballast: filepath.Join(dir, "reserve")}
}

// identity is the store's first record.
type identity struct {
	Format  int       `json:"format"`
	ID      string    `json:"id"`
	Created time.Time `json:"created"`
	Root    []byte    `json:"root"` // of Secrets
}

// format is the present one. With 2 came squeezed values, see seal.go; what has 1 is read as ever, and has 2 from then on.
const format = 2

// parse reads an identity and judges it.
func (id *identity) parse(b []byte) error {
	err := json.Unmarshal(b, id)
	switch {
	case err == nil && id.Format > format:
		return fmt.Errorf("the store has format %d, this program knows %d: run a newer one", id.Format, format)
	case err == nil && (id.Format == 0 || id.ID == "" || len(id.Root) != rootSize):
		err = errors.New("something is missing")
	}
	if err != nil {
		return &CorruptError{Key: identityKey, Err: err}
	}
	return nil
}

// OpenBadger opens the store in cfg.Dir, or makes it. Besides what the system says, it fails with ErrLocked, ErrFull,
// ErrOlder, and *CorruptError for a wrong or lost key; in each of these cases nothing was changed that the folder held.
func OpenBadger(ctx context.Context, cfg BadgerConfig) (*Badger, error) {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	b := &Badger{cfg: cfg, log: cfg.Log, metrics: newMetrics(cfg.Registry), files: filesIn(cfg.Dir), dead: make(chan struct{}), ahead: make(chan struct{}, 1)}
	b.closing, b.pacer = sync.OnceValue(b.shut), newPacer(badgerLog{b.log}, b.metrics)
	if err := b.open(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("open store: %w", err), b.abandon())
	}
	return b, nil
}

// abandon lets go of what a failed open took.
func (b *Badger) abandon() (err error) {
	if b.writer != nil {
		b.writer.close()
	}
	if b.db != nil && !b.isDead() { // a dead one is not touched again
		err = errors.Join(b.space.makeRoom(), b.closeEngine())
	}
	if b.lock != nil {
		err = errors.Join(err, b.lock.Close())
	}
	return err
}

func (b *Badger) open(ctx context.Context) (err error) {
	if err := makeDirs(b.files); err != nil {
		return err
	}
	if b.lock, err = lockDir(b.files.dir); err != nil {
		return err
	}
	if b.sealer, err = newSealer(b.cfg.Keys); err != nil {
		return err
	}
	b.note = &note{path: b.files.note, sealer: b.sealer}
	was, err := b.note.read()
	if err != nil {
		return err
	}
	b.space = newSpace(b.files, b.cfg.Reserve, b.cfg.free)
	if err := b.space.checkOpen(); err != nil {
		return err
	}
	if b.db, err = b.openEngine(ctx); err != nil {
		return err
	}
	b.versions = newVersions(b.db)
	if err := spareValueLog(b.db); err != nil {
		return err
	}
	if err := b.verify(); err != nil {
		return err
	}
	commit, err := b.identify(was)
	if err != nil {
		return err
	}
	if err := b.space.keepBallast(); err != nil {
		b.log.Warn("reserve file not made", "error", err)
	}
	b.watchSpace()
	return b.note.write(commit, time.Now())
}

// makeDirs makes the folders, so that they outlive a power cut.
func makeDirs(f files) error {
	if _, err := os.Stat(f.db); err == nil {
		return nil
	}
	if err := os.MkdirAll(f.db, 0o700); err != nil {
		return err
	}
	return errors.Join(syncDir(f.dir), syncDir(filepath.Dir(f.dir)))
}

// lockDir takes the folder for this process. The lock ends with the process, however that ends.
func lockDir(dir string) (*os.File, error) {
	f, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if err == nil {
		return f, nil
	}
	_ = f.Close() // nothing was written
	if err == unix.EWOULDBLOCK {
		return nil, fmt.Errorf("%w: %s; talk to the running daemon, or stop it first", ErrLocked, dir)
	}
	return nil, fmt.Errorf("lock %s: %w", dir, err)
}

// openEngine opens Badger, again after a failure that may pass.
func (b *Badger) openEngine(ctx context.Context) (*badger.DB, error) {
	opt, err := roomForOld(EngineOptions(b.files.db, b.pacer).WithSyncWrites(!b.cfg.unsynced))
	if err != nil {
		return nil, err
	}
	if err := precheck(opt); err != nil {
		return nil, err
	}
	for try := 1; ; try++ {
		db, err := openCarefully(opt)
		switch {
		case err == nil:
			b.pacer.begin(db)
			return db, nil
		case strings.Contains(err.Error(), "Cannot acquire directory lock"):
			return nil, fmt.Errorf("%w: %s", ErrLocked, b.files.db)
		case try == openTries:
			return nil, fmt.Errorf("engine in %s, after %d tries (if it is damaged, restore a backup): %w", b.files.db, try, err)
		}
		b.metrics.retries.Inc()
		b.log.Warn("open of the store failed; trying again", "try", try, "error", err)
		select {
		case <-time.After(openPause):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// closeEngine closes Badger, which first ends its merges.
func (b *Badger) closeEngine() error {
	b.pacer.end()
	return b.db.Close()
}

// openCarefully turns a panic of the engine (it meets some damage so) into an error.
func openCarefully(opt badger.Options) (db *badger.DB, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("the engine gave up on its files: %v", p)
		}
	}()
	return badger.OpenManaged(opt)
}

// verify reads every table. The engine's own checks while reading would pass damage over.
func (b *Badger) verify() (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("tables in %s: %v", b.files.db, p)
		}
	}()
	if err := b.db.VerifyChecksum(); err != nil {
		b.metrics.failures.WithLabelValues(failChecksum).Inc()
		return fmt.Errorf("tables in %s are damaged (restore a backup): %w", b.files.db, err)
	}
	b.forgetTables()
	return nil
}

// identify reads who the store is and how far it came, compares that with what was noted, and starts the writer.
func (b *Badger) identify(was *noted) (uint64, error) {
	r := b.newReader()
	defer r.close()
	base := &txn{base: r, readOnly: true}
	commit, err := readCommit(base)
	if err != nil {
		return 0, err
	}
	var id identity
	v, err := base.Get(identityKey)
	if err == nil {
		err = id.parse(v)
	}
	if err != nil && !errors.Is(err, ErrNotFound) {
		return 0, err
	}
	b.note.id = id.ID
	if err := b.note.check(was, commit); err != nil {
		return 0, err
	}
	if _, err := base.Get(restoreKey); !errors.Is(err, ErrNotFound) {
		return 0, fmt.Errorf("a restore into %s has not ended: delete the folder and restore again", b.files.dir)
	}
	if id.ID == "" {
		if !r.empty() {
			return 0, &CorruptError{Key: identityKey, Err: errors.New("it is missing, though the store is not empty; restore a backup")}
		}
		b.startWriter(0)
		return 1, b.create()
	}
	b.secrets = newSecrets([rootSize]byte(id.Root))
	b.startWriter(commit)
	if id.Format == format {
		return commit, nil
	}
	if err := b.save(id); err != nil {
		return 0, errors.Join(err, b.space.checkOpen()) // which says what to do if the disk is full
	}
	return commit + 1, nil
}

// save writes the first record, in the present format.
func (b *Badger) save(id identity) error {
	id.Format = format
	return b.Update(context.Background(), func(tx Txn) error { return Save(tx, identityKey, id, time.Time{}) })
}

func (r *badgerReader) empty() bool {
	it := r.txn.NewIterator(badger.IteratorOptions{})
	defer it.Close()
	it.Rewind()
	return !it.Valid()
}

// create makes the identity of a new store.
func (b *Badger) create() error {
	id := identity{Created: time.Now().UTC(), ID: rand.Text(), Root: make([]byte, rootSize)}
	_, _ = rand.Read(id.Root) // never fails: it ends the process instead
	b.note.id = id.ID
	b.secrets = newSecrets([rootSize]byte(id.Root))
	return b.save(id)
}

func readCommit(tx Txn) (uint64, error) {
	v, err := tx.Get(commitKey)
	if errors.Is(err, ErrNotFound) {
		return 0, nil
	}
	if err == nil && len(v) != 8 {
		err = &CorruptError{Key: commitKey, Err: errors.New("it is not a number")}
	}
	if err != nil {
		return 0, err
	}
	return binary.BigEndian.Uint64(v), nil
}
