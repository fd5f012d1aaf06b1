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
	reaches(func(limit int64) bool { return limit >= 4*memoryBudget })
	runtime.KeepAlive(big)
	runtime.GC()
	runtime.GC()
	reaches(func(limit int64) bool { return limit < 4*memoryBudget })
}

func TestLimitMemoryOfTheEnvironment(t *testing.T) {
	t.Setenv("GOMEMLIMIT", "1GiB")
	before := debug.SetMemoryLimit(-1)
	limitMemory(t.Context())
	if now := debug.SetMemoryLimit(-1); now != before {
		t.Errorf("the limit was changed from %d to %d", before, now)
	}
}
