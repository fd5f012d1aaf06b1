package store

import (
	"os"
	"path/filepath"

	"github.com/dgraph-io/badger/v4"
	"github.com/dgraph-io/badger/v4/options"
)

const (
	memTable    = 3 << 20             // what is written to one before it becomes a table
	maxCommit   = memTable * 15 / 100 // the engine's bound for a transaction, which follows from that
	oldMemTable = 8 << 20             // the largest of earlier versions

	mergeAt = 11 // tables gather before they are merged with what lies below
	stallAt = 24 // tables have commits wait until they are merged
)

// EngineOptions are those of a store's engine in dir, which logs to log; nil: nowhere. They are the small profile: the memory of a
// small board, every value beside its key (what does not fit is refused, see fits), so that there is one file to sync and no value
// log to clean or to verify.
//
// Memtables are small because the engine writes one out in one go, and commits have one processor of two less meanwhile. Tables are
// small, and all of one size, because each is made in a buffer of twice its size, and a merge has up to five of them in the making;
// but not smaller: each leaves three megabytes of garbage beside that. Eleven memtables gather before they are merged with what
// lies below, for each merge reads and writes that anew; lookups pay for it with a look at some more. And each level is only four
// times as large as the one above, so that a merge below the topmost is of few tables. Blocks are not cached: the engine neither
// compresses nor seals them, so they are read where the system has them.
func EngineOptions(dir string, log badger.Logger) badger.Options {
	opt := badger.DefaultOptions(dir).WithSyncWrites(true).WithDetectConflicts(false). // one writer: no conflicts
												WithMemTableSize(memTable).WithNumMemtables(1).
												WithBaseTableSize(2 << 20).WithBaseLevelSize(32 << 20).WithLevelSizeMultiplier(4).
												WithNumLevelZeroTables(mergeAt).WithNumLevelZeroTablesStall(stallAt).
												WithValueLogFileSize(32 << 20).WithValueThreshold(maxCommit).
												WithBlockCacheSize(0).WithIndexCacheSize(4 << 20).
												WithNumCompactors(2).WithCompression(options.None).
												WithMetricsEnabled(false).WithLogger(log)
	opt.TableSizeMultiplier = 1
	return opt
}

// roomForOld returns opt with memtables as large as an earlier version's, if one is there that did not end by itself: it
// would not fit into a smaller one. It is gone when this process ends as it should. The engine gives a memtable's file twice its
// size, and cuts it to what is in it when it opens: so of another size there may be one that an earlier version wrote.
func roomForOld(opt badger.Options) (badger.Options, error) {
	names, err := filepath.Glob(filepath.Join(opt.Dir, logPattern))
	if err != nil {
		return opt, err
	}
	for _, name := range names {
		st, err := os.Stat(name)
		if err != nil {
			return opt, err
		}
		if st.Size() > memTable && st.Size() != 2*memTable {
			return opt.WithMemTableSize(oldMemTable), nil
		}
	}
	return opt, nil
}
