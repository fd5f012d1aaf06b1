package otp

import (
	"context"
	"crypto/rand"
	"fmt"
	"testing"
	"time"

	"otpost/gateway/store"
	"otpost/gateway/store/keys"
)

// BenchmarkLogin is one challenge sent, rendered and verified, over the store in memory: what the rules alone cost.
func BenchmarkLogin(b *testing.B) {
	s := benchService(b)
	ctx := context.Background()
	now := start
	account, phone := "a", mobile
	must := func(err error) {
		if err != nil {
			b.Fatal(err)
		}
	}
	must(s.SetPIN(ctx, now, portal, account, goodPIN, ""))
	v, err := s.Enable(ctx, now, portal, account, EnableRequest{Phone: phone})
	must(err)
	_, err = s.EnableVerify(ctx, now, portal, account, VerifyRequest{Code: benchCode(b, s, now, v.ID), PIN: goodPIN})
	must(err)
	for b.Loop() {
		now = now.Add(3 * time.Hour) // past the limits of one phone
		v, err := s.Create(ctx, now, portal, CreateRequest{Account: account, Purpose: Login})
		must(err)
		_, err = s.Verify(ctx, now, portal, v.ID, VerifyRequest{Code: benchCode(b, s, now, v.ID)})
		must(err)
	}
}

// BenchmarkDerive is one code.
func BenchmarkDerive(b *testing.B) {
	key := make([]byte, 32)
	in := codeInput{Challenge: "chl_00000000000000000000000000", Nonce: make([]byte, 16), Account: "a", Phone: mobile, Purpose: Login}
	for b.Loop() {
		_ = deriveCode(key, in, 6)
	}
}

// BenchmarkPIN is one PIN at its real cost.
func BenchmarkPIN(b *testing.B) {
	h := newPINHasher(make([]byte, 32), DefaultPolicy().PIN)
	for b.Loop() {
		if _, err := h.matches(context.Background(), nil, "a", goodPIN); err != nil {
			b.Fatal(err)
		}
	}
}

func benchService(b *testing.B) *Service {
	ring, err := keys.Generate(rand.Reader)
	if err != nil {
		b.Fatal(err)
	}
	kv := store.NewMemory()
	s, err := New(Config{KV: kv, Secrets: kv.Secrets(), Keys: ring, Outbox: &fakeOutbox{}, Policy: testPolicy(), Random: rand.Reader})
	if err != nil {
		b.Fatal(err)
	}
	return s
}

func benchCode(b *testing.B, s *Service, now time.Time, id string) (code string) {
	err := s.cfg.KV.View(context.Background(), func(tx store.Txn) error {
		c, err := store.Load[challenge](tx, challengeKey(id))
		if err != nil {
			return err
		}
		m, err := s.cfg.Outbox.Lookup(tx, c.Message)
		if err != nil {
			return err
		}
		text, err := s.Render(tx, now, m)
		code = codeInText.FindString(text)
		return err
	})
	if err != nil || code == "" {
		b.Fatal(fmt.Errorf("read the code: %w", err))
	}
	return code
}
