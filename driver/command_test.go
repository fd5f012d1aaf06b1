package driver

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"otpost/driver/sim"
)

// standalone is a simulated modem that no driver uses.
func standalone(t *testing.T) string {
	t.Helper()
	modem, err := sim.New(sim.Config{Network: sim.NewNetwork(sim.NetworkConfig{}), Seed: 7})
	if err != nil {
		t.Fatal(err)
	}
	b := &bench{t: t}
	b.background(modem.Run)
	t.Cleanup(func() { _ = modem.Close() })
	return modem.Path()
}

func TestCommands(t *testing.T) {
	port := standalone(t)
	ask := func(commands ...string) []Answer {
		t.Helper()
		got, err := Commands(context.Background(), port, 0, 5*time.Second, commands...)
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	want := []Answer{{"AT+CPIN?", []string{"+CPIN: READY"}, "OK"}, {"AT+CMGF?", []string{"+CMGF: 0"}, "OK"}}
	if d := cmp.Diff(want, ask("AT+CPIN?", "+CMGF?")); d != "" {
		t.Errorf("(-want +got)\n%s", d)
	}
	// A refusal is an answer, and the last one.
	got := ask("at+cmgr=9999", "+CMGF?")
	if len(got) != 1 || got[0].Result == "OK" {
		t.Errorf("a refused command: %+v", got)
	}
}

// What opens an editor or takes a PIN never reaches the port.
func TestCommandsRefused(t *testing.T) {
	for _, c := range []string{"AT+CMGS=20", "+cmgw=20", "AT+CSQ;+CMGS=5", "AT+CPIN=1234", "at+cpin=\"1234\"", `AT+CLCK="SC",1,"1234"`, "AT+CSQ\rAT+CPIN=1", "AT\x1a"} {
		if _, err := Commands(context.Background(), "/dev/null", 0, time.Second, "AT", c); !errors.Is(err, ErrNotByHand) {
			t.Errorf("%q: %v, want ErrNotByHand", c, err)
		}
	}
}

// A port in use, and one on which nobody answers.
func TestCommandsBadPort(t *testing.T) {
	port := standalone(t)
	p, err := openPort(port, 115200)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Commands(context.Background(), port, 0, time.Second, "AT"); !errors.Is(err, ErrHeld) {
		t.Errorf("a held port: %v", err)
	}
	if err := p.Close(); err != nil {
		t.Error(err)
	}
	if _, err := Commands(context.Background(), "/dev/null", 0, time.Second, "AT"); err == nil {
		t.Error("/dev/null answered")
	}
}
