package otp

import (
	"context"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func from(ip string) Caller { return Caller{Key: "k", ClientIP: ip} }

const home, cafe, elsewhere = "198.51.100.7", "203.0.113.9", "2001:db8::1"

// TestStrangersDoNotLockTheOwnerOut: once somebody has succeeded from an address, other addresses together may spend only
// a part of the guesses, and then they alone are blocked.
func TestStrangersDoNotLockTheOwnerOut(t *testing.T) {
	b, ctx := newBench(t, func(p *Policy) { p.Limits = LimitPolicy{} }), context.Background()
	b.setPIN(alice)
	v, err := b.Enable(ctx, b.now, from(home), alice, EnableRequest{Phone: mobile})
	b.must(err)
	_, err = b.EnableVerify(ctx, b.now, from(home), alice, VerifyRequest{Code: b.code(v.ID), PIN: goodPIN})
	b.must(err)
	for range 12 { // days of malice
		v, err = b.Create(ctx, b.now, from(home), CreateRequest{Account: alice, Purpose: Login})
		b.must(err)
		code := b.code(v.ID)
		for i, ip := range []string{cafe, elsewhere, cafe} {
			_, err := b.Verify(ctx, b.now, from(ip), v.ID, VerifyRequest{Code: wrong(code)})
			if e := b.wants(err, VerificationFailed); *e.AttemptsLeft != 2-i {
				t.Fatalf("%d attempts left, want %d", *e.AttemptsLeft, 2-i)
			}
		}
		for _, ip := range []string{cafe, elsewhere, "192.0.2.1"} { // a new address is a stranger too
			_, err := b.Verify(ctx, b.now, from(ip), v.ID, VerifyRequest{Code: code})
			b.wants(err, Blocked)
		}
		_, err = b.Verify(ctx, b.now, from(home), v.ID, VerifyRequest{Code: wrong(code)})
		if e := b.wants(err, VerificationFailed); *e.AttemptsLeft != 1 {
			t.Fatalf("the owner has %d attempts left, want 1", *e.AttemptsLeft)
		}
		_, err = b.Verify(ctx, b.now, from(home), v.ID, VerifyRequest{Code: code})
		b.must(err)
		b.pass(day)
	}
}

// A success is noted where it tells something new: who is known, or that failures are over. Within a day it is not written
// again.
func TestSuccessIsNotedOnceADay(t *testing.T) {
	b, ctx := newBench(t, func(p *Policy) { p.Limits = LimitPolicy{} }), context.Background()
	b.enable(alice, mobile)
	login := func(guesses int) {
		t.Helper()
		v, err := b.Create(ctx, b.now, from(home), CreateRequest{Account: alice, Purpose: Login})
		b.must(err)
		code := b.code(v.ID)
		for range guesses {
			_, err := b.Verify(ctx, b.now, from(home), v.ID, VerifyRequest{Code: wrong(code)})
			b.wants(err, VerificationFailed)
		}
		_, err = b.Verify(ctx, b.now, from(home), v.ID, VerifyRequest{Code: code})
		b.must(err)
	}
	noted := func() (all string) {
		records := b.records()
		for _, key := range slices.Sorted(maps.Keys(records)) {
			if strings.HasPrefix(key, "otp/failures/account/") || strings.HasPrefix(key, "otp/failures/phone/") {
				all += key + records[key]
			}
		}
		return all
	}
	before := noted()
	for _, step := range []struct {
		name    string
		guesses int
		later   time.Duration
		written bool
	}{
		{"the first from an address", 0, 0, true},
		{"again", 0, time.Hour, false},
		{"after a failure", 1, time.Hour, true},
		{"again", 0, 22 * time.Hour, false},
		{"a day later", 0, 3 * time.Hour, true},
	} {
		b.pass(step.later)
		login(step.guesses)
		after := noted()
		if (after != before) != step.written {
			t.Errorf("%s: written %v, want %v", step.name, after != before, step.written)
		}
		if strings.Contains(after, `"row"`) {
			t.Errorf("%s: failures are left: %s", step.name, after)
		}
		before = after
	}
}

// Without the caller's address, that of whoever asked for the code counts.
func TestStrangerIsWhoAsked(t *testing.T) {
	b, ctx := newBench(t), context.Background()
	b.setPIN(alice)
	v, err := b.Enable(ctx, b.now, from(home), alice, EnableRequest{Phone: mobile})
	b.must(err)
	_, err = b.EnableVerify(ctx, b.now, portal, alice, VerifyRequest{Code: b.code(v.ID), PIN: goodPIN})
	b.must(err)
	v, err = b.Create(ctx, b.now, from(cafe), CreateRequest{Account: alice, Purpose: Login})
	b.must(err)
	if v.AttemptsLeft != 3 {
		t.Errorf("a stranger has %d attempts, want 3", v.AttemptsLeft)
	}
	for range 3 {
		_, err = b.verify(v.ID, wrong(b.code(v.ID)))
		b.wants(err, VerificationFailed)
	}
	_, err = b.Create(ctx, b.now, from(cafe), CreateRequest{Account: alice, Purpose: Login})
	b.wants(err, Blocked)
	v, err = b.Create(ctx, b.now, from(home), CreateRequest{Account: alice, Purpose: Login})
	b.must(err)
	if v.AttemptsLeft != 2 {
		t.Errorf("the owner has %d attempts, want 2", v.AttemptsLeft)
	}
}

// Somebody who tries to enable a victim's phone for accounts of his own does not block the victim.
func TestStrangersOnAPhoneDoNotLockTheOwnerOut(t *testing.T) {
	b, ctx := newBench(t, func(p *Policy) { p.Limits = LimitPolicy{} }), context.Background()
	b.enable(alice, mobile)
	for i := range 4 {
		account := "mallory-" + string(rune('a'+i))
		b.setPIN(account)
		v, err := b.askEnable(account, mobile)
		if i == 3 {
			b.wants(err, Blocked)
			break
		}
		b.must(err)
		_, err = b.EnableVerify(ctx, b.now, portal, account, VerifyRequest{Code: wrong(b.code(v.ID)), PIN: goodPIN})
		b.wants(err, VerificationFailed)
	}
	v, err := b.create(alice, Login)
	b.must(err)
	_, err = b.verify(v.ID, b.code(v.ID))
	b.must(err)
}

// TestFailuresAgainstAModel: whoever guesses in whatever order, over whatever steps of the clock, no more than Max wrong
// answers are admitted without a success or a block that has run its time.
func TestFailuresAgainstAModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := DefaultPolicy().Failures
		p.Strangers = rapid.IntRange(1, p.Max).Draw(t, "strangers")
		var f failures
		now := start
		row := 0                 // admitted since the last success or served block
		var wall, pale time.Time // when a block for all, for strangers, began
		pass := func() {         // by blocks that have run their time
			for _, since := range []*time.Time{&wall, &pale} {
				if !since.IsZero() && now.Sub(*since) >= p.Block {
					row, *since = 0, time.Time{}
				}
			}
		}
		for range rapid.IntRange(1, 80).Draw(t, "steps") {
			switch rapid.IntRange(0, 9).Draw(t, "step") {
			case 0:
				now = now.Add(time.Duration(rapid.IntRange(0, 3600).Draw(t, "seconds")) * time.Second)
			case 1:
				now = now.Add(p.Block)
			case 2:
				now = now.Add(-time.Duration(rapid.IntRange(0, 86400).Draw(t, "back")) * time.Second)
				if wall.After(now) {
					wall = now
				}
				if pale.After(now) {
					pale = now
				}
			case 3:
				f.settle(now)
				pass()
				actor := rapid.SampledFrom([]string{"", "a"}).Draw(t, "winner")
				if f.blocked(now, actor) == 0 {
					f.raise(p, now, actor)
					f.clear(now, actor)
					row, wall, pale = 0, time.Time{}, time.Time{}
				}
			default:
				actor := rapid.SampledFrom([]string{"", "a", "b", "c"}).Draw(t, "actor")
				f.settle(now)
				pass()
				if f.blocked(now, actor) > 0 {
					continue
				}
				row++
				if left := f.left(p, now, actor); left == 0 {
					t.Fatalf("admitted with none left: %+v", f)
				}
				f.raise(p, now, actor)
				if f.Everyone.Since.Equal(now) {
					wall = now
				}
				if f.Strangers.Since.Equal(now) {
					pale = now
				}
				if row > p.Max {
					t.Fatalf("%d wrong answers in a row: %+v", row, f)
				}
			}
		}
	})
}

