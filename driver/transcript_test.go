package driver

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// A transcript is what a modem did, from the quirks reference or a manual. Its lines:
//
//	# what it is about
//	echo | pace                how modem and host are
//	answer CMD = text          what it answers to a command, with line ends around it; silence when empty
//	raw CMD = bytes            the same, byte for byte
//	now CMD = text             from here on it answers this
//	lose n                     the next n commands are not answered
//	send text                  the host hands a message over (to +447700900123)
//	ussd code                  the host asks the network
//	>> AT… | PDU | ESC         the modem hears this, and the transcript answers it, not the table
//	<< bytes                   the modem says this
//	wait 2s | unplug           what it says
//	flood 100 text             the modem says text that many times, 50 a second, while the transcript goes on
//	verdict outcome [class] code|reference…
//	report ref status number | inbound number text | answered text
//	state s | registration r | reports yes|no | signal dBm | asked CMD | never CMD | never CMD* | resets n
//
// It is replayed with the modem's bytes in one piece, and cut into pieces of 1, 3 and 7 bytes. At its end the modem must
// be, or become, healthy.
type transcript struct {
	name  string
	lines []string
}

func transcripts(t testing.TB) []transcript {
	t.Helper()
	files, err := filepath.Glob("testdata/transcripts/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no transcripts: %v", err)
	}
	var out []transcript
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, transcript{strings.TrimSuffix(filepath.Base(f), ".txt"), strings.Split(strings.TrimSpace(string(b)), "\n")})
	}
	return out
}

// saying unescapes bytes: \r, \n, \x00 and the like.
func saying(s string) (string, error) {
	return strconv.Unquote(`"` + strings.ReplaceAll(s, `"`, `\"`) + `"`)
}

// Every quirk of the reference that concerns the driver has a row that is named after it.
func TestEveryQuirkHasATranscript(t *testing.T) {
	all := transcripts(t)
	for _, n := range []int{1, 2, 3, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 17, 18, 19, 21, 22, 23, 25, 26, 27, 28, 29, 31, 32, 33, 34, 35,
		37, 38, 39, 40, 41, 42, 44, 45, 46, 48, 49, 50, 51, 52, 53, 55, 56} {
		if name := fmt.Sprintf("Q%02d-", n); !slices.ContainsFunc(all, func(tr transcript) bool { return strings.HasPrefix(tr.name, name) }) {
			t.Errorf("no transcript %s…", name)
		}
	}
}

func TestTranscripts(t *testing.T) {
	for _, tr := range transcripts(t) {
		for _, size := range []int{1 << 20, 1, 3, 7} {
			t.Run(fmt.Sprintf("%s/%d", tr.name, size), func(t *testing.T) {
				r := &replay{size: size}
				bubble(t, func(fk *fake, c *Config) {
					if err := r.prepare(tr, fk, c); err != nil {
						t.Fatal(err)
					}
				}, func(t *testing.T, m *Modem, fk *fake, h *recorder) {
					r.t, r.m, r.fk, r.h = t, m, fk, h
					r.run()
				})
			})
		}
	}
}

type replay struct {
	t     *testing.T
	m     *Modem
	fk    *fake
	h     *recorder
	size  int
	steps [][2]string

	expected   []string
	background sync.WaitGroup
	results    chan Result
	answers    chan string
	lastCMGS   bool
	reports    int
	texts      int
}

// prepare sets up the modem and keeps the steps.
func (r *replay) prepare(tr transcript, fk *fake, c *Config) error {
	r.results, r.answers = make(chan Result, 4), make(chan string, 4)
	for _, l := range tr.lines {
		word, rest, _ := strings.Cut(l, " ")
		switch word {
		case "#", "":
		case "echo":
			fk.echo = true
		case "pace":
			c.WriteChunk, c.WriteGap = 18, 10*time.Millisecond
		case "answer", "raw":
			cmd, text, ok := strings.Cut(rest, " =")
			text, err := saying(strings.TrimPrefix(text, " "))
			if !ok || err != nil {
				return fmt.Errorf("%s: %q: %w", tr.name, l, err)
			}
			fk.answers[cmd] = text
			if word == "raw" {
				fk.answers[cmd] = "\x00" + text
			}
		case "lose":
			if len(r.steps) > 0 {
				r.steps = append(r.steps, [2]string{word, rest})
			} else if err := fk.lose(rest); err != nil {
				return err
			}
		case ">>":
			r.expected = append(r.expected, rest)
			r.steps = append(r.steps, [2]string{word, rest})
		default:
			r.steps = append(r.steps, [2]string{word, rest})
		}
	}
	return nil
}

func (r *replay) run() {
	first := true
	defer r.background.Wait()
	for _, s := range r.steps {
		if first && slices.Contains([]string{"send", "ussd", "registration", "reports", "asked", "never"}, s[0]) {
			ready(r.t, r.m)
			first = false
		}
		if s[0] == "send" || s[0] == "ussd" || s[0] == "<<" || s[0] == ">>" {
			if first {
				ready(r.t, r.m)
				first = false
			}
			r.arm()
		}
		if err := r.step(s[0], s[1]); err != nil {
			r.t.Fatalf("%s %s: %v", s[0], s[1], err)
		}
		if s[0] == "state" || s[0] == "wait" {
			first = false
			r.arm()
		}
	}
	r.epilogue()
}

// arm lets the transcript answer what it expects; until then the modem starts by its table.
func (r *replay) arm() {
	r.fk.mu.Lock()
	defer r.fk.mu.Unlock()
	r.fk.expected = append(r.fk.expected, r.expected...)
	r.expected = nil
}

