package store

import (
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/dgraph-io/badger/v4"
)

// The engine merges its tables with all processors that there are, and in that third of a second a code that is being judged
// waits. Nothing hurries a merge, though, as long as few tables wait for the next. So it rests whenever it has gathered what
// goes into a table, in proportion to what that took, and the longer the fewer wait: for four times as long as it worked until
// half as many have gathered again as a merge of the topmost level begins with, for as long when there is one more, and then no
// more, or the next merge would be larger and take more memory. The parts of a merge, which would otherwise run side by side, do
// so one after the other. The engine has no option for that, but it logs what it has gathered, holding none of its locks, and
// goes on only when that has been taken.

const (
	paceUntil   = mergeAt + mergeAt/2 + 2 // tables wait for a merge when none rests any more
	longestRest = 100 * time.Millisecond  // however long it worked (a disk may have held it up), or it would not see how many wait
)

// gathered is how the engine's log line begins when a merge has gathered a table. The line ends with what that took.
const gathered = "[%d] LOG Compact. Added "

// pacer is the engine's log, and its merges' rests.
type pacer struct {
	badgerLog
	metrics *metrics
	waiting atomic.Pointer[func() int] // how many tables wait for a merge; nil: no merge rests
	resting chan struct{}              // of capacity 1: full while a part of a merge rests
	over    chan struct{}              // closed when no merge is to rest any more
	end     func()                     // closes over; may be called twice
}

var _ badger.Logger = (*pacer)(nil)

func newPacer(log badgerLog, m *metrics) *pacer {
	p := &pacer{badgerLog: log, metrics: m, resting: make(chan struct{}, 1), over: make(chan struct{})}
	p.end = sync.OnceFunc(func() { close(p.over) })
	return p
}

// begin has the merges of db rest from now on.
func (p *pacer) begin(db *badger.DB) {
	waiting := func() int { return db.Levels()[0].NumTables } // db.Tables would read of each table, and so bring it in
	p.waiting.Store(&waiting)
}

// hurry has no merge begin a rest, until the next begin.
func (p *pacer) hurry() { p.waiting.Store(nil) }

// Debugf implements badger.Logger. The engine calls it on the goroutine that merges.
func (p *pacer) Debugf(format string, args ...any) {
	p.badgerLog.Debugf(format, args...)
	if !strings.HasPrefix(format, gathered) || len(args) == 0 {
		return
	}
	if took, ok := args[len(args)-1].(time.Duration); ok {
		p.rest(took)
	}
}

// rest returns after a while in proportion to took, or when there is to be no rest any more.
func (p *pacer) rest(took time.Duration) {
	p.resting <- struct{}{}
	defer func() { <-p.resting }()
	waiting := p.waiting.Load()
	if waiting == nil {
		return
	}
	few := max(0, min(paceUntil-(*waiting)(), 2))
	began := time.Now()
	select {
	case <-time.After(min(took*time.Duration(few*few), longestRest)):
	case <-p.over:
	}
	p.metrics.rests.Add(time.Since(began).Seconds())
}
