package driver

import (
	"context"
	"log/slog"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"otpost/driver/sim"
)

// bench is what a story is told with: a running driver on a modem that is simulated or real.
type bench struct {
	t       *testing.T
	m       *Modem
	h       *recorder
	to      string       // a phone that may be texted
	network *sim.Network // nil: real
}

// story is told by one body to a simulated modem of every personality and, with OTPOST_TEST_MODEM, to a real one.
type story struct {
	name string
	tell func(*bench)
}

func stories() []story {
	return []story{
		{"learns who modem and SIM are", storyIdentity},
		{"hands over a short text", storyShort},
		{"hands over a text in another script", storyUnicode},
		{"hands over three parts", storyThreeParts},
		{"receives delivery reports", storyReports},
		{"hands over many, one after another", storyMany},
		{"receives a text and keeps the storage empty", storyInbound},
		{"asks the network by USSD", storyUSSD},
		{"refuses what is no number", storyBadNumber},
		{"restarts on request", storyReset},
	}
}

func TestStoriesSimulated(t *testing.T) {
	for _, kind := range sim.Personalities() {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			simulated(t, sim.Config{Personality: kind}, nil).tell()
		})
	}
}

func TestStoriesReal(t *testing.T) {
	device := os.Getenv("OTPOST_TEST_MODEM")
	if device == "" {
		t.Skip("OTPOST_TEST_MODEM is not set: give a modem's AT port (and OTPOST_TEST_NUMBER, a phone that may be texted) to tell the stories to a real modem")
	}
	b := &bench{t: t, to: os.Getenv("OTPOST_TEST_NUMBER")}
	b.start(Config{Device: device})
	b.tell()
}

// tell tells all stories, one after another, to one modem.
func (b *bench) tell() {
	for _, s := range stories() {
		b.t.Run(s.name, func(t *testing.T) {
			told := *b
			told.t = t
			s.tell(&told)
		})
	}
}

// simulated starts a simulated modem on a pseudo-terminal and a driver on it.
func simulated(t *testing.T, c sim.Config, change func(*Config)) *bench {
	t.Helper()
	if c.Network == nil {
		c.Network = sim.NewNetwork(sim.NetworkConfig{})
	}
	modem, err := sim.New(c)
	if err != nil {
		t.Fatal(err)
	}
	b := &bench{t: t, to: "+447700900123", network: c.Network}
	b.background(modem.Run)
	t.Cleanup(func() { _ = modem.Close() })
	cfg := Config{Device: modem.Path()}
	if change != nil {
		change(&cfg)
	}
	b.start(cfg)
	return b
}

// background runs f until the test ends, and waits for it.
func (b *bench) background(f func(context.Context) error) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- f(ctx) }()
	b.t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			b.t.Errorf("ended with %v", err)
		}
	})
}

func (b *bench) start(cfg Config) {
	b.t.Helper()
	b.h = &recorder{}
	cfg.Name, cfg.Handler = "m1", b.h
	if testing.Verbose() {
		cfg.Log = slog.New(slog.NewTextHandler(b.t.Output(), nil))
		cfg.Trace = func(d Direction, l string) { b.t.Log(d, l) }
	}
	m, err := New(cfg)
	if err != nil {
		b.t.Fatal(err)
	}
	b.m = m
	b.background(m.Run)
	b.until(60*time.Second, "modem ready", func() bool { return m.Status().State == StateReady })
}

// until polls in real time: a pseudo-terminal does not live in a bubble.
func (b *bench) until(limit time.Duration, what string, ok func() bool) {
	b.t.Helper()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for end := time.After(limit); !ok(); {
		select {
		case <-tick.C:
		case <-end:
			b.t.Fatalf("not within %v: %s; status %+v", limit, what, b.m.Status())
		}
	}
}

func (b *bench) phone() string {
	b.t.Helper()
	if b.to == "" {
		b.t.Skip("OTPOST_TEST_NUMBER is not set: nobody may be texted")
	}
	return b.to
}

// send hands over a text and checks, where the phone can be looked at, that it got it to the letter.
func (b *bench) send(text string, parts int) Result {
	b.t.Helper()
	got := b.m.Send(b.t.Context(), Submit{To: b.phone(), Text: text, Validity: 5 * time.Minute, ConcatRef: 42})
	if got.Outcome != Accepted || got.Taken != parts || got.Parts != parts || len(got.References) != parts {
		b.t.Fatalf("send: %+v, want %d parts accepted", got, parts)
	}
	if b.network == nil {
		return got
	}
	ctx, cancel := context.WithTimeout(b.t.Context(), 10*time.Second)
	defer cancel()
	inbox, err := b.network.Wait(ctx, sim.Filter{To: b.to})
	if err != nil || len(inbox) == 0 {
		b.t.Fatalf("the phone got nothing: %v", err)
	}
	if diff := cmp.Diff(text, inbox[0].Text); diff != "" {
		b.t.Errorf("on the phone: -want +got\n%s", diff)
	}
	return got
}

