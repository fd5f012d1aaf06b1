package main

import (
	"context"
	"os"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

const (
	memoryBudget = 46 << 20    // what Go's memory stays within as long as there is room in it
	memoryRoom   = 19 << 20    // between what is live and the limit
	memoryMost   = 57 << 20    // the limit up to which there is so much room; beyond, it shrinks to a quarter of what is live
	memoryEvery  = time.Second // how often the limit follows what is live
)

// limitMemory keeps the daemon small until ctx is done: garbage is collected when the budget is used up, and not only when as
// much of it has gathered as there is live, for what the store throws away comes in pieces of megabytes. A limit close to
// what is live would have the collector run all the time; so the limit grows with that. One that the environment sets
// (GOMEMLIMIT) is left alone.
func limitMemory(ctx context.Context) {
	if os.Getenv("GOMEMLIMIT") != "" {
		return
	}
	tick := time.NewTicker(memoryEvery)
	defer tick.Stop()
	for {
		debug.SetMemoryLimit(memoryLimit(liveMemory()))
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// memoryLimit returns the limit for so many live bytes.
func memoryLimit(live int64) int64 {
	return max(memoryBudget, live+max(live/4, min(memoryRoom, memoryMost-live)))
}

// liveMemory returns the bytes that the last collection found in use, and what counts against the limit beside the heap.
func liveMemory() int64 {
	of := map[string]int64{
		"/gc/heap/live:bytes": 0, "/memory/classes/total:bytes": 0, "/memory/classes/heap/released:bytes": 0,
		"/memory/classes/heap/objects:bytes": 0, "/memory/classes/heap/free:bytes": 0, "/memory/classes/heap/unused:bytes": 0,
	}
	var samples []metrics.Sample
	for name := range of {
		samples = append(samples, metrics.Sample{Name: name})
	}
	metrics.Read(samples)
	for _, s := range samples {
		of[s.Name] = int64(s.Value.Uint64())
	}
	heap := of["/memory/classes/heap/released:bytes"] + of["/memory/classes/heap/objects:bytes"] +
		of["/memory/classes/heap/free:bytes"] + of["/memory/classes/heap/unused:bytes"]
	return of["/gc/heap/live:bytes"] + of["/memory/classes/total:bytes"] - heap
}
