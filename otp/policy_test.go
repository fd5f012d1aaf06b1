package otp

import (
	"context"
	"crypto/rand"
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"otpost/gateway/store/keys"
)

func TestDefaultPolicyIsValidBesidesCountries(t *testing.T) {
	p := DefaultPolicy()
	if err := p.Validate(); err == nil || !strings.HasPrefix(err.Error(), "countries: ") {
		t.Errorf("got %v", err)
	}
	p.Countries = []string{"*"}
	if err := p.Validate(); err != nil {
		t.Error(err)
	}
}

func TestPolicyErrorsNameTheElement(t *testing.T) {
	purpose := func(name Purpose, f func(*PurposePolicy)) func(*Policy) {
		return func(p *Policy) {
			pp := p.Purposes[name]
			if pp.Digits == 0 {
				pp = DefaultOperation()
			}
			f(&pp)
			p.Purposes[name] = pp
		}
	}
	tests := []struct {
		want   string
		change func(*Policy)
	}{
		{"countries[1]: ", func(p *Policy) { p.Countries = []string{"GB", "UK"} }},
		{"countries: ", func(p *Policy) { p.Countries = []string{"GB", "*"} }},
		{"countries[0]: ", func(p *Policy) { p.Countries = []string{"gb"} }},
		{"default_region: ", func(p *Policy) { p.DefaultRegion = "XX" }},
		{"purposes.withdrawal.ttl: ", purpose(Withdrawal, func(p *PurposePolicy) { p.TTL = maxTTL + 1 })},
		{"purposes.login.ttl: ", purpose(Login, func(p *PurposePolicy) { p.TTL = 0 })},
		{"purposes.login.digits: ", purpose(Login, func(p *PurposePolicy) { p.Digits = 5 })},
		{"purposes.login.pin: ", purpose(Login, func(p *PurposePolicy) { p.PIN = "maybe" })},
		{"purposes.login.resend: ", purpose(Login, func(p *PurposePolicy) { p.Resend = "twice" })},
		{"purposes.login.lane: ", purpose(Login, func(p *PurposePolicy) { p.Lane = 3 })},
		{"purposes.sms.enable: ", purpose(SMSEnable, func(p *PurposePolicy) { p.PIN = PINNone })},
		{"purposes.withdrawal: ", purpose(Withdrawal, func(p *PurposePolicy) { p.Transaction = false })},
		{"purposes.operation:A b: ", purpose("operation:A b", func(*PurposePolicy) {})},
		{"purposes.transfer: ", purpose("transfer", func(*PurposePolicy) {})},
		{"purposes.login: missing", func(p *Policy) { delete(p.Purposes, Login) }},
		{"resend.sends: ", func(p *Policy) { p.Resend.Sends = 0 }},
		{"resend.cooldown: ", func(p *Policy) { p.Resend.Cooldown = nil }},
		{"resend.cooldown[0]: ", func(p *Policy) { p.Resend.Cooldown = []time.Duration{0} }},
		{"failures.max: ", func(p *Policy) { p.Failures.Max = 0 }},
		{"failures.strangers: ", func(p *Policy) { p.Failures.Strangers = 6 }},
		{"failures.lock_after: ", func(p *Policy) { p.Failures.LockAfter = 101 }},
		{"failures.max_block: ", func(p *Policy) { p.Failures.MaxBlock = time.Minute }},
		{"limits.phone_hour: ", func(p *Policy) { p.Limits.PhoneHour = -1 }},
		{"pumping.mode: ", func(p *Policy) { p.Pumping.Mode = "on" }},
		{"pumping.country_floor: ", func(p *Policy) { p.Pumping.CountryFloor = 0 }},
		{"pin.mode: ", func(p *Policy) { p.PIN.Mode = "remote" }},
		{"pin.min_digits: ", func(p *Policy) { p.PIN.MinDigits = 3 }},
		{"pin.memory_kib: ", func(p *Policy) { p.PIN.MemoryKiB = 0 }},
		{"grade.on_disable: ", func(p *Policy) { p.Grade.OnDisable = "drop" }},
		{"grade.max: ", func(p *Policy) { p.Grade.Max = 0 }},
		{"currencies[0]: ", func(p *Policy) { p.Currencies = []string{"usdt"} }},
	}
	for _, tt := range tests {
		t.Run(tt.want, func(t *testing.T) {
			p := testPolicy()
			tt.change(&p)
			if err := p.Validate(); err == nil || !strings.HasPrefix(err.Error(), tt.want) {
				t.Errorf("got %v", err)
			}
		})
	}
}

