package bench

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"
)

// latencySamples is how many texts the idle queue is measured with.
const latencySamples = 300

// latencyPause is how long after a text was submitted the next one is sent, so that the verdict and the report of the last
// are settled.
const latencyPause = 8 * time.Millisecond

// latency measures from the API call to Ctrl-Z on the wire, one text at a time on an idle queue.
func (b *run) latency(ctx context.Context) error {
	wire := make(chan time.Time, 16)
	r, err := b.rig(ctx, "latency", rigOptions{modems: 1, tap: func(_ int, dir, text string) {
		if dir == ">>" && isSubmit(text) {
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
	took := make([]time.Duration, latencySamples)
	for i := range took {
		began := time.Now()
		if err := r.call(ctx, http.MethodPost, "/v1/messages", body{"to": accountPhone(i), "text": "idle"}, nil); err != nil {
			return err
		}
		select {
		case at := <-wire:
			took[i] = at.Sub(began)
		case <-time.After(startPatience):
			return fmt.Errorf("text %d did not reach the wire", i)
		case <-ctx.Done():
			return ctx.Err()
		}
		err := until(ctx, startPatience, func() bool { return int(r.network.Sent()) > i })
		if err := errors.Join(err, wait(ctx, latencyPause)); err != nil {
			return err
		}
	}
	b.report.Idle = spread(took)
	b.say("  p50 %.2f ms, p99 %.2f ms", b.report.Idle.P50, b.report.Idle.P99)
	return nil
}
