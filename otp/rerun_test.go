package otp

import (
	"context"
	"errors"
	"testing"

	"otpost/gateway/store"
)

// twice runs the function of every update once for nothing in front of the run that counts, as an engine may.
type twice struct{ *store.Memory }

var errForNothing = errors.New("for nothing")

func (k twice) Update(ctx context.Context, f func(store.Txn) error) error {
	_ = k.Memory.Update(ctx, func(tx store.Txn) error {
		_ = f(tx)
		return errForNothing
	})
	return k.Memory.Update(ctx, f)
}

// TestVerifyRunsAgain: the function of an update may run more than once, also the one that finds out that a PIN belongs to
// the answer.
func TestVerifyRunsAgain(t *testing.T) {
	b := newBench(t)
	b.over = twice{b.kv}
	b.restart()
	b.setPIN(alice)
	v, err := b.askEnable(alice, mobile)
	b.must(err)
	b.comparisons.Store(0)
	b.computations.Store(0)
	_, err = b.Verify(t.Context(), b.now, portal, v.ID, VerifyRequest{Code: b.code(v.ID), PIN: goodPIN})
	if err != nil {
		t.Errorf("a right code with the right PIN: %v", err)
	}
	if n := b.computations.Load(); n != 1 {
		t.Errorf("%d PINs were computed, want 1", n)
	}
}
