package store

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// skipWithoutPopulate skips where the system cannot make blocks ahead, which costs speed and nothing else.
func skipWithoutPopulate(t *testing.T) {
	t.Helper()
	m, err := unix.Mmap(-1, 0, os.Getpagesize(), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = unix.Munmap(m) }() // the process ends soon
	if err := unix.Madvise(m, unix.MADV_POPULATE_WRITE); err == unix.EINVAL {
		t.Skip("needs Linux 5.14")
	}
}

// made returns how many bytes of the file at path have blocks; none if it is gone.
func made(path string) int64 {
	var st unix.Stat_t
	if unix.Stat(path, &st) != nil {
		return 0
	}
	return st.Blocks * 512
}

// The housekeeping gives each log that the engine begins all of its blocks.
func TestLogsAreMadeAhead(t *testing.T) {
	skipWithoutPopulate(t)
	b := mustOpen(t, BadgerConfig{Dir: t.TempDir(), Keys: newRing(t)})
	keepHouse(t, b)
	for range 3 {
		deadline := time.Now().Add(time.Minute)
		name := newestLog(b.files.db)
		for ; made(name) < memTable; name = newestLog(b.files.db) {
			if time.Now().After(deadline) {
				t.Fatalf("%s has %d bytes of blocks after a minute, want %d", filepath.Base(name), made(name), memTable)
			}
			mustUpdate(t, b, func(tx Txn) error { return tx.Set("t/small", noise(10_000), never) })
		}
		for i := 0; newestLog(b.files.db) == name; i++ {
			mustUpdate(t, b, func(tx Txn) error { return tx.Set(fmt.Sprintf("t/%d", i), noise(300_000), never) })
		}
	}
}

// Making blocks changes no byte of what is committed meanwhile.
func TestMakingBlocksChangesNothing(t *testing.T) {
	skipWithoutPopulate(t)
	cfg := BadgerConfig{Dir: t.TempDir(), Keys: newRing(t)}
	b := mustOpen(t, cfg)
	name := newestLog(b.files.db)
	before := must(os.ReadFile(name))
	if done, err := b.makeBlocks(t.Context(), name); err != nil || !done {
		t.Fatal(done, err)
	}
	if after := must(os.ReadFile(name)); !bytes.Equal(before, after) {
		t.Error("another content")
	}
	stop := make(chan struct{})
	var g sync.WaitGroup
	g.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
			}
			if _, err := b.makeBlocks(t.Context(), name); err != nil {
				t.Error(err)
				return
			}
		}
	})
	const records = 500 // too few for another log, so that nothing is written when they are there
	for i := range records {
		mustUpdate(t, b, func(tx Txn) error { return tx.Set(fmt.Sprintf("t/%d", i), noise(5000), never) })
	}
	killed := BadgerConfig{Dir: filepath.Join(t.TempDir(), "killed"), Keys: cfg.Keys}
	if err := os.CopyFS(killed.Dir, os.DirFS(cfg.Dir)); err != nil { // what a kill leaves
		t.Fatal(err)
	}
	close(stop)
	g.Wait()
	for what, store := range map[string]*Badger{"the store": b, "what a kill leaves": mustOpen(t, killed)} {
		if n := countAll(t, store, "t/"); n != records {
			t.Errorf("%s has %d records, want %d", what, n, records)
		}
	}
}

// A log that the engine deletes while its blocks are made is an error, and no signal that ends the process.
func TestMakingBlocksOfWhatGoes(t *testing.T) {
	skipWithoutPopulate(t)
	name := filepath.Join(t.TempDir(), "00001.mem")
	f := must(os.Create(name))
	defer f.Close()
	if err := makePiece(f, 0, aheadPiece); err == nil {
		t.Error("blocks were made of a file without any")
	}
	b := &Badger{}
	if done, err := b.makeBlocks(t.Context(), name); done || err != nil {
		t.Errorf("of a file that the engine has only just made: %v, %v; want that it is left for later", done, err)
	}
	if _, err := b.makeBlocks(t.Context(), name+"x"); err == nil {
		t.Error("blocks were made of a file that is not there")
	}
	b.low.Store(true)
	if err := f.Truncate(memTable); err != nil {
		t.Fatal(err)
	}
	if done, err := b.makeBlocks(t.Context(), name); done || err != nil {
		t.Errorf("on a disk that is low: %v, %v; want that it is left for later", done, err)
	}
	if n := made(name); n != 0 {
		t.Errorf("%d bytes of blocks", n)
	}
}

func TestNewestLog(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"00002.mem", "100000.mem", "99999.mem", "x.mem", "200000.sst"} {
		must(os.Create(filepath.Join(dir, name))).Close()
	}
	if got := filepath.Base(newestLog(dir)); got != "100000.mem" {
		t.Errorf("newest is %q", got)
	}
	if got := newestLog(t.TempDir()); got != "" {
		t.Errorf("newest of none is %q", got)
	}
}

// The engine looks where that is looked for whether to sync its value log, it does so no more, and nothing is in there: not
// even of a record that is as large as may be, nor with the larger memtables that a killed earlier version has left.
func TestValueLogIsSpared(t *testing.T) {
	cfg := BadgerConfig{Dir: t.TempDir(), Keys: newRing(t)}
	b := mustOpen(t, cfg)
	mustUpdate(t, b, func(tx Txn) error { return tx.Set("t/a", nil, never) })
	old := BadgerConfig{Dir: filepath.Join(t.TempDir(), "old"), Keys: cfg.Keys}
	if err := os.CopyFS(old.Dir, os.DirFS(cfg.Dir)); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(newestLog(filesIn(old.Dir).db), 2*oldMemTable); err != nil {
		t.Fatal(err)
	}
	for what, b := range map[string]*Badger{"a new store": b, "an old one": mustOpen(t, old)} {
		if synced := syncsValueLog(b.db); synced == nil || *synced {
			t.Fatalf("the value log of %s is synced at each commit", what)
		}
		large := 2 * maxCommit
		for ; large > 0; large -= 1000 {
			err := b.Update(t.Context(), func(tx Txn) error { return tx.Set("t/large", noise(large), never) })
			if err == nil {
				break
			}
		}
		if large < maxCommit/2 {
			t.Errorf("the largest record of %s has %d bytes, of %d in a commit", what, large, maxCommit)
		}
		const header = 20
		for _, name := range must(filepath.Glob(filepath.Join(b.files.db, "*.vlog"))) {
			if content := must(os.ReadFile(name)); len(bytes.TrimRight(content, "\x00")) > header {
				t.Errorf("%s of %s has something in it", filepath.Base(name), what)
			}
		}
	}
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}
