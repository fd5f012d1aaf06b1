package store

import (
	"context"
	"fmt"
	"sync"
	"time"
)

const (
	spaceEvery = time.Second
	noteEvery  = 3 * time.Second
	nightHour  = 3 // local time of the nightly check
)

// Run does the store's housekeeping until ctx ends: it watches the disk, notes the newest commit, keeps the reserve file,
// seals records anew after a rotation of the keys, and at night verifies all checksums and tidies the tables. It must have returned before Close.
func (b *Badger) Run(ctx context.Context) error {
	spaceTick, noteTick := time.NewTicker(spaceEvery), time.NewTicker(noteEvery)
	defer spaceTick.Stop()
	defer noteTick.Stop()
	night := time.NewTimer(untilNight(time.Now()))
	defer night.Stop()
	forget := time.NewTimer(forgetEvery)
	defer forget.Stop()
	emptyTick := time.NewTicker(emptyEvery)
	defer emptyTick.Stop()
	sweepTick := time.NewTicker(sweepEvery)
	defer sweepTick.Stop()
	ctx, cancel := context.WithCancel(ctx)
	var ahead sync.WaitGroup
	ahead.Go(func() { b.runAhead(ctx) })
	defer ahead.Wait()
	defer cancel()
	progress := sweep{over: len(b.cfg.Keys.IDs()) == 1}
	for {
		if progress.over {
			sweepTick.Stop()
		}
		select {
		case <-ctx.Done():
			return nil
		case <-b.dead:
			return ErrUnknown
		case <-spaceTick.C:
			b.watchSpace()
		case <-noteTick.C:
			b.takeNote()
		case <-emptyTick.C:
			emptyPool(allocators(b.db))
		case <-forget.C:
			forget.Reset(b.forgetSome())
		case <-sweepTick.C:
			if err := b.step(ctx, &progress); err != nil && ctx.Err() == nil {
				b.log.Error("records not sealed anew", "error", err)
			}
		case <-night.C:
			b.nightly()
			night.Reset(untilNight(time.Now()))
		}
	}
}

// untilNight returns the time from now to the next nightly check.
func untilNight(now time.Time) time.Duration {
	next := time.Date(now.Year(), now.Month(), now.Day(), nightHour, 30, 0, 0, now.Location())
	for !next.After(now) {
		next = time.Date(next.Year(), next.Month(), next.Day()+1, nightHour, 30, 0, 0, now.Location())
	}
	return next.Sub(now)
}

func (b *Badger) takeNote() {
	if err := b.note.write(b.engine.durable.Load(), time.Now()); err != nil {
		b.metrics.failures.WithLabelValues(failNote).Inc()
		b.log.Warn("newest commit not noted", "error", err)
	}
	if err := b.space.keepBallast(); err != nil {
		b.log.Warn("reserve file not made", "error", err)
	}
}

// nightly verifies every table and merges them, so that scans do not walk over what was deleted. The housekeeping waits for
// that, so merges do not rest meanwhile.
func (b *Badger) nightly() {
	b.pacer.hurry()
	defer b.pacer.begin(b.db)
	start := time.Now()
	err := b.verify()
	if err == nil {
		if ferr := b.db.Flatten(1); ferr != nil {
			err = fmt.Errorf("flatten: %w", ferr)
		}
	}
	if err != nil {
		b.log.Error("nightly check of the store", "error", err)
		return
	}
	b.log.Info("nightly check of the store done", "seconds", time.Since(start).Seconds())
}
