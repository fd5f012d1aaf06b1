package gateway

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"otpost/driver"
)

func limited(change func(*Route)) func(*testing.T) *bench {
	return func(t *testing.T) *bench {
		b := newBench(t, 1)
		b.route = change
		return b
	}
}

// TestInvariant6_RestartAndReplug: neither a restart nor another port renews a SIM's day.
func TestInvariant6_RestartAndReplug(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, 2)
		b.route = func(r *Route) { r.PerDay = 10 }
		b.modems[1].iccid = ""
		b.modems[1].state = driver.StateSIMMissing
		b.start()
		send := func(n int) int {
			before := len(b.net.all())
			for i := range n {
				if _, err := b.try(text(fmt.Sprintf("+4477009%05d", i), "hello")); err != nil {
					break
				}
			}
			sleep(time.Minute)
			return len(b.net.all()) - before
		}
		if n := send(6); n != 6 {
			t.Errorf("%d sent of 6", n)
		}
		b.kill()()
		b.start()
		// The SIM moves to the other modem.
		b.modems[1].iccid, b.modems[0].iccid = b.modems[0].iccid, ""
		b.modems[0].set(b.g, driver.StateSIMMissing)
		b.modems[1].set(b.g, driver.StateReady)
		if n := send(20); n != 2 { // of 10 a fifth is left to codes
			t.Errorf("%d texts sent after restart and re-plugging, want 2", n)
		}
		b.enqueue(code(alice, 5*time.Minute))
		b.enqueue(code(bob, 5*time.Minute))
		sleep(10 * time.Second)
		if _, err := b.try(code(alice, 5*time.Minute)); err == nil {
			t.Error("an eleventh part was accepted")
		}
		if n := len(b.net.all()); n != 10 {
			t.Errorf("%d parts sent on a day of 10", n)
		}
		b.end()
	})
}

func TestPerMinute(t *testing.T) {
	inBubble(t, limited(func(r *Route) { r.PerMinute = 6 }), func(t *testing.T, b *bench) {
		for i := range 40 {
			if _, err := b.try(code(fmt.Sprintf("+4477009%05d", i), 10*time.Minute)); err != nil {
				t.Fatal(err)
			}
		}
		sleep(10 * time.Minute)
		texts := b.net.all()
		if len(texts) != 40 {
			t.Errorf("%d of 40 sent", len(texts))
		}
		for i := 6; i < len(texts); i++ {
			if d := texts[i].at.Sub(texts[i-6].at); d < time.Minute || d > 62*time.Second {
				t.Errorf("seven parts within %v", d)
			}
		}
	})
}

// The day begins at midnight of the configured zone.
func TestTimeZone(t *testing.T) {
	zone := time.FixedZone("UTC+5", 5*3600)
	inBubble(t, func(t *testing.T) *bench {
		b := limited(func(r *Route) { r.PerDay = 5 })(t)
		b.config = func(c *Config) { c.Location = zone }
		return b
	}, func(t *testing.T, b *bench) {
		for i := range 5 {
			b.enqueue(code(fmt.Sprintf("+4477009%05d", i), time.Hour))
		}
		sleep(time.Minute)
		_, err := b.try(code(alice, time.Hour))
		full, ok := err.(*CapacityError)
		if !ok || full.NoModem {
			t.Fatalf("a sixth part on a day of 5: %v", err)
		}
		id := b.enqueue(text(bob, "tomorrow will do"))
		sleep(19*time.Hour - 2*time.Minute) // it is midnight there at 19:00 UTC
		b.wantStatus(id, Queued)
		sleep(2 * time.Minute)
		b.wantStatus(id, Sent)
	})
}

// The day's quota begins anew when the zone's date changes, also where summer time begins or ends at midnight: the instant that is
// told is never past, and it is the first of the new day.
func TestDayBegins(t *testing.T) {
	for _, zone := range []string{"UTC", "Europe/London", "America/Santiago", "America/Havana", "Africa/Cairo", "Asia/Beirut", "Asia/Kathmandu", "Australia/Lord_Howe"} {
		loc, err := time.LoadLocation(zone)
		if err != nil {
			t.Skipf("no time zones here: %v", err)
		}
		for now := time.Date(2025, 1, 1, 0, 30, 0, 0, time.UTC); now.Year() < 2027; now = now.Add(time.Hour) {
			if h := now.In(loc).Hour(); h > 1 && h < 22 {
				continue
			}
			s := simRecord{Day: now.In(loc).Format(time.DateOnly), DayCount: 5}
			_, until := s.quotaLeft(now, loc, limits{day: 5})
			before, after := s, s
			before.roll(until.Add(-time.Nanosecond), loc)
			after.roll(until, loc)
			if !until.After(now) || before.DayCount != 5 || after.DayCount != 0 {
				t.Fatalf("%s: at %v the day is said to end at %v", zone, now.In(loc), until.In(loc))
			}
			if next := s.nextSlot(now, loc, limits{day: 5}); !next.Equal(until) {
				t.Fatalf("%s: at %v looks again at %v, the day ends at %v", zone, now.In(loc), next.In(loc), until.In(loc))
			}
		}
	}
}