func TestClientSecret(t *testing.T) {
	b, ctx := newBench(t, func(p *Policy) {
		login := p.Purposes[Login]
		login.ClientSecret = true
		p.Purposes[Login] = login
	}), context.Background()
	b.enable(alice, mobile)
	v, err := b.create(alice, Login)
	b.must(err)
	if len(v.ClientSecret) != 26 {
		t.Fatalf("client secret of %d characters", len(v.ClientSecret))
	}
	shown, err := b.Challenge(ctx, b.now, v.ID)
	b.must(err)
	if shown.ClientSecret != "" {
		t.Error("the secret is shown again")
	}
	code := b.code(v.ID)
	_, err = b.Verify(ctx, b.now, portal, v.ID, VerifyRequest{Code: code})
	b.wants(err, InvalidRequest)
	_, err = b.Verify(ctx, b.now, portal, v.ID, VerifyRequest{Code: code, ClientSecret: "stolen"})
	if e := b.wants(err, VerificationFailed); *e.AttemptsLeft != 4 {
		t.Errorf("%d attempts left", *e.AttemptsLeft)
	}
	_, err = b.Verify(ctx, b.now, portal, v.ID, VerifyRequest{Code: code, ClientSecret: v.ClientSecret})
	b.must(err)
}

// PIN failures count across purposes, and a failed enable counts whichever part was wrong, so that the counter itself
// tells nobody which.
func TestPINFailuresCountAcrossPurposes(t *testing.T) {
	b, ctx := newBench(t), context.Background()
	b.enable(alice, mobile)
	for range 3 {
		_, err := b.Create(ctx, b.now, portal, CreateRequest{Account: alice, Purpose: Withdrawal, PIN: "840275", Transaction: &transfer})
		b.wants(err, VerificationFailed)
	}
	for range 2 {
		b.wants(b.SetPIN(ctx, b.now, portal, alice, "840275", "840276"), VerificationFailed)
	}
	_, err := b.create(alice, Withdrawal)
	b.wants(err, Blocked)
	v, err := b.create(alice, Login) // asks for no PIN
	b.must(err)
	_, err = b.verify(v.ID, b.code(v.ID))
	b.must(err)
	_, err = b.create(alice, Withdrawal) // and its success is none of the PIN
	b.wants(err, Blocked)
	b.pass(15 * time.Minute)
	_, err = b.create(alice, Withdrawal)
	b.must(err)
}

