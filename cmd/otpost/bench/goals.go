package bench

import (
	"fmt"
	"time"
)

// Goal is what a figure should be, and whether it is. The goals are those of two processors and a disk that syncs in a
// fraction of a millisecond; what was not measured has none.
type Goal struct {
	What   string `json:"what"`
	Goal   string `json:"goal"`
	Figure string `json:"figure"`
	Met    bool   `json:"met"`
}

// mega is a size as memory and binaries are told.
func mega(bytes int64) float64 { return float64(bytes) / 1e6 }

// judge sets the figures beside their goals.
func (r *Report) judge() {
	r.judgeRates()
	if r.Idle.N > 0 {
		r.below("API call to Ctrl-Z, idle queue, p50", 3, r.Idle.P50, "%.2f ms")
		r.below("API call to Ctrl-Z, idle queue, p99", 10, r.Idle.P99, "%.2f ms")
	}
	r.judgeLine()
	if r.Memory.Idle.Resident > 0 {
		r.below("resident memory, idle", 32, mega(r.Memory.Idle.Resident), "%.0f MB")
	}
	if r.Memory.Peak > 0 {
		r.below("resident memory, full load", 96, mega(r.Memory.Peak), "%.0f MB")
	}
	r.judgeKept()
	r.below("binary", 40, mega(r.Binary), "%.1f MB")
}

func (r *Report) judgeRates() {
	for _, g := range [...]struct {
		what    string
		clients int
		least   float64
	}{{sendName, 64, 0.70}, {verifyName, 64, 0.85}, {verifyName, 1, 0.70}} {
		for _, x := range r.Rates {
			if x.What == g.what && x.Clients == g.clients {
				r.atLeast(fmt.Sprintf("%s, %d clients, of the yardstick", g.what, g.clients), g.least, x.Ratio)
				r.Goals[len(r.Goals)-1].Figure += fmt.Sprintf(" (by processor time %.1f %%)", 100*x.CPURatio)
			}
		}
	}
}

func (r *Report) judgeLine() {
	least, measured := 1.0, false
	for _, l := range r.Line {
		if l.SubmitTime == 500*time.Millisecond {
			least, measured = min(least, l.Use), true
		}
	}
	if measured {
		r.atLeast("modem line use at 500 ms, every number of modems", 0.99, least)
	}
}

func (r *Report) judgeKept() {
	for _, k := range r.Kept {
		switch k.Messages {
		case 100_000:
			r.below("ready with 100,000 messages kept", 300, k.Start.Seconds()*1000, "%.0f ms")
		case 1_000_000:
			r.below("cost of a send with 1,000,000 kept, to that with the fewest", 1.5, k.CostRatio, "%.2f")
		}
	}
}

func (r *Report) atLeast(what string, least, is float64) {
	r.Goals = append(r.Goals, Goal{what, fmt.Sprintf("at least %.0f %%", 100*least), fmt.Sprintf("%.1f %%", 100*is), is >= least})
}

func (r *Report) below(what string, bound, is float64, format string) {
	r.Goals = append(r.Goals, Goal{what, "below " + fmt.Sprintf(format, bound), fmt.Sprintf(format, is), is < bound})
}
