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
)

// call is one operation of a client as the checker sees it.
type call struct {
	kind    string // send, verify, cancel, unlock
	purpose Purpose
	id      string
	right   bool
}

// outcome is its answer. OK is the empty code.
type outcome struct {
	code Code
	id   string // of the challenge that a send made
}

// linearState is one account, at one instant of the clock.
type linearState struct {
	enabled bool
	row     int
	pending [3]string // by linearPurposes
}

var linearPurposes = []Purpose{SMSEnable, SMSDisable, Login}

func slot(p Purpose) int {
	for i, q := range linearPurposes {
		if p == q {
			return i
		}
	}
	panic("no such purpose")
}

// linearModel is the account one call after the other.
var linearModel = porcupine.Model{
	Init: func() any { return linearState{} },
	Step: func(state, input, output any) (bool, any) {
		s, in, out := state.(linearState), input.(call), output.(outcome)
		want, next := s.apply(in, out.id)
		return out.code == want, next
	},
}

func (s linearState) apply(in call, id string) (Code, linearState) {
	blocked := s.row >= 5
	switch in.kind {
	case "unlock":
		s.row = 0
		return "", s
	case "cancel":
		if s.pending[slot(in.purpose)] != in.id {
			return ChallengeOver, s
		}
		s.pending[slot(in.purpose)] = ""
		return "", s
	case "send":
		switch {
		case in.purpose == SMSEnable && s.enabled:
			return AlreadyEnabled, s
		case in.purpose != SMSEnable && !s.enabled:
			return NotEnabled, s
		case blocked:
			return Blocked, s
		}
		s.pending[slot(in.purpose)] = id
		return "", s
	}
	switch {
	case blocked:
		return Blocked, s
	case s.pending[slot(in.purpose)] != in.id:
		return ChallengeOver, s
	case !in.right:
		if s.row++; s.row >= 5 {
			s.pending[slot(in.purpose)] = ""
		}
		return VerificationFailed, s
	}
	s.row = 0
	s.pending[slot(in.purpose)] = ""
	if in.purpose == SMSEnable {
		s.enabled = true
	}
	if in.purpose == SMSDisable {
		s.enabled, s.pending = false, [3]string{}
	}
	return "", s
}

// linearRun lets clients do as they like at once and returns what each saw.
type linearRun struct {
	b     *bench
	clock atomic.Int64

	mu      sync.Mutex // owns what follows
	history []porcupine.Operation
	made    []call // challenges made so far: purpose and id
}

func (r *linearRun) do(client int, in call) {
	began := r.clock.Add(1)
	id, err := r.perform(in)
	ended := r.clock.Add(1)
	var e *Error
	out := outcome{id: id}
	if errors.As(err, &e) {
		out.code = e.Code
	} else if err != nil {
		out.code = Code(err.Error())
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.history = append(r.history, porcupine.Operation{ClientId: client, Input: in, Output: out, Call: began, Return: ended})
	if in.kind == "send" && err == nil {
		r.made = append(r.made, call{purpose: in.purpose, id: id})
	}
}

func (r *linearRun) perform(in call) (string, error) {
	ctx := context.Background()
	var v ChallengeView
	var err error
	switch in.kind {
	case "unlock":
		_, err = r.b.Unlock(ctx, start, portal, alice)
	case "cancel":
		err = r.b.Cancel(ctx, start, portal, in.id)
	case "verify":
		q := VerifyRequest{Code: r.b.derived(in.id)}
		if !in.right {
			q.Code = wrong(q.Code)
		}
		if in.purpose == SMSEnable {
			q.PIN = goodPIN
		}
		_, err = r.b.Verify(ctx, start, portal, in.id, q)
	default:
		switch in.purpose {
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
func (r *linearRun) choose(rnd *rand.Rand) call {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.made) == 0 || rnd.IntN(3) == 0 {
		return call{kind: "send", purpose: linearPurposes[rnd.IntN(3)]}
	}
	c := r.made[max(0, len(r.made)-1-rnd.IntN(3))]
	switch n := rnd.IntN(20); {
	case n == 0:
		return call{kind: "unlock"}
	case n == 1:
		c.kind = "cancel"
	default:
		c.kind, c.right = "verify", rnd.IntN(2) == 0
	}
	return c
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
		if porcupine.CheckOperationsTimeout(linearModel, r.history, time.Minute) != porcupine.Ok {
			t.Fatalf("history %d is not linearizable: %+v", seed, r.history)
		}
		for _, op := range r.history {
			if in, out := op.Input.(call), op.Output.(outcome); in.kind == "verify" && out.code == "" {
				verified++
				again := porcupine.Operation{Input: in, Output: out, Call: r.clock.Add(1), Return: r.clock.Add(1)}
				if porcupine.CheckOperationsTimeout(linearModel, append(r.history, again), time.Minute) == porcupine.Ok {
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