func storyIdentity(b *bench) {
	b.until(20*time.Second, "signal", func() bool { return b.m.Status().SignalDBm != 0 })
	s := b.m.Status()
	for name, value := range map[string]string{"manufacturer": s.Manufacturer, "model": s.Model, "revision": s.Revision,
		"IMEI": s.IMEI, "IMSI": s.IMSI, "ICCID": s.ICCID, "SMSC": s.SMSC} {
		if value == "" {
			b.t.Errorf("no %s", name)
		}
	}
	if len(digits(s.IMEI, 14, 16)) < 14 || s.StorageTotal == 0 || s.SignalDBm > -50 || s.SignalDBm < -113 {
		b.t.Errorf("IMEI %q, storage of %d, signal %d dBm", s.IMEI, s.StorageTotal, s.SignalDBm)
	}
}

func storyShort(b *bench)   { b.send("Your code is 123456. Valid 5 min.", 1) }
func storyUnicode(b *bench) { b.send("Ваш код: 123456 ✓ 🔑", 1) }

func storyThreeParts(b *bench) {
	r := b.send(strings.Repeat("All the parts of one message, in order. ", 10), 3)
	if r.References[0] == r.References[1] || r.References[1] == r.References[2] {
		b.t.Errorf("references %v are not one for each part", r.References)
	}
}

func storyMany(b *bench) {
	n := 300 // references wrap at 255
	if b.network == nil {
		n = 3
	}
	last := -1
	for i := range n {
		r := b.m.Send(b.t.Context(), Submit{To: b.phone(), Text: "again", More: i < n-1})
		if r.Outcome != Accepted || len(r.References) != 1 {
			b.t.Fatalf("message %d: %+v", i, r)
		}
		if int(r.References[0]) == last {
			b.t.Errorf("message %d has its predecessor's reference %d", i, last)
		}
		last = int(r.References[0])
	}
}

func storyReports(b *bench) {
	if !b.m.Status().Reports {
		b.t.Skip("this modem routes no delivery reports")
	}
	r := b.send("report, please", 1)
	var got Report
	b.until(2*time.Minute, "its delivery report", func() bool {
		reports, _ := b.h.got()
		i := slices.IndexFunc(reports, func(x Report) bool { return x.Reference == r.References[0] })
		if i >= 0 {
			got = reports[i]
		}
		return i >= 0
	})
	if !got.Delivered() || !got.Final() || got.ICCID != r.ICCID {
		b.t.Errorf("got %+v for reference %d", got, r.References[0])
	}
	if want := strings.TrimPrefix(b.to, "+"); !strings.HasSuffix(got.Recipient, want) {
		b.t.Errorf("recipient %q, want %q", got.Recipient, want)
	}
}

func storyInbound(b *bench) {
	if b.network == nil {
		b.t.Skip("nobody texts a real modem here")
	}
	long := strings.Repeat("Ответ из трёх частей. ", 8)
	for _, text := range []string{"short answer", long} {
		if err := b.network.Text("+447700900555", b.network.Modems()[0].Number(), text); err != nil {
			b.t.Fatal(err)
		}
	}
	b.until(20*time.Second, "two texts", func() bool { _, texts := b.h.got(); return len(texts) == 2 })
	_, texts := b.h.got()
	for i, want := range []string{"short answer", long} {
		if texts[i].Text != want || texts[i].From != "+447700900555" {
			b.t.Errorf("text %d: from %q, %q", i, texts[i].From, texts[i].Text)
		}
	}
	b.until(20*time.Second, "empty storage", func() bool { return b.stored() == 0 })
}

// stored asks the modem itself how many messages it holds.
func (b *bench) stored() int {
	b.t.Helper()
	n := -1
	_, err := b.m.ask(b.t.Context(), func(s *session) (string, error) {
		err := s.sweep(s.ctx)
		n = s.store.used
		return "", err
	})
	if err != nil {
		b.t.Fatal(err)
	}
	return n
}

func storyUSSD(b *bench) {
	text, err := b.m.USSD(b.t.Context(), "*100#")
	if err != nil || text == "" {
		b.t.Errorf("USSD: %q, %v", text, err)
	}
	if b.network != nil && strings.ContainsAny(text, "\x00\uFFFD") {
		b.t.Errorf("USSD answer is not text: %q", text)
	}
}

func storyBadNumber(b *bench) {
	for _, to := range []string{"", "+", "+44 7700 900123", "call me", "+44770090012\x1a", "+44770\r\nATD123;"} {
		if r := b.m.Send(b.t.Context(), Submit{To: to, Text: "x"}); r.Outcome != Refused || r.Class != ClassRecipient || !r.Submitted.IsZero() {
			b.t.Errorf("to %q: %+v", to, r)
		}
	}
}

func storyReset(b *bench) {
	if b.network == nil && os.Getenv("OTPOST_TEST_RESET") == "" {
		b.t.Skip("OTPOST_TEST_RESET is not set: a real modem is not restarted")
	}
	if err := b.m.Reset(b.t.Context()); err != nil {
		b.t.Fatal(err)
	}
	b.until(10*time.Second, "not ready", func() bool { return b.m.Status().State != StateReady })
	b.until(60*time.Second, "it sends again", func() bool {
		return b.m.Status().State == StateReady && b.m.Send(b.t.Context(), Submit{To: b.phone(), Text: "back again"}).Outcome == Accepted
	})
}
