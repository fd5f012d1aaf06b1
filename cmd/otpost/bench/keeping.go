package bench

import (
	"context"
	"fmt"
	"net/http"
	"path/filepath"
	"time"
)

// Kept is what a store of so many final messages costs.
type Kept struct {
	Messages  int           `json:"messages"`
	Start     time.Duration `json:"start_ns"`         // from exec to ready
	Memory    Usage         `json:"memory"`           // when there is nothing to do
	List      float64       `json:"list_ms"`          // the newest fifty
	SendsPerS float64       `json:"sends_per_second"` // to their reports, by modems that take no time
	CPU       float64       `json:"cpu_ms"`           // of the daemon, for a text from its acceptance to its report
	CostRatio float64       `json:"cost_ratio"`       // of that, to what it is with the fewest messages but none
}

const (
	startSettles = 6 * time.Second // how long after its start a daemon has nothing to do with that any more
	keptSends    = 600             // texts that are sent to see what one costs
	keptLists    = 100             // lists of the newest fifty that are read
)

// keeping measures start, memory and the cost of a send with more and more messages kept. The daemons start one after the
// other and then settle side by side; each then works while the others have nothing to do.
func (b *run) keeping(ctx context.Context) error {
	all := make([]Kept, len(b.Kept))
	rigs := make([]*rig, len(b.Kept))
	for i, n := range b.Kept {
		r, err := b.keeper(ctx, n)
		if err != nil {
			return fmt.Errorf("with %d messages: %w", n, err)
		}
		defer r.stop()
		rigs[i], all[i] = r, Kept{Messages: n, Start: r.took}
	}
	if err := wait(ctx, startSettles); err != nil {
		return err
	}
	for i, r := range rigs {
		if err := b.kept(ctx, r, &all[i]); err != nil {
			return fmt.Errorf("with %d messages: %w", all[i].Messages, err)
		}
	}
	return nil
}

// keeper starts a daemon on a store with n messages.
func (b *run) keeper(ctx context.Context, n int) (*rig, error) {
	name, began := fmt.Sprintf("kept-%d", n), time.Now()
	if err := fill(ctx, filepath.Join(b.dir, name), n); err != nil {
		return nil, err
	}
	b.say("  %d messages written in %.1f s", n, time.Since(began).Seconds())
	return b.rig(ctx, name, rigOptions{modems: 4})
}

// kept measures a settled daemon: its memory when it has nothing to do, the newest fifty messages, and what a text costs
// from its acceptance to its delivery report.
func (b *run) kept(ctx context.Context, r *rig, k *Kept) (err error) {
	if k.Memory, err = r.usage(); err != nil {
		return err
	}
	if k.Messages == 0 {
		b.report.Memory.Idle = k.Memory
	}
	if err := r.work(ctx, k); err != nil {
		return err
	}
	k.CostRatio = 1
	for _, first := range b.report.Kept {
		if first.Messages > 0 {
			k.CostRatio = k.CPU / first.CPU
			break
		}
	}
	b.report.Kept = append(b.report.Kept, *k)
	b.say("  %8d kept: ready in %v, %.0f MB, a send costs %.2f ms", k.Messages, k.Start.Round(time.Millisecond), mega(k.Memory.Resident), k.CPU)
	return nil
}

// work measures lists and sends.
func (r *rig) work(ctx context.Context, k *Kept) error {
	list := series{what: "list", clients: 1}
	err := list.round(ctx, keptLists, r.process, func(ctx context.Context, _ int) error {
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
	k.List, k.SendsPerS = spread(list.took).P50, keptSends/time.Since(began).Seconds()
	k.CPU = (r.cpu() - before).Seconds() * 1000 / keptSends
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
			if err := wait(ctx, 20*time.Millisecond); err != nil {
				return err
			}
		}
	}
	return nil
}

func wait(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