// epilogue: whatever happened, a message goes out within a minute, and gets its own verdict.
func (r *replay) epilogue() {
	until(r.t, time.Minute, "healthy", func() bool { return r.m.Status().State == StateReady })
	r.fk.mu.Lock()
	if left := r.fk.expected; len(left) > 0 {
		r.t.Errorf("the modem never heard %q", left)
	}
	r.fk.prompt, r.fk.expected = "\r\n> ", nil
	r.fk.submit = func(int, string) any { return "\r\n+CMGS: 250\r\n\r\nOK\r\n" }
	r.fk.mu.Unlock()
	if got := r.m.Send(r.t.Context(), hello); got.Outcome != Accepted || !slices.Equal(got.References, []uint8{250}) {
		r.t.Errorf("afterwards: %+v", got)
	}
}

func (r *replay) step(word, rest string) error {
	switch word {
	case "send":
		go func() {
			r.results <- r.m.Send(r.t.Context(), Submit{To: "+447700900123", Text: rest, Validity: 5 * time.Minute})
		}()
	case "ussd":
		go func() {
			text, err := r.m.USSD(r.t.Context(), rest)
			if err != nil {
				text = err.Error()
			}
			r.answers <- text
		}()
	case ">>":
		return r.hear(rest)
	case "<<":
		return r.say(rest)
	case "wait":
		d, err := time.ParseDuration(rest)
		time.Sleep(d)
		return err
	case "unplug":
		r.fk.unplug()
	case "flood":
		return r.flood(rest)
	case "lose":
		return r.fk.lose(rest)
	case "now":
		cmd, text, _ := strings.Cut(rest, " = ")
		text, err := saying(text)
		r.fk.set(cmd, text)
		return err
	default:
		return r.check(word, rest)
	}
	return nil
}

func (r *replay) hear(what string) error {
	select {
	case got := <-r.fk.heard:
		r.lastCMGS = strings.HasPrefix(got, "AT+CMGS")
		if got != what {
			return fmt.Errorf("heard %q", got)
		}
	case <-time.After(30 * time.Second):
		return fmt.Errorf("not heard")
	}
	return nil
}

// say writes to the host, in pieces.
func (r *replay) say(rest string) error {
	text, err := saying(rest)
	if err != nil {
		return err
	}
	if r.lastCMGS && strings.Contains(text, ">") {
		r.fk.edit(true)
	}
	r.fk.mu.Lock()
	c := r.fk.conn
	r.fk.mu.Unlock()
	for piece := range slices.Chunk([]byte(text), r.size) {
		if _, err := c.Write(piece); err != nil {
			return nil // the host has hung up: it has heard enough
		}
		time.Sleep(time.Millisecond)
	}
	return nil
}

func (r *replay) flood(rest string) error {
	count, text, _ := strings.Cut(rest, " ")
	n, err := strconv.Atoi(count)
	if err != nil {
		return err
	}
	r.background.Go(func() {
		for range n {
			time.Sleep(20 * time.Millisecond)
			r.fk.urc(text)
		}
	})
	return nil
}

var outcomeLine = regexp.MustCompile(`^(accepted)((?: [0-9]+)*)$|^(refused) (\w+) (\S+)$|^(unknown) (\S+)$`)

func (r *replay) check(word, rest string) error {
	s := r.m.Status()
	var got string
	switch word {
	case "verdict":
		if !outcomeLine.MatchString(rest) {
			return fmt.Errorf("cannot be read")
		}
		select {
		case v := <-r.results:
			got = verdictText(v)
		case <-time.After(10 * time.Minute):
			return fmt.Errorf("none within ten minutes")
		}
	case "answered":
		select {
		case text := <-r.answers:
			got = strings.ReplaceAll(text, "\n", `\n`)
		case <-time.After(time.Minute):
			return fmt.Errorf("not within a minute")
		}
	case "report":
		until(r.t, time.Minute, "report", func() bool { got, _ := r.h.got(); return len(got) > r.reports })
		reports, _ := r.h.got()
		rep := reports[r.reports]
		r.reports++
		got = strings.TrimSpace(fmt.Sprintf("%d %d %s", rep.Reference, rep.Status, rep.Recipient))
	case "inbound":
		until(r.t, 2*time.Minute, "text", func() bool { _, got := r.h.got(); return len(got) > r.texts })
		_, texts := r.h.got()
		got = texts[r.texts].From + " " + texts[r.texts].Text
		r.texts++
	case "state":
		until(r.t, time.Minute, rest, func() bool { return string(r.m.Status().State) == rest })
		return nil
	case "registration":
		until(r.t, time.Minute, rest, func() bool { return r.m.Status().Registration == rest })
		return nil
	case "signal":
		until(r.t, time.Minute, rest+" dBm", func() bool { return fmt.Sprint(r.m.Status().SignalDBm) == rest })
		return nil
	case "reports":
		got = map[bool]string{true: "yes", false: "no"}[s.Reports]
	case "asked":
		until(r.t, 2*time.Minute, rest, func() bool { return r.fk.count(rest) > 0 })
		return nil
	case "never":
		if r.fk.count(rest) > 0 {
			return fmt.Errorf("it was asked")
		}
		return nil
	case "resets":
		got = fmt.Sprint(len(s.Resets))
	default:
		return fmt.Errorf("no such step")
	}
	if got != rest {
		return fmt.Errorf("got %q", got)
	}
	return nil
}

func verdictText(v Result) string {
	switch v.Outcome {
	case Accepted:
		return strings.TrimSpace("accepted " + strings.Trim(fmt.Sprint(v.References), "[]"))
	case Refused:
		return fmt.Sprintf("refused %s %s", v.Class, v.Code)
	}
	return fmt.Sprintf("unknown %s", v.Code)
}
