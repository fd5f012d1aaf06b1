package otp

import (
	"context"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"otpost/gateway"
)

func TestEnableVerifyDisable(t *testing.T) {
	b, ctx := newBench(t), context.Background()
	_, err := b.Account(ctx, b.now, alice)
	b.wants(err, NotFound)
	_, err = b.askEnable(alice, mobile)
	b.wants(err, PINNotSet)
	if n := len(b.messages()); n != 0 {
		t.Fatalf("%d messages before there is a PIN", n)
	}
	b.setPIN(alice)
	v, err := b.askEnable(alice, " +44 (7700) 900-123 ")
	b.must(err)
	want := ChallengeView{
		ID: v.ID, Account: alice, Purpose: SMSEnable, Status: Pending, Phone: "+44********23", CreatedAt: start,
		ExpiresAt: start.Add(5 * time.Minute), ResendAfter: start.Add(30 * time.Second), SendsLeft: 2, AttemptsLeft: 5,
		RateLimit: LimitState{Name: "phone-hour", Quota: 5, Window: time.Hour, Remaining: 4, Reset: time.Hour},
	}
	got := v
	got.Message = gateway.Message{}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("challenge (-want +got):\n%s", diff)
	}
	if v.Message.To != "" || v.Message.Status != gateway.Queued {
		t.Errorf("message shows %q, %s", v.Message.To, v.Message.Status)
	}
	a, err := b.Account(ctx, b.now, alice)
	b.must(err)
	if a.SMS.Status != "pending" || a.Grade != 0 {
		t.Errorf("while pending: %+v", a)
	}
	a, err = b.EnableVerify(ctx, b.now, portal, alice, VerifyRequest{Code: b.code(v.ID), PIN: goodPIN})
	b.must(err)
	if a.SMS.Status != "enabled" || a.Grade != 1 || a.SMS.Phone != "+44********23" {
		t.Errorf("after verify: %+v", a)
	}
	_, err = b.askEnable(alice, mobile2)
	b.wants(err, AlreadyEnabled)
	v, err = b.Disable(ctx, b.now, portal, alice, "de")
	b.must(err)
	a, err = b.DisableVerify(ctx, b.now, portal, alice, VerifyRequest{Code: b.code(v.ID)})
	b.must(err)
	if a.SMS.Status != "disabled" || a.Grade != 1 {
		t.Errorf("after disable: %+v", a)
	}
	_, err = b.create(alice, Login)
	b.wants(err, NotEnabled)
	events := []string{
		"challenge.verified", "account.grade_changed", "account.sms_enabled", "challenge.verified", "account.sms_disabled",
	}
	if diff := cmp.Diff(events, b.events()); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
}

func TestWithdrawalAsksForThePINFirst(t *testing.T) {
	b, ctx := newBench(t), context.Background()
	b.enable(alice, mobile)
	sent := len(b.messages())
	_, err := b.Create(ctx, b.now, portal, CreateRequest{Account: alice, Purpose: Withdrawal, PIN: "111222", Transaction: &transfer})
	if e := b.wants(err, VerificationFailed); *e.AttemptsLeft != 4 {
		t.Errorf("%d attempts left, want 4", *e.AttemptsLeft)
	}
	if n := len(b.messages()); n != sent {
		t.Fatal("a message was queued for a wrong PIN")
	}
	v, err := b.create(alice, Withdrawal)
	b.must(err)
	code := b.code(v.ID)
	changed := transfer
	changed.Amount = "1250.01"
	_, err = b.Verify(ctx, b.now, portal, v.ID, VerifyRequest{Code: code, Transaction: &changed})
	if e := b.wants(err, VerificationFailed); *e.AttemptsLeft != 4 {
		t.Errorf("%d attempts left after a changed amount, want 4", *e.AttemptsLeft)
	}
	v, err = b.verify(v.ID, code)
	b.must(err)
	if v.Status != Verified {
		t.Errorf("status %s", v.Status)
	}
}

func TestResend(t *testing.T) {
	for _, mode := range []ResendMode{ResendSame, ResendRotate} {
		t.Run(string(mode), func(t *testing.T) {
			b, ctx := newBench(t, func(p *Policy) {
				login := p.Purposes[Login]
				login.Resend = mode
				p.Purposes[Login] = login
			}), context.Background()
			b.enable(alice, mobile)
			v, err := b.create(alice, Login)
			b.must(err)
			first := b.code(v.ID)
			b.pass(30*time.Second - 1)
			_, err = b.Resend(ctx, b.now, portal, v.ID)
			if e := b.wants(err, ResendTooEarly); e.RetryAfter != 1 {
				t.Errorf("retry after %v, want 1ns", e.RetryAfter)
			}
			b.pass(1)
			v, err = b.Resend(ctx, b.now, portal, v.ID)
			b.must(err)
			if all := b.messages(); all[len(all)-2].Status != gateway.Canceled || all[len(all)-1].Status != gateway.Queued {
				t.Errorf("the first send, still queued, is %s, and the second %s", all[len(all)-2].Status, all[len(all)-1].Status)
			}
			if v.SendsLeft != 1 || !v.ResendAfter.Equal(b.now.Add(time.Minute)) {
				t.Errorf("%d sends left, again at %v", v.SendsLeft, v.ResendAfter)
			}
			if same := b.code(v.ID) == first; same != (mode == ResendSame) {
				t.Errorf("same code again: %v", same)
			}
			b.pass(time.Minute)
			v, err = b.Resend(ctx, b.now, portal, v.ID)
			b.must(err)
			b.pass(2 * time.Minute)
			_, err = b.Resend(ctx, b.now, portal, v.ID)
			if e := b.wants(err, RateLimited); e.Limit != "challenge-sends" {
				t.Errorf("limit %s", e.Limit)
			}
			_, err = b.verify(v.ID, b.code(v.ID))
			b.must(err)
		})
	}
}

