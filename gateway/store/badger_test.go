package store_test

import (
	"context"
	"crypto/rand"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"otpost/gateway/store"
	"otpost/gateway/store/keys"
	"otpost/gateway/store/storetest"
)

func ring(t testing.TB) *keys.Ring {
	t.Helper()
	r, err := keys.Generate(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// open opens the store in dir; the test's cleanup closes it.
func open(t testing.TB, dir string, r *keys.Ring) *store.Badger {
	t.Helper()
	return openWith(t, store.BadgerConfig{Dir: dir, Keys: r})
}

func openWith(t testing.TB, cfg store.BadgerConfig) *store.Badger {
	t.Helper()
	b, err := store.OpenBadger(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return b
}

func TestBadger(t *testing.T) {
	storetest.Run(t, func(t *testing.T) store.KV {
		return openWith(t, store.Unsynced(store.BadgerConfig{Dir: t.TempDir(), Keys: ring(t)}))
	})
}

// reopening closes and opens its store again at every so many updates, so that what is read comes from tables and from
// the log of an earlier life.
type reopening struct {
	t    *testing.T
	cfg  store.BadgerConfig
	left atomic.Int64 // updates until the next time

	mu sync.RWMutex // held for writing while it is closed
	b  *store.Badger
}

const reopenEvery = 200

func (r *reopening) Update(ctx context.Context, f func(store.Txn) error) error {
	if r.left.Add(-1) == 0 {
		r.reopen()
	}
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.b.Update(ctx, f)
}

func (r *reopening) View(ctx context.Context, f func(store.Txn) error) error {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.b.View(ctx, f)
}

func (r *reopening) reopen() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.b.Close(); err != nil {
		r.t.Errorf("close: %v", err)
	}
	r.b = openWith(r.t, r.cfg)
	r.left.Store(reopenEvery)
}

func TestBadgerReopening(t *testing.T) {
	storetest.Run(t, func(t *testing.T) store.KV {
		r := &reopening{t: t, cfg: store.Unsynced(store.BadgerConfig{Dir: t.TempDir(), Keys: ring(t)})}
		r.b = openWith(t, r.cfg)
		r.left.Store(reopenEvery)
		return r
	})
}

// The metrics are well-formed, and count.
func TestMetrics(t *testing.T) {
	reg := prometheus.NewPedanticRegistry()
	b := openWith(t, store.BadgerConfig{Dir: t.TempDir(), Keys: ring(t), Registry: reg})
	for range 3 {
		if err := b.Update(t.Context(), func(tx store.Txn) error { return tx.Set("t/a", nil, time.Time{}) }); err != nil {
			t.Fatal(err)
		}
	}
	problems, err := testutil.GatherAndLint(reg)
	if len(problems) > 0 || err != nil {
		t.Errorf("%v, %v", problems, err)
	}
	want := `# HELP otpost_store_commits_total Synced commits.
# TYPE otpost_store_commits_total counter
otpost_store_commits_total 4
# HELP otpost_store_failures_total What went wrong: full (update refused), unknown (commit), checksum, note (side file).
# TYPE otpost_store_failures_total counter
otpost_store_failures_total{kind="checksum"} 0
otpost_store_failures_total{kind="full"} 0
otpost_store_failures_total{kind="note"} 0
otpost_store_failures_total{kind="unknown"} 0
`
	if err := testutil.GatherAndCompare(reg, strings.NewReader(want), "otpost_store_commits_total", "otpost_store_failures_total"); err != nil {
		t.Error(err)
	}
}
