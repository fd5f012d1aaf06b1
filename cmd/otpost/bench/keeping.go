package bench

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"otpost/driver"
	"otpost/gateway"
	"otpost/gateway/store"
	"otpost/gateway/store/keys"
)

// keeping measures start, memory and the cost of a send with more and more messages kept.
func (b *run) keeping(ctx context.Context) error {
	sizes := []int{0, 100_000}
	if b.Large {
		sizes = append(sizes, 1_000_000)
	}
	kept := 0
	for _, n := range sizes {
		began := time.Now()
		if err := b.fill(ctx, n-kept); err != nil {
			return err
		}
		if n > 0 {
			b.say("  %d messages sent through the queue in %.0f s", n-kept, time.Since(began).Seconds())
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

// kept measures a daemon on the folder as it is now.
func (b *run) kept(ctx context.Context, n int) error {
	r, err := b.rig(ctx, keepingDir, 4, 0, nil)
	if err != nil {
		return err
	}
	defer r.stop()
	k := Kept{Messages: n, Start: r.took}
	if k.RSS, err = r.memory("VmRSS"); err != nil {
		return err
	}
	var turn atomic.Int64
	rate, err := measure(ctx, "send", 16, b.Window, func(ctx context.Context, _ int) error {
		return r.call(ctx, http.MethodPost, "/v1/messages", body{"to": accountPhone(int(turn.Add(1) % 1000)), "text": "kept", "ttl": "24h"}, nil)
	})
	if err != nil {
		return err
	}
	k.SendsPerS, k.CostRatio = rate.PerSecond, 1
	if len(b.report.Kept) > 0 {
		k.CostRatio = b.report.Kept[0].SendsPerS / k.SendsPerS
	}
	b.report.Kept = append(b.report.Kept, k)
	b.say("  %8d kept: ready in %v, %d MiB, send costs %.2f times the empty store's", n, k.Start.Round(time.Millisecond), k.RSS>>20, k.CostRatio)
	return nil
}

// fillModems is how many instant modems fill a store at once, so that their commits are shared.
const fillModems = 48

// fill sends n texts through the real queue into the store of keepingDir, each to its final state, with modems that
// accept and report at once.
func (b *run) fill(ctx context.Context, n int) error {
	dir := filepath.Join(b.dir, keepingDir)
	if err := os.MkdirAll(dir, 0o700); err != nil || n == 0 {
		return err
	}
	keyFile := filepath.Join(dir, "otpost.key")
	ring, err := keys.Load(keyFile)
	if errors.Is(err, os.ErrNotExist) {
		ring, err = keys.Create(keyFile, rand.Reader)
	}
	if err != nil {
		return err
	}
	kv, err := store.OpenBadger(ctx, store.BadgerConfig{Dir: filepath.Join(dir, "store"), Keys: ring, Reserve: 64 << 20})
	if err != nil {
		return err
	}
	return errors.Join(drain(ctx, kv, n), kv.Close())
}

func drain(ctx context.Context, kv *store.Badger, n int) error {
	g, err := gateway.New(gateway.Config{
		KV: kv, Secrets: kv.Secrets(), Render: func(store.Txn, time.Time, gateway.Message) (string, error) { return "", gateway.ErrMoot },
	})
	if err != nil {
		return err
	}
	f := &filler{queue: g, done: make(chan struct{}), want: int64(n)}
	for i := range fillModems {
		m := &instantModem{name: fmt.Sprintf("fill%d", i), iccid: fmt.Sprintf("89440000000000%05d", i), filler: f}
		if err := g.Attach(gateway.Route{Modem: m, SubmitTime: time.Millisecond}); err != nil {
			return err
		}
		g.Changed(m.Status())
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return g.Run(ctx) })
	group.Go(func() error {
		defer cancel()
		return f.feed(ctx, kv, n)
	})
	return group.Wait()
}

// filler counts what has reached its end.
type filler struct {
	queue *gateway.Gateway
	want  int64
	count atomic.Int64
	done  chan struct{}
}

// feedBatch is how many texts one transaction enqueues, and feedAhead how many may wait.
const feedBatch, feedAhead = 64, 2048

// feed enqueues n texts, never far ahead of the modems, and waits until all are delivered.
func (f *filler) feed(ctx context.Context, kv store.KV, n int) error {
	for fed := 0; fed < n; {
		if int64(fed)-f.count.Load() > feedAhead {
			<-time.After(time.Millisecond)
			if ctx.Err() != nil {
				return ctx.Err()
			}
			continue
		}
		batch := min(feedBatch, n-fed)
		now := time.Now()
		err := kv.Update(ctx, func(tx store.Txn) error {
			for i := range batch {
				_, err := f.queue.Enqueue(tx, now, gateway.Draft{
					To: accountPhone((fed + i) % 100_000), Country: "GB", Kind: gateway.KindText, Lane: gateway.LaneText,
					Text: "one of many", NotAfter: now.Add(24 * time.Hour),
				})
				if err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
		fed += batch
	}
	select {
	case <-f.done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// instantModem accepts everything at once and reports it delivered.
type instantModem struct {
	name, iccid string
	filler      *filler
	ref         atomic.Uint32
}

var _ gateway.Modem = (*instantModem)(nil)

func (m *instantModem) Name() string { return m.name }

func (m *instantModem) Status() driver.Status {
	return driver.Status{Name: m.name, State: driver.StateReady, ICCID: m.iccid, Registration: "home", Reports: true, LastGood: time.Now()}
}

// Send implements gateway.Modem. The report comes from a goroutine of its own, after the verdict, as a network's does.
func (m *instantModem) Send(ctx context.Context, s driver.Submit) driver.Result {
	now := time.Now()
	ref := uint8(m.ref.Add(1))
	ctx = context.WithoutCancel(ctx) // the hand-over's ends with the verdict
	go func() {
		r := driver.Report{ICCID: m.iccid, Reference: ref, Recipient: s.To, Sent: now, At: now}
		if m.filler.queue.Report(ctx, m.name, r) == nil && m.filler.count.Add(1) == m.filler.want {
			close(m.filler.done)
		}
	}()
	return driver.Result{Outcome: driver.Accepted, References: []uint8{ref}, Parts: 1, ICCID: m.iccid, Submitted: now, Done: now}
}
