package otp

import (
	"context"
	"errors"
	"testing"
)

// fakePortal knows one PIN.
type fakePortal struct {
	down  bool
	asked int
}

func (f *fakePortal) CheckPIN(_ context.Context, account, pin string) (bool, error) {
	f.asked++
	return !f.down && pin == goodPIN, map[bool]error{true: errors.New("down")}[f.down]
}

func newPortalBench(t *testing.T) (*bench, *fakePortal) {
	b := newBench(t)
	f := &fakePortal{}
	b.pin, b.policy.PIN.Mode = f, PINPortal
	b.restart()
	return b, f
}

func TestPortalPIN(t *testing.T) {
	b, f := newPortalBench(t)
	ctx := context.Background()
	b.wants(b.SetPIN(ctx, b.now, portal, alice, goodPIN, ""), InvalidRequest)
	v, err := b.askEnable(alice, mobile) // needs no PIN here: the portal keeps it
	b.must(err)
	code := b.code(v.ID)
	_, err = b.EnableVerify(ctx, b.now, portal, alice, VerifyRequest{Code: code, PIN: "840275"})
	if e := b.wants(err, VerificationFailed); *e.AttemptsLeft != 4 {
		t.Errorf("%d attempts left", *e.AttemptsLeft)
	}
	f.down = true
	for range 10 {
		_, err = b.EnableVerify(ctx, b.now, portal, alice, VerifyRequest{Code: code, PIN: goodPIN})
		if e := b.wants(err, PINUnavailable); e.RetryAfter == 0 {
			t.Error("no retry after")
		}
	}
	f.down = false
	b.must(viewError(b.Challenge(ctx, b.now, v.ID))(func(v ChallengeView) bool { return v.Status == Pending && v.AttemptsLeft == 4 }))
	a, err := b.EnableVerify(ctx, b.now, portal, alice, VerifyRequest{Code: code, PIN: goodPIN})
	b.must(err)
	if !a.PINSet || a.Grade != 1 {
		t.Errorf("%+v", a)
	}
	if b.computations.Load() != 0 {
		t.Error("a local PIN was computed")
	}
}

func viewError(v ChallengeView, err error) func(func(ChallengeView) bool) error {
	return func(ok func(ChallengeView) bool) error {
		if err == nil && !ok(v) {
			err = errors.New("the challenge is not as it should be")
		}
		return err
	}
}

func TestPortalIsNotAskedWhileBlocked(t *testing.T) {
	b, f := newPortalBench(t)
	ctx := context.Background()
	v, err := b.askEnable(alice, mobile)
	b.must(err)
	r := VerifyRequest{Code: wrong(b.code(v.ID)), PIN: goodPIN}
	for range 5 {
		_, err = b.EnableVerify(ctx, b.now, portal, alice, r)
		b.wants(err, VerificationFailed)
	}
	_, err = b.EnableVerify(ctx, b.now, portal, alice, r)
	b.wants(err, Blocked)
	if f.asked != 5 {
		t.Errorf("asked %d times, want 5", f.asked)
	}
}

func TestPortalModeNeedsAChecker(t *testing.T) {
	b := newBench(t)
	b.policy.PIN.Mode = PINPortal
	if _, err := New(Config{KV: b.kv, Secrets: b.kv.Secrets(), Keys: b.ring, Outbox: b.outbox, Policy: b.policy}); err == nil {
		t.Error("taken without one")
	}
}
