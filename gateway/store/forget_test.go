package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/dgraph-io/ristretto/v2/z"
	"golang.org/x/sys/unix"
)

// However much is written and merged, the tables' pages stay within bounds, and what is let go of meanwhile is there.
func TestTablesAreForgottenWhileWriting(t *testing.T) {
	b := mustOpen(t, BadgerConfig{Dir: t.TempDir(), Keys: newRing(t), unsynced: true})
	keepHouse(t, b)
	const records, size = 60_000, 1000
	for i := 0; i < records; i += 300 {
		mustUpdate(t, b, func(tx Txn) error {
			for k := range 300 { // in no order, so that tables are merged
				if err := tx.Set(fmt.Sprintf("t/%05d", (i+k)*7919%records), noise(size), never); err != nil {
					return err
				}
			}
			return nil
		})
	}
	b.forgetTables()
	if n := tablesResident(t, b.files.db); n > mayStay {
		t.Errorf("%d MiB of tables are resident", n>>20)
	}
	if n := countAll(t, b, "t/"); n != records {
		t.Errorf("%d records, want %d", n, records)
	}
	if tables, err := filepath.Glob(filepath.Join(b.files.db, "*.sst")); err != nil || len(tables) < 10 {
		t.Errorf("%d tables, %v: the test is too small", len(tables), err)
	}
}

// Pages go when more have come than may, not while those that stay are only what is in use.
func TestPagesInUseStay(t *testing.T) {
	b := mustOpen(t, BadgerConfig{Dir: t.TempDir(), Keys: newRing(t), unsynced: true})
	const records, size = 24_000, 1000 // too few for a merge, which would change what is there
	for i := 0; i < records; i += 300 {
		mustUpdate(t, b, func(tx Txn) error {
			for k := range 300 {
				if err := tx.Set(fmt.Sprintf("t/%05d", i+k), noise(size), never); err != nil {
					return err
				}
			}
			return nil
		})
	}
	readAll := func() int64 {
		if err := b.db.VerifyChecksum(); err != nil {
			t.Fatal(err)
		}
		n, err := residentFiles()
		if err != nil {
			t.Skip("this system does not tell what is resident: ", err)
		}
		return n
	}
	n := readAll()
	if n <= mayStay {
		t.Fatalf("%d bytes of files are resident: the test is too small", n)
	}
	b.stayed = n
	if b.forgetSome(); tablesResident(t, b.files.db) < records*size/2 {
		t.Errorf("%d bytes of tables are left, though no more had come than may", tablesResident(t, b.files.db))
	}
	b.stayed = readAll() - 2*mayCome
	if b.forgetSome(); tablesResident(t, b.files.db) > records*size/4 {
		t.Errorf("%d bytes of tables stayed, though more had come than may", tablesResident(t, b.files.db))
	}
	if now, err := residentFiles(); err != nil || b.stayed > now+mayCome || b.stayed >= n {
		t.Errorf("%d bytes are said to have stayed of %d; now it is %d, %v", b.stayed, n, now, err)
	}
}

// The pages of a table that no level has yet are let go of too, in a way that harms nothing that could be in its place.
func TestTablesInTheMakingAreForgotten(t *testing.T) {
	b := mustOpen(t, BadgerConfig{Dir: t.TempDir(), Keys: newRing(t)})
	const size = 1 << 20
	dir, err := filepath.EvalSymlinks(b.files.db)
	if err != nil {
		t.Fatal(err)
	}
	made := filepath.Join(dir, "999999.sst") // as a merge makes it
	f, err := os.OpenFile(made, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = errors.Join(f.Close(), os.Remove(made)) }()
	if err := f.Truncate(size); err != nil {
		t.Fatal(err)
	}
	var fs unix.Statfs_t
	if err := unix.Fstatfs(int(f.Fd()), &fs); err != nil || fs.Type == unix.TMPFS_MAGIC {
		t.Skip("files of this folder lie in memory anyway: ", err)
	}
	table := mapped(t, int(f.Fd()), size, unix.MAP_SHARED)
	heap := mapped(t, -1, size, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS)
	want := noise(size)
	copy(table, want)
	copy(heap, want)
	if err := unix.Msync(table, unix.MS_SYNC); err != nil {
		t.Fatal(err)
	}
	if err := unix.Madvise(heap, unix.MADV_PAGEOUT); err != nil {
		t.Skip("this system pages nothing out (Linux does from 5.4 on): ", err)
	}
	before := resident(t, made)
	b.forgetTables()
	if after := resident(t, made); before == 0 || after > before/4 { // pages that the kernel has in hand may stay
		t.Errorf("%d kB were resident and %d kB are", before, after)
	}
	if !bytes.Equal(table, want) || !bytes.Equal(heap, want) {
		t.Error("something is lost")
	}
}

func mapped(t *testing.T, fd, size, flags int) []byte {
	t.Helper()
	b, err := unix.Mmap(fd, 0, size, unix.PROT_READ|unix.PROT_WRITE, flags)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Munmap(b) })
	return b
}

// keepHouse runs the store's housekeeping until the test ends.
func keepHouse(t *testing.T, b *Badger) {
	ctx, cancel := context.WithCancel(t.Context())
	var g sync.WaitGroup
	g.Go(func() {
		if err := b.Run(ctx); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(func() {
		cancel()
		g.Wait()
	})
}

// The engine's pool of buffers is where it is looked for, and what is in it is thrown away.
func TestPoolIsEmptied(t *testing.T) {
	b := mustOpen(t, BadgerConfig{Dir: t.TempDir(), Keys: newRing(t)})
	if allocators(b.db) == nil {
		t.Fatal("this engine keeps no pool where it is looked for")
	}
	pool := z.NewAllocatorPool(8)
	defer pool.Release()
	for range 3 {
		pool.Return(z.NewAllocator(1<<20, "test"))
	}
	emptyPool(pool)
	if a := pool.Get(1, "test"); a.Allocated() >= 1<<20 {
		t.Errorf("the pool still gives %d bytes", a.Allocated())
	}
}

// tablesResident returns how many bytes of the tables in dir are resident.
func tablesResident(t *testing.T, dir string) (n int64) {
	t.Helper()
	smaps, err := os.ReadFile("/proc/self/smaps")
	if err != nil {
		t.Skip("the system does not tell: ", err)
	}
	ours := false
	for line := range strings.SplitSeq(string(smaps), "\n") {
		if m, ok := parseMapping(line); ok || strings.Contains(line, " 00:00 ") {
			ours = ok && strings.HasPrefix(m.path, dir) && strings.HasSuffix(m.path, ".sst")
		}
		if kB := int64(0); ours && strings.HasPrefix(line, "Rss:") {
			if _, err := fmt.Sscanf(line, "Rss: %d kB", &kB); err != nil {
				t.Fatal(err)
			}
			n += kB << 10
		}
	}
	return n
}
