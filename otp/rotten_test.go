package otp

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"otpost/gateway/store"
	"otpost/gateway/store/storetest"
)

// records returns all records of the package.
func (b *bench) records() map[string]string {
	all := map[string]string{}
	b.must(b.kv.View(context.Background(), func(tx store.Txn) error {
		return tx.Scan(store.Range{Prefix: "otp/"}, func(key string, value []byte) bool {
			all[key] = string(value)
			return true
		})
	}))
	return all
}

// TestAnyRottenRecordStopsNobodyElse: whichever record does not open, another account enables, confirms and disables, the
// operator's lists and the check of the keys at start work, and the account concerned is mended by what an operator has:
// unlock, or erase and begin anew.
func TestAnyRottenRecordStopsNobodyElse(t *testing.T) {
	ctx := context.Background()
	prepare := func(t *testing.T) *bench {
		b := newBench(t, func(p *Policy) { p.Pumping.Mode = PumpingEnforce })
		b.enable(alice, mobile)
		v, err := b.create(alice, Withdrawal)
		b.must(err)
		_, err = b.verify(v.ID, wrong(b.code(v.ID)))
		b.wants(err, VerificationFailed)
		_, err = b.Create(ctx, b.now, portal, CreateRequest{Account: alice, Purpose: Withdrawal, PIN: "739265", Transaction: &transfer})
		b.wants(err, VerificationFailed)
		_, err = b.Resend(ctx, b.now, portal, v.ID)
		b.wants(err, ResendTooEarly)
		return b
	}
	keys := prepare(t).records()
	kinds := map[string]int{}
	for key := range keys {
		kinds[strings.Split(key, "/")[1]]++
	}
	for _, kind := range []string{"account", "challenge", "latest", "owned", "failures", "limit", "pumping", "report", "audit"} {
		if kinds[kind] == 0 {
			t.Errorf("there is no record otp/%s/ to rot", kind)
		}
	}
	n := 0
	for key := range keys {
		b := prepare(t)
		all := b.records()
		if _, ok := all[key]; !ok { // ids are random: the same kind in its place
			for other := range all {
				if kind := strings.Split(key, "/")[1]; strings.Split(other, "/")[1] == kind {
					key = other
				}
			}
		}
		rotting := storetest.Rotting{KV: b.kv}
		b.must(rotting.Rot(ctx, key))
		b.over = rotting
		b.restart()
		n++
		b.othersLiveOn(t, key)
		b.isMended(t, key)
	}
	if n < 20 {
		t.Errorf("only %d records were tried", n)
	}
}

func (b *bench) othersLiveOn(t *testing.T, rotten string) {
	t.Helper()
	ctx := context.Background()
	check := func(what string, err error) {
		t.Helper()
		if err != nil {
			t.Errorf("rotten %s: %s: %v", rotten, what, err)
		}
	}
	check("keys", b.CheckKeys(ctx, b.now))
	_, err := b.LimitsReport(ctx, b.now, 7)
	check("report", err)
	check("pin", b.SetPIN(ctx, b.now, portal, "bob", goodPIN, ""))
	v, err := b.askEnable("bob", mobile2)
	check("enable", err)
	if err != nil {
		return
	}
	_, err = b.EnableVerify(ctx, b.now, portal, "bob", VerifyRequest{Code: b.code(v.ID), PIN: goodPIN})
	check("verify", err)
	v, err = b.create("bob", Withdrawal)
	check("withdraw", err)
	_, err = b.verify(v.ID, b.code(v.ID))
	check("verify", err)
	_, err = b.Disable(ctx, b.now, portal, "bob", "")
	check("disable", err)
	_, _, err = b.AuditVerify(ctx)
	if e := new(ChainError); err != nil && !errors.As(err, &e) && !strings.HasPrefix(rotten, auditPrefix) {
		t.Errorf("rotten %s: audit: %v", rotten, err)
	}
}

