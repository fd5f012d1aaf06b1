package otp

import (
	"fmt"
	"math/rand/v2"
	"regexp"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func machinePolicy(p *Policy) { p.Limits, p.Pumping.Mode = LimitPolicy{}, PumpingOff }

func TestMachineKeepsInvariants1And2And5(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		x := newMachine(newBench(t, machinePolicy), noMutant, func(n int) int { return rapid.IntRange(0, n-1).Draw(rt, "pick") })
		if err := x.run(60 * *soak); err != nil {
			rt.Fatal(err)
		}
	})
}

// TestMachineKillsMutants shows that the machine can fail: each fault is found within some hundred random histories, for
// the reason that it should be, and the same histories of the real service contradict nothing.
func TestMachineKillsMutants(t *testing.T) {
	tests := []struct {
		mutant mutant
		reason string // "": survives
	}{
		{noMutant, ""},
		{sendResetsCount, "wrong answers were compared in a row|blocked client|what had ended"},
		{blockForgotten, "wrong answers were compared in a row|blocked client|what had ended"},
		{consumeLeftOut, "taken twice|what had ended"},
		{supersedeLeftOut, "taken twice|what had ended|resent for"},
		{gradeFalls, "grade is"},
	}
	for _, tt := range tests {
		t.Run(strings.ReplaceAll(string(tt.mutant), " ", "_"), func(t *testing.T) {
			err := firstContradiction(t, tt.mutant)
			if tt.reason == "" && err != nil || tt.reason != "" && (err == nil || !regexp.MustCompile(tt.reason).MatchString(err.Error())) {
				t.Errorf("got %v, want %q", err, tt.reason)
			}
		})
	}
}

// firstContradiction runs up to 50 histories, more in long tests.
func firstContradiction(t *testing.T, m mutant) error {
	for seed := range uint64(50 * *soak) {
		r := rand.New(rand.NewPCG(seed, 7))
		if err := newMachine(newBench(t, machinePolicy), m, r.IntN).run(150); err != nil {
			return fmt.Errorf("history %d: %w", seed, err)
		}
	}
	return nil
}
