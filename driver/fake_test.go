package driver

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// fake is a scripted modem behind a net.Pipe: a table of answers, and a function for what is submitted. It is no twin of a
// real one (driver/sim is); it says exactly what a test wants said, and counts what it was given.
type fake struct {
	t *testing.T

	mu       sync.Mutex
	answers  map[string]string // command without AT -> answer with its final; "" is silence
	counts   map[string]int
	prompt   string                      // what follows +CMGS
	submit   func(n int, pdu string) any // string, or []chunk; called with mu held
	pdus     []string
	inEditor bool
	slow     map[string]time.Duration // how long commands with such a beginning take
	echo     bool                     // says back what it is told
	expected []string                 // what a transcript wants to hear next, and answers itself
	heard    chan string
	lost     int // commands that it will not answer
	opens    int
	conn     net.Conn
	serving  sync.WaitGroup
}

// chunk is part of an answer, said after a pause.
type chunk struct {
	after time.Duration
	text  string
}

func newFake(t *testing.T) *fake {
	f := &fake{t: t, counts: map[string]int{}, heard: make(chan string, 64), prompt: "\r\n> "}
	f.answers = map[string]string{
		"+CGMI": "ACME\r\n\r\nOK", "+CGMM": "M1\r\n\r\nOK", "+CGMR": "1.0\r\n\r\nOK", "+CGSN": "490154203237518\r\n\r\nOK",
		"+CPIN?": "+CPIN: READY\r\n\r\nOK", "+CIMI": "234150000000001\r\n\r\nOK", "+CCID": "+CCID: 8944100000000000001\r\n\r\nOK",
		"+CMGF?": "+CMGF: 0\r\n\r\nOK", "+CSMS?": "+CSMS: 0,1,1,1\r\n\r\nOK", "+CSCA?": "+CSCA: \"+447700900000\",145\r\n\r\nOK",
		"+CPMS=?": "+CPMS: (\"SM\",\"ME\"),(\"SM\",\"ME\"),(\"SM\",\"ME\")\r\n\r\nOK",
		"+CPMS?":  "+CPMS: \"SM\",0,30,\"SM\",0,30,\"SM\",0,30\r\n\r\nOK",
		"+CNMI=?": "+CNMI: (0-2),(0-3),(0,2),(0-2),(0,1)\r\n\r\nOK",
		"+CREG?":  "+CREG: 1,1\r\n\r\nOK", "+CGREG?": "+CGREG: 1,1\r\n\r\nOK", "+CEREG?": "+CEREG: 1,1\r\n\r\nOK",
		"+CSQ": "+CSQ: 20,99\r\n\r\nOK", "+COPS?": "+COPS: 0,0,\"Test\",7\r\n\r\nOK",
	}
	f.submit = func(n int, _ string) any { return fmt.Sprintf("\r\n+CMGS: %d\r\n\r\nOK\r\n", n) }
	return f
}

// open is a Config.Open: each call is a new cable to the same modem.
func (f *fake) open(context.Context) (io.ReadWriteCloser, error) {
	host, modem := net.Pipe()
	f.mu.Lock()
	f.opens++
	f.conn = modem
	f.inEditor = false
	f.mu.Unlock()
	f.serving.Go(func() { f.serve(modem) })
	return host, nil
}

// serve answers until the cable is pulled.
func (f *fake) serve(c net.Conn) {
	out := make(chan chunk, 4096)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for ch := range out {
			time.Sleep(ch.after)
			if _, err := c.Write([]byte(ch.text)); err != nil {
				return
			}
		}
	}()
	r := bufio.NewReader(c)
	var line []byte
	for {
		b, err := r.ReadByte()
		if err != nil {
			break
		}
		if f.echoes() {
			out <- chunk{text: string(b)}
		}
		switch {
		case b == 0x1b:
			line = line[:0]
			f.edit(false)
			f.hear("ESC")
		case b == 0x1a:
			f.say(out, f.submitted(string(line)))
			line = line[:0]
		case b == '\r' && !f.editing():
			f.say(out, f.command(string(line)))
			line = line[:0]
		case b == '\n':
		default:
			line = append(line, b)
		}
	}
	_ = c.Close()
	close(out)
	<-done
}

func (f *fake) say(out chan<- chunk, what any) {
	switch what := what.(type) {
	case string:
		if what != "" {
			out <- chunk{text: what}
		}
	case []chunk:
		for _, c := range what {
			out <- c
		}
	case error: // pull the cable
		f.unplug()
	}
}

func (f *fake) unplug() {
	f.mu.Lock()
	c := f.conn
	f.mu.Unlock()
	_ = c.Close()
}

// urc says something unasked.
func (f *fake) urc(text string) {
	f.mu.Lock()
	c := f.conn
	f.mu.Unlock()
	_, _ = c.Write([]byte("\r\n" + text + "\r\n"))
}

