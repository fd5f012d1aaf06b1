package sim

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestScenario(t *testing.T) {
	s, err := ParseScenario([]byte(`
name: a bad afternoon
seed: 4
steps:
  - {at: 10s, remove: carrier-down}
  - at: 1s
    fault: {id: carrier-down, kind: cms, cause: 38}
  - {at: 20s, text: {from: "+447700900456", text: STOP}}
  - {at: 30s, modem: {registration: 2, signal: 3, credit: 5}}
`))
	if err != nil {
		t.Fatal(err)
	}
	bubble(t, Config{}, func(t *testing.T, h *host) {
		done := make(chan error, 1)
		go func() { done <- h.m.net.Play(context.Background(), s) }()
		h.want("AT+CNMI=2,1", "OK")
		if got := h.send(helloPDU); !strings.HasPrefix(got[0], "+CMGS: ") {
			t.Errorf("before: %q", got)
		}
		h.raw(2 * time.Second)
		if got := h.send(helloPDU); got[0] != "+CMS ERROR: 38" {
			t.Errorf("carrier down: %q", got)
		}
		h.raw(9 * time.Second)
		if got := h.send(helloPDU); !strings.HasPrefix(got[0], "+CMGS: ") {
			t.Errorf("carrier up: %q", got)
		}
		if got := lines(h.raw(12 * time.Second)); len(got) != 1 || got[0] != `+CMTI: "SM",1` {
			t.Errorf("the text: %q", got)
		}
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		h.want("AT+CREG?;+CSQ", "+CREG: 0,2", "+CSQ: 3,99", "OK")
	})
}

func TestScenarioErrors(t *testing.T) {
	for _, tt := range []struct{ name, text, want string }{
		{"unknown key", "steps:\n  - at: 1s\n    fautl: {kind: cms}\n", "line 3: field fautl not found"},
		{"unknown key of a fault", "steps:\n  - at: 1s\n    fault:\n      kind: cms\n      couse: 38\n", "line 5: field couse not found"},
		{"unknown kind", "steps:\n  - {at: 1s, fault: {kind: cms}}\n  - {at: 2s, fault: {kind: sloth}}\n", `line 3: step 2: bad fault: unknown kind "sloth"`},
		{"two things", "steps:\n  - {at: 1s, remove: a, fault: {kind: cms}}\n", "line 2: step 1: want exactly one"},
		{"nothing", "steps:\n  - {at: 1s}\n", "line 2: step 1: want exactly one"},
		{"no steps", "name: x\n", "steps: want at least one"},
		{"empty", "", "steps: want at least one"},
		{"bad duration", "steps:\n  - {at: soon, remove: a}\n", "line 2: cannot unmarshal"},
		{"text without sender", "steps:\n  - {text: {text: hi}}\n", "text: want from and text"},
		{"bad point", "steps:\n  - {fault: {kind: silence, at: never}}\n", `unknown point "never"`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "scenario.yaml")
			if err := os.WriteFile(path, []byte(tt.text), 0o600); err != nil {
				t.Fatal(err)
			}
			_, err := LoadScenario(path)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
		})
	}
	if _, err := LoadScenario("/nonexistent.yaml"); err == nil {
		t.Error("a missing file is no error")
	}
}

func FuzzParseScenario(f *testing.F) {
	f.Add([]byte("steps:\n  - {at: 1s, fault: {kind: cms, cause: 38}}\n"))
	f.Add([]byte("steps: [{at: 1s, text: {from: a, text: b}}]"))
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := ParseScenario(b)
		if err != nil {
			return
		}
		for _, step := range s.Steps {
			if err := step.check(); err != nil {
				t.Errorf("a step that is no step: %v", err)
			}
		}
	})
}
