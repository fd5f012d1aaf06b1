package store

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"

	"github.com/dgraph-io/badger/v4"
	"golang.org/x/sys/unix"
)

// A commit is as quick as the sync of the engine's log, so what else the engine has the disk do for it is spared.
//
// The log is a sparse map: the first commit on each page has the file system find a block and write that down in its
// journal, and the sync then waits for the journal, and so for whatever else is in that, above all tables that are being
// written out. So the blocks of a log are made as soon as the engine has begun it, a piece at a time. To sync a commit is
// then to write its pages. And the sync takes twice the time where another follows it, of a value log in which nothing is.

// aheadAfter is how many bytes are committed before it is looked whether the engine has begun another log.
const aheadAfter = memTable / 16

const (
	aheadPiece = 256 << 10 // of a log: what a commit that falls into it waits for
	logPattern = "*.mem"
)

// runAhead makes the blocks of each log that the engine begins, until ctx ends.
func (b *Badger) runAhead(ctx context.Context) {
	for done := ""; ; {
		if name := newestLog(b.files.db); name != done && !b.Low() {
			if err := makeBlocks(ctx, name); err != nil {
				b.log.Debug("log not made ahead", "error", err) // it grows as it is written to
			}
			done = name
		}
		select {
		case <-ctx.Done():
			return
		case <-b.ahead.wake:
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
// byte of it. The engine may write to it meanwhile, or delete it. A system that cannot (Linux before 5.14) says so.
func makeBlocks(ctx context.Context, path string) error {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return err
	}
	end := min(st.Size(), memTable+maxCommit)
	for at := int64(0); at < end && ctx.Err() == nil; at += aheadPiece {
		if err := makePiece(f, at, min(aheadPiece, end-at)); err != nil {
			return fmt.Errorf("make blocks of %s: %w", path, err)
		}
	}
	return nil
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

// spareValueLog syncs what the engine has, and has it sync its value log no more: no value is as large as those that go
// there (see engineOptions), and that nothing is there costs a sync a commit all the same. The engine has no option for that.
func spareValueLog(db *badger.DB) error {
	synced := syncsValueLog(db)
	if synced == nil || !*synced {
		return nil
	}
	if err := db.Sync(); err != nil {
		return err
	}
	*synced = false
	return nil
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