// A key that was rotated away goes on to serve the challenges that it began.
func TestKeyRotation(t *testing.T) {
	b, ctx := newBench(t), context.Background()
	path := filepath.Join(t.TempDir(), "key")
	ring, err := keys.Create(path, rand.Reader)
	b.must(err)
	b.ring = ring
	b.restart()
	b.enable(alice, mobile)
	b.enable("bob", mobile2)
	v, err := b.create(alice, Login)
	b.must(err)
	code := b.code(v.ID)
	old := b.ring.Current()
	_, err = keys.Rotate(path, rand.Reader)
	b.must(err)
	b.ring, err = keys.Load(path)
	b.must(err)
	b.restart()
	w, err := b.create("bob", Login)
	b.must(err)
	used, err := b.KeysInUse(ctx, b.now)
	b.must(err)
	if diff := cmp.Diff(map[string]int{old: 1, b.ring.Current(): 1}, used); diff != "" || old == b.ring.Current() {
		t.Errorf("keys in use (-want +got):\n%s", diff)
	}
	if b.record(w.ID).KeyID != b.ring.Current() {
		t.Error("a new challenge uses the old key")
	}
	_, err = b.verify(v.ID, code)
	b.must(err)
	used, err = b.KeysInUse(ctx, b.now)
	b.must(err)
	if used[old] != 0 {
		t.Error("the old key is still said to be in use")
	}
}

// Without its key a challenge can be neither sent nor verified, says so, and costs nobody an attempt.
func TestLostKey(t *testing.T) {
	b := newBench(t)
	b.enable(alice, mobile)
	v, err := b.create(alice, Login)
	b.must(err)
	ring := b.ring
	if b.ring, err = keys.Generate(rand.Reader); err != nil {
		t.Fatal(err)
	}
	b.restart()
	if err := b.CheckKeys(context.Background(), b.now); !errors.Is(err, keys.ErrUnknownKey) || !strings.HasPrefix(err.Error(), "1 pending codes: key ") {
		t.Errorf("checked: %v", err)
	}
	for range 7 {
		if _, err := b.verify(v.ID, "123456"); !errors.Is(err, keys.ErrUnknownKey) {
			t.Fatalf("got %v", err)
		}
	}
	if _, err := b.text(v.ID); !errors.Is(err, keys.ErrUnknownKey) {
		t.Errorf("rendered: %v", err)
	}
	b.ring = ring
	b.restart()
	b.must(b.CheckKeys(context.Background(), b.now))
	_, err = b.verify(v.ID, b.code(v.ID))
	b.must(err)
}

func TestCompliance(t *testing.T) {
	p := testPolicy()
	p.PIN = DefaultPolicy().PIN
	verdicts := func() map[Verdict]int {
		n := map[Verdict]int{}
		for _, i := range p.Compliance() {
			n[i.Verdict]++
			if i.Rule == "" || i.Clause == "" || i.Found == "" || (i.Verdict == Holds) != (i.Fix == "") {
				t.Errorf("item %+v", i)
			}
		}
		return n
	}
	// The defaults leave to the operator: the pumping guard, client secrets, and what disabling does to the grade.
	if got := verdicts(); got[Departs] != 3 || got[Yours] != 1 || got[Holds] < 8 {
		t.Errorf("defaults: %v", got)
	}
	p.Pumping.Mode, p.Grade.OnDisable = PumpingEnforce, GradeRevoke
	for name, purpose := range p.Purposes {
		purpose.ClientSecret = true
		p.Purposes[name] = purpose
	}
	if got := verdicts(); got[Departs] != 0 {
		t.Errorf("strict: %v", got)
	}
	p.Countries, p.Limits.PhoneHour, p.Failures.Max, p.PIN.MemoryKiB = []string{"*"}, 0, 6, 1024
	w := p.Purposes[Withdrawal]
	w.Resend = ResendSame
	p.Purposes[Withdrawal] = w
	if got := verdicts(); got[Departs] != 5 {
		t.Errorf("loose: %v", got)
	}
}
