package bench

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"otpost/gateway"
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
	before := cpu(b)
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
	b.ReportMetric(float64((cpu(b)-before).Microseconds())/float64(b.N), "cpu-us/op")
	b.StopTimer()
}

func cpu(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

const pathAccounts = 4096

func pathHouse(b *testing.B) *house {
	modems := make([]gateway.Modem, 16)
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
	if err := h.enrol(b.Context(), pathAccounts); err != nil {
		b.Fatal(err)
	}
	return h
}

func (h *house) login(i int) (otp.ChallengeView, error) {
	return h.rules.Create(context.Background(), time.Now(), otp.Caller{Key: "key_bench"}, otp.CreateRequest{Account: accountName(i % pathAccounts), Purpose: otp.Login})
}

// BenchmarkAccept is a send up to its acknowledgement.
func BenchmarkAccept(b *testing.B) {
	for _, n := range []int{1, 64} {
		b.Run(fmt.Sprintf("clients=%d", n), func(b *testing.B) {
			h := pathHouse(b)
			at(b, n, func(i int) error {
				_, err := h.login(i)
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
			ids, codes := make([]string, turns), make([]string, turns)
			at(b, 64, func(i int) error {
				if i >= turns {
					return nil
				}
				c, err := h.login(i)
				if err != nil {
					return err
				}
				ids[i] = c.ID
				codes[i], err = h.code(context.Background(), c)
				return err
			})
			at(b, n, func(i int) error {
				if i >= turns {
					return nil
				}
				_, err := h.rules.Verify(context.Background(), time.Now(), otp.Caller{Key: "key_bench"}, ids[i], otp.VerifyRequest{Code: codes[i]})
				return err
			})
		})
	}
}
