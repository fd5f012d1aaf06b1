// Package otptest holds what tests of the rules share, on whatever they stand: the service itself, or the daemon over HTTP.
package otptest

import (
	"math/rand/v2"

	"github.com/anishathalye/porcupine"
)

// Call is one operation of a client as the checker sees it.
type Call struct {
	Kind    string // send, verify, cancel, unlock
	Purpose string
	ID      string
	Right   bool
}

// Outcome is its answer. Code is the refusal's, empty for success.
type Outcome struct {
	Code string
	ID   string // of the challenge that a send made
}

// Purposes are those that the model knows.
var Purposes = [3]string{"sms.enable", "sms.disable", "login"}

// state is one account, at one instant of the clock.
type state struct {
	enabled bool
	row     int
	pending [len(Purposes)]string
}

func slot(purpose string) int {
	for i, p := range Purposes {
		if p == purpose {
			return i
		}
	}
	panic("no such purpose")
}

// Model is the account one call after the other. Whatever clients do at once, what they see must be what some order of
// their calls would have shown them. The account begins with a PIN and, if enabled is true, with SMS codes on.
func Model(enabled bool) porcupine.Model {
	return porcupine.Model{
		Init: func() any { return state{enabled: enabled} },
		Step: func(s, input, output any) (bool, any) {
			out := output.(Outcome)
			want, next := s.(state).apply(input.(Call), out.ID)
			return out.Code == want, next
		},
	}
}

func (s state) apply(in Call, id string) (string, state) {
	blocked := s.row >= 5
	switch in.Kind {
	case "unlock":
		s.row = 0
		return "", s
	case "cancel":
		if s.pending[slot(in.Purpose)] != in.ID {
			return "challenge-over", s
		}
		s.pending[slot(in.Purpose)] = ""
		return "", s
	case "send":
		switch {
		case in.Purpose == "sms.enable" && s.enabled:
			return "sms-already-enabled", s
		case in.Purpose != "sms.enable" && !s.enabled:
			return "sms-not-enabled", s
		case blocked:
			return "blocked", s
		}
		s.pending[slot(in.Purpose)] = id
		return "", s
	}
	return s.verify(in, blocked)
}

func (s state) verify(in Call, blocked bool) (string, state) {
	switch {
	case blocked:
		return "blocked", s
	case s.pending[slot(in.Purpose)] != in.ID:
		return "challenge-over", s
	case !in.Right:
		if s.row++; s.row >= 5 {
			s.pending[slot(in.Purpose)] = ""
		}
		return "verification-failed", s
	}
	s.row = 0
	s.pending[slot(in.Purpose)] = ""
	switch in.Purpose {
	case "sms.enable":
		s.enabled = true
	case "sms.disable":
		s.enabled, s.pending = false, [len(Purposes)]string{}
	}
	return "", s
}

// Choose draws the next call of a client from the challenges made so far.
func Choose(rnd *rand.Rand, made []Call) Call {
	if len(made) == 0 || rnd.IntN(3) == 0 {
		return Call{Kind: "send", Purpose: Purposes[rnd.IntN(len(Purposes))]}
	}
	c := made[max(0, len(made)-1-rnd.IntN(3))]
	switch n := rnd.IntN(20); {
	case n == 0:
		return Call{Kind: "unlock"}
	case n == 1:
		c.Kind = "cancel"
	default:
		c.Kind, c.Right = "verify", rnd.IntN(2) == 0
	}
	return c
}
