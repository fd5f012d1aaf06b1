package bench

import (
	"context"
	"fmt"
	"net/http"
	"path/filepath"
	"time"
)

// keeping measures start, memory and the cost of a send with more and more messages kept.
func (b *run) keeping(ctx context.Context) error {
	sizes := []int{0, 1000, 100_000}
	if b.Large {
		sizes = append(sizes, 1_000_000)
	}
	kept := 0
	for _, n := range sizes {
		began := time.Now()
		if err := fill(ctx, filepath.Join(b.dir, keepingDir), n-kept); err != nil {
			return err
		}
		if n > 0 {
			b.say("  %d messages written in %.1f s", n-kept, time.Since(began).Seconds())
		}
		kept = n
		if err := b.kept(ctx, n); err != nil {
			return err
		}
	}
	return nil
}

// keepingDir is the data folder that fills up.
const keepingDir = "keeping"

// startSettles is how long after its start a daemon has nothing to do with that any more.
const startSettles = 6 * time.Second

// keptSends is how many texts are sent to see what one costs.
const keptSends = 1000

// kept measures a daemon on the folder as it is now: a start, its memory when it has nothing to do, the newest fifty
// messages, and what a text costs from its acceptance to its delivery report.
func (b *run) kept(ctx context.Context, n int) error {
	r, err := b.rig(ctx, keepingDir, rigOptions{modems: 4})
	if err != nil {
		return err
	}
	defer r.stop()
	k := Kept{Messages: n, Start: r.took}
	select { // until it has let go of what only its start needed
	case <-time.After(startSettles):
	case <-ctx.Done():
		return ctx.Err()
	}
	if k.RSS, err = r.memory("VmRSS"); err != nil {
		return err
	}
	if n == 0 {
		b.report.Memory.Idle = k.RSS
	}
	list, err := measure(ctx, "list", 1, b.Window/4, func(ctx context.Context, _ int) error {
		return r.call(ctx, http.MethodGet, "/v1/messages?limit=50", nil, nil)
	})
	if err != nil {
		return err
	}
	before, began := r.cpu(), time.Now()
	err = each(ctx, 16, keptSends, func(ctx context.Context, i int) error {
		return r.call(ctx, http.MethodPost, "/v1/messages", body{"to": accountPhone(i), "text": "kept", "ttl": "24h"}, nil)
	})
	if err != nil {
		return err
	}
	if err := r.emptied(ctx); err != nil {
		return err
	}
	k.List, k.SendsPerS = list.Took.P50, keptSends/time.Since(began).Seconds()
	k.CPU = (r.cpu() - before).Seconds() * 1000 / keptSends
	if k.CostRatio = 1; len(b.report.Kept) > 1 {
		k.CostRatio = k.CPU / b.report.Kept[1].CPU
	}
	b.report.Kept = append(b.report.Kept, k)
	b.say("  %8d kept: ready in %v, %d MiB, a send costs %.2f ms, %.2f times that with 1,000",
		n, k.Start.Round(time.Millisecond), k.RSS>>20, k.CPU, k.CostRatio)
	return nil
}

// emptied waits until nothing is queued, with a modem, or without its report.
func (r *rig) emptied(ctx context.Context) error {
	began := time.Now()
	for _, status := range []string{"queued", "sending", "sent"} {
		for {
			var page struct{ Messages []struct{ ID string } }
			if err := r.call(ctx, http.MethodGet, "/v1/messages?limit=1&status="+status, nil, &page); err != nil {
				return err
			}
			if len(page.Messages) == 0 {
				break
			}
			if time.Since(began) > startPatience {
				return fmt.Errorf("messages are still %s", status)
			}
			<-time.After(5 * time.Millisecond)
		}
	}
	return nil
}
