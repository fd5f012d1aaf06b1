package otp

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// limitCase sends the i-th time in a way that only one limit counts.
type limitCase struct {
	name  string
	quota int
	span  time.Duration
	set   func(*LimitPolicy, int)
	send  func(b *bench, i int) (ChallengeView, error)
}

func sendAs(account, phone string, by Caller) func(*bench) (ChallengeView, error) {
	return func(b *bench) (ChallengeView, error) {
		return b.Enable(context.Background(), b.now, by, account, EnableRequest{Phone: phone})
	}
}

func numbered(i int) string { return fmt.Sprintf("+4477009%05d", i) }

func limitCases() []limitCase {
	client := func(ip string) Caller { return Caller{Key: "k", ClientIP: ip} }
	return []limitCase{
		{"phone-hour", 5, time.Hour, func(l *LimitPolicy, n int) { l.PhoneHour = n }, func(b *bench, i int) (ChallengeView, error) {
			return sendAs(fmt.Sprintf("a%d", i%3), mobile, portal)(b)
		}},
		{"phone-day", 10, day, func(l *LimitPolicy, n int) { l.PhoneDay = n }, func(b *bench, i int) (ChallengeView, error) {
			return sendAs(fmt.Sprintf("a%d", i%3), mobile, portal)(b)
		}},
		{"account-day", 20, day, func(l *LimitPolicy, n int) { l.AccountDay = n }, func(b *bench, i int) (ChallengeView, error) {
			return sendAs("a0", numbered(i), portal)(b)
		}},
		{"account-new-phones", 3, day, func(l *LimitPolicy, n int) { l.AccountNewPhones = n }, func(b *bench, i int) (ChallengeView, error) {
			return sendAs("a0", numbered(i), portal)(b)
		}},
		{"client-hour", 30, time.Hour, func(l *LimitPolicy, n int) { l.ClientHour = n }, func(b *bench, i int) (ChallengeView, error) {
			return sendAs(fmt.Sprintf("a%d", i%3), numbered(i), client("198.51.100.7"))(b)
		}},
		{"client-hour", 30, time.Hour, func(l *LimitPolicy, n int) { l.ClientHour = n }, func(b *bench, i int) (ChallengeView, error) {
			return sendAs(fmt.Sprintf("a%d", i%3), numbered(i), client(fmt.Sprintf("2001:db8:1:2::%x", i+1)))(b)
		}},
		{"prefix-day", 100, day, func(l *LimitPolicy, n int) { l.PrefixDay = n }, func(b *bench, i int) (ChallengeView, error) {
			return sendAs(fmt.Sprintf("a%d", i%3), numbered(i), portal)(b)
		}},
		{"key-hour", 200, time.Hour, func(l *LimitPolicy, n int) { l.KeyHour = n }, func(b *bench, i int) (ChallengeView, error) {
			return sendAs(fmt.Sprintf("a%d", i%3), numbered(i), portal)(b)
		}},
	}
}

func (l limitCase) bench(t *testing.T) *bench {
	b := newBench(t, func(p *Policy) {
		p.Limits = LimitPolicy{}
		l.set(&p.Limits, l.quota)
	})
	for i := range 3 {
		b.setPIN(fmt.Sprintf("a%d", i))
	}
	return b
}

func TestEveryLimitAtItsEdge(t *testing.T) {
	for _, l := range limitCases() {
		t.Run(l.name, func(t *testing.T) {
			b := l.bench(t)
			for i := range l.quota { // below, and at the edge
				v, err := l.send(b, i)
				b.must(err)
				if l.name == "account-new-phones" {
					continue // of things, not of sends: it is no header field
				}
				if v.RateLimit.Name != l.name || v.RateLimit.Remaining > l.quota-i-1 {
					t.Fatalf("send %d: %+v", i+1, v.RateLimit)
				}
				b.pass(time.Second)
			}
			_, err := l.send(b, l.quota) // above
			e := b.wants(err, RateLimited)
			if e.Limit != l.name || e.RateLimit.Quota != l.quota || e.RateLimit.Window != l.span || e.RateLimit.Remaining != 0 {
				t.Fatalf("refused by %s: %+v", e.Limit, e.RateLimit)
			}
			if e.RetryAfter <= 0 || e.RetryAfter > l.span || e.RateLimit.Reset != e.RetryAfter {
				t.Fatalf("retry after %v, reset %v", e.RetryAfter, e.RateLimit.Reset)
			}
			b.restart()
			b.pass(e.RetryAfter - 1)
			_, err = l.send(b, l.quota)
			if e := b.wants(err, RateLimited); e.RetryAfter != 1 {
				t.Errorf("an instant early: retry after %v", e.RetryAfter)
			}
			b.pass(1)
			_, err = l.send(b, l.quota)
			b.must(err)
		})
	}
}