// isMended has an operator help the account that the record is about.
func (b *bench) isMended(t *testing.T, rotten string) {
	t.Helper()
	ctx := context.Background()
	if _, err := b.create(alice, Withdrawal); err != nil && strings.HasPrefix(rotten, "otp/limit/") {
		b.wants(err, RateLimited)
	}
	b.pass(25 * time.Hour) // a limit that does not open counts as full from when it is met
	if !strings.HasPrefix(rotten, "otp/account/") {
		_, err := b.Unlock(ctx, b.now, portal, alice)
		if err != nil {
			t.Errorf("rotten %s: unlock: %v", rotten, err)
		}
		if v, err := b.create(alice, Withdrawal); err != nil {
			t.Errorf("rotten %s: withdraw after unlock: %v", rotten, err)
		} else if _, err := b.verify(v.ID, b.code(v.ID)); err != nil {
			t.Errorf("rotten %s: verify after unlock: %v", rotten, err)
		}
	}
	b.pass(time.Hour)
	if err := b.Erase(ctx, b.now, portal, alice); err != nil {
		t.Errorf("rotten %s: erase: %v", rotten, err)
		return
	}
	if strings.HasPrefix(rotten, "otp/limit/account-new-phones/") { // a day counts from when it is met
		b.setPIN(alice)
		_, err := b.askEnable(alice, mobile)
		b.wants(err, RateLimited)
		b.pass(25 * time.Hour)
		b.must(b.Erase(ctx, b.now, portal, alice))
	}
	b.enable(alice, mobile)
}

// A counter or a limit of one phone or account fails closed when it does not open.
func TestRottenGuardsFailClosed(t *testing.T) {
	ctx := context.Background()
	for prefix, want := range map[string]Code{
		"otp/failures/account/":    Blocked,
		"otp/failures/phone/":      Blocked,
		"otp/limit/phone-hour/":    RateLimited,
		"otp/limit/phone-day/":     RateLimited,
		"otp/limit/account-day/":   RateLimited,
		"otp/limit/prefix-day/":    "",
		"otp/limit/key-hour/":      "",
		"otp/pumping/country/":     "",
		"otp/report/":              "",
		"otp/latest/":              "",
		"otp/failures/pin/":        "",
		"otp/account/":             "error",
		auditHead:                  "",
		auditPrefix + "0000000000": "",
	} {
		b := newBench(t)
		b.enable(alice, mobile)
		v, err := b.create(alice, Login)
		b.must(err)
		_, err = b.verify(v.ID, wrong(b.code(v.ID))) // so that there are failures to remember
		b.wants(err, VerificationFailed)
		rotting := storetest.Rotting{KV: b.kv}
		for key := range b.records() {
			if strings.HasPrefix(key, prefix) {
				b.must(rotting.Rot(ctx, key))
			}
		}
		b.over = rotting
		b.restart()
		b.pass(time.Minute)
		_, err = b.Resend(ctx, b.now, portal, v.ID)
		e := new(Error)
		switch {
		case want == "error":
			_, err = b.Create(ctx, b.now, portal, CreateRequest{Account: alice, Purpose: Login})
			if c := new(store.CorruptError); !errors.As(err, &c) {
				t.Errorf("rotten %s: %v, want an error that says so", prefix, err)
			}
		case want == "" && err != nil, want != "" && (!errors.As(err, &e) || e.Code != want):
			t.Errorf("rotten %s: %v, want %q", prefix, err, want)
		}
	}
}

// The audit trail goes on when its head does not open, is whole, and says what happened.
func TestRottenAuditHead(t *testing.T) {
	ctx := context.Background()
	b := newBench(t)
	b.enable(alice, mobile)
	before, _, err := b.AuditVerify(ctx)
	b.must(err)
	rotting := storetest.Rotting{KV: b.kv}
	b.must(rotting.Rot(ctx, auditHead))
	b.over = rotting
	b.restart()
	_, err = b.create(alice, Login)
	b.must(err)
	told := 0
	b.must(b.AuditExport(ctx, 1, func(e AuditEntry) error {
		if e.Facts["audit_head"] != "" {
			told++
		}
		return nil
	}))
	if after, _, err := b.AuditVerify(ctx); err != nil || after != before+1 || told != 1 {
		t.Errorf("%d entries, then %d, %d of which tell, %v", before, after, told, err)
	}
}