func TestPerMonth(t *testing.T) {
	inBubble(t, limited(func(r *Route) { r.PerMonth = 4 }), func(t *testing.T, b *bench) {
		for day := range 3 {
			b.enqueue(code(fmt.Sprintf("+4477009%05d", day), time.Hour))
			sleep(24 * time.Hour)
		}
		b.enqueue(code(alice, time.Hour))
		sleep(time.Minute)
		if _, err := b.try(code(alice, time.Hour)); err == nil {
			t.Error("a fifth part in a month of 4")
		}
		sleep(29 * 24 * time.Hour)
		b.enqueue(code(alice, time.Hour))
	})
}

// What was refused before anything was submitted costs no quota.
func TestQuotaIsGivenBack(t *testing.T) {
	inBubble(t, limited(func(r *Route) { r.PerDay = 3 }), func(t *testing.T, b *bench) {
		b.modems[0].script = func(n int, _ driver.Submit) fakeAct {
			if n < 5 {
				return refuse(driver.ClassNetwork, "cms-38")
			}
			return accept(time.Second)
		}
		id := b.enqueue(code(alice, 5*time.Minute))
		sleep(5 * time.Minute)
		b.wantStatus(id, Sent)
		views, err := b.g.Modems(context.Background())
		if err != nil || views[0].SentToday != 1 || views[0].DayLeft != 2 {
			t.Errorf("Modems = %+v, %v", views, err)
		}
	})
}

func TestSIMRecord(t *testing.T) {
	at := func(s string) time.Time {
		v, err := time.Parse(time.DateTime, s)
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	noon := at("2026-01-31 12:00:00")
	full := simRecord{Day: "2026-01-31", DayCount: 7, Month: "2026-01", MonthCount: 70, Recent: []int64{noon.Add(-59 * time.Second).UnixMilli(), noon.Add(-time.Second).UnixMilli()}}
	tests := []struct {
		name string
		now  time.Time
		want simRecord
	}{
		{"same minute", noon, full},
		{"one leaves the window", noon.Add(2 * time.Second), simRecord{Day: full.Day, DayCount: 7, Month: full.Month, MonthCount: 70, Recent: full.Recent[1:]}},
		{"next day, next month", noon.Add(13 * time.Hour), simRecord{Day: "2026-02-01", Month: "2026-02", Recent: []int64{}}},
		{"clock set back an hour", noon.Add(-time.Hour), full},
		{"clock set back to 1970", time.Unix(5, 0), full},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := full
			got.roll(tt.now, time.UTC)
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("roll (-want +got):\n%s", diff)
			}
		})
	}
}

func TestAllows(t *testing.T) {
	tests := []struct {
		name  string
		s     simRecord
		parts int
		lane  Lane
		l     limits
		want  bool
	}{
		{"no limits", simRecord{DayCount: 1 << 20}, 5, LaneText, limits{}, true},
		{"last of the day", simRecord{DayCount: 9}, 1, LaneLogin, limits{day: 10}, true},
		{"day is used", simRecord{DayCount: 10}, 1, LaneLogin, limits{day: 10}, false},
		{"texts leave a fifth", simRecord{DayCount: 8}, 1, LaneText, limits{day: 10}, false},
		{"small quotas are not split", simRecord{DayCount: 3}, 1, LaneText, limits{day: 4}, true},
		{"parts count", simRecord{DayCount: 8}, 3, LaneLogin, limits{day: 10}, false},
		{"month is used", simRecord{MonthCount: 10}, 1, LaneLogin, limits{month: 10, day: 10}, false},
		{"minute is used", simRecord{Recent: []int64{1, 2}}, 1, LaneLogin, limits{minute: 2}, false},
		{"longer than a minute's pace, after silence", simRecord{}, 5, LaneText, limits{minute: 2}, true},
		{"longer than a minute's pace, not yet", simRecord{Recent: []int64{1}}, 5, LaneText, limits{minute: 2}, false},
		{"long text, codes have used what is left to them", simRecord{Recent: []int64{1, 2}}, 8, LaneText, limits{minute: 10}, true},
		{"long text, codes have used more", simRecord{Recent: []int64{1, 2, 3}}, 8, LaneText, limits{minute: 10}, false},
		{"longer than the share", simRecord{Recent: []int64{1, 2}}, 10, LaneText, limits{minute: 10}, true},
		{"longer than the share, codes have used more", simRecord{Recent: []int64{1, 2, 3}}, 10, LaneText, limits{minute: 10}, false},
		{"a day is never exceeded", simRecord{DayCount: 2}, 8, LaneText, limits{day: 10}, true},
		{"a day is never exceeded, also by a long text", simRecord{DayCount: 2}, 9, LaneText, limits{day: 10}, false},
		{"longer than a day is never", simRecord{}, 11, LaneText, limits{day: 10}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := tt.s.allows(tt.parts, tt.lane, tt.l); got != tt.want {
				t.Errorf("allows = %v, want %v", got, tt.want)
			}
		})
	}
}

