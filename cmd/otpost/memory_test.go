package main

import (
	"context"
	"math"
	"runtime"
	"runtime/debug"
	"testing"
	"time"
)

// The limit is the budget while little is live, leaves room when much is, and is the environment's when that
// sets one.
func TestLimitMemory(t *testing.T) {
	before := debug.SetMemoryLimit(math.MaxInt64)
	defer debug.SetMemoryLimit(before)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); limitMemory(ctx) }()
	defer func() { cancel(); <-done }()
	reaches := func(fits func(limit int64) bool) {
		t.Helper()
		for began := time.Now(); !fits(debug.SetMemoryLimit(-1)); runtime.Gosched() {
			if time.Since(began) > time.Minute {
				t.Fatalf("the limit is %d", debug.SetMemoryLimit(-1))
			}
		}
	}
	reaches(func(limit int64) bool { return limit < math.MaxInt64 })
	big := make([]byte, 3*memoryBudget)
	runtime.GC()
	reaches(func(limit int64) bool { return limit >= 15*memoryBudget/4 })
	runtime.KeepAlive(big)
	runtime.GC()
	runtime.GC()
	reaches(func(limit int64) bool { return limit < 15*memoryBudget/4 })
}

// However much is live, the collector has room, and more is never less of a limit.
func TestMemoryLimit(t *testing.T) {
	const mb = 1 << 20
	for live, want := range map[int64]int64{0: 46, 20 * mb: 46, 30 * mb: 49, 40 * mb: 57, 44 * mb: 57, 60 * mb: 75, 1000 * mb: 1250} {
		if got := memoryLimit(live); got != want*mb {
			t.Errorf("with %d MB live the limit is %d MB, want %d", live/mb, got/mb, want)
		}
	}
	for live := int64(0); live < 100*mb; live += mb {
		if memoryLimit(live) > memoryLimit(live+mb) || memoryLimit(live) < live*5/4 {
			t.Errorf("with %d MB live the limit is %d MB, with one more %d", live/mb, memoryLimit(live)/mb, memoryLimit(live+mb)/mb)
		}
	}
}

func TestLimitMemoryOfTheEnvironment(t *testing.T) {
	t.Setenv("GOMEMLIMIT", "1GiB")
	before := debug.SetMemoryLimit(-1)
	limitMemory(t.Context())
	if now := debug.SetMemoryLimit(-1); now != before {
		t.Errorf("the limit was changed from %d to %d", before, now)
	}
}
