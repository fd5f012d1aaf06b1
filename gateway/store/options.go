package store

import (
	"os"
	"path/filepath"

	"github.com/dgraph-io/badger/v4"
	"github.com/dgraph-io/badger/v4/options"
)

const (
	memTable    = 6 << 20             // what is written to one before it becomes a table
	maxCommit   = memTable * 15 / 100 // the engine's bound for a transaction, which follows from that
	oldMemTable = 8 << 20             // of earlier versions

	mergeAt = 8  // tables gather before they are merged with what lies below
	stallAt = 16 // tables have commits wait until they are merged
)

// engineOptions are the small profile: the memory of a small board, every value beside its key (what does not fit is
// refused, see fits), so that there is one file to sync and no value log to clean or to verify. Memtables and tables are
// small because the engine makes each in buffers of several times its size, and because a merge, which rests after each
// table (see pace.go), holds a processor for as long as it makes one; but not smaller: the less there is in each, the more of
// them are made, and each leaves three megabytes of garbage. Eight gather before they are merged with what lies below: that
// costs a third less of processor time than two, and reads look at a few more.
func engineOptions(dir string, log badger.Logger) badger.Options {
	return badger.DefaultOptions(dir).WithSyncWrites(true).WithDetectConflicts(false). // one writer: no conflicts
												WithMemTableSize(memTable).WithNumMemtables(1).
												WithBaseTableSize(4 << 20).WithBaseLevelSize(32 << 20).
												WithNumLevelZeroTables(mergeAt).WithNumLevelZeroTablesStall(stallAt).
												WithValueLogFileSize(32 << 20).WithValueThreshold(maxCommit).
												WithBlockCacheSize(4 << 20).WithIndexCacheSize(4 << 20).
												WithNumCompactors(2).WithCompression(options.None).
												WithMetricsEnabled(false).WithLogger(log)
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