func TestFailuresSurviveAClockSetBack(t *testing.T) {
	for _, step := range []time.Duration{time.Second, day, 400 * day} {
		b := newBench(t)
		b.enable(alice, mobile)
		v, err := b.create(alice, Login)
		b.must(err)
		for range 5 {
			_, err = b.verify(v.ID, wrong(b.code(v.ID)))
			b.wants(err, VerificationFailed)
		}
		b.pass(-step)
		_, err = b.create(alice, Login)
		if e := b.wants(err, Blocked); e.RetryAfter != 15*time.Minute {
			t.Errorf("after a step of %v: blocked for %v", step, e.RetryAfter)
		}
		b.restart()
		b.pass(15*time.Minute - 1)
		_, err = b.create(alice, Login)
		b.wants(err, Blocked)
		b.pass(1)
		_, err = b.create(alice, Login)
		b.must(err)
	}
}

// A block is told once, in an event and in the audit trail, with what it concerns.
func TestBlocksAreTold(t *testing.T) {
	b, ctx := newBench(t), context.Background()
	b.enable(alice, mobile)
	v, err := b.create(alice, Login)
	b.must(err)
	for range 5 {
		_, err = b.verify(v.ID, wrong(b.code(v.ID)))
		b.wants(err, VerificationFailed)
	}
	_, err = b.verify(v.ID, b.derived(v.ID))
	b.wants(err, Blocked)
	for range 5 {
		b.wants(b.SetPIN(ctx, b.now, portal, alice, "840275", "840276"), VerificationFailed)
	}
	n := 0
	for _, e := range b.events() {
		if e == "challenge.blocked" {
			n++
		}
	}
	if n != 2 {
		t.Errorf("%d events of blocks, want one of the code's and one of the PIN's", n)
	}
	var facts []string
	for _, e := range b.trail() {
		for _, kind := range []string{failAccount, failPhone, failPIN} {
			if e.Facts["blocked_"+kind] != "" {
				facts = append(facts, kind+" against "+e.Facts["blocked_"+kind])
			}
		}
	}
	// The phone knows the account, and the account was known from no address, so both walls are for everyone.
	want := []string{"account against everyone", "phone against everyone", "pin against everyone"}
	if diff := cmp.Diff(want, facts); diff != "" {
		t.Errorf("trail (-want +got):\n%s", diff)
	}
}

// derived computes the code of a challenge that is over and would not be rendered.
func (b *bench) derived(id string) string {
	c := b.record(id)
	key, err := b.ring.Derive(c.KeyID, codeLabel)
	b.must(err)
	return deriveCode(key, c.input(), c.Digits)
}

// A failed enable counts as a failed PIN whichever part was wrong, and blocks the PIN for every other purpose.
func TestFailedEnableCountsAsAFailedPIN(t *testing.T) {
	for name, r := range map[string]VerifyRequest{"wrong pin": {PIN: "840275"}, "wrong code": {PIN: goodPIN}} {
		b, ctx := newBench(t), context.Background()
		b.setPIN(alice)
		v, err := b.askEnable(alice, mobile)
		b.must(err)
		r.Code = b.code(v.ID)
		if r.PIN == goodPIN {
			r.Code = wrong(r.Code)
		}
		for range 3 {
			_, err = b.EnableVerify(ctx, b.now, portal, alice, r)
			b.wants(err, VerificationFailed)
		}
		for left := 1; left >= 0; left-- {
			if e := b.wants(b.SetPIN(ctx, b.now, portal, alice, "840275", "840276"), VerificationFailed); *e.AttemptsLeft != left {
				t.Errorf("%s: %d PINs left, want %d", name, *e.AttemptsLeft, left)
			}
		}
		b.wants(b.SetPIN(ctx, b.now, portal, alice, "840275", goodPIN), Blocked)
		_, err = b.EnableVerify(ctx, b.now, portal, alice, VerifyRequest{Code: b.derived(v.ID), PIN: goodPIN})
		b.wants(err, Blocked)
	}
}
