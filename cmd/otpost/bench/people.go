package bench

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"otpost/gateway"
	"otpost/gateway/store"
	"otpost/gateway/store/keys"
	"otpost/otp"
)

// house is a store with the rules and a queue above it, in this process: what the daemon starts from is written by the
// daemon's own code.
type house struct {
	kv    *store.Badger
	queue *gateway.Gateway
	rules *otp.Service
}

// openHouse opens or makes the data folder of a daemon. Nothing is limited; PINs are asked of somebody who always says
// yes, so that filling does not take an argon2id each.
func openHouse(ctx context.Context, dir string, modems ...gateway.Modem) (*house, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	keyFile := filepath.Join(dir, "otpost.key")
	ring, err := keys.Load(keyFile)
	if errors.Is(err, os.ErrNotExist) {
		ring, err = keys.Create(keyFile, rand.Reader)
	}
	if err != nil {
		return nil, err
	}
	h := &house{}
	if h.kv, err = store.OpenBadger(ctx, store.BadgerConfig{Dir: filepath.Join(dir, "store"), Keys: ring, Reserve: 64 << 20}); err != nil {
		return nil, err
	}
	if err := h.build(ring, modems); err != nil {
		return nil, errors.Join(err, h.kv.Close())
	}
	return h, nil
}

func (h *house) build(ring *keys.Ring, modems []gateway.Modem) (err error) {
	h.queue, err = gateway.New(gateway.Config{
		KV: h.kv, Secrets: h.kv.Secrets(),
		Render: func(tx store.Txn, now time.Time, m gateway.Message) (string, error) {
			return h.rules.Render(tx, now, m)
		},
	})
	if err != nil {
		return err
	}
	for _, m := range modems {
		if err := h.queue.Attach(gateway.Route{Modem: m, SubmitTime: time.Millisecond}); err != nil {
			return err
		}
		h.queue.Changed(m.Status())
	}
	policy := otp.DefaultPolicy()
	policy.Countries, policy.Limits, policy.Pumping.Mode, policy.PIN.Mode = []string{"GB"}, otp.LimitPolicy{}, otp.PumpingOff, otp.PINPortal
	h.rules, err = otp.New(otp.Config{
		KV: h.kv, Secrets: h.kv.Secrets(), Keys: ring, Outbox: h.queue, Policy: policy, PIN: yes{}, Random: rand.Reader,
	})
	return err
}

// sixDigits are the code in a text.
var sixDigits = regexp.MustCompile(`\b[0-9]{6}\b`)

// yes is a portal to which every PIN is right.
type yes struct{}

// CheckPIN implements otp.PINChecker.
func (yes) CheckPIN(context.Context, string, string) (bool, error) { return true, nil }

// enrolAtOnce is how many accounts are enrolled side by side, so that their commits are shared.
const enrolAtOnce = 128

// enrol turns SMS codes on for n accounts. Their messages stay unsent: each ends as canceled.
func (h *house) enrol(ctx context.Context, n int) error {
	g, ctx := errgroup.WithContext(ctx)
	var next atomic.Int64
	for range enrolAtOnce {
		g.Go(func() error {
			for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
				if err := h.enrolOne(ctx, i); err != nil {
					return fmt.Errorf("enrol %s: %w", accountName(i), err)
				}
			}
			return nil
		})
	}
	return g.Wait()
}

func (h *house) enrolOne(ctx context.Context, i int) error {
	by := otp.Caller{Key: "bench"}
	c, err := h.rules.Enable(ctx, time.Now(), by, accountName(i), otp.EnableRequest{Phone: accountPhone(i)})
	if err != nil {
		return err
	}
	code, err := h.code(ctx, c)
	if err != nil {
		return err
	}
	_, err = h.rules.EnableVerify(ctx, time.Now(), by, accountName(i), otp.VerifyRequest{Code: code, PIN: "739154"})
	return err
}

// code reads the code that a challenge's message would carry.
func (h *house) code(ctx context.Context, c otp.ChallengeView) (code string, err error) {
	err = h.kv.View(ctx, func(tx store.Txn) error {
		m, err := h.queue.Lookup(tx, c.Message.ID)
		if err != nil {
			return err
		}
		text, err := h.rules.Render(tx, time.Now(), m)
		if code = sixDigits.FindString(text); err == nil && code == "" {
			err = errors.New("no code in the text")
		}
		return err
	})
	return code, err
}
