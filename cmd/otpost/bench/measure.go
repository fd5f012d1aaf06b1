package bench

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
)

// latencySamples is how many texts the idle queue is measured with.
const latencySamples = 300

// latency measures from the API call to Ctrl-Z on the wire, one text at a time on an idle queue.
func (b *run) latency(ctx context.Context) error {
	wire := make(chan time.Time, 16)
	r, err := b.rig(ctx, "latency", rigOptions{modems: 1, tap: func(dir, line string) {
		if dir == ">>" && len(line) > 20 && !strings.HasPrefix(line, "AT") {
			select {
			case wire <- time.Now():
			default:
			}
		}
	}})
	if err != nil {
		return err
	}
	defer r.stop()
	var took []time.Duration
	for i := range latencySamples {
		began := time.Now()
		if err := r.call(ctx, http.MethodPost, "/v1/messages", body{"to": accountPhone(i), "text": "idle"}, nil); err != nil {
			return err
		}
		select {
		case at := <-wire:
			took = append(took, at.Sub(began))
		case <-time.After(startPatience):
			return fmt.Errorf("text %d did not reach the wire", i)
		case <-ctx.Done():
			return ctx.Err()
		}
		if err := r.arrived(ctx, i+1); err != nil {
			return err
		}
	}
	b.report.Idle = spread(took)
	b.say("  p50 %.2f ms, p99 %.2f ms", b.report.Idle.P50, b.report.Idle.P99)
	return nil
}

// arrived waits until the modems have submitted n texts in all, and a little for the verdict of the last to be settled.
func (r *rig) arrived(ctx context.Context, n int) error {
	for began := time.Now(); ; <-time.After(time.Millisecond) {
		switch {
		case int(r.network.Sent()) >= n:
			<-time.After(5 * time.Millisecond)
			return nil
		case time.Since(began) > startPatience:
			return fmt.Errorf("%d of %d texts arrived", r.network.Sent(), n)
		case ctx.Err() != nil:
			return ctx.Err()
		}
	}
}

// lineUse measures how busy modems are kept, by submit time and number of modems.
func (b *run) lineUse(ctx context.Context) error {
	for _, modems := range [...]int{1, 4, 16} {
		for _, submit := range [...]time.Duration{0, 50 * time.Millisecond, 500 * time.Millisecond, 3 * time.Second} {
			u, err := b.line(ctx, modems, submit)
			if err != nil {
				return err
			}
			b.report.Line = append(b.report.Line, u)
			b.say("  %2d modems at %-6v %7.1f/s  line use %.1f %%", modems, submit, u.PerSecond, 100*u.Use)
		}
	}
	return nil
}

// line queues enough texts for about a window, and takes the time from the first Ctrl-Z to the last final result.
func (b *run) line(ctx context.Context, modems int, submit time.Duration) (LineUse, error) {
	var mu sync.Mutex
	var first, last time.Time
	r, err := b.rig(ctx, fmt.Sprintf("line-%d-%v", modems, submit), rigOptions{modems: modems, submit: submit, tap: func(dir, line string) {
		mu.Lock()
		defer mu.Unlock()
		switch {
		case dir == ">>" && len(line) > 20 && !strings.HasPrefix(line, "AT") && first.IsZero():
			first = time.Now()
		case dir == "<<" && strings.HasPrefix(line, "+CMGS:"):
			last = time.Now()
		}
	}})
	if err != nil {
		return LineUse{}, err
	}
	defer r.stop()
	n := 100 * modems
	if submit > 0 {
		n = modems * max(2, int(b.Window/submit))
	}
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(16)
	for i := range n {
		g.Go(func() error {
			return r.call(gctx, http.MethodPost, "/v1/messages", body{"to": accountPhone(i), "text": "line use"}, nil)
		})
	}
	if err := g.Wait(); err != nil {
		return LineUse{}, err
	}
	if err := r.arrived(ctx, n); err != nil {
		return LineUse{}, err
	}
	mu.Lock()
	defer mu.Unlock()
	wall := last.Sub(first)
	return LineUse{
		SubmitTime: submit, Modems: modems, PerSecond: float64(n) / wall.Seconds(),
		Use: float64(n) * submit.Seconds() / (wall.Seconds() * float64(modems)),
	}, nil
}
