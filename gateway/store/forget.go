package store

import (
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"time"

	"github.com/dgraph-io/badger/v4"
	"github.com/dgraph-io/badger/v4/table"
	"github.com/dgraph-io/ristretto/v2/z"
	"golang.org/x/sys/unix"
)

// The engine maps its tables, and writes them through the maps, so each page that was written or read stays resident for as
// long as the system has room. On a small board it has not, and what the daemon needs should not depend on what it has
// kept: so the tables' pages are let go of when there are too many. Those in use come back from the system's cache.
const (
	forgetEvery = 25 * time.Millisecond  // how often it is looked: a merge brings a hundred megabytes in 0.3 s
	forgetTable = 100 * time.Microsecond // for each table at the least: to look at one takes a seventh of that
	mayStay     = 20 << 20               // bytes of mapped files, the program among them, that may be resident
	mayCome     = 4 << 20                // and how many more than stayed when they were let go of: what is in use comes back at once
	emptyEvery  = time.Second            // how often the buffers that tables were made in are thrown away
)

// forgetSome lets go of the tables' pages if there are too many of them, and returns how long to wait until it is looked again.
func (b *Badger) forgetSome() time.Duration {
	if n, err := residentFiles(); err == nil && n <= max(mayStay, b.stayed+mayCome) { // where the system does not tell, they go each time
		return forgetEvery
	}
	b.forgetTables()
	b.stayed, _ = residentFiles()
	tables := 0
	for _, l := range b.db.Levels() {
		tables += l.NumTables
	}
	return max(forgetEvery, time.Duration(tables)*forgetTable)
}

// residentFiles returns how many bytes of mapped files are resident, by proc_pid_statm(5).
func residentFiles() (int64, error) {
	b, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0, err
	}
	var size, resident, shared int64
	if _, err := fmt.Sscan(string(b), &size, &resident, &shared); err != nil {
		return 0, fmt.Errorf("read /proc/self/statm: %w", err)
	}
	return shared * int64(os.Getpagesize()), nil
}

// forgetTables lets go of the pages of the tables. It holds the tables meanwhile: the place of one that the engine unmaps
// could be taken by memory that must not be let go. An iterator holds all tables that the engine has when it begins;
// certain to be among them are those that were there both before and after that. The others, most of them made by a merge that
// is not over yet, nobody can hold: their pages go in a way that does no harm to what may have taken their place, at the
// price of being read from the disk when they are needed.
func (b *Badger) forgetTables() {
	if err := b.tryForgetTables(); err != nil {
		b.log.Debug("tables stay resident", "error", err)
	}
}

func (b *Badger) tryForgetTables() error {
	dir, err := filepath.EvalSymlinks(b.files.db)
	if err == nil {
		dir, err = filepath.Abs(dir)
	}
	if err != nil {
		return err
	}
	before := tableIDs(b.db)
	defer b.holdTables()()
	after := tableIDs(b.db)
	return forgetPages("/proc/self/maps", func(path string) int {
		id, ok := table.ParseFileID(path)
		switch {
		case !ok || filepath.Dir(path) != dir:
			return stay
		case before[id] && after[id]:
			return unix.MADV_DONTNEED
		}
		return unix.MADV_PAGEOUT
	})
}

// holdTables has the engine keep the tables that it has, until the function is called that it returns.
func (b *Badger) holdTables() (release func()) {
	r := b.newReader()
	it := r.txn.NewIterator(badger.IteratorOptions{})
	return func() {
		it.Close()
		r.close()
	}
}

// allocators returns the pool where the engine keeps the buffers that its tables are made in, for the next ones; nil if it has
// none any more. It gives no other way to them.
func allocators(db *badger.DB) *z.AllocatorPool {
	f := reflect.ValueOf(db).Elem().FieldByName("allocPool")
	if !f.IsValid() || f.Type() != reflect.TypeFor[*z.AllocatorPool]() {
		return nil
	}
	return (*z.AllocatorPool)(f.UnsafePointer())
}

// emptyPool throws the buffers in the pool away. There may be eight sets of them, each as large as the largest table needed:
// a hundred megabytes, for good. The engine takes new ones when it needs them.
func emptyPool(p *z.AllocatorPool) {
	const smallest = 512 // what the pool gives when it is empty
	for p != nil {
		a := p.Get(smallest, "")
		made := a.Allocated() <= smallest
		a.Release()
		if made {
			return
		}
	}
}

func tableIDs(db *badger.DB) map[uint64]bool {
	ids := map[uint64]bool{}
	for _, t := range db.Tables() {
		ids[t.ID] = true
	}
	return ids
}
