package otp

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestInvariant1_CodeVerifiesOnce(t *testing.T) {
	b := newBench(t)
	b.enable(alice, mobile)
	b.enable("bob", mobile2)
	v, err := b.create(alice, Login)
	b.must(err)
	code := b.code(v.ID)
	b.restart()
	_, err = b.verify(v.ID, code)
	b.must(err)
	_, err = b.verify(v.ID, code)
	if e := b.wants(err, ChallengeOver); e.Status != Verified {
		t.Errorf("second time: %s", e.Status)
	}
	other, err := b.create("bob", Login)
	b.must(err)
	if b.code(other.ID) == code {
		t.Skip("one in a million: the other code is the same")
	}
	_, err = b.verify(other.ID, code)
	b.wants(err, VerificationFailed)
}

func TestInvariant1_CodeEndsWithItsLife(t *testing.T) {
	tests := []struct {
		name  string
		after time.Duration
		want  Code // empty: verified
	}{
		{"at once", 0, ""},
		{"last instant", 5*time.Minute - 1, ""},
		{"end", 5 * time.Minute, ChallengeOver},
		{"a day", day, ChallengeOver},
		{"clock a little back", -clockSlack, ""},
		{"clock far back", -clockSlack - 1, ChallengeOver},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := newBench(t)
			b.enable(alice, mobile)
			v, err := b.create(alice, Login)
			b.must(err)
			code := b.code(v.ID)
			b.pass(tt.after)
			_, err = b.verify(v.ID, code)
			if tt.want == "" {
				b.must(err)
				return
			}
			if e := b.wants(err, tt.want); e.Status != ExpiredOut {
				t.Errorf("status %s", e.Status)
			}
		})
	}
}

// unbound returns the fields that can change without changing the code.
func unbound(derive func(codeInput) string) (fields []string) {
	base := codeInput{
		Challenge: "chl_1", Nonce: []byte("0123456789abcdef"), Generation: 1, Account: "a", Phone: mobile, Purpose: Login, Transaction: transfer.hash(),
	}
	code := derive(base)
	for name, change := range map[string]func(*codeInput){
		"challenge":   func(in *codeInput) { in.Challenge = "chl_2" },
		"nonce":       func(in *codeInput) { in.Nonce = []byte("1123456789abcdef") },
		"generation":  func(in *codeInput) { in.Generation = 2 },
		"account":     func(in *codeInput) { in.Account = "b" },
		"phone":       func(in *codeInput) { in.Phone = mobile2 },
		"purpose":     func(in *codeInput) { in.Purpose = Withdrawal },
		"transaction": func(in *codeInput) { in.Transaction = nil },
		"boundary":    func(in *codeInput) { in.Account, in.Phone = "a"+mobile[:1], mobile[1:] },
	} {
		in := base
		change(&in)
		if derive(in) == code {
			fields = append(fields, name)
		}
	}
	slices.Sort(fields)
	return fields
}

func TestInvariant1_CodeIsBoundToEveryField(t *testing.T) {
	key := make([]byte, 32)
	derive := func(in codeInput) string { return deriveCode(key, in, maxDigits) }
	if fields := unbound(derive); fields != nil {
		t.Errorf("the code does not depend on %v", fields)
	}
	first := derive(codeInput{Account: "a"})
	if again := derive(codeInput{Account: "a"}); again != first {
		t.Error("the same input gives another code")
	}
	other := append([]byte{1}, key[1:]...)
	if deriveCode(other, codeInput{Account: "a"}, maxDigits) == first {
		t.Error("another key gives the same code")
	}
	mutants := map[string]func(codeInput) string{
		"[purpose]":     func(in codeInput) string { in.Purpose = ""; return derive(in) },
		"[phone]":       func(in codeInput) string { in.Phone = ""; return derive(in) },
		"[account]":     func(in codeInput) string { in.Account = ""; return derive(in) },
		"[transaction]": func(in codeInput) string { in.Transaction = nil; return derive(in) },
		"[boundary]": func(in codeInput) string {
			in.Account, in.Phone = in.Account+in.Phone, "" // no length between the fields
			return derive(in)
		},
	}
	for want, mutant := range mutants {
		if got := fmt.Sprint(unbound(mutant)); got != want {
			t.Errorf("mutant without %s shows %s", want, got)
		}
	}
}

// race sends 200 answers at once, of which one in the middle is right when winner is set.
func race(t *testing.T, b *bench, winner bool, answer func(right bool) error) (won, compared int64) {
	t.Helper()
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	before := b.comparisons.Load()
	var wins atomic.Int64
	var wg sync.WaitGroup
	gate := make(chan struct{})
	for i := range 200 {
		wg.Go(func() {
			<-gate
			err := answer(winner && i == 100)
			var e *Error
			switch {
			case err == nil:
				wins.Add(1)
			case !errors.As(err, &e) || e.Code != VerificationFailed && e.Code != Blocked && e.Code != ChallengeOver:
				t.Errorf("answer %d: %v", i, err)
			}
		})
	}
	close(gate)
	wg.Wait()
	return wins.Load(), b.comparisons.Load() - before
}

func TestInvariant2_TwoHundredVerifiesAtOnce(t *testing.T) {
	for range 20 * *soak {
		b := newBench(t)
		b.enable(alice, mobile)
		v, err := b.create(alice, Login)
		b.must(err)
		code := b.code(v.ID)
		won, compared := race(t, b, true, func(right bool) error {
			guess := wrong(code)
			if right {
				guess = code
			}
			_, err := b.Verify(context.Background(), b.now, portal, v.ID, VerifyRequest{Code: guess})
			return err
		})
		if won > 1 || compared > 5 {
			t.Fatalf("%d won, %d compared; want at most 1 and 5", won, compared)
		}
	}
}