// TestInvariant6_LongTextKeepsThePace: a text of nearly as many parts as a minute may have, or of more, goes in pieces. In no
// minute are there more parts than that, also with the codes that go before, between and behind them.
func TestInvariant6_LongTextKeepsThePace(t *testing.T) {
	for _, tt := range []struct{ perMinute, parts int }{{10, 8}, {10, 9}, {10, 10}, {2, 10}, {1, 3}, {7, 10}} {
		t.Run(fmt.Sprint(tt), func(t *testing.T) {
			inBubble(t, limited(func(r *Route) { r.PerMinute = tt.perMinute }), func(t *testing.T, b *bench) {
				code1 := b.enqueue(code(bob, 5*time.Minute))
				sleep(5 * time.Second)
				long := b.enqueue(text(alice, strings.Repeat("x", 153*tt.parts)))
				ids := []string{code1, long}
				for range 20 {
					sleep(50 * time.Second)
					for range max(1, tt.perMinute/textShare) {
						ids = append(ids, b.enqueue(code(bob, 9*time.Minute)))
					}
				}
				sleep(20 * time.Minute)
				type piece struct {
					at    time.Time
					parts int
				}
				var all []piece
				total := 0
				for _, id := range ids {
					for _, a := range b.wantStatus(id, Sent).Attempts {
						all = append(all, piece{a.ClaimedAt, len(a.References)})
						total += len(a.References)
					}
				}
				if want := len(ids) - 1 + tt.parts; total != want {
					t.Errorf("%d parts went out, want %d", total, want)
				}
				for _, end := range all {
					n := 0
					for _, p := range all {
						if d := end.at.Sub(p.at); d >= 0 && d < time.Minute {
							n += p.parts
						}
					}
					if n > tt.perMinute {
						t.Errorf("%d parts in a minute, %d are allowed", n, tt.perMinute)
					}
				}
				if sim := b.g.sims[b.modems[0].iccid]; sim.DayCount != total {
					t.Errorf("the day counts %d of %d parts", sim.DayCount, total)
				}
			})
		})
	}
}

// A modem that does not stop where it is asked to is counted by what it sent.
func TestPiecesThatAreNotKept(t *testing.T) {
	inBubble(t, limited(func(r *Route) { r.PerMinute = 5 }), func(t *testing.T, b *bench) {
		b.modems[0].plays(func(int, driver.Submit) fakeAct {
			act := accept(time.Second)
			act.deaf = true
			return act
		})
		b.wantStatus(b.enqueue(text(alice, strings.Repeat("x", 1500))), Sending)
		sleep(2 * time.Second)
		if v := b.view(0); v.SentToday != 10 || v.MinuteLeft != 0 {
			t.Errorf("ten parts went out, but: %+v", v)
		}
	})
}

func TestBackoff(t *testing.T) {
	want := []time.Duration{2, 4, 8, 16, 32, 60, 60}
	for i, d := range want {
		if got := backoff(2*time.Second, time.Minute, i+1); got != d*time.Second {
			t.Errorf("backoff(%d) = %v, want %v", i+1, got, d*time.Second)
		}
	}
}

func TestAppendDay(t *testing.T) {
	for _, at := range []time.Time{
		{}, time.Unix(0, 0), time.Date(999, 12, 31, 0, 0, 0, 0, time.UTC), time.Date(1000, 1, 1, 0, 0, 0, 0, time.UTC),
		time.Date(2026, 2, 9, 0, 0, 0, 0, time.UTC), time.Date(9999, 10, 31, 0, 0, 0, 0, time.UTC), time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC),
	} {
		if got, want := string(appendDay(nil, at)), at.Format(time.DateOnly); got != want {
			t.Errorf("%v: %s, want %s", at, got, want)
		}
	}
}

// BenchmarkRefresh is what every send does for every modem, twice.
func BenchmarkRefresh(b *testing.B) {
	g := &Gateway{}
	g.cfg.Location = time.UTC
	now := time.Now()
	s := &simRecord{}
	b.ReportAllocs()
	for b.Loop() {
		g.refresh(s, now)
	}
}