func (f *fake) edit(on bool) { f.mu.Lock(); f.inEditor = on; f.mu.Unlock() }

func (f *fake) editing() bool { f.mu.Lock(); defer f.mu.Unlock(); return f.inEditor }

func (f *fake) echoes() bool { f.mu.Lock(); defer f.mu.Unlock(); return f.echo }

// hear tells a transcript of what it waits for; then the answer is the transcript's too.
func (f *fake) hear(what string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.expected) == 0 || f.expected[0] != what {
		return false
	}
	f.expected = f.expected[1:]
	f.heard <- what
	return true
}

func (f *fake) command(line string) any {
	if f.hear(line) {
		return ""
	}
	cmd, ok := strings.CutPrefix(line, "AT")
	if !ok {
		return ""
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.counts[cmd]++
	if f.lost > 0 {
		f.lost--
		return ""
	}
	if strings.HasPrefix(cmd, "+CMGS=") {
		f.inEditor = f.prompt != "" && strings.Contains(f.prompt, ">")
		return f.prompt
	}
	answer, ok := f.answers[cmd]
	if !ok {
		answer = "OK"
	}
	if answer == "" {
		return ""
	}
	if raw, ok := strings.CutPrefix(answer, "\x00"); ok {
		return raw
	}
	for prefix, d := range f.slow {
		if strings.HasPrefix(cmd, prefix) {
			return []chunk{{d, "\r\n" + answer + "\r\n"}}
		}
	}
	return "\r\n" + answer + "\r\n"
}

func (f *fake) submitted(pdu string) any {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.mu.Unlock()
	taken := f.hear("PDU")
	f.mu.Lock()
	if !f.inEditor {
		f.t.Errorf("Ctrl-Z outside the editor after %q", pdu)
	}
	f.inEditor = false
	f.pdus = append(f.pdus, pdu)
	if taken {
		return ""
	}
	return f.submit(len(f.pdus), pdu)
}

func (f *fake) set(cmd, answer string) { f.mu.Lock(); f.answers[cmd] = answer; f.mu.Unlock() }

// count tells how often a command was given; with a * behind it, whatever else follows.
func (f *fake) count(cmd string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	prefix, any := strings.CutSuffix(cmd, "*")
	n := 0
	for given, times := range f.counts {
		if given == cmd || any && strings.HasPrefix(given, prefix) {
			n += times
		}
	}
	return n
}

// lose leaves the next commands unanswered.
func (f *fake) lose(n string) (err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.lost, err = strconv.Atoi(n)
	return err
}

func (f *fake) sent() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]string(nil), f.pdus...)
}

// recorder is a Handler that remembers, and refuses while told to.
type recorder struct {
	mu      sync.Mutex
	reports []Report
	texts   []Inbound
	states  []State
	refuse  error
}

func (r *recorder) Report(_ context.Context, _ string, rep Report) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.refuse == nil {
		r.reports = append(r.reports, rep)
	}
	return r.refuse
}

func (r *recorder) Inbound(_ context.Context, _ string, in Inbound) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.refuse == nil {
		r.texts = append(r.texts, in)
	}
	return r.refuse
}

func (r *recorder) Changed(s Status) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if n := len(r.states); n == 0 || r.states[n-1] != s.State {
		r.states = append(r.states, s.State)
	}
}

func (r *recorder) got() ([]Report, []Inbound) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]Report(nil), r.reports...), append([]Inbound(nil), r.texts...)
}

// bubble runs f in virtual time with a driver on a fake modem; both are gone when it returns.
func bubble(t *testing.T, change func(*fake, *Config), f func(t *testing.T, m *Modem, fk *fake, h *recorder)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		fk, h := newFake(t), &recorder{}
		cfg := Config{Name: "m1", Device: "fake", Handler: h, Open: fk.open}
		if testing.Verbose() {
			cfg.Log = slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelDebug}))
			cfg.Trace = func(d Direction, l string) { t.Log(time.Now().Format("05.000"), d, l) }
		}
		if change != nil {
			change(fk, &cfg)
		}
		m, err := New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- m.Run(ctx) }()
		t.Cleanup(func() {
			cancel()
			if err := <-done; err != nil {
				t.Errorf("Run: %v", err)
			}
			fk.serving.Wait() // it may still have an answer to give, to nobody
		})
		f(t, m, fk, h)
	})
}

// until waits in virtual time for a condition, and fails after limit.
func until(t *testing.T, limit time.Duration, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(limit); !ok(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not within %v: %s", limit, what)
		}
	}
}

func ready(t *testing.T, m *Modem) {
	t.Helper()
	until(t, 30*time.Second, "modem ready", func() bool { return m.Status().State == StateReady })
}