func TestInvariant2_TwoHundredRightVerifiesAtOnce(t *testing.T) {
	b := newBench(t)
	b.setPIN(alice)
	v, err := b.askEnable(alice, mobile)
	b.must(err)
	code := b.code(v.ID)
	won, compared := race(t, b, false, func(bool) error {
		_, err := b.EnableVerify(context.Background(), b.now, portal, alice, VerifyRequest{Code: code, PIN: goodPIN})
		return err
	})
	if won != 1 || compared != 1 {
		t.Errorf("%d won, %d compared; want 1 and 1", won, compared)
	}
}

func TestInvariant2_NoSendBuysAGuess(t *testing.T) {
	tests := []struct {
		name  string
		again func(b *bench, v ChallengeView) ChallengeView
	}{
		{"resend", func(b *bench, v ChallengeView) ChallengeView {
			b.pass(30 * time.Second)
			v, err := b.Resend(context.Background(), b.now, portal, v.ID)
			b.must(err)
			return v
		}},
		{"new challenge", func(b *bench, _ ChallengeView) ChallengeView {
			v, err := b.create(alice, Login)
			b.must(err)
			return v
		}},
		{"other purpose", func(b *bench, _ ChallengeView) ChallengeView {
			v, err := b.create(alice, Withdrawal)
			b.must(err)
			return v
		}},
		{"canceled and new", func(b *bench, v ChallengeView) ChallengeView {
			b.must(b.Cancel(context.Background(), b.now, portal, v.ID))
			v, err := b.create(alice, Login)
			b.must(err)
			return v
		}},
		{"restart", func(b *bench, v ChallengeView) ChallengeView {
			b.restart()
			v, err := b.Challenge(context.Background(), b.now, v.ID)
			b.must(err)
			return v
		}},
		{"expired and new", func(b *bench, _ ChallengeView) ChallengeView {
			b.pass(time.Hour)
			v, err := b.create(alice, Login)
			b.must(err)
			return v
		}},
		{"erased and new", func(b *bench, _ ChallengeView) ChallengeView {
			b.must(b.Erase(context.Background(), b.now, portal, alice))
			b.setPIN(alice)
			v, err := b.askEnable(alice, mobile)
			b.must(err)
			return v
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := newBench(t)
			b.enable(alice, mobile)
			v, err := b.create(alice, Login)
			b.must(err)
			for range 3 {
				_, err := b.verify(v.ID, wrong(b.code(v.ID)))
				b.wants(err, VerificationFailed)
			}
			v = tt.again(b, v)
			if v.AttemptsLeft != 2 {
				t.Errorf("%d attempts left, want 2", v.AttemptsLeft)
			}
			for _, left := range []int{1, 0} {
				var err error
				if v.Purpose == SMSEnable {
					_, err = b.EnableVerify(context.Background(), b.now, portal, alice, VerifyRequest{Code: wrong(b.code(v.ID)), PIN: goodPIN})
				} else {
					_, err = b.verify(v.ID, wrong(b.code(v.ID)))
				}
				if e := b.wants(err, VerificationFailed); *e.AttemptsLeft != left {
					t.Errorf("%d attempts left, want %d", *e.AttemptsLeft, left)
				}
			}
			_, err = b.create(alice, Login)
			if v.Purpose != SMSEnable {
				b.wants(err, Blocked)
			}
		})
	}
}

// A phone is counted across accounts, so many accounts do not multiply the guesses at one phone.
func TestInvariant2_ManyAccountsOnePhone(t *testing.T) {
	b := newBench(t, func(p *Policy) { p.Limits = LimitPolicy{} })
	for i := range 5 {
		account := string(rune('a' + i))
		b.setPIN(account)
		v, err := b.askEnable(account, mobile)
		b.must(err)
		_, err = b.EnableVerify(context.Background(), b.now, portal, account, VerifyRequest{Code: wrong(b.code(v.ID)), PIN: goodPIN})
		b.wants(err, VerificationFailed)
	}
	b.setPIN("f")
	_, err := b.askEnable("f", mobile)
	b.wants(err, Blocked)
}

func TestInvariant5_GradeNeverFallsByAVerification(t *testing.T) {
	for grade := range 10 {
		for _, mode := range []OnDisable{GradeKeep, GradeRevoke} {
			b, ctx := newBench(t, func(p *Policy) { p.Grade.OnDisable = mode }), context.Background()
			_, err := b.SetGrade(ctx, b.now, portal, alice, grade)
			b.must(err)
			b.enable(alice, mobile)
			a, err := b.Account(ctx, b.now, alice)
			b.must(err)
			if want := max(grade, 1); a.Grade != want {
				t.Errorf("grade %d became %d by enabling, want %d", grade, a.Grade, want)
			}
			v, err := b.create(alice, Login)
			b.must(err)
			_, err = b.verify(v.ID, b.code(v.ID))
			b.must(err)
			v, err = b.Disable(ctx, b.now, portal, alice, "")
			b.must(err)
			a, err = b.DisableVerify(ctx, b.now, portal, alice, VerifyRequest{Code: b.code(v.ID)})
			b.must(err)
			want := max(grade, 1)
			if mode == GradeRevoke && grade == 0 {
				want = 0 // the one that enabling gave, taken as configured
			}
			if a.Grade != want {
				t.Errorf("%s: grade %d became %d by disabling, want %d", mode, grade, a.Grade, want)
			}
		}
	}
}
