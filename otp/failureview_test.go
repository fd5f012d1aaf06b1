package otp

import (
	"context"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// An operator sees which counter blocks whom, and after an unlock that none does.
func TestFailuresAreShown(t *testing.T) {
	b, ctx := newBench(t, func(p *Policy) { p.Limits = LimitPolicy{} }), context.Background()
	_, err := b.Failures(ctx, b.now, alice)
	b.wants(err, NotFound)
	b.setPIN(alice)
	v, err := b.Enable(ctx, b.now, from(home), alice, EnableRequest{Phone: mobile})
	b.must(err)
	_, err = b.EnableVerify(ctx, b.now, from(home), alice, VerifyRequest{Code: b.code(v.ID), PIN: goodPIN})
	b.must(err)
	v, err = b.Create(ctx, b.now, from(home), CreateRequest{Account: alice, Purpose: Login})
	b.must(err)
	for range 5 {
		_, err = b.Verify(ctx, b.now, from(home), v.ID, VerifyRequest{Code: wrong(b.code(v.ID))})
	}
	b.wants(err, VerificationFailed)
	got, err := b.Failures(ctx, b.now, alice)
	b.must(err)
	block := b.policy.Failures.Block
	want := []FailureView{
		{Of: failPIN, Left: 5, Last: got[0].Last},
		{Of: failAccount, Row: 5, Blocked: block, Last: b.now},
		{Of: failPhone, Row: 5, Blocked: block, Last: b.now},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("blocked (-want +got):\n%s", diff)
	}
	_, err = b.Unlock(ctx, b.now, portal, alice)
	b.must(err)
	got, err = b.Failures(ctx, b.now, alice)
	b.must(err)
	for _, f := range got {
		if f.Row != 0 || f.Blocked != 0 || f.Locked || f.Left != 5 {
			t.Errorf("after the unlock: %+v", f)
		}
	}
	end, err := b.AuditEnd(ctx)
	b.must(err)
	if n, _, err := b.AuditVerify(ctx); err != nil || n != end || end == 0 {
		t.Errorf("the trail ends at %d, and has %d entries: %v", end, n, err)
	}
}