func TestEveryLimitAcrossAClockSetBack(t *testing.T) {
	for _, l := range limitCases() {
		for _, step := range []time.Duration{time.Second, time.Hour, 400 * day} {
			t.Run(fmt.Sprintf("%s %v", l.name, step), func(t *testing.T) {
				b := l.bench(t)
				for i := range l.quota {
					_, err := l.send(b, i)
					b.must(err)
				}
				b.pass(-step)
				b.restart()
				_, err := l.send(b, l.quota) // the step opens nothing
				b.wants(err, RateLimited)
				b.pass(l.span - 1)
				_, err = l.send(b, l.quota)
				b.wants(err, RateLimited)
				b.pass(1) // and it closes nothing for longer than the window
				_, err = l.send(b, l.quota)
				b.must(err)
			})
		}
	}
}

func TestOtherClientsHaveTheirOwnLimit(t *testing.T) {
	b := newBench(t, func(p *Policy) { p.Limits = LimitPolicy{ClientHour: 1} })
	b.setPIN(alice)
	for _, ip := range []string{"198.51.100.7", "198.51.100.8", "2001:db8:1:2::1", "2001:db8:1:3::1"} {
		_, err := b.Enable(context.Background(), b.now, Caller{ClientIP: ip}, alice, EnableRequest{Phone: mobile})
		b.must(err)
	}
	for _, ip := range []string{"::ffff:198.51.100.7", "2001:db8:1:2:ffff::9"} {
		_, err := b.Enable(context.Background(), b.now, Caller{ClientIP: ip}, alice, EnableRequest{Phone: mobile})
		b.wants(err, RateLimited)
	}
	_, err := b.Enable(context.Background(), b.now, Caller{ClientIP: "198.51.100.7\r\n"}, alice, EnableRequest{Phone: mobile})
	b.wants(err, InvalidRequest)
}

func TestNewPhonesAreCountedOnce(t *testing.T) {
	b := newBench(t, func(p *Policy) { p.Limits = LimitPolicy{AccountNewPhones: 2} })
	b.setPIN(alice)
	for range 5 {
		for i := range 2 {
			_, err := b.askEnable(alice, numbered(i))
			b.must(err)
		}
	}
	_, err := b.askEnable(alice, numbered(2))
	b.wants(err, RateLimited)
	_, err = b.askEnable(alice, numbered(1))
	b.must(err)
}

func TestRefusedSendCountsOnNoLimit(t *testing.T) {
	b := newBench(t, func(p *Policy) { p.Limits = LimitPolicy{PhoneHour: 1, AccountDay: 3} })
	b.setPIN(alice)
	_, err := b.askEnable(alice, mobile)
	b.must(err)
	for range 10 {
		_, err := b.askEnable(alice, mobile)
		if e := b.wants(err, RateLimited); e.Limit != "phone-hour" {
			t.Fatalf("refused by %s", e.Limit)
		}
	}
	_, err = b.askEnable(alice, mobile2)
	b.must(err)
}

// TestWindowNeverLetsMoreThanItsQuotaThrough holds for the heaped windows too.
func TestWindowNeverLetsMoreThanItsQuotaThrough(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		quota := rapid.IntRange(1, 200).Draw(t, "quota")
		span := time.Hour
		now := start
		var w window
		var passed []time.Time
		for range rapid.IntRange(1, 600).Draw(t, "sends") {
			now = now.Add(time.Duration(rapid.IntRange(0, 120).Draw(t, "wait")) * time.Second)
			w = w.settle(now, span)
			l := limit{quota: quota, span: span}
			if !l.admits(w) {
				retry := w.retry(now, span, quota)
				if retry <= 0 || retry > span || !l.admits(w.settle(now.Add(retry), span)) {
					t.Fatalf("refused, and again after %v", retry)
				}
				continue
			}
			w = w.add(now, span, quota, "")
			passed = append(passed, now)
		}
		if len(w) > max(fineQuota, 50) {
			t.Fatalf("%d heaps", len(w))
		}
		for i := quota; i < len(passed); i++ {
			if passed[i].Sub(passed[i-quota]) < span {
				t.Fatalf("%d sends within %v", quota+1, passed[i].Sub(passed[i-quota]))
			}
		}
	})
}

