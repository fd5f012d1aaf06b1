package console_test

import (
	"context"
	"crypto/rand"
	"log/slog"
	"sync/atomic"
	"testing"
	"time"

	"otpost/api"
	"otpost/gateway/store"
	"otpost/gateway/store/keys"
)

// counting is a store that counts the records that are read.
type counting struct {
	*store.Memory
	reads atomic.Int64
}

func (c *counting) View(ctx context.Context, f func(store.Txn) error) error {
	return c.Memory.View(ctx, func(tx store.Txn) error { return f(countingTxn{tx, &c.reads}) })
}

type countingTxn struct {
	store.Txn
	reads *atomic.Int64
}

func (t countingTxn) Get(key string) ([]byte, error) {
	t.reads.Add(1)
	return t.Txn.Get(key)
}

func (t countingTxn) Scan(r store.Range, f func(string, []byte) bool) error {
	return t.Txn.Scan(r, func(key string, value []byte) bool {
		t.reads.Add(1)
		return f(key, value)
	})
}

// The overview and the list of messages read no more records when there are ten times as many.
func TestPagesReadFewRecords(t *testing.T) {
	kv := &counting{Memory: store.NewMemory()}
	w := newWorld(t, kv, false)
	reads := func(path string) int64 {
		b := w.signedIn(api.ScopeOps)
		kv.reads.Store(0)
		b.get(path).wants(t, path, 200)
		return kv.reads.Load()
	}
	w.fill(600)
	few := map[string]int64{"": reads(""), "messages": reads("messages")}
	w.fill(5400)
	for path, before := range few {
		if after := reads(path); before == 0 || after > before+10 || after > 700 {
			t.Errorf("/console/%s reads %d records of 600 messages and %d of 6000", path, before, after)
		}
	}
}

// BenchmarkOverview is the first page, from request to last byte, with 100,000 messages in an embedded store.
func BenchmarkOverview(b *testing.B) { benchmarkPage(b, "") }

// BenchmarkMessages is the list of messages with as many.
func BenchmarkMessages(b *testing.B) { benchmarkPage(b, "messages") }

func benchmarkPage(b *testing.B, path string) {
	kv, err := store.OpenBadger(b.Context(), store.BadgerConfig{Dir: b.TempDir(), Keys: must(keys.Generate(rand.Reader)), Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		b.Fatal(err)
	}
	defer kv.Close()
	w := newWorld(b, kv, false)
	w.fill(100_000)
	visitor := w.signedIn(api.ScopeOps)
	var slowest time.Duration
	for b.Loop() {
		began := time.Now()
		if p := visitor.get(path); p.StatusCode != 200 {
			b.Fatal(p.StatusCode)
		}
		slowest = max(slowest, time.Since(began))
	}
	b.ReportMetric(float64(slowest.Milliseconds()), "ms-slowest")
}
