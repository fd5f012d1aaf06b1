// Package bench measures a whole Otpost on this machine: it starts the daemon as a process of its own, simulated modems, and
// the load, all on loopback, and sets what it finds beside yardsticks measured in the same run. Figures of one run on one
// machine mean little alone; ratios travel.
package bench

import (
	"context"
	"fmt"
	"io"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"sync/atomic"
	"time"
)

// Options say what to measure and how often.
type Options struct {
	Exe      string    // the otpost binary that is started as daemon and yardstick
	Rounds   int       // how often each rate is measured
	Kept     []int     // with how many messages kept, ascending
	Only     []string  // names of parts; empty: all
	Profile  string    // empty, or the folder where each daemon leaves its profiles
	Progress io.Writer // what is being done, a line each
}

// Report is everything that was measured.
type Report struct {
	Machine string        `json:"machine"`
	Took    time.Duration `json:"took_ns"`
	Goals   []Goal        `json:"goals"`
	Rates   []Rate        `json:"rates"`
	PINs    PINs          `json:"pins"`
	Line    []LineUse     `json:"line_use"`
	Idle    Spread        `json:"api_call_to_ctrl_z"`
	Kept    []Kept        `json:"kept"`
	Memory  Memory        `json:"memory"`
	Binary  int64         `json:"binary_bytes"`
}

// Rate is how often something was done in a second, by how many clients, and how long it took.
type Rate struct {
	What      string  `json:"what"`
	Clients   int     `json:"clients"`
	PerSecond float64 `json:"per_second"`
	Took      Spread  `json:"took"`
	CPU       float64 `json:"cpu_ms"`            // of the server, each
	ClientCPU float64 `json:"client_cpu_ms"`     // of this process, each
	Ratio     float64 `json:"ratio,omitempty"`   // to the yardstick with as many clients: the median of the rounds
	Lowest    float64 `json:"lowest,omitempty"`  // of the rounds' ratios
	Highest   float64 `json:"highest,omitempty"` // of the rounds' ratios

	// CPURatio is the yardstick's processor time, with its clients', to that of this rate: what Ratio comes to where
	// processors are what is short. It stays the same on a machine that does something else besides.
	CPURatio float64 `json:"cpu_ratio,omitempty"`
}

// Spread is a distribution of durations in milliseconds.
type Spread struct {
	P50 float64 `json:"p50_ms"`
	P95 float64 `json:"p95_ms"`
	P99 float64 `json:"p99_ms"`
	N   int     `json:"n"`
}

// Memory is the daemon's.
type Memory struct {
	Idle Usage `json:"idle"`       // with four modems and an empty store
	Full Usage `json:"full_load"`  // when it was largest while sends and verifies were measured
	Peak int64 `json:"peak_bytes"` // the most under any load, as the system noted it
}

// garbagePercent keeps this process's garbage collector, which runs on the processors that are measured, rarely at work.
const garbagePercent = 400

// Run measures everything. By default that takes a minute and three quarters on two processors that have
// nothing else to do; each part says what of it is its own.
func Run(ctx context.Context, o Options) (Report, error) {
	defer debug.SetGCPercent(debug.SetGCPercent(garbagePercent))
	dir, err := os.MkdirTemp("", "otpost-bench-")
	if err != nil {
		return Report{}, fmt.Errorf("make a folder for the benchmark: %w", err)
	}
	defer os.RemoveAll(dir)
	info, err := os.Stat(o.Exe)
	if err != nil {
		return Report{}, fmt.Errorf("look at the binary: %w", err)
	}
	b := &run{Options: o, dir: dir}
	b.report.Machine = fmt.Sprintf("%s/%s, %d CPUs, %s", runtime.GOOS, runtime.GOARCH, runtime.NumCPU(), runtime.Version())
	b.report.Binary = info.Size()
	began := time.Now()
	for _, p := range b.parts() {
		if len(o.Only) > 0 && !slices.Contains(o.Only, p.name) {
			continue
		}
		if err := b.part(ctx, p); err != nil {
			return Report{}, fmt.Errorf("%s: %w", p.name, err)
		}
	}
	b.report.Took = time.Since(began)
	b.report.judge()
	return b.report, nil
}

// part is one thing that is measured, and how long that takes on two processors that have nothing else to do.
type part struct {
	name, about string
	takes       time.Duration
	do          func(context.Context) error
}

func (b *run) parts() []part {
	return []part{
		{"rates", "sends and verifies beside bare synced commits", 40 * time.Second, b.throughput},
		{"pins", "verifies with a PIN", 5 * time.Second, b.pins},
		{"latency", "API call to Ctrl-Z", 5 * time.Second, b.latency},
		{"line", "modem line use", 25 * time.Second, b.lineUse},
		{"kept", "with many messages kept", 35 * time.Second, b.keeping},
	}
}

func (b *run) part(ctx context.Context, p part) error {
	b.say("%s: %s, about %.0f s …", p.name, p.about, p.takes.Seconds())
	began := time.Now()
	err := p.do(ctx)
	if err == nil {
		b.say("  %s took %.1f s", p.name, time.Since(began).Seconds())
	}
	return err
}

// run is one measuring.
type run struct {
	Options
	dir     string
	daemons atomic.Int64 // that were started
	report  Report
}

func (b *run) say(format string, args ...any) {
	_, _ = fmt.Fprintf(b.Progress, format+"\n", args...) // progress is a courtesy
}

// rated adds rates to the report.
func (b *run) rated(rates ...Rate) {
	b.report.Rates = append(b.report.Rates, rates...)
	for _, r := range rates {
		b.say("  %-28s %3d clients %8.0f/s  p50 %.2f ms  p99 %.2f ms  cpu %.3f ms", r.What, r.Clients, r.PerSecond, r.Took.P50, r.Took.P99, r.CPU)
	}
}
