package gateway

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"otpost/gateway/store"
)

// TestClockStepRenewsNoQuota: a machine without a battery starts in 1970, and its clock is set later. Its SIM has no new day.
func TestClockStepRenewsNoQuota(t *testing.T) {
	var s simRecord
	now := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	s.roll(now, time.UTC)
	s.take(now, 500, limits{day: 500})
	want := s
	for _, at := range []time.Time{time.Unix(5, 0), now.AddDate(0, 0, -1), now.AddDate(0, -1, 0), now.Add(time.Second)} {
		s.roll(at, time.UTC)
		if diff := cmp.Diff(want, s); diff != "" {
			t.Errorf("after the clock showed %v (-want +got):\n%s", at, diff)
		}
	}
	s.roll(now.AddDate(0, 0, 1), time.UTC)
	if s.DayCount != 0 || s.MonthCount != 500 {
		t.Errorf("the next day: %d today, %d this month, want 0 and 500", s.DayCount, s.MonthCount)
	}
}

func TestForgive(t *testing.T) {
	now := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	record := func(at time.Time) simRecord {
		return simRecord{
			Day: at.Format(time.DateOnly), DayCount: 7, Month: at.Format(monthOnly), MonthCount: 70,
			Recent: []int64{at.UnixMilli()}, Blocked: "credit", BlockedAt: at, Blocks: 1,
		}
	}
	late := record(now.AddDate(10, 0, 0))
	late.Day, late.DayCount, late.Month, late.MonthCount, late.Recent, late.BlockedAt = "2026-11-23", 0, "2026-11", 0, []int64{}, now
	tomorrow := record(now.AddDate(0, 0, 1))
	tomorrow.Recent = []int64{}
	tests := []struct {
		name    string
		s, want simRecord
	}{
		{"present", record(now), record(now)},
		{"past", record(now.AddDate(-1, 0, 0)), record(now.AddDate(-1, 0, 0))},
		{"tomorrow", record(now.AddDate(0, 0, 1)), tomorrow},
		{"in ten years", record(now.AddDate(10, 0, 0)), late},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tt.s.forgive(now, time.UTC)
			if diff := cmp.Diff(tt.want, tt.s); diff != "" {
				t.Errorf("forgive (-want +got):\n%s", diff)
			}
		})
	}
}

func TestClockGuard(t *testing.T) {
	noon := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	type look struct {
		at             time.Time
		fell, believed bool
		behind         bool
	}
	tests := []struct {
		name  string
		looks []look
	}{
		{"goes on", []look{{at: noon.Add(time.Second)}, {at: noon.Add(time.Hour)}}},
		{"corrected by little", []look{{at: noon.Add(-59 * time.Second)}, {at: noon}}},
		{"set back and right again", []look{
			{at: noon.Add(-time.Hour), fell: true, behind: true}, {at: noon.Add(-30 * time.Minute), behind: true}, {at: noon},
			{at: noon.Add(-2 * time.Minute), fell: true, behind: true},
		}},
		{"was ahead for a year", []look{
			{at: noon.AddDate(-1, 0, 0), fell: true, behind: true}, {at: noon.AddDate(-1, 0, 0).Add(59 * time.Minute), behind: true},
			{at: noon.AddDate(-1, 0, 0).Add(time.Hour), believed: true}, {at: noon.AddDate(-1, 0, 0).Add(2 * time.Hour)},
		}},
		{"never set", []look{{at: time.Unix(5, 0), fell: true, behind: true}, {at: time.Unix(90_000, 0), behind: true}, {at: noon}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := clockGuard{newest: noon}
			for i, l := range tt.looks {
				fell, believed := c.look(l.at)
				if fell != l.fell || believed != l.believed || c.behind(l.at) != l.behind {
					t.Errorf("look %d: fell %v, believed %v, behind %v, want %+v", i, fell, believed, c.behind(l.at), l)
				}
			}
		})
	}
}

// TestNothingIsSentWhileTheClockIsBehind: the newest record is of three hours from now. What waits may be dead by the time that
// it truly is: it stays, codes are refused at once, and the log says why, once.
func TestNothingIsSentWhileTheClockIsBehind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		b := newBench(t, 1)
		b.config = func(c *Config) { c.Log = slog.New(slog.NewTextHandler(&log, nil)) }
		b.modems[0].state = "absent"
		b.start()
		waits := b.enqueue(text(alice, "hello"))
		err := b.kv.Update(context.Background(), func(tx store.Txn) error {
			return b.g.Emit(tx, time.Now().Add(3*time.Hour), Event{Type: "account.x"})
		})
		if err != nil {
			t.Fatal(err)
		}
		b.kill()()
		b.modems[0].state = "ready"
		b.start()
		sleep(59 * time.Minute)
		b.wantStatus(waits, Queued)
		if _, err := b.try(code(bob, 5*time.Minute)); err == nil {
			t.Error("a code was accepted that will not be sent")
		}
		sleep(2 * time.Minute) // it has stayed so for an hour: it was ahead before
		b.wantStatus(waits, Sent)
		b.wantStatus(b.enqueue(code(bob, 5*time.Minute)), Sending)
		sleep(2 * time.Second)
		b.kill()()
		b.start() // and need not be waited for again
		b.wantStatus(b.enqueue(code(bob, 5*time.Minute)), Sending)
		b.end()
		if n := strings.Count(log.String(), "clock is behind"); n != 1 {
			t.Errorf("the log says it %d times:\n%s", n, log.String())
		}
	})
}
