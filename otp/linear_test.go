package otp

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
	"go.uber.org/goleak"

	"otpost/otp/otptest"
)

// linearRun lets clients do as they like at once and returns what each saw.
type linearRun struct {
	b     *bench
	clock atomic.Int64

	mu      sync.Mutex // owns what follows
	history []porcupine.Operation
	made    []otptest.Call // challenges made so far: purpose and id
}

func (r *linearRun) do(client int, in otptest.Call) {
	began := r.clock.Add(1)
	id, err := r.perform(in)
	ended := r.clock.Add(1)
	var e *Error
	out := otptest.Outcome{ID: id}
	if errors.As(err, &e) {
		out.Code = string(e.Code)
	} else if err != nil {
		out.Code = err.Error()
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.history = append(r.history, porcupine.Operation{ClientId: client, Input: in, Output: out, Call: began, Return: ended})
	if in.Kind == "send" && err == nil {
		r.made = append(r.made, otptest.Call{Purpose: in.Purpose, ID: id})
	}
}

func (r *linearRun) perform(in otptest.Call) (string, error) {
	ctx := context.Background()
	var v ChallengeView
	var err error
	switch in.Kind {
	case "unlock":
		_, err = r.b.Unlock(ctx, start, portal, alice)
	case "cancel":
		err = r.b.Cancel(ctx, start, portal, in.ID)
	case "verify":
		q := VerifyRequest{Code: r.b.derived(in.ID)}
		if !in.Right {
			q.Code = wrong(q.Code)
		}
		if in.Purpose == string(SMSEnable) {
			q.PIN = goodPIN
		}
		_, err = r.b.Verify(ctx, start, portal, in.ID, q)
	default:
		switch Purpose(in.Purpose) {
		case SMSEnable:
			v, err = r.b.Enable(ctx, start, portal, alice, EnableRequest{Phone: mobile})
		case SMSDisable:
			v, err = r.b.Disable(ctx, start, portal, alice, "")
		default:
			v, err = r.b.Create(ctx, start, portal, CreateRequest{Account: alice, Purpose: Login})
		}
	}
	return v.ID, err
}

// choose draws the next call of a client.
func (r *linearRun) choose(rnd *rand.Rand) otptest.Call {
	r.mu.Lock()
	defer r.mu.Unlock()
	return otptest.Choose(rnd, r.made)
}

func newLinearRun(t *testing.T, seed uint64) *linearRun {
	r := &linearRun{b: newBench(t, machinePolicy)}
	r.b.setPIN(alice)
	var wg sync.WaitGroup
	for client := range 4 {
		wg.Go(func() {
			rnd := rand.New(rand.NewPCG(seed, uint64(client)))
			for range 12 {
				r.do(client, r.choose(rnd))
			}
		})
	}
	wg.Wait()
	return r
}

// TestHistoriesAreLinearizable: whatever clients do at once, what they saw is what some order of their calls, one after
// the other, would have shown them.
func TestHistoriesAreLinearizable(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	verified := 0
	for seed := range uint64(40 * *soak) {
		r := newLinearRun(t, seed)
		if porcupine.CheckOperationsTimeout(otptest.Model(false), r.history, time.Minute) != porcupine.Ok {
			t.Fatalf("history %d is not linearizable: %+v", seed, r.history)
		}
		for _, op := range r.history {
			if in, out := op.Input.(otptest.Call), op.Output.(otptest.Outcome); in.Kind == "verify" && out.Code == "" {
				verified++
				again := porcupine.Operation{Input: in, Output: out, Call: r.clock.Add(1), Return: r.clock.Add(1)}
				if porcupine.CheckOperationsTimeout(otptest.Model(false), append(r.history, again), time.Minute) == porcupine.Ok {
					t.Fatal("the checker does not mind a code that was taken twice")
				}
				break
			}
		}
	}
	if verified < 10 {
		t.Errorf("only %d histories verified anything", verified)
	}
}
