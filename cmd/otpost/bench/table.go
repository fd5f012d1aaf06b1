package bench

import (
	"fmt"
	"io"
	"text/tabwriter"
	"time"
)

// Print writes the report as tables for people.
func (r Report) Print(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintf(t, "%s, binary %.1f MB\n\n", r.Machine, float64(r.Binary)/1e6)
	fmt.Fprintln(t, "WHAT\tCLIENTS\tPER SECOND\tP50 ms\tP95 ms\tP99 ms\tCPU ms\tOF YARDSTICK")
	for _, x := range r.Rates {
		ratio := ""
		if x.Ratio > 0 {
			ratio = fmt.Sprintf("%.0f %%", 100*x.Ratio)
		}
		fmt.Fprintf(t, "%s\t%d\t%.0f\t%.2f\t%.2f\t%.2f\t%.2f\t%s\n", x.What, x.Clients, x.PerSecond, x.Took.P50, x.Took.P95, x.Took.P99, x.CPU, ratio)
	}
	fmt.Fprintf(t, "\nAPI call to Ctrl-Z, idle queue: p50 %.2f ms, p95 %.2f ms, p99 %.2f ms (%d texts)\n\n", r.Idle.P50, r.Idle.P95, r.Idle.P99, r.Idle.N)
	fmt.Fprintln(t, "MODEMS\tSUBMIT TIME\tPER SECOND\tLINE USE")
	for _, l := range r.Line {
		use := ""
		if l.SubmitTime > 0 {
			use = fmt.Sprintf("%.1f %%", 100*l.Use)
		}
		fmt.Fprintf(t, "%d\t%v\t%.1f\t%s\n", l.Modems, l.SubmitTime, l.PerSecond, use)
	}
	fmt.Fprintf(t, "\nMemory: %d MiB idle, %d MiB at full load\n\n", r.Memory.Idle>>20, r.Memory.Peak>>20)
	fmt.Fprintln(t, "MESSAGES KEPT\tREADY IN\tRESIDENT MiB\tLIST OF 50 ms\tSENDS PER SECOND\tCPU ms A SEND\tOF THAT WITH 1,000")
	for _, k := range r.Kept {
		fmt.Fprintf(t, "%d\t%v\t%d\t%.2f\t%.0f\t%.2f\t%.2f\n", k.Messages, k.Start.Round(time.Millisecond), k.RSS>>20, k.List, k.SendsPerS, k.CPU, k.CostRatio)
	}
	return t.Flush()
}
