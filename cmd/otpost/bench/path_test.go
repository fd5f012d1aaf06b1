package bench

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"otpost/otp"
)

// The benchmarks of the way of a code, without HTTP, over the real store. Wall time depends on what else the machine does;
// cpu-us/op is the time of this process's threads, and what to compare.

// at runs f for b.N turns on so many goroutines and reports the processor's time.
func at(b *testing.B, goroutines int, f func(i int) error) {
	b.Helper()
	b.ReportAllocs()
	var next atomic.Int64
	var g sync.WaitGroup
	b.ResetTimer()
	before := ownCPU()
	for range goroutines {
		g.Go(func() {
			for i := int(next.Add(1)) - 1; i < b.N; i = int(next.Add(1)) - 1 {
				if err := f(i); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	g.Wait()
	b.ReportMetric(float64((ownCPU()-before).Microseconds())/float64(b.N), "cpu-us/op")
	b.StopTimer()
}

const pathAccounts = 4096

func pathHouse(b *testing.B) *house {
	modems := make([]*instantModem, 16)
	for i := range modems {
		modems[i] = newInstantModem(i)
	}
	h, err := openHouse(b.Context(), b.TempDir(), modems...)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := h.kv.Close(); err != nil {
			b.Error(err)
		}
	})
	if err := h.enrol(b.Context(), pathAccounts, accountName, accountPhone); err != nil {
		b.Fatal(err)
	}
	return h
}

// BenchmarkAccept is a send up to its acknowledgement.
func BenchmarkAccept(b *testing.B) {
	for _, n := range []int{1, 64} {
		b.Run(fmt.Sprintf("clients=%d", n), func(b *testing.B) {
			h := pathHouse(b)
			at(b, n, func(i int) error {
				_, err := h.rules.Create(context.Background(), time.Now(), by, otp.CreateRequest{Account: accountName(i % pathAccounts), Purpose: otp.Login})
				return err
			})
		})
	}
}

// BenchmarkVerify is a right answer.
func BenchmarkVerify(b *testing.B) {
	for _, n := range []int{1, 64} {
		b.Run(fmt.Sprintf("clients=%d", n), func(b *testing.B) {
			h := pathHouse(b)
			turns := min(b.N, pathAccounts)
			codes := make([]pending, turns)
			at(b, 64, func(i int) (err error) {
				if i < turns {
					codes[i], err = h.login(context.Background(), i)
				}
				return err
			})
			at(b, n, func(i int) error {
				if i >= turns {
					return nil
				}
				_, err := h.rules.Verify(context.Background(), time.Now(), by, codes[i].id, otp.VerifyRequest{Code: codes[i].code})
				return err
			})
		})
	}
}

// BenchmarkFill is a store filled with 200,000 messages.
func BenchmarkFill(b *testing.B) {
	before := ownCPU()
	for b.Loop() {
		if err := fill(b.Context(), b.TempDir(), 200_000); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64((ownCPU()-before).Microseconds())/float64(b.N)/200_000, "cpu-us/message")
}
