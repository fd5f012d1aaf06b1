package sim_test

import (
	"context"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"otpost/driver"
	"otpost/driver/sim"
)

// handler keeps what the driver hands on.
type handler struct {
	mu      sync.Mutex
	reports []driver.Report
	inbound []driver.Inbound
	status  driver.Status
}

func (h *handler) Report(_ context.Context, _ string, r driver.Report) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.reports = append(h.reports, r)
	return nil
}

func (h *handler) Inbound(_ context.Context, _ string, in driver.Inbound) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.inbound = append(h.inbound, in)
	return nil
}

func (h *handler) Changed(s driver.Status) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.status = s
}

func (h *handler) state() driver.Status {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.status
}

func (h *handler) counts() (reports, inbound int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.reports), len(h.inbound)
}

// rig is a driver and a simulated modem, joined by pipes in a synctest bubble.
type rig struct {
	*handler
	t     *testing.T
	net   *sim.Network
	sim   *sim.Modem
	modem *driver.Modem
	lines []string // the exchange, for a test that fails
}

func newRig(t *testing.T, cfg sim.Config) *rig {
	t.Helper()
	r := &rig{handler: &handler{}, t: t, net: sim.NewNetwork(sim.NetworkConfig{Seed: cfg.Seed})}
	var mu sync.Mutex
	cfg.Network, cfg.NoPTY = r.net, true
	cfg.Tap = func(dir, line string) {
		mu.Lock()
		defer mu.Unlock()
		r.lines = append(r.lines, time.Now().Format("15:04:05.000 ")+dir+" "+line)
	}
	m, err := sim.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	r.sim = m
	ctx, cancel := context.WithCancel(context.Background())
	var serving sync.WaitGroup
	r.modem, err = driver.New(driver.Config{Name: "m", Device: "pipe", Handler: r.handler, Open: func(context.Context) (io.ReadWriteCloser, error) {
		a, b := net.Pipe()
		serving.Go(func() {
			_ = m.Serve(ctx, b) // the driver sees how it ends
			_ = b.Close()
		})
		return a, nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- r.modem.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("driver: %v", err)
		}
		serving.Wait()
		if err := m.Close(); err != nil {
			t.Error(err)
		}
		if t.Failed() {
			mu.Lock()
			defer mu.Unlock()
			t.Logf("the exchange:\n%s", strings.Join(r.lines[max(0, len(r.lines)-200):], "\n"))
		}
	})
	return r
}

// until waits, in the bubble's time, for something to be so.
func (r *rig) until(what string, limit time.Duration, ok func() bool) {
	r.t.Helper()
	for end := time.Now().Add(limit); !ok(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(end) {
			r.t.Fatalf("waited %v in vain: %s; the driver says %+v", limit, what, r.state())
		}
	}
}

func (r *rig) ready() {
	r.t.Helper()
	r.until("ready", 2*time.Minute, func() bool { return r.state().State == driver.StateReady })
}

func (r *rig) send(to, text string) driver.Result {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
	defer cancel()
	return r.modem.Send(ctx, driver.Submit{To: to, Text: text, Validity: 5 * time.Minute, ConcatRef: 7})
}

// TestDriverAgainstEveryPersonality is the whole of a modem's work: up, a text in parts, its reports, an inbound text.
func TestDriverAgainstEveryPersonality(t *testing.T) {
	long := strings.Repeat("A sentence of a long text. ", 12)
	for _, name := range sim.Personalities() {
		for _, booting := range []bool{false, true} {
			t.Run(name+map[bool]string{true: " from power-up"}[booting], func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					r := newRig(t, sim.Config{Personality: name, Booting: booting, SubmitTime: 500 * time.Millisecond, ReportDelay: time.Second, Seed: 5})
					r.ready()
					if s := r.state(); s.IMEI != r.sim.IMEI() || s.ICCID != r.sim.ICCID() || s.IMSI != r.sim.IMSI() || !s.Reports {
						t.Errorf("status: %+v; want IMEI %s, ICCID %s, reports", s, r.sim.IMEI(), r.sim.ICCID())
					}
					got := r.send("+447700900123", long)
					if got.Outcome != driver.Accepted || got.Parts != 3 || len(got.References) != 3 {
						t.Fatalf("verdict: %+v", got)
					}
					if m := r.net.Messages(sim.Filter{To: "+447700900123"}); len(m) != 1 || m[0].Text != long || m[0].Parts != 3 {
						t.Errorf("on the phone: %+v", m)
					}
					if err := r.net.Text("+447700900456", "", "Ответ 🔑 from a phone"); err != nil {
						t.Fatal(err)
					}
					r.until("3 reports and a text", 3*time.Minute, func() bool {
						reports, inbound := r.counts()
						return reports == 3 && inbound == 1
					})
					if in := r.inbound[0]; in.From != "+447700900456" || in.Text != "Ответ 🔑 from a phone" {
						t.Errorf("inbound: %+v", in)
					}
					for i, rep := range r.reports {
						if rep.Reference != got.References[i] || !rep.Delivered() || rep.Recipient != "+447700900123" {
							t.Errorf("report %d: %+v, want reference %d", i, rep, got.References[i])
						}
					}
				})
			})
		}
	}
}