func TestNewChallengeSupersedesTheOld(t *testing.T) {
	b, ctx := newBench(t), context.Background()
	b.enable(alice, mobile)
	first, err := b.create(alice, Login)
	b.must(err)
	code := b.code(first.ID)
	other, err := b.Disable(ctx, b.now, portal, alice, "")
	b.must(err)
	second, err := b.create(alice, Login)
	b.must(err)
	if m := b.messages(); m[len(m)-3].Status != gateway.Canceled || m[len(m)-2].Status != gateway.Queued {
		t.Errorf("messages are %s and %s", m[len(m)-3].Status, m[len(m)-2].Status)
	}
	if _, err := b.text(first.ID); err == nil {
		t.Error("a superseded challenge was rendered")
	}
	_, err = b.verify(first.ID, code)
	if e := b.wants(err, ChallengeOver); e.Status != Superseded {
		t.Errorf("status %s", e.Status)
	}
	for _, id := range []string{second.ID, other.ID} {
		if c := b.record(id); c.Status != Pending {
			t.Errorf("%s is %s", c.Purpose, c.Status)
		}
	}
}

func TestBlocksAndUnlocks(t *testing.T) {
	b, ctx := newBench(t), context.Background()
	b.enable(alice, mobile)
	v, err := b.create(alice, Login)
	b.must(err)
	code := b.code(v.ID)
	for left := 4; left >= 0; left-- {
		_, err := b.verify(v.ID, wrong(code))
		if e := b.wants(err, VerificationFailed); *e.AttemptsLeft != left {
			t.Errorf("%d attempts left, want %d", *e.AttemptsLeft, left)
		}
	}
	_, err = b.verify(v.ID, code)
	if e := b.wants(err, Blocked); e.RetryAfter != 15*time.Minute {
		t.Errorf("blocked for %v", e.RetryAfter)
	}
	if c := b.record(v.ID); c.Status != BlockedOut {
		t.Errorf("challenge is %s", c.Status)
	}
	_, err = b.create(alice, Login)
	b.wants(err, Blocked)
	_, err = b.Unlock(ctx, b.now, portal, alice)
	b.must(err)
	_, err = b.verify(v.ID, code)
	if e := b.wants(err, ChallengeOver); e.Status != BlockedOut {
		t.Errorf("status %s", e.Status)
	}
	v, err = b.create(alice, Login)
	b.must(err)
	_, err = b.verify(v.ID, b.code(v.ID))
	b.must(err)
}

func TestBlockDoublesUpToADay(t *testing.T) {
	b := newBench(t, func(p *Policy) { p.Limits = LimitPolicy{} })
	b.enable(alice, mobile)
	for i, want := range []time.Duration{15 * time.Minute, 30 * time.Minute, time.Hour, 2 * time.Hour, 4 * time.Hour, 8 * time.Hour, 16 * time.Hour, day, day} {
		v, err := b.create(alice, Login)
		b.must(err)
		code := b.code(v.ID)
		for range 5 {
			_, err := b.verify(v.ID, wrong(code))
			b.wants(err, VerificationFailed)
		}
		_, err = b.verify(v.ID, code)
		if e := b.wants(err, Blocked); e.RetryAfter != want {
			t.Errorf("block %d lasts %v, want %v", i+1, e.RetryAfter, want)
		}
		b.restart()
		b.pass(want - 1)
		_, err = b.create(alice, Login)
		b.wants(err, Blocked)
		b.pass(1)
	}
}

func TestLockedAfterTooManyFailures(t *testing.T) {
	b, ctx := newBench(t, func(p *Policy) { p.Limits, p.Failures.LockAfter = LimitPolicy{}, 7 }), context.Background()
	b.enable(alice, mobile)
	for range 7 {
		v, err := b.create(alice, Login)
		b.must(err)
		_, err = b.verify(v.ID, wrong(b.code(v.ID)))
		b.wants(err, VerificationFailed)
		if n := len(b.events()); b.events()[n-1] == "challenge.blocked" {
			b.pass(day)
		}
	}
	b.pass(400 * day)
	_, err := b.create(alice, Login)
	b.wants(err, Blocked)
	_, err = b.Unlock(ctx, b.now, portal, alice)
	b.must(err)
	_, err = b.create(alice, Login)
	b.must(err)
}

func TestRotatedCodeStaysInsideTheLongestLife(t *testing.T) {
	for _, tt := range []struct{ ttl, after, want time.Duration }{
		{5 * time.Minute, 4 * time.Minute, 9 * time.Minute},
		{10 * time.Minute, 9 * time.Minute, 10 * time.Minute},
	} {
		b := newBench(t, func(p *Policy) {
			w := p.Purposes[Withdrawal]
			w.TTL = tt.ttl
			p.Purposes[Withdrawal] = w
		})
		b.enable(alice, mobile)
		v, err := b.create(alice, Withdrawal)
		b.must(err)
		old := b.code(v.ID)
		b.pass(tt.after)
		v, err = b.Resend(context.Background(), b.now, portal, v.ID)
		b.must(err)
		if got := v.ExpiresAt.Sub(v.CreatedAt); got != tt.want {
			t.Errorf("ttl %v, resent after %v: lives %v, want %v", tt.ttl, tt.after, got, tt.want)
		}
		_, err = b.verify(v.ID, old)
		if b.code(v.ID) != old {
			b.wants(err, VerificationFailed)
		}
	}
}
