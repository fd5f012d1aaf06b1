package driver

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"otpost/driver/sim"
)

// brokenMemory is a PINMemory whose store is out of order.
type brokenMemory struct{ read, write error }

func (b brokenMemory) Tried(string) (bool, error) { return false, b.read }
func (b brokenMemory) Mark(string) error          { return b.write }
func (b brokenMemory) Clear(string) error         { return b.write }

func TestPIN(t *testing.T) {
	broken := errors.New("out of order")
	tests := []struct {
		name     string
		pin      string // in the configuration; the SIM's is 1234
		memory   PINMemory
		state    State
		attempts int64
	}{
		{"right", "1234", &forgetful{tried: map[string]bool{}}, StateReady, 1},
		{"wrong", "4321", &forgetful{tried: map[string]bool{}}, StateSIMLocked, 1},
		{"none", "", &forgetful{tried: map[string]bool{}}, StateSIMLocked, 0},
		{"memory cannot be read", "1234", brokenMemory{read: broken}, StateSIMLocked, 0},
		{"memory cannot be written", "1234", brokenMemory{write: broken}, StateSIMLocked, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var attempts atomic.Int64
				modem := pinned(t, &attempts)
				for life := range 3 { // the daemon is restarted, the SIM is not
					ctx, cancel := context.WithCancel(t.Context())
					var running sync.WaitGroup
					m := onPipe(ctx, t, modem, &recorder{}, &running, func(c *Config) { c.SIMPIN, c.PINs = tt.pin, tt.memory })
					until(t, time.Minute, string(tt.state), func() bool { return m.Status().State == tt.state })
					time.Sleep(10 * time.Minute)
					if got := m.Status().State; got != tt.state {
						t.Errorf("life %d: state %s, want %s: %s", life, got, tt.state, m.Status().LastError)
					}
					if got := attempts.Load(); got != tt.attempts {
						t.Errorf("life %d: %d attempts, want %d", life, got, tt.attempts)
					}
					if e := m.Status().LastError; strings.Contains(e, "1234") || strings.Contains(e, "4321") {
						t.Errorf("the error tells the PIN: %s", e)
					}
					cancel()
					running.Wait()
				}
			})
		})
	}
}

// pinned is a simulated modem whose SIM asks for 1234, and counts who tries.
func pinned(t *testing.T, attempts *atomic.Int64) *sim.Modem {
	modem, err := sim.New(sim.Config{NoPTY: true, PIN: "1234", Seed: 1, Tap: func(dir, line string) {
		if dir == ">>" && strings.Contains(line, "+CPIN=") {
			attempts.Add(1)
		}
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = modem.Close() })
	return modem
}

// A PIN that was right is entered again when the modem restarts: each restart asks for it.
func TestPINAfterRestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var attempts atomic.Int64
		modem := pinned(t, &attempts)
		ctx, cancel := context.WithCancel(t.Context())
		var running sync.WaitGroup
		defer running.Wait()
		defer cancel()
		m := onPipe(ctx, t, modem, &recorder{}, &running, func(c *Config) { c.SIMPIN = "1234" })
		ready(t, m)
		for range 2 {
			if err := m.Reset(ctx); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Second)
			ready(t, m)
		}
		if got := attempts.Load(); got != 3 {
			t.Errorf("entered %d times over 3 starts", got)
		}
	})
}

// With one attempt left, or a PUK asked, nothing is entered, by whatever name the modem tells.
func TestPINNotTried(t *testing.T) {
	tests := []struct{ name, cpin, cmd, answer string }{
		{"SPIC", "SIM PIN", "+SPIC", "+SPIC: 1,10,1,10"},
		{"CPINR", "SIM PIN", "+CPINR", "+CPINR: SIM PIN,1,3"},
		{"QPINC", "SIM PIN", "+QPINC?", `+QPINC: "SC",1,10`},
		{"Huawei", "SIM PIN", "^CPIN?", "^CPIN: SIM PIN,1,10,1,10,3"},
		{"Telit", "SIM PIN", "#PCT", "#PCT: 1"},
		{"PUK", "SIM PUK", "+SPIC", "+SPIC: 3,10,1,10"},
		{"network lock", "PH-NET PIN", "+SPIC", "+SPIC: 3,10,1,10"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			bubble(t, func(fk *fake, c *Config) {
				c.SIMPIN = "1234"
				fk.answers["+CPIN?"] = "+CPIN: " + tt.cpin + "\r\n\r\nOK"
				for _, cmd := range []string{"+SPIC", "+CPINR", "+QPINC?", "^CPIN?", "#PCT"} {
					fk.answers[cmd] = "ERROR"
				}
				fk.answers[tt.cmd] = tt.answer + "\r\n\r\nOK"
			}, func(t *testing.T, m *Modem, fk *fake, _ *recorder) {
				until(t, time.Minute, "sim-locked", func() bool { return m.Status().State == StateSIMLocked })
				time.Sleep(5 * time.Minute)
				if n := fk.count(`+CPIN="1234"`); n != 0 {
					t.Errorf("tried %d times", n)
				}
				if r := m.Send(t.Context(), hello); r.Class != ClassSIM || r.Code != CodeNotReady {
					t.Errorf("send: %+v", r)
				}
			})
		})
	}
}