// TestDriverAndMagicNumbers is what a portal's own tests see: the last five digits decide, with no other call.
func TestDriverAndMagicNumbers(t *testing.T) {
	for _, tt := range []struct {
		last     string
		outcome  []driver.Outcome // one of them
		code     string
		arrives  bool
		reported int // -1: not looked at
	}{
		{"99021", []driver.Outcome{driver.Refused}, "cms-21", false, 0},
		{"99038", []driver.Outcome{driver.Refused}, "cms-38", false, 0},
		{"98001", []driver.Outcome{driver.Accepted}, "", true, 1},
		{"98002", []driver.Outcome{driver.Accepted}, "", true, 0},
		{"98003", []driver.Outcome{driver.Accepted}, "", false, 1},
		{"98004", []driver.Outcome{driver.Accepted, driver.Unknown}, "", true, 1}, // the report may settle the verdict instead
		{"98005", []driver.Outcome{driver.Accepted}, "", true, 2},
		{"98006", []driver.Outcome{driver.Accepted}, "", true, 1},
		{"98007", []driver.Outcome{driver.Accepted}, "", true, 2},
		{"98008", []driver.Outcome{driver.Accepted}, "", true, 1},
		{"98009", []driver.Outcome{driver.Unknown, driver.Refused}, "", false, 0},
		{"98010", []driver.Outcome{driver.Accepted}, "", false, 1},
	} {
		t.Run(tt.last, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, sim.Config{Seed: 5, SubmitTime: 100 * time.Millisecond})
				r.ready()
				got := r.send("+4477009"+tt.last, "Your code: 123456.")
				if !slices.Contains(tt.outcome, got.Outcome) || tt.code != "" && got.Code != tt.code {
					t.Errorf("verdict: %+v, want %v %s", got, tt.outcome, tt.code)
				}
				time.Sleep(10 * time.Minute) // longer than any of them takes, and than the text lives
				if m := r.net.Messages(sim.Filter{}); (len(m) == 1) != tt.arrives {
					t.Errorf("on the phone: %+v", m)
				}
				if reports, _ := r.counts(); tt.reported >= 0 && reports != tt.reported {
					t.Errorf("%d reports, want %d", reports, tt.reported)
				}
				r.ready()
				if again := r.send("+447700900123", "and again"); again.Outcome != driver.Accepted {
					t.Errorf("afterwards: %+v", again)
				}
			})
		})
	}
}

// TestSecondSendIsNoSecondText: the port goes away between the network's yes and the modem's. The one second send that is
// permitted asks the service centre to reject a duplicate, and its refusal is as good as a yes.
func TestSecondSendIsNoSecondText(t *testing.T) {
	for _, again := range []bool{true, false} {
		t.Run(map[bool]string{true: "with TP-RD", false: "without"}[again], func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, sim.Config{Seed: 5, SubmitTime: 100 * time.Millisecond})
				r.ready()
				for _, f := range []sim.Fault{
					{Kind: sim.Delayed, Delay: 2 * time.Minute}, // the phone is off
					{Kind: sim.LostPort, At: sim.AfterAccept, Sends: 1, For: 2 * time.Second},
				} {
					if _, err := r.net.AddFault(f); err != nil {
						t.Fatal(err)
					}
				}
				to, text := "+447700900123", "Your code: 123456."
				if got := r.send(to, text); got.Outcome != driver.Unknown {
					t.Fatalf("the first: %+v", got)
				}
				r.until("away", time.Minute, func() bool { return r.state().State != driver.StateReady })
				r.ready()
				got := r.modem.Send(context.Background(), driver.Submit{To: to, Text: text, Validity: 5 * time.Minute, Again: again})
				if got.Outcome != driver.Accepted || got.Taken != 1 {
					t.Errorf("the second: %+v", got)
				}
				time.Sleep(5 * time.Minute)
				want := map[bool]int{true: 1, false: 2}[again]
				if m := r.net.Messages(sim.Filter{To: to}); len(m) != want {
					t.Errorf("%d texts on the phone, want %d", len(m), want)
				}
			})
		})
	}
}
