package sim

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"
)

// serve serves a new modem on a pipe in real time until stop is called.
func serve(t testing.TB, cfg Config) (net.Conn, func()) {
	t.Helper()
	cfg.NoPTY = true
	m, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	a, b := net.Pipe()
	done := make(chan error, 1)
	go func() { done <- m.Serve(context.Background(), b) }()
	return a, func() {
		if err := errors.Join(a.Close(), <-done, m.Close()); err != nil {
			t.Error(err)
		}
	}
}

// answers checks that the modem answers after whatever was typed: an ESC leaves a prompt, a CR ends a line, and
// the forms of answers are set back.
func answers(t testing.TB, conn net.Conn) {
	t.Helper()
	got := make(chan string, 1)
	go func() { got <- untilAnswer(conn) }()
	if err := conn.SetWriteDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(conn, "\x1b\rATQ0V1E0\rAT&F\rATE0V1Q0\rAT+CSCS=\"IRA\"\rATS12=42\rATS12?\r"); err != nil {
		t.Fatalf("type: %v", err)
	}
	if s := <-got; !strings.HasSuffix(s, "\r\n042\r\n\r\nOK\r\n") {
		t.Fatalf("it does not answer: %q", s)
	}
}

// untilAnswer reads until the answer to ATS12? stands at the end, for 10 seconds at most.
func untilAnswer(conn net.Conn) string {
	var out strings.Builder
	_ = conn.SetReadDeadline(time.Now().Add(10 * time.Second)) // a pipe takes any deadline
	buf := make([]byte, 64<<10)
	for !strings.HasSuffix(out.String(), "\r\n042\r\n\r\nOK\r\n") {
		n, err := conn.Read(buf)
		out.Write(buf[:n])
		if err != nil {
			break
		}
	}
	return out.String()
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
	names := Personalities()
	f.Fuzz(func(t *testing.T, which uint8, typed []byte) {
		upper := strings.ToUpper(string(typed))
		for _, s := range []string{"CFUN", "COPS", "S3", "S4", "S5"} {
			if strings.Contains(upper, s) {
				return // a restart, a search and another end of line are taken at their word: TestCommandLinesNeverKill has them
			}
		}
		conn, stop := serve(t, Config{Personality: names[int(which)%len(names)], Seed: 1})
		defer stop()
		drained := make(chan struct{})
		go func() {
			defer close(drained)
			_, _ = io.Copy(io.Discard, conn) // until the deadline below
		}()
		_, err := conn.Write(typed)
		if err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatal(err)
		}
		if err := conn.SetReadDeadline(time.Unix(1, 0)); err != nil {
			t.Fatal(err)
		}
		<-drained
		answers(t, conn)
	})
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
		h.typed("\x1b\rATQ0V1E0\r")
		h.raw(time.Second)
		h.want("AT", "OK")
	})
}
