package gateway

import (
	"context"
	"fmt"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"otpost/driver"
	"otpost/driver/sim"
)

// BenchmarkCarry takes codes from the queue to their delivery reports, by drivers of simulated modems that take no time, and
// reports the processor time of each, the simulation's share included.
func BenchmarkCarry(b *testing.B) {
	for _, pace := range []time.Duration{0, 100 * time.Millisecond} {
		for _, n := range []int{1, 16} {
			b.Run(fmt.Sprintf("%v/%d", pace, n), func(b *testing.B) { benchCarry(b, n, pace) })
		}
	}
}

// reportCounter counts the reports that a gateway has taken.
type reportCounter struct {
	*Gateway
	left atomic.Int64
	none chan struct{} // closed with the last
}

func (c *reportCounter) Report(ctx context.Context, modem string, r driver.Report) error {
	err := c.Gateway.Report(ctx, modem, r)
	if err == nil && c.left.Add(-1) == 0 {
		close(c.none)
	}
	return err
}

func benchCarry(b *testing.B, modems int, pace time.Duration) {
	kv := openBadger(b)
	g := running(b, kv, kv.Secrets(), false)
	h := &reportCounter{Gateway: g, none: make(chan struct{})}
	net := sim.NewNetwork(sim.NetworkConfig{NoMagic: true})
	group, ctx := errgroup.WithContext(b.Context())
	ctx, cancel := context.WithCancel(ctx)
	b.Cleanup(func() {
		cancel()
		if err := group.Wait(); err != nil {
			b.Error(err)
		}
	})
	for i := range modems {
		name := fmt.Sprintf("m%d", i)
		far, err := sim.New(sim.Config{Name: name, Network: net, SubmitTime: pace, ReportDelay: 2 * pace})
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { _ = far.Close() })
		near, err := driver.New(driver.Config{Name: name, Device: far.Path(), Handler: h})
		if err != nil {
			b.Fatal(err)
		}
		if err := g.Attach(Route{Modem: near, SubmitTime: time.Millisecond}); err != nil {
			b.Fatal(err)
		}
		group.Go(func() error { return far.Run(ctx) })
		group.Go(func() error { return near.Run(ctx) })
	}
	for up := 0; up < modems; time.Sleep(10 * time.Millisecond) {
		up = 0
		for _, m := range g.modems {
			if m.route.Modem.Status().State == driver.StateReady {
				up++
			}
		}
	}
	h.left.Store(int64(b.N))
	for i := range b.N {
		put(b, g, code(fmt.Sprintf("+4477%08d", i), 9*time.Minute))
	}
	b.ResetTimer()
	spent := cpuTime(b)
	group.Go(func() error { return g.Run(ctx) })
	<-h.none
	b.ReportMetric(float64((cpuTime(b)-spent).Microseconds())/float64(b.N), "cpu-µs/op")
	b.StopTimer()
}

// cpuTime is what the process has used of processors.
func cpuTime(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
