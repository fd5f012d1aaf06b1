package sim

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
)

var soak = flag.Int("soak", 1, "multiply the counts of long tests")

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// host is the other end of a modem's line: it types and reads lines.
type host struct {
	t    *testing.T
	m    *Modem
	conn net.Conn
	in   *bufio.Reader
}

// connect serves a modem on a pipe until the test ends. It is for use inside a synctest bubble: waiting costs nothing.
func connect(t *testing.T, cfg Config) *host {
	t.Helper()
	cfg.NoPTY = true
	m, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	h := &host{t: t, m: m}
	h.dial()
	return h
}

// dial opens the line (again); the end of the test closes it and waits for Serve.
func (h *host) dial() {
	a, b := net.Pipe()
	h.conn, h.in = a, bufio.NewReader(a)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- h.m.Serve(ctx, b) }()
	h.t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil && !errors.Is(err, ErrUnplugged) {
			h.t.Errorf("Serve: %v", err)
		}
		if err := errors.Join(h.m.Close(), a.Close()); err != nil {
			h.t.Error(err)
		}
	})
}

func (h *host) typed(s string) {
	h.t.Helper()
	if _, err := io.WriteString(h.conn, s); err != nil {
		h.t.Fatalf("type %q: %v", s, err)
	}
}

// raw is all that the modem says within d.
func (h *host) raw(d time.Duration) string {
	h.t.Helper()
	var out strings.Builder
	buf := make([]byte, 4096)
	if err := h.conn.SetReadDeadline(time.Now().Add(d)); err != nil {
		h.t.Fatal(err)
	}
	for {
		n, err := h.in.Read(buf)
		out.Write(buf[:n])
		if err != nil {
			if !errors.Is(err, os.ErrDeadlineExceeded) && !errors.Is(err, io.EOF) {
				h.t.Fatal(err)
			}
			return out.String()
		}
	}
}

// say types a command line and returns what comes back at once, a line each, without blank ones.
func (h *host) say(line string) []string {
	h.t.Helper()
	h.typed(line + "\r")
	return lines(h.raw(50 * time.Millisecond))
}

func lines(s string) []string {
	var out []string
	for l := range strings.SplitSeq(s, "\r\n") {
		if l = strings.TrimSpace(l); l != "" {
			out = append(out, l)
		}
	}
	return out
}

// want compares the answer to a command line.
func (h *host) want(line string, answer ...string) {
	h.t.Helper()
	if diff := cmp.Diff(answer, h.say(line)); diff != "" {
		h.t.Errorf("%s (-want +got):\n%s", line, diff)
	}
}

// send gives a PDU to +CMGS and returns the answer.
func (h *host) send(pdu string) []string {
	h.t.Helper()
	h.typed(fmt.Sprintf("AT+CMGS=%d\r", len(pdu)/2-1))
	if got := h.raw(50 * time.Millisecond); got != "\r\n> " {
		return lines(got)
	}
	h.typed(pdu + "\x1a")
	return lines(h.raw(50 * time.Millisecond))
}

// bubble runs f in a synctest bubble with a silent host: echo off, causes as numbers.
func bubble(t *testing.T, cfg Config, f func(t *testing.T, h *host)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		h := connect(t, cfg)
		h.want("ATE0", "ATE0", "OK")
		h.want("AT+CMEE=1", "OK")
		f(t, h)
	})
}

func TestServeOneAtATime(t *testing.T) {
	bubble(t, Config{}, func(t *testing.T, h *host) {
		a, b := net.Pipe()
		defer a.Close()
		if err := h.m.Serve(context.Background(), b); !errors.Is(err, ErrBusy) {
			t.Errorf("a second connection: got %v, want %v", err, ErrBusy)
		}
		h.want("AT", "OK")
		if err := h.m.Close(); err != nil {
			t.Fatal(err)
		}
		if err := h.m.Serve(context.Background(), b); !errors.Is(err, ErrClosed) {
			t.Errorf("after Close: got %v, want %v", err, ErrClosed)
		}
	})
}

// TestHostComesAndGoes: what was half typed is forgotten, what was set stays.
func TestHostComesAndGoes(t *testing.T) {
	bubble(t, Config{}, func(t *testing.T, h *host) {
		for range 200 {
			h.typed("AT+CMGS=18\r")
			h.raw(time.Millisecond)
			h.typed("0021")
			if err := h.conn.Close(); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
			h.dial()
			h.want("AT", "OK")
		}
	})
}

// BenchmarkSend is what one message costs the modem itself, over a pipe.
func BenchmarkSend(b *testing.B) {
	m, err := New(Config{NoPTY: true})
	if err != nil {
		b.Fatal(err)
	}
	m.sess = newSession(nil)
	for b.Loop() {
		typed(m, []byte("AT+CMGS=18\r"))
		typed(m, []byte(helloPDU+"\x1a"))
	}
	m.sess = nil
	if err := m.Close(); err != nil {
		b.Fatal(err)
	}
}
