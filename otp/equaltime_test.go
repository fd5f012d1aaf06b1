package otp

import (
	"context"
	"errors"
	"math"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// cost is the work that one answer took, and what came back.
type cost struct {
	PINs, Codes int64
	Code        Code
	Left        int
}

func (b *bench) costOf(answer func() error) cost {
	pins, codes := b.computations.Load(), b.comparisons.Load()
	err := answer()
	c := cost{PINs: b.computations.Load() - pins, Codes: b.comparisons.Load() - codes, Left: -1}
	if e := new(Error); errors.As(err, &e) {
		c.Code = e.Code
		if e.AttemptsLeft != nil {
			c.Left = *e.AttemptsLeft
		}
	}
	return c
}

// TestEnableVerifyTellsNothing counts work rather than time: whatever was wrong, one PIN is computed and one code
// compared, and the answer is the same.
func TestEnableVerifyTellsNothing(t *testing.T) {
	want := cost{PINs: 1, Codes: 1, Code: VerificationFailed, Left: 4}
	for name, request := range map[string]func(code string) VerifyRequest{
		"right code, wrong pin": func(code string) VerifyRequest { return VerifyRequest{Code: code, PIN: "840275"} },
		"wrong code, right pin": func(code string) VerifyRequest { return VerifyRequest{Code: wrong(code), PIN: goodPIN} },
		"both wrong":            func(code string) VerifyRequest { return VerifyRequest{Code: wrong(code), PIN: "840275"} },
		"pin of a wrong length": func(code string) VerifyRequest { return VerifyRequest{Code: code, PIN: "8"} },
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			b.setPIN(alice)
			v, err := b.askEnable(alice, mobile)
			b.must(err)
			r := request(b.code(v.ID))
			got := b.costOf(func() error {
				_, err := b.EnableVerify(context.Background(), b.now, portal, alice, r)
				return err
			})
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// TestPINIsComputedForNobody holds the time of answers about accounts and challenges that are not there.
func TestPINIsComputedForNobody(t *testing.T) {
	b := newBench(t)
	b.setPIN("no-challenge")
	_, err := b.SetGrade(context.Background(), b.now, portal, "no-pin", 2)
	b.must(err)
	for _, account := range []string{"unknown", "no-challenge", "no-pin"} {
		got := b.costOf(func() error {
			_, err := b.EnableVerify(context.Background(), b.now, portal, account, VerifyRequest{Code: "123456", PIN: goodPIN})
			return err
		})
		if diff := cmp.Diff(cost{PINs: 1, Code: NotFound, Left: -1}, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", account, diff)
		}
		got = b.costOf(func() error {
			_, err := b.create(account, Withdrawal)
			return err
		})
		if diff := cmp.Diff(cost{PINs: 1, Code: NotEnabled, Left: -1}, got); diff != "" {
			t.Errorf("%s, withdrawal (-want +got):\n%s", account, diff)
		}
	}
}

// A blocked account must not be a way to keep the machine busy.
func TestNoPINIsComputedWhileBlocked(t *testing.T) {
	b := newBench(t)
	b.setPIN(alice)
	v, err := b.askEnable(alice, mobile)
	b.must(err)
	r := VerifyRequest{Code: wrong(b.code(v.ID)), PIN: goodPIN}
	for range 5 {
		_, err := b.EnableVerify(context.Background(), b.now, portal, alice, r)
		b.wants(err, VerificationFailed)
	}
	got := b.costOf(func() error {
		_, err := b.EnableVerify(context.Background(), b.now, portal, alice, r)
		return err
	})
	if diff := cmp.Diff(cost{Code: Blocked, Left: -1}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestEnableVerifyTiming looks at clocks, which a busy machine makes noisy, so it runs only in long tests. A leak planted
// on purpose shows that it could see one.
func TestEnableVerifyTiming(t *testing.T) {
	if *soak < 2 {
		t.Skip("needs -soak=2 or more")
	}
	rounds := 60 * *soak
	times := map[string][]float64{}
	b := newBench(t, func(p *Policy) { p.Limits, p.PIN.MemoryKiB = LimitPolicy{}, 1024 })
	measure := func(name string, request func(code string) VerifyRequest, leak bool) {
		b.must(b.Erase(context.Background(), b.now, portal, alice))
		b.setPIN(alice)
		v, err := b.askEnable(alice, mobile)
		b.must(err)
		r := request(b.code(v.ID))
		began := time.Now()
		_, err = b.EnableVerify(context.Background(), b.now, portal, alice, r)
		if leak {
			_, _ = b.pins.matches(context.Background(), nil, alice, "1") // the planted leak: a second computation
		}
		times[name] = append(times[name], float64(time.Since(began)))
		b.wants(err, VerificationFailed)
		_, err = b.Unlock(context.Background(), b.now, portal, alice)
		b.must(err)
	}
	b.setPIN(alice)
	for range rounds {
		measure("pin", func(code string) VerifyRequest { return VerifyRequest{Code: code, PIN: "840275"} }, false)
		measure("code", func(code string) VerifyRequest { return VerifyRequest{Code: wrong(code), PIN: goodPIN} }, false)
		measure("both", func(code string) VerifyRequest { return VerifyRequest{Code: wrong(code), PIN: "840275"} }, false)
		measure("leak", func(code string) VerifyRequest { return VerifyRequest{Code: wrong(code), PIN: "840275"} }, true)
	}
	for _, name := range []string{"code", "both"} {
		if z := rankZ(times["pin"], times[name]); math.Abs(z) > 4.5 {
			t.Errorf("a wrong pin and a wrong %s differ in time: z = %.1f", name, z)
		}
	}
	if z := rankZ(times["both"], times["leak"]); math.Abs(z) < 4.5 {
		t.Errorf("the planted leak was not seen: z = %.1f", z)
	}
}

// rankZ is the Mann-Whitney statistic of two samples in deviations.
func rankZ(a, b []float64) float64 {
	u := 0.0
	sorted := slices.Sorted(slices.Values(b))
	for _, x := range a {
		i, _ := slices.BinarySearch(sorted, x)
		u += float64(i)
	}
	n, m := float64(len(a)), float64(len(b))
	return (u - n*m/2) / math.Sqrt(n*m*(n+m+1)/12)
}

// A PIN that is changed while it is being computed no longer opens anything.
func TestPINChangedWhileItIsChecked(t *testing.T) {
	b, ctx := newBench(t), context.Background()
	b.setPIN(alice)
	v, err := b.askEnable(alice, mobile)
	b.must(err)
	code := b.code(v.ID)
	changing := false
	b.pins.computed = func() {
		if changing {
			return
		}
		changing = true
		b.must(b.SetPIN(ctx, b.now, portal, alice, "840275", goodPIN))
	}
	_, err = b.EnableVerify(ctx, b.now, portal, alice, VerifyRequest{Code: code, PIN: goodPIN})
	b.wants(err, VerificationFailed)
	_, err = b.EnableVerify(ctx, b.now, portal, alice, VerifyRequest{Code: code, PIN: "840275"})
	b.must(err)
}
