package store_test

import (
	"bytes"
	"crypto/rand"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"filippo.io/age"
	"github.com/dgraph-io/badger/v4"

	"otpost/gateway/store"
)

// The benchmarks put an update of three small records (a challenge, a rate, a queue entry) beside two yardsticks of the
// same disk, measured in the same run: a bare synced Badger commit of the same records, by as many goroutines, and a
// bare append and fsync. The ratio is how many updates were done in the time of one such commit.

// value is 300 bytes that are squeezed as little as a record can be.
func value() []byte {
	b := make([]byte, 300)
	_, _ = rand.Read(b) // never fails
	return b
}

// spread runs n operations on g goroutines.
func spread(g, n int, op func(worker, i int)) time.Duration {
	start := time.Now()
	var wg sync.WaitGroup
	for w := range g {
		wg.Go(func() {
			for i := w; i < n; i += g {
				op(w, i)
			}
		})
	}
	wg.Wait()
	return time.Since(start)
}

func names(w, i int) [3]string {
	return [3]string{fmt.Sprintf("otp/challenge/%08d", i), fmt.Sprintf("otp/rate/%04d", w), fmt.Sprintf("gw/queue/%08d", i)}
}

func BenchmarkUpdate(b *testing.B) {
	for _, g := range []int{1, 16, 64} {
		b.Run(fmt.Sprintf("goroutines=%d", g), func(b *testing.B) {
			bare := bareCommits(b, g, 1000)
			kv := open(b, b.TempDir(), ring(b))
			b.ResetTimer()
			took := spread(g, b.N, func(w, i int) {
				err := kv.Update(b.Context(), func(tx store.Txn) error {
					for _, key := range names(w, i) {
						if _, err := tx.Get(key); err != nil && err != store.ErrNotFound {
							return err
						}
						if err := tx.Set(key, value(), time.Now().Add(time.Hour)); err != nil {
							return err
						}
					}
					return nil
				})
				if err != nil {
					b.Error(err)
				}
			})
			b.StopTimer()
			perOp := took / time.Duration(b.N)
			b.ReportMetric(float64(b.N)/took.Seconds(), "updates/s")
			b.ReportMetric(1/bare.Seconds(), "bare-commits/s")
			b.ReportMetric(bare.Seconds()/perOp.Seconds(), "ratio-to-bare")
			b.ReportMetric(1/fsyncs(b, 500).Seconds(), "fsyncs/s")
		})
	}
}

// bareCommits returns the time of one bare synced commit of Badger with g goroutines at it.
func bareCommits(b *testing.B, g, n int) time.Duration {
	db, err := badger.Open(badger.DefaultOptions(b.TempDir()).WithSyncWrites(true).WithMemTableSize(8 << 20).
		WithValueLogFileSize(32 << 20).WithValueThreshold(64 << 10).WithLogger(nil))
	if err != nil {
		b.Fatal(err)
	}
	defer db.Close()
	took := spread(g, n, func(w, i int) {
		err := db.Update(func(txn *badger.Txn) error {
			for _, key := range names(w, i) {
				if _, err := txn.Get([]byte(key)); err != nil && err != badger.ErrKeyNotFound {
					return err
				}
				if err := txn.SetEntry(badger.NewEntry([]byte(key), value()).WithTTL(time.Hour)); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			b.Error(err)
		}
	})
	return took / time.Duration(n)
}

// fsyncs returns the time of one append of 400 bytes and fsync.
func fsyncs(b *testing.B, n int) time.Duration {
	f, err := os.Create(filepath.Join(b.TempDir(), "f"))
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	start := time.Now()
	for range n {
		if _, err := f.Write(make([]byte, 400)); err != nil {
			b.Fatal(err)
		}
		if err := f.Sync(); err != nil {
			b.Fatal(err)
		}
	}
	return time.Since(start) / time.Duration(n)
}

func BenchmarkView(b *testing.B) {
	kv := open(b, b.TempDir(), ring(b))
	for i := range 1000 {
		err := kv.Update(b.Context(), func(tx store.Txn) error { return tx.Set(names(0, i)[0], value(), time.Time{}) })
		if err != nil {
			b.Fatal(err)
		}
	}
	b.ResetTimer()
	for i := range b.N {
		err := kv.View(b.Context(), func(tx store.Txn) error {
			_, err := tx.Get(names(0, i%1000)[0])
			return err
		})
		if err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkBackup writes, and reads back into an empty store, 20,000 records of 300 bytes.
func BenchmarkBackup(b *testing.B) {
	const n = 20_000
	kv := open(b, b.TempDir(), ring(b))
	for i := 0; i < n; i += 1000 {
		err := kv.Update(b.Context(), func(tx store.Txn) error {
			for j := range 1000 {
				if err := tx.Set(names(0, i+j)[0], value(), time.Time{}); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			b.Fatal(err)
		}
	}
	id, err := age.GenerateX25519Identity()
	if err != nil {
		b.Fatal(err)
	}
	var wrote, read time.Duration
	for b.Loop() {
		var file bytes.Buffer
		start := time.Now()
		if _, err := store.Backup(b.Context(), kv, &file, id.Recipient()); err != nil {
			b.Fatal(err)
		}
		wrote += time.Since(start)
		start = time.Now()
		cfg := store.BadgerConfig{Dir: filepath.Join(b.TempDir(), "new"), Keys: ring(b)}
		if _, err := store.RestoreBadger(b.Context(), bytes.NewReader(file.Bytes()), cfg, id); err != nil {
			b.Fatal(err)
		}
		read += time.Since(start)
	}
	b.ReportMetric(float64(n*b.N)/wrote.Seconds(), "written/s")
	b.ReportMetric(float64(n*b.N)/read.Seconds(), "restored/s")
}
