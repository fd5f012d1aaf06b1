package gateway

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"otpost/driver"
)

// idleThough returns a modem that is left idle though something waits that it may send now.
func (b *bench) idleThough() string {
	g := b.g
	g.mu.Lock()
	defer g.mu.Unlock()
	now := time.Now()
	late := now.Add(-10 * time.Millisecond)
	if d := g.queue.deadline.items; len(d) > 0 && d[0].dead().Before(late) {
		return "a message past its deadline"
	}
	for _, m := range g.modems {
		if m.current != nil && !m.doubtAt.IsZero() && m.doubtAt.Before(late) {
			return "a hand-over to be doubted"
		}
	}
	if !g.sweepAt.IsZero() && g.sweepAt.Before(late) {
		return "a sweep"
	}
	kept := maps.Clone(g.queue.waiters)
	defer func() { g.queue.waiters = kept }()
	for _, m := range g.modems {
		if m.current != nil || !g.up(m, now) {
			continue
		}
		if e, _ := g.queue.next(g.asker(m, g.field(now), now), now); e != nil {
			return fmt.Sprintf("%s, lane %d, %d parts, %+v", m.name, e.lane, e.parts, *e.key)
		}
	}
	return ""
}

// No modem is idle while something waits that it may send, whatever happens.
func TestNobodyIsLeftIdle(t *testing.T) {
	for seed := range uint64(60 * *soak) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) { leftIdle(t, seed) })
	}
}

func leftIdle(t *testing.T, seed uint64) {
	rng := rand.New(rand.NewPCG(seed, 9))
	disk := &fullKV{}
	build := func(t *testing.T) *bench {
		b := onDisk(2+rng.IntN(3), disk)(t)
		b.route = func(r *Route) {
			switch rng.IntN(4) {
			case 0:
				r.PerMinute = 3 + rng.IntN(8)
			case 1:
				r.PerDay = 20 + rng.IntN(40)
			case 2:
				r.PerMinute, r.PerDay = 3+rng.IntN(8), 20+rng.IntN(100)
			}
			if rng.IntN(4) == 0 {
				r.Prefixes = []string{"+447"}
			}
		}
		return b
	}
	inBubble(t, build, func(t *testing.T, b *bench) {
		dice := rand.New(rand.NewPCG(seed, 10))
		for _, m := range b.modems {
			mine := rand.New(rand.NewPCG(seed, dice.Uint64()))
			m.plays(func(int, driver.Submit) fakeAct {
				a := accept(time.Duration(200+mine.IntN(4000)) * time.Millisecond)
				switch mine.IntN(20) {
				case 0:
					return refuse(driver.ClassNetwork, "cms-38")
				case 1:
					return refuse(driver.ClassModem, "cms-500")
				case 2:
					return refuse(driver.ClassRecipient, "cms-1")
				case 3:
					a.result.Outcome = driver.Unknown
				case 4:
					a.took = time.Duration(mine.IntN(100)) * time.Second
				case 5:
					return refuse(driver.ClassCredit, "cms-21")
				}
				return a
			})
		}
		lanes := []Lane{LaneWithdrawal, LaneLogin, LaneEnrol, LaneText, LaneText}
		var full time.Time // when the disk was last full
		for range 600 {
			switch n := rng.IntN(40); {
			case n < 12:
				d := text(fmt.Sprintf("+4%d77009001%02d", 4+rng.IntN(2), rng.IntN(12)), strings.Repeat("x", 1+rng.IntN(700)))
				d.Lane = lanes[rng.IntN(len(lanes))]
				d.NotAfter = time.Now().Add(time.Duration(20+rng.IntN(600)) * time.Second)
				if rng.IntN(2) == 0 {
					d = code(d.To, time.Duration(20+rng.IntN(300))*time.Second)
					d.Lane = lanes[rng.IntN(3)]
					if rng.IntN(8) == 0 {
						d.Ref = "moot"
					}
				}
				if !disk.full.Load() {
					_, _ = b.try(d)
				}
			case n == 12:
				_ = b.g.Pause(context.Background(), b.modems[rng.IntN(len(b.modems))].name)
			case n < 15:
				_ = b.g.Resume(context.Background(), b.modems[rng.IntN(len(b.modems))].name)
			case n == 15:
				m := b.modems[rng.IntN(len(b.modems))]
				m.set(b.g, driver.StateSearching)
			case n < 18:
				m := b.modems[rng.IntN(len(b.modems))]
				m.set(b.g, driver.StateReady)
			case n == 18:
				disk.full.Store(true)
			case n < 28:
				disk.full.Store(false)
			}
			sleep(time.Duration(1+rng.IntN(3000)) * time.Millisecond)
			if disk.full.Load() {
				full = time.Now()
			}
			if time.Since(full) < 5*time.Second {
				continue // nobody is quicker than fullPause and a step
			}
			if b.idleThough() != "" {
				sleep(10 * time.Millisecond)
				if s := b.idleThough(); s != "" {
					began := time.Now()
					state := b.modemStates()
					for b.idleThough() != "" && time.Since(began) < 10*time.Minute {
						sleep(10 * time.Millisecond)
					}
					t.Fatalf("left idle for %v: %s\n%s", time.Since(began), s, state)
				}
			}
		}
		disk.full.Store(false)
		synctest.Wait()
	})
}

func (b *bench) modemStates() string {
	b.g.mu.Lock()
	defer b.g.mu.Unlock()
	now := time.Now()
	s := ""
	for _, m := range b.g.modems {
		left, _ := b.g.simOf(m, now).quotaLeft(now, b.g.cfg.Location, m.limits())
		s += fmt.Sprintf("%s busy %v for %v up %v late %v (after %v, pace %v) hanging %v overdue %v rest %v paused %v state %s left %d limits %+v recent %d\n", m.name, m.current != nil, now.Sub(m.began), b.g.up(m, now), m.late(now), m.lateAfter(), m.pace,
			b.g.hanging(m, now), m.overdue, max(0, m.restUntil.Sub(now)), m.paused, m.status.State, left, m.limits(), len(b.g.simOf(m, now).Recent))
	}
	return s + fmt.Sprintf("poor %b\n", b.g.poor(now))
}
