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
	"slices"
	"time"
)

// Options say what to measure and for how long.
type Options struct {
	Exe      string        // the otpost binary that is started as daemon and yardstick
	Window   time.Duration // how long each rate is measured
	Large    bool          // also with 1,000,000 messages kept
	Only     []string      // names of Parts; empty: all
	Progress io.Writer     // what is being done, a line each
}

// Report is everything that was measured.
type Report struct {
	Machine string    `json:"machine"`
	Rates   []Rate    `json:"rates"`
	Line    []LineUse `json:"line_use"`
	Idle    Spread    `json:"api_call_to_ctrl_z"`
	Kept    []Kept    `json:"kept"`
	Memory  Memory    `json:"memory"`
	Binary  int64     `json:"binary_bytes"`
}

// Rate is how often something was done in a second, by how many clients, and how long it took.
type Rate struct {
	What      string  `json:"what"`
	Clients   int     `json:"clients"`
	PerSecond float64 `json:"per_second"`
	Took      Spread  `json:"took"`
	CPU       float64 `json:"cpu_ms,omitempty"` // of the server, each
	Ratio     float64 `json:"ratio,omitempty"`  // to the yardstick with as many clients
}

// cost says what all of it took of the server's processor time.
func (r *Rate) cost(spent time.Duration) {
	r.CPU = spent.Seconds() * 1000 / float64(max(1, r.Took.N))
}

// Spread is a distribution of durations in milliseconds.
type Spread struct {
	P50 float64 `json:"p50_ms"`
	P95 float64 `json:"p95_ms"`
	P99 float64 `json:"p99_ms"`
	N   int     `json:"n"`
}

// LineUse is how much of the time modems were busy submitting while there was something to send.
type LineUse struct {
	SubmitTime time.Duration `json:"submit_time_ns"`
	Modems     int           `json:"modems"`
	PerSecond  float64       `json:"per_second"`
	Use        float64       `json:"use"` // submit time / wall time, by modem; 0 where the submit time is 0
}

// Kept is what a store of so many final messages costs.
type Kept struct {
	Messages  int           `json:"messages"`
	Start     time.Duration `json:"start_ns"` // from exec to ready
	RSS       int64         `json:"rss_bytes"`
	List      float64       `json:"list_ms"` // the newest fifty
	SendsPerS float64       `json:"sends_per_second"`
	CPU       float64       `json:"cpu_ms"`     // of the daemon, for a text from its acceptance to its report
	CostRatio float64       `json:"cost_ratio"` // of that, to what it is with 1,000 messages
}

// Memory is the daemon's resident memory.
type Memory struct {
	Idle int64 `json:"idle_bytes"` // with four modems and an empty store
	Peak int64 `json:"peak_bytes"` // at full load
}

// Run measures everything; it takes some minutes, a good part of them to fill the store.
func Run(ctx context.Context, o Options) (Report, error) {
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
	for _, p := range b.parts() {
		if len(o.Only) > 0 && !slices.Contains(o.Only, p.name) {
			continue
		}
		b.say("%s: %s …", p.name, p.about)
		if err := p.do(ctx); err != nil {
			return Report{}, fmt.Errorf("%s: %w", p.name, err)
		}
	}
	return b.report, nil
}

// part is one thing that is measured.
type part struct {
	name, about string
	do          func(context.Context) error
}

func (b *run) parts() []part {
	return []part{
		{"fsync", "what the disk can do", b.fsync},
		{"yardstick", "bare synced commits over HTTP", b.yardstick},
		{"rates", "sends and verifies", b.throughput},
		{"latency", "API call to Ctrl-Z", b.latency},
		{"line", "modem line use", b.lineUse},
		{"kept", "with many messages kept", b.keeping},
	}
}

// run is one measuring.
type run struct {
	Options
	dir    string
	report Report
}

func (b *run) say(format string, args ...any) {
	_, _ = fmt.Fprintf(b.Progress, format+"\n", args...) // progress is a courtesy
}

// clientCounts are the numbers of clients that rates are measured with.
var clientCounts = [...]int{1, 16, 64}

// rated adds a rate to the report, beside the yardstick with as many clients.
func (b *run) rated(r Rate) {
	for _, y := range b.report.Rates {
		if y.What == yardstickName && y.Clients == r.Clients && r.What != yardstickName {
			r.Ratio = r.PerSecond / y.PerSecond
		}
	}
	b.report.Rates = append(b.report.Rates, r)
	b.say("  %-28s %3d clients %8.0f/s  p50 %.2f ms  p99 %.2f ms  cpu %.3f ms", r.What, r.Clients, r.PerSecond, r.Took.P50, r.Took.P99, r.CPU)
}
