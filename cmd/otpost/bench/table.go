package bench

import (
	"fmt"
	"io"
	"text/tabwriter"
	"time"
)

// Print writes the report as tables for people. What was not measured has no table.
func (r Report) Print(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintf(t, "%s, binary %.1f MB, measured in %v\n", r.Machine, mega(r.Binary), r.Took.Round(time.Second))
	r.printRates(t)
	r.printLine(t)
	r.printKept(t)
	r.printGoals(t)
	return t.Flush()
}

func (r Report) printRates(t io.Writer) {
	if len(r.Rates) > 0 {
		fmt.Fprintln(t, "\nWHAT\tCLIENTS\tPER SECOND\tP50 ms\tP95 ms\tP99 ms\tCPU ms\tCLIENT'S CPU ms\tOF YARDSTICK (ROUNDS)\tBY PROCESSOR TIME")
	}
	for _, x := range r.Rates {
		ratio := "\t"
		if x.Ratio > 0 {
			ratio = fmt.Sprintf("%.0f %% (%.0f to %.0f)\t%.0f %%", 100*x.Ratio, 100*x.Lowest, 100*x.Highest, 100*x.CPURatio)
		}
		fmt.Fprintf(t, "%s\t%d\t%.0f\t%.2f\t%.2f\t%.2f\t%.3f\t%.3f\t%s\n",
			x.What, x.Clients, x.PerSecond, x.Took.P50, x.Took.P95, x.Took.P99, x.CPU, x.ClientCPU, ratio)
	}
	if m := r.Memory; m.Peak > 0 {
		fmt.Fprintf(t, "\nMemory at full load: %.0f MB at the most; %s\n", mega(m.Peak), m.Full)
	}
	if p := r.PINs; p.Request > 0 {
		fmt.Fprintf(t, "\nargon2id is %.1f of the %.1f ms that a verify with a PIN costs, %.0f %%; %s\n", p.Argon2id, p.Request, 100*p.Share, p.Memory)
	}
	if i := r.Idle; i.N > 0 {
		fmt.Fprintf(t, "\nAPI call to Ctrl-Z, idle queue: p50 %.2f ms, p95 %.2f ms, p99 %.2f ms (%d texts)\n", i.P50, i.P95, i.P99, i.N)
	}
}

// String tells what the memory consists of.
func (u Usage) String() string {
	return fmt.Sprintf("%.0f MB resident, of which %.0f MB anonymous and %.0f MB pages of files", mega(u.Resident), mega(u.Anon), mega(u.File))
}

func (r Report) printLine(t io.Writer) {
	if len(r.Line) > 0 {
		fmt.Fprintln(t, "\nSUBMIT TIME\tMODEMS\tPER SECOND\tLINE USE\tWORST MODEM")
	}
	for _, l := range r.Line {
		use := "\t"
		if l.SubmitTime > 0 {
			use = fmt.Sprintf("%.1f %%\t%.1f %%", 100*l.Use, 100*l.Worst)
		}
		fmt.Fprintf(t, "%v\t%d\t%.1f\t%s\n", l.SubmitTime, l.Modems, l.PerSecond, use)
	}
}

func (r Report) printKept(t io.Writer) {
	if len(r.Kept) > 0 {
		fmt.Fprintln(t, "\nMESSAGES KEPT\tREADY IN\tRESIDENT MB\tANONYMOUS MB\tLIST OF 50 ms\tSENDS PER SECOND\tCPU ms A SEND\tOF THAT WITH THE FEWEST")
	}
	for _, k := range r.Kept {
		fmt.Fprintf(t, "%d\t%v\t%.0f\t%.0f\t%.2f\t%.0f\t%.2f\t%.2f\n", k.Messages, k.Start.Round(time.Millisecond),
			mega(k.Memory.Resident), mega(k.Memory.Anon), k.List, k.SendsPerS, k.CPU, k.CostRatio)
	}
}

func (r Report) printGoals(t io.Writer) {
	fmt.Fprintln(t, "\nGOAL\tWANTED\tMEASURED\tMET")
	for _, g := range r.Goals {
		met := "no"
		if g.Met {
			met = "yes"
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\n", g.What, g.Goal, g.Figure, met)
	}
}