func TestPumpingGuard(t *testing.T) {
	for _, mode := range []PumpingMode{PumpingOff, PumpingObserve, PumpingEnforce} {
		t.Run(string(mode), func(t *testing.T) {
			b := newBench(t, func(p *Policy) {
				p.Limits = LimitPolicy{}
				p.Pumping.Mode, p.Pumping.PrefixFloor = mode, 10
			})
			b.setPIN(alice)
			send := func(i int) error {
				_, err := b.askEnable(alice, numbered(i))
				return err
			}
			for i := range 10 {
				b.must(send(i))
			}
			b.restart()
			err := send(10)
			if mode != PumpingEnforce {
				b.must(err)
			} else if e := b.wants(err, RateLimited); e.Limit != "pumping-prefix" || e.RetryAfter != 12*time.Hour || e.RateLimit.Quota != 10 {
				t.Errorf("refused by %s for %v: %+v", e.Limit, e.RetryAfter, e.RateLimit)
			}
			r, err := b.LimitsReport(context.Background(), b.now, 1)
			b.must(err)
			want := []ReportDay{{Day: "2026-03-01", Lines: []ReportLine{{Limit: "pumping-prefix", Country: "GB", WouldRefuse: 1}}}}
			switch mode {
			case PumpingOff:
				want = nil
			case PumpingEnforce:
				want[0].Lines[0] = ReportLine{Limit: "pumping-prefix", Country: "GB", Refused: 1}
			}
			if diff := cmp.Diff(want, r.Days); diff != "" {
				t.Errorf("report (-want +got):\n%s", diff)
			}
			_, err = b.askEnable(alice, "+447400123456") // another prefix of the same country
			b.must(err)
			b.pass(12*time.Hour - 1)
			if err := send(11); mode == PumpingEnforce {
				b.wants(err, RateLimited)
			}
			b.pass(1)
			b.must(send(12))
		})
	}
}

func TestPumpingBudgetGrowsWithVerifiedCodes(t *testing.T) {
	p := DefaultPolicy().Pumping
	now := start
	var tr traffic
	for range 200 {
		tr.sent(now)
		tr.verified(now, 1)
	}
	tr.settle(now)
	if n := tr.unverified(); n != 0 {
		t.Fatalf("%d unverified", n)
	}
	tests := []struct {
		name  string
		after time.Duration
		want  int
	}{
		{"today", 0, 60},
		{"two days later, by the best day", 2 * day, 60},
		{"after two weeks, by the floor", 15 * day, 20},
	}
	for _, tt := range tests {
		now := now.Add(tt.after)
		tr.settle(now)
		if got := tr.budget(p, 20); got != tt.want {
			t.Errorf("%s: budget %d, want %d", tt.name, got, tt.want)
		}
	}
	now = now.Add(15 * day)
	for i := range 20 {
		if wait := tr.judge(p, 20, now); wait != 0 {
			t.Fatalf("send %d waits %v", i+1, wait)
		}
		tr.sent(now)
	}
	if wait := tr.judge(p, 20, now); wait != 12*time.Hour {
		t.Errorf("send above the budget waits %v", wait)
	}
	tr.settle(now.Add(-300 * day)) // the clock is set back: the wall stands for its time and no longer
	if left := tr.Wall.left(now.Add(-300 * day)); left != 12*time.Hour {
		t.Errorf("after the clock was set back the wall stands %v", left)
	}
}

func TestResendsOfAVerifiedChallengeAreAnswered(t *testing.T) {
	b := newBench(t)
	b.setPIN(alice)
	v, err := b.askEnable(alice, mobile)
	b.must(err)
	b.pass(30 * time.Second)
	_, err = b.Resend(context.Background(), b.now, portal, v.ID)
	b.must(err)
	r, err := b.LimitsReport(context.Background(), b.now, 1)
	b.must(err)
	if len(r.Destinations) != 2 || r.Destinations[0].Unverified != 2 {
		t.Fatalf("%+v", r.Destinations)
	}
	_, err = b.EnableVerify(context.Background(), b.now, portal, alice, VerifyRequest{Code: b.code(v.ID), PIN: goodPIN})
	b.must(err)
	r, err = b.LimitsReport(context.Background(), b.now, 1)
	b.must(err)
	want := []PumpingState{{Destination: "+44770", Verified: 1, Budget: 20}, {Destination: "GB", Verified: 1, Budget: 20}}
	if diff := cmp.Diff(want, r.Destinations); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestLimitsReport(t *testing.T) {
	b, ctx := newBench(t), context.Background()
	b.enable(alice, mobile)
	_, err := b.askEnable("bob", "+4915123456789")
	b.wants(err, CountryNotAllowed)
	_, err = b.askEnable(alice, mobile)
	b.wants(err, AlreadyEnabled) // about the request: in the metrics, not here
	b.pass(day)
	v, err := b.create(alice, Login)
	b.must(err)
	for range 2 {
		_, err = b.Resend(ctx, b.now, portal, v.ID)
		b.wants(err, ResendTooEarly)
	}
	want := []ReportDay{
		{Day: "2026-03-02", Lines: []ReportLine{{Limit: "resend-too-early", Country: "GB", Refused: 2}}},
		{Day: "2026-03-01", Lines: []ReportLine{{Limit: "country-not-allowed", Country: "DE", Refused: 1}}},
	}
	for days, want := range map[int][]ReportDay{0: want[:1], 1: want[:1], 2: want, 1000: want} {
		r, err := b.LimitsReport(ctx, b.now, days)
		b.must(err)
		if diff := cmp.Diff(want, r.Days); diff != "" {
			t.Errorf("%d days (-want +got):\n%s", days, diff)
		}
	}
}
