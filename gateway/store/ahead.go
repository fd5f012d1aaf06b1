package store

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"time"

	"github.com/dgraph-io/badger/v4"
	"golang.org/x/sys/unix"
)

// A commit is as quick as the sync of the engine's log, so what else the engine has the disk do for it is spared.
//
// The log is a sparse map: the first commit on each page has the file system find a block and write that down in its
// journal, and the sync then waits for the journal, and so for whatever else is in that, above all tables that are being
// written out. So the blocks of a log are made as soon as the engine has begun it, a piece at a time. To sync a commit is
// then to write its pages. And the sync takes twice the time where another follows it, of a value log in which nothing is.

const (
	aheadAfter = memTable / 16 // bytes that are committed before it is looked whether the engine has begun another log
	aheadPiece = 256 << 10     // of a log: what a commit that falls into it waits for
	aheadPause = 5 * time.Millisecond
	mapUnit    = 64 << 10 // is a multiple of every system's page
	logPattern = "*.mem"
)

// runAhead makes the blocks of each log that the engine begins, until ctx ends.
func (b *Badger) runAhead(ctx context.Context) {
	for done := ""; ; {
		if name := newestLog(b.files.db); name != done {
			made, err := b.makeBlocks(ctx, name)
			if errors.Is(err, unix.EINVAL) {
				b.log.Info("this system makes no blocks of the store's log ahead (Linux does from 5.14 on); commits take somewhat longer")
				return
			}
			if err != nil {
				b.log.Warn("blocks of the store's log not made ahead", "error", err) // the log grows as it is written to
			}
			if made || err != nil {
				done = name
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-b.ahead:
		}
	}
}

// newestLog returns the path of the engine's newest log in dir; empty if there is none.
func newestLog(dir string) (newest string) {
	names, _ := filepath.Glob(filepath.Join(dir, logPattern)) // the pattern is well-formed
	most := -1
	for _, name := range names {
		var id int
		if _, err := fmt.Sscanf(filepath.Base(name), "%d.mem", &id); err == nil && id > most {
			most, newest = id, name
		}
	}
	return newest
}

// makeBlocks has the file system give the log at path its blocks, for as much as the engine writes to it, and changes no
// byte of it. The engine may write to it meanwhile, or delete it. It is false if something is left to be done later: the
// engine has only just made the file, or the disk is low. The error is EINVAL on a system that cannot.
func (b *Badger) makeBlocks(ctx context.Context, path string) (made bool, err error) {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return false, err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return false, err
	}
	end := min(st.Size(), memTable+maxCommit)
	for at := firstHole(f); at < end; at += aheadPiece {
		if b.Low() {
			return false, nil
		}
		if err := makePiece(f, at, min(aheadPiece, end-at)); err != nil {
			return false, fmt.Errorf("make blocks of %s: %w", path, err)
		}
		select { // so that commits go on, and that it does not look like a disk that somebody fills
		case <-ctx.Done():
			return false, nil
		case <-time.After(aheadPause):
		}
	}
	return end > 0, nil
}

// firstHole returns where the blocks of f end that it has, in whole pieces. What has been committed is not written again.
func firstHole(f *os.File) int64 {
	at, err := f.Seek(0, unix.SEEK_HOLE)
	if err != nil {
		return 0 // the file system does not tell
	}
	return at / mapUnit * mapUnit
}

func makePiece(f *os.File, at, size int64) error {
	m, err := unix.Mmap(int(f.Fd()), at, int(size), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return err
	}
	err = unix.Madvise(m, unix.MADV_POPULATE_WRITE) // as if each page were written to; an error where a write would be a signal
	if err == nil {
		err = unix.Msync(m, unix.MS_SYNC)
	}
	return errors.Join(err, unix.Munmap(m))
}

// spareValueLog has the engine sync its value log once, and then no more: no value is as large as those that go
// there (see EngineOptions), and that nothing is there costs a sync a commit all the same. The engine has no option for that.
func spareValueLog(db *badger.DB) error {
	synced := syncsValueLog(db)
	if synced == nil || !*synced {
		return nil
	}
	*synced = false
	return db.Sync() // which trusts that it is synced anyway while it is told to
}

// syncsValueLog returns where the engine looks whether to sync its value log; nil if it looks elsewhere than it did.
func syncsValueLog(db *badger.DB) *bool {
	v := reflect.ValueOf(db).Elem()
	for _, name := range []string{"vlog", "opt", "SyncWrites"} {
		if v.Kind() != reflect.Struct {
			return nil
		}
		v = v.FieldByName(name)
	}
	if !v.IsValid() || v.Type() != reflect.TypeFor[bool]() {
		return nil
	}
	return (*bool)(v.Addr().UnsafePointer())
}
