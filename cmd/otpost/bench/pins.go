package bench

import (
	"context"
	"fmt"
	"net/http"
	"runtime"
	"time"

	"golang.org/x/crypto/argon2"

	"otpost/otp"
)

// PINs is what argon2id has of a request that asks for a PIN. It is slow on purpose, and so these requests are in no other
// rate.
type PINs struct {
	Argon2id float64 `json:"argon2id_cpu_ms"` // a PIN, in this process
	Request  float64 `json:"request_cpu_ms"`  // of the daemon, for turning SMS codes on with a code and a PIN
	Share    float64 `json:"share"`           // of the first in the second
	Memory   Usage   `json:"memory"`          // at the most, while PINs are checked
}

const (
	enableName = "verify with a PIN (enable)"
	benchPIN   = "739154"
	argonTurns = 8
)

// pinRounds are the numbers of clients and of accounts.
var pinRounds = [...]struct{ clients, accounts int }{{1, 24}, {16, 48}}

// pins measures turning SMS codes on: a code and a PIN, which costs an argon2id.
func (b *run) pins(ctx context.Context) error {
	r, err := b.rig(ctx, "pins", rigOptions{modems: 4})
	if err != nil {
		return err
	}
	defer r.stop()
	highest := r.highest()
	p, first := &b.report.PINs, 0
	for _, load := range pinRounds {
		rate, err := r.enables(ctx, load.clients, first, load.accounts)
		if err != nil {
			return err
		}
		first += load.accounts
		b.rated(rate)
		p.Request += rate.CPU / float64(len(pinRounds))
		p.Argon2id += argonCost().Seconds() * 1000 / float64(len(pinRounds))
	}
	p.Memory = highest()
	p.Share = min(1, p.Argon2id/p.Request)
	b.say("  argon2id is %.1f ms of %.1f ms, %.0f %%", p.Argon2id, p.Request, 100*p.Share)
	return nil
}

// enables sends codes to fresh accounts and measures their being typed in.
func (r *rig) enables(ctx context.Context, clients, first, n int) (Rate, error) {
	codes := make([]string, n)
	path := func(i int) string { return "/v1/accounts/" + accountName(first+i) }
	err := each(ctx, 2, n, func(ctx context.Context, i int) error {
		if err := r.call(ctx, http.MethodPut, path(i)+"/pin", body{"pin": benchPIN}, nil); err != nil {
			return err
		}
		began := time.Now()
		if err := r.call(ctx, http.MethodPost, path(i)+"/sms/enable", body{"phone": accountPhone(first + i)}, nil); err != nil {
			return err
		}
		text, err := r.text(ctx, accountPhone(first+i), began)
		codes[i] = text.Code
		return err
	})
	if err != nil {
		return Rate{}, fmt.Errorf("enrol: %w", err)
	}
	s := series{what: enableName, clients: clients}
	err = s.round(ctx, n, r.process, func(ctx context.Context, i int) error {
		return r.call(ctx, http.MethodPost, path(i)+"/sms/enable/verify", body{"code": codes[i], "pin": benchPIN}, nil)
	})
	return s.rate(), err
}

// argonCost is the processor time of one argon2id as the daemon computes it by default, in memory that the process has had
// before, as the daemon's.
func argonCost() (spent time.Duration) {
	p := otp.DefaultPolicy().PIN
	for turn := range argonTurns + 1 {
		runtime.GC()
		before := ownCPU()
		argon2.IDKey([]byte(benchPIN), make([]byte, 16), p.Time, p.MemoryKiB, p.Threads, 32)
		if turn > 0 {
			spent += ownCPU() - before
		}
	}
	return spent / argonTurns
}
