package driver

import (
	"context"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"otpost/driver/sim"
)

var soak = flag.Int("soak", 1, "multiply the counts of long tests")

// calamities are the classes of fault, each made of what the simulated modem can do, with what is left to chance.
func calamities() map[string]func(*rand.Rand) []sim.Fault {
	everywhere := []sim.Point{sim.BeforePrompt, sim.AfterSubmit, sim.AfterAccept, sim.MidLine}
	lasting := func(kind sim.Kind, points ...sim.Point) func(*rand.Rand) []sim.Fault {
		if points == nil {
			points = everywhere
		}
		return func(r *rand.Rand) []sim.Fault {
			f := sim.Fault{Kind: kind, After: chance(r, 20*time.Second), For: time.Second + chance(r, 90*time.Second)}
			if r.IntN(2) == 0 {
				f.After, f.Sends = 0, 1+r.IntN(3)
				f.At = points[r.IntN(len(points))]
				f.For = time.Second + chance(r, 30*time.Second)
			}
			return []sim.Fault{f}
		}
	}
	return map[string]func(*rand.Rand) []sim.Fault{
		"silence":      lasting(sim.Silence),
		"garbage":      lasting(sim.Garbage),
		"echo":         lasting(sim.Echo),
		"loopback":     lasting(sim.Loopback),
		"urc-flood":    lasting(sim.URCFlood),
		"boot-loop":    lasting(sim.BootLoop),
		"stuck-prompt": lasting(sim.StuckPrompt),
		"pin":          lasting(sim.AskPIN, sim.BeforePrompt, sim.AfterSubmit), // later it would be a modem that lies
		"partial-line": lasting(sim.PartialLine),
		"lost-port":    lasting(sim.LostPort),
		"slow-bytes":   lasting(sim.SlowBytes),
		"storage-full": lasting(sim.StorageFull),
		"refusals": func(r *rand.Rand) []sim.Fault {
			cause := []int{38, 331, 500}[r.IntN(3)]
			return []sim.Fault{{Kind: sim.CMSError, Cause: cause, At: sim.AfterSubmit, Sends: 1 + r.IntN(8)}}
		},
		"results": func(r *rand.Rand) []sim.Fault {
			kind := []sim.Kind{sim.LostResult, sim.LateResult, sim.BareOK, sim.PlainError}[r.IntN(4)]
			f := sim.Fault{Kind: kind, At: sim.AfterSubmit, Sends: 1 + r.IntN(2), Delay: chance(r, 4*time.Minute)}
			if kind == sim.BareOK || kind == sim.LateResult {
				f.At = sim.AfterAccept
			}
			return []sim.Fault{f}
		},
	}
}

func chance(r *rand.Rand, most time.Duration) time.Duration {
	return time.Duration(r.Int64N(int64(most)))
}

// TestSoak: whatever happens to a modem, every hand-over ends in a verdict that is true, no text is handed over twice, and
// the modem is healthy within 60 s of the fault's end. A failing seed is run again by its name:
//
//	go test ./driver -run 'TestSoak/silence/17$' -v
func TestSoak(t *testing.T) {
	for name, make := range calamities() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for seed := range 7 * *soak {
				t.Run(fmt.Sprint(seed), func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) { endure(t, uint64(seed), make) })
				})
			}
		})
	}
}

// endure is one seed: sends at random while faults come and go.
func endure(t *testing.T, seed uint64, faults func(*rand.Rand) []sim.Fault) {
	r := rand.New(rand.NewPCG(seed, 5))
	network := sim.NewNetwork(sim.NetworkConfig{NoMagic: true, Seed: seed})
	kinds := sim.Personalities()
	modem, err := sim.New(sim.Config{
		NoPTY: true, Network: network, Seed: seed, Personality: kinds[r.IntN(len(kinds))], SubmitTime: chance(r, 3*time.Second), ReportDelay: chance(r, 20*time.Second),
	})
	if err != nil {
		t.Fatal(err)
	}
	defer modem.Close()
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	defer running.Wait()
	defer cancel()
	h := &recorder{}
	m := onPipe(ctx, t, modem, h, &running, nil)
	ready(t, m)

	e := &endurance{t: t, m: m, network: network, verdicts: map[string]Result{}}
	for range 1 + r.IntN(3) {
		for _, f := range faults(r) {
			if _, err := network.AddFault(f); err != nil {
				t.Fatal(err)
			}
		}
		e.trouble(r)
		network.ClearFaults()
		e.healthy()
	}
	e.settle()
}

// onPipe runs a driver on the modem over net.Pipe; each opening is a new pipe.
func onPipe(ctx context.Context, t *testing.T, modem *sim.Modem, h Handler, running *sync.WaitGroup, change func(*Config)) *Modem {
	cfg := Config{Name: "m1", Device: "pipe", Handler: h}
	cfg.Open = func(context.Context) (io.ReadWriteCloser, error) {
		if !modem.Plugged() {
			return nil, ErrAbsent
		}
		host, far := net.Pipe()
		running.Go(func() { _ = modem.Serve(ctx, far); _ = far.Close() })
		return host, nil
	}
	if testing.Verbose() {
		cfg.Log = slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelDebug}))
		cfg.Trace = func(d Direction, l string) { t.Log(time.Now().Format("15:04:05.000"), d, l) }
	}
	if change != nil {
		change(&cfg)
	}
	m, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	running.Go(func() { _ = m.Run(ctx) })
	return m
}

// endurance keeps the account of one seed.
type endurance struct {
	t        *testing.T
	m        *Modem
	network  *sim.Network
	n        int
	verdicts map[string]Result
}

func (e *endurance) send() Result {
	e.n++
	text := fmt.Sprintf("message %d", e.n)
	start := time.Now()
	got := e.m.Send(e.t.Context(), Submit{To: "+447700900123", Text: text, Validity: 5 * time.Minute})
	if took := time.Since(start); took > 6*time.Minute {
		e.t.Errorf("%s: the verdict took %v", text, took)
	}
	switch got.Outcome {
	case Accepted, Refused, Unknown:
	default:
		e.t.Errorf("%s: no verdict: %+v", text, got)
	}
	e.verdicts[text] = got
	return got
}

// trouble sends now and then for two minutes.
func (e *endurance) trouble(r *rand.Rand) {
	for end := time.Now().Add(2 * time.Minute); time.Now().Before(end); {
		time.Sleep(chance(r, 15*time.Second))
		e.send()
	}
}

// healthy checks that a message goes out within a minute.
func (e *endurance) healthy() {
	for end := time.Now().Add(time.Minute); ; time.Sleep(time.Second) {
		got := e.send()
		if time.Now().After(end) {
			e.t.Fatalf("not healthy within a minute of the fault's end: %+v, %+v", got, e.m.Status())
		}
		if got.Outcome == Accepted {
			return
		}
	}
}

// settle compares the verdicts with what the phone got.
func (e *endurance) settle() {
	time.Sleep(time.Minute)
	got := map[string]int{}
	for _, msg := range e.network.Messages(sim.Filter{}) {
		got[msg.Text]++
	}
	for text, v := range e.verdicts {
		switch n := got[text]; {
		case n > 1:
			e.t.Errorf("%s arrived %d times", text, n)
		case v.Outcome == Accepted && n != 1:
			e.t.Errorf("%s was accepted but arrived %d times: %+v", text, n, v)
		case v.Outcome == Refused && n != 0:
			e.t.Errorf("%s was refused and arrived: %+v", text, v)
		}
	}
}
