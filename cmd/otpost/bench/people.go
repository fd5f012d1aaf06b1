package bench

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
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
func openHouse(ctx context.Context, dir string, modems ...*instantModem) (*house, error) {
	cfg, err := storeIn(dir)
	if err != nil {
		return nil, err
	}
	h := &house{}
	if h.kv, err = store.OpenBadger(ctx, cfg); err != nil {
		return nil, err
	}
	if err := h.build(cfg.Keys, modems); err != nil {
		return nil, errors.Join(err, h.kv.Close())
	}
	return h, nil
}

// storeIn is the store of the data folder, which is made, with its key, if it is not there.
func storeIn(dir string) (store.BadgerConfig, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return store.BadgerConfig{}, err
	}
	keyFile := filepath.Join(dir, "otpost.key")
	ring, err := keys.Load(keyFile)
	if errors.Is(err, os.ErrNotExist) {
		ring, err = keys.Create(keyFile, rand.Reader)
	}
	return store.BadgerConfig{Dir: filepath.Join(dir, "store"), Keys: ring, Reserve: 64 << 20}, err
}

func (h *house) build(ring *keys.Ring, modems []*instantModem) (err error) {
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
	login := policy.Purposes[otp.Login]
	login.TTL = rigLoginTTL
	policy.Purposes[otp.Login] = login
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

// people enrols the warm accounts and n others, and has a code to log in with delivered to each of those.
func (h *house) people(ctx context.Context, n int) ([]pending, error) {
	if err := h.enrol(ctx, warmAccounts, warmName, warmPhone); err != nil {
		return nil, err
	}
	if err := h.enrol(ctx, n, accountName, accountPhone); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	sending, gctx := errgroup.WithContext(ctx)
	sending.Go(func() error { return h.queue.Run(gctx) })
	codes := make([]pending, n)
	err := each(gctx, enrolAtOnce, n, func(ctx context.Context, i int) (err error) {
		codes[i], err = h.login(ctx, i)
		return err
	})
	if err == nil {
		err = h.emptied(gctx)
	}
	cancel()
	return codes, errors.Join(err, sending.Wait())
}

// emptied waits until nothing is queued or with a modem.
func (h *house) emptied(ctx context.Context) error {
	for _, status := range []gateway.Status{gateway.Queued, gateway.Sending} {
		var ferr error
		err := until(ctx, startPatience, func() bool {
			var page []gateway.Message
			page, _, ferr = h.queue.Messages(ctx, gateway.Filter{Status: status, Limit: 1})
			return ferr != nil || len(page) == 0
		})
		if err := errors.Join(err, ferr); err != nil {
			return err
		}
	}
	return nil
}

// enrol turns SMS codes on for n accounts. The messages stay unsent: they end as canceled.
func (h *house) enrol(ctx context.Context, n int, name, phone func(i int) string) error {
	return each(ctx, enrolAtOnce, n, func(ctx context.Context, i int) error {
		c, err := h.rules.Enable(ctx, time.Now(), by, name(i), otp.EnableRequest{Phone: phone(i)})
		if err != nil {
			return fmt.Errorf("enrol %s: %w", name(i), err)
		}
		code, err := h.code(ctx, c)
		if err != nil {
			return err
		}
		_, err = h.rules.EnableVerify(ctx, time.Now(), by, name(i), otp.VerifyRequest{Code: code, PIN: benchPIN})
		return err
	})
}

// by is who asks for all that.
var by = otp.Caller{Key: "bench"}

// login asks for a code.
func (h *house) login(ctx context.Context, i int) (pending, error) {
	c, err := h.rules.Create(ctx, time.Now(), by, otp.CreateRequest{Account: accountName(i), Purpose: otp.Login})
	if err != nil {
		return pending{}, fmt.Errorf("log %s in: %w", accountName(i), err)
	}
	code, err := h.code(ctx, c)
	return pending{c.ID, code}, err
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
