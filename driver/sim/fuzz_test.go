package sim

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"
)

// typed feeds bytes to a modem's interpreter, as the port's reader does, and returns what it says at once.
func typed(m *Modem, b []byte) string {
	m.mu.Lock()
	sess := m.sess
	m.feed(b)
	m.mu.Unlock()
	out, _, _ := sess.out.take()
	return string(out)
}

// FuzzBytes types anything at a modem of any personality; it never crashes and answers the next valid command.
func FuzzBytes(f *testing.F) {
	for _, s := range []string{
		"AT\r", "AT+CMGS=18\r" + helloPDU + "\x1a", "AT+CMGF=1\rAT+CMGS=\"+44\"\rhi\x1a", "A/", "AT+CSQ;+CREG?;+CMGL=4\r",
		"ATE1V0Q1\rAT\r", "AT+CPMS=\"SR\"\rAT+CMGR=1\r", "AT+CMGW=18\r" + helloPDU + "\x1aAT+CMSS=1\r",
		"AT+CSCS=\"UCS2\"\rAT+CSCA=\"00\"\r", "AT+CFUN=1,1\r", "\x00\xff\x1b\x1a\r\n>", "AT+CLCK=\"SC\",1,\"0000\"\r", "AT+CUSD=1,\"*100#\"\rATD*#;\r",
		"AT+CNMI=2,2,0,1;+CSMS=1\r", "AT+CMGS=7\r00\x1a", "AT+CMGS=2\rff01\x1a", "AT+COPS=?\r", "AT+CMGD=1,4;+CMGL=4;+CMGR=1\r",
	} {
		f.Add(uint8(0), []byte(s))
		f.Add(uint8(4), []byte(s))
	}
	// What takes its time or changes the line itself, also spelled so that only the modem reads it as that.
	for _, s := range []string{
		"AT+CF\x01UN=1,1\r", "ATS\x003=65\r", "ATS 5=13;S4=7\r", "AT+COPS=?\rAT\r", "AT+CMGF=1\rAT+CMGS=\"447700998009\"\rhi\x1a",
	} {
		f.Add(uint8(0), []byte(s))
	}
	names := Personalities()
	f.Fuzz(func(t *testing.T, which uint8, input []byte) {
		synctest.Test(t, func(t *testing.T) {
			m, err := New(Config{Personality: names[int(which)%len(names)], Seed: 1, NoPTY: true})
			if err != nil {
				t.Fatal(err)
			}
			m.sess = newSession(nil)
			typed(m, input)
			calm(m)
			calm(m) // what waited behind a running command may have changed the end of a line again
			typed(m, []byte("ATQ0V1E0\rATE0\r"))
			time.Sleep(time.Millisecond) // the forms of answers are set back, and what a prompt held back is said
			typed(m, nil)
			if got := typed(m, []byte("AT\r")); got != "\r\nOK\r\n" {
				t.Errorf("the next AT is answered %q", got)
			}
			m.mu.Lock()
			m.sess = nil
			m.mu.Unlock()
			if err := m.Close(); err != nil {
				t.Error(err)
			}
		})
	})
}

// calm ends the line or message that is being typed and lets pass what it began: restarts, searches, the slowest faults
// that a number orders.
func calm(m *Modem) {
	steady(m)
	typed(m, []byte("\r\x1b\r"))
	time.Sleep(2 * time.Minute)
	steady(m)
}

// steady gives a modem a line and the usual control characters, which what was typed may have taken.
func steady(m *Modem) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.sess == nil {
		m.sess = newSession(nil)
	}
	m.set.s3, m.set.s4, m.set.s5 = '\r', '\n', bs
}

// TestCommandLinesNeverKill puts random command lines together from real commands, forms and parameters, inside messages
// and faults too, in virtual time.
func TestCommandLinesNeverKill(t *testing.T) {
	kind, err := LoadPersonality("generic")
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for name := range commandTable(kind) {
		names = append(names, name)
	}
	rapid.Check(t, func(rt *rapid.T) {
		gen := rapid.Custom(func(rt *rapid.T) string {
			form := rapid.SampledFrom([]string{"", "?", "=?", "=", "=1", "=0,1", `="SM"`, `="`, "=1,2,3,4,5", `="+447700900123",145`, "=18", "=255,4", "1", ","}).Draw(rt, "form")
			return rapid.SampledFrom(names).Draw(rt, "name") + form
		})
		line := "AT" + strings.Join(rapid.SliceOfN(gen, 1, 4).Draw(rt, "commands"), ";")
		after := rapid.SampledFrom([]string{"\r", "\r" + helloPDU + "\x1a", "\rhello\rworld\x1a", "\r\x1b", "\r\x1a\x1a", "\b\b\r"}).Draw(rt, "after")
		synctestCheck(t, line+after)
	})
}

// synctestCheck types a line and, once all that it began is over, expects an answer.
func synctestCheck(t *testing.T, typed string) {
	synctest.Test(t, func(t *testing.T) {
		h := connect(t, Config{Seed: 1})
		h.typed(typed)
		h.raw(10 * time.Second)
		h.m.mu.Lock()
		h.m.set.s3, h.m.set.s4, h.m.set.s5 = '\r', '\n', bs
		h.m.mu.Unlock()
		h.typed("\r\x1b\rATQ0V1E0\r")
		h.raw(time.Second)
		h.want("AT", "OK")
	})
}
