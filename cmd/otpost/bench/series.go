package bench

import (
	"context"
	"fmt"
	"slices"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"
)

// series is one thing that is done again and again, in rounds, by so many clients.
type series struct {
	what    string
	clients int

	took           []time.Duration
	rates          []float64     // a second, of each round
	wall           time.Duration // of all rounds
	server, client time.Duration // processor time in all rounds
}

// round calls f for 0 to n-1 and counts what that took, of this process and of the server's.
func (s *series) round(ctx context.Context, n int, server *process, f func(ctx context.Context, i int) error) error {
	took := make([]time.Duration, n)
	spent, own, began := server.cpu(), ownCPU(), time.Now()
	err := each(ctx, s.clients, n, func(ctx context.Context, i int) error {
		at := time.Now()
		err := f(ctx, i)
		took[i] = time.Since(at)
		return err
	})
	if err != nil {
		return fmt.Errorf("%s with %d clients: %w", s.what, s.clients, err)
	}
	wall := time.Since(began)
	s.client += ownCPU() - own
	s.server += server.cpu() - spent
	s.wall += wall
	s.rates = append(s.rates, float64(n)/wall.Seconds())
	s.took = append(s.took, took...)
	return nil
}

// rate sums the rounds up.
func (s *series) rate() Rate {
	n := float64(max(1, len(s.took)))
	return Rate{
		What: s.what, Clients: s.clients, PerSecond: float64(len(s.took)) / s.wall.Seconds(), Took: spread(s.took),
		CPU: s.server.Seconds() * 1000 / n, ClientCPU: s.client.Seconds() * 1000 / n,
	}
}

// beside is the rate with its ratio to another series whose rounds were next to its own: whatever else the machine did
// at the time, it did to both.
func (s *series) beside(y *series) Rate {
	r := s.rate()
	ratios := make([]float64, len(s.rates))
	for i := range s.rates {
		ratios[i] = s.rates[i] / y.rates[i]
	}
	slices.Sort(ratios)
	r.Ratio, r.Lowest, r.Highest = median(ratios), ratios[0], ratios[len(ratios)-1]
	yard := y.rate()
	r.CPURatio = (yard.CPU + yard.ClientCPU) / (r.CPU + r.ClientCPU)
	return r
}

// median is that of sorted figures.
func median(sorted []float64) float64 {
	half := len(sorted) / 2
	if len(sorted)%2 == 1 {
		return sorted[half]
	}
	return (sorted[half-1] + sorted[half]) / 2
}

// spread sorts took and reads its percentiles off.
func spread(took []time.Duration) Spread {
	if len(took) == 0 {
		return Spread{}
	}
	slices.Sort(took)
	at := func(p int) float64 {
		return float64(took[min(len(took)-1, len(took)*p/100)].Microseconds()) / 1000
	}
	return Spread{P50: at(50), P95: at(95), P99: at(99), N: len(took)}
}

// each calls f for 0 to n-1, by so many clients.
func each(ctx context.Context, clients, n int, f func(ctx context.Context, i int) error) error {
	g, ctx := errgroup.WithContext(ctx)
	var next atomic.Int64
	for range clients {
		g.Go(func() error {
			for i := int(next.Add(1)) - 1; i < n && ctx.Err() == nil; i = int(next.Add(1)) - 1 {
				if err := f(ctx, i); err != nil {
					return err
				}
			}
			return ctx.Err()
		})
	}
	return g.Wait()
}

// ownCPU returns the processor time that this process has had.
func ownCPU() time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil { // it fails for wrong arguments only
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
