package store

import (
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
)

func newTestPacer(waiting int) *pacer {
	p := newPacer(badgerLog{slog.New(slog.DiscardHandler)}, newMetrics(nil))
	count := func() int { return waiting }
	p.waiting.Store(&count)
	return p
}

// A merge rests the longer the fewer tables wait, its parts one after the other, and not at all when many wait or no
// rest is wanted any more.
func TestPace(t *testing.T) {
	const took = 10 * time.Millisecond
	for _, tt := range []struct {
		name           string
		waiting, parts int
		over           bool
		want           time.Duration
	}{
		{"none", 0, 1, false, 4 * took},
		{"few", mergeAt, 1, false, 4 * took},
		{"half of the next", mergeAt + mergeAt/2, 1, false, 4 * took},
		{"more", paceUntil - 1, 1, false, took},
		{"many", paceUntil, 1, false, 0},
		{"too many", stallAt + 1, 1, false, 0},
		{"in parts", paceUntil - 1, 3, false, 3 * took},
		{"over", mergeAt, 3, true, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := newTestPacer(tt.waiting)
				if tt.over {
					p.end()
				}
				began := time.Now()
				var g sync.WaitGroup
				for range tt.parts {
					g.Go(func() { p.Debugf(gathered+"%d keys. Took %v", 1, 100, took) })
				}
				g.Wait()
				if d := time.Since(began); d != tt.want {
					t.Errorf("rested for %v, want %v", d, tt.want)
				}
			})
		})
	}
}

// However long a merge was held up, it soon looks again at how many wait; and in a hurry none rests.
func TestPaceLooksAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newTestPacer(mergeAt)
		began := time.Now()
		p.rest(time.Hour)
		if d := time.Since(began); d != longestRest || testutil.ToFloat64(p.metrics.rests) != longestRest.Seconds() {
			t.Errorf("rested for %v, and %v s were counted, want %v", d, testutil.ToFloat64(p.metrics.rests), longestRest)
		}
		p.hurry()
		p.rest(time.Hour)
		if d := time.Since(began); d != longestRest {
			t.Errorf("in a hurry it rested for %v", d-longestRest)
		}
	})
}

// The end of the store does not wait for a rest.
func TestPaceEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newTestPacer(0)
		began := time.Now()
		done := make(chan struct{})
		go func() { defer close(done); p.rest(time.Hour) }()
		synctest.Wait()
		p.end()
		p.end()
		<-done
		if d := time.Since(began); d != 0 || testutil.ToFloat64(p.metrics.rests) != 0 {
			t.Errorf("it took %v, and %v s were counted", d, testutil.ToFloat64(p.metrics.rests))
		}
	})
}

// The engine tells what a merge has gathered in the line that is looked for, and a merge rests by it.
func TestMergesRest(t *testing.T) {
	b := mustOpen(t, BadgerConfig{Dir: t.TempDir(), Keys: newRing(t), unsynced: true})
	for i := 0; testutil.ToFloat64(b.metrics.rests) == 0; i++ {
		if i == 10_000 {
			t.Fatal("ten thousand commits, and no merge has rested")
		}
		mustUpdate(t, b, func(tx Txn) error {
			for k := range 100 {
				if err := tx.Set(fmt.Sprintf("t/%05d", (i*100+k)*7919%50_000), noise(1000), never); err != nil {
					return err
				}
			}
			return nil
		})
	}
}
