package main

import (
	"context"
	"fmt"
	"os"
	"slices"

	"otpost/cmd/otpost/bench"
	"otpost/cmd/otpost/operate"
)

type benchCmd struct {
	JSON      bool     `help:"Print JSON."`
	Rounds    int      `default:"5" help:"How many rounds of each rate are measured."`
	Kept      []int    `default:"0,1000,100000,1000000" help:"With how many messages kept."`
	Only      []string `enum:"rates,pins,latency,line,kept" help:"Only these parts: rates, pins, latency, line, kept."`
	Profile   string   `hidden:"" type:"path"` // a folder for profiles of each daemon
	Yardstick string   `hidden:"" help:"Serve the yardstick on a store in this folder."`
	Listen    string   `hidden:"" env:"OTPOST_TEST_LISTEN"`
}

// Help says what the figures are.
func (*benchCmd) Help() string {
	return "The daemon, simulated modems and the load run here, on loopback, for less than two minutes on two processors. Sends and verifies take " +
		"turns with a yardstick, bare synced commits of the same store through the same HTTP stack; ratios travel, figures of one machine do not. " +
		"Codes that are verified were sent a moment ago, as those of people are; cold ones, of which the daemon has nothing in memory, have no goal. " +
		"What else the machine does meanwhile shows in the rounds' ratios; those by processor time hardly change. At the end each goal stands with its figure. The stores take 2 GB of TMPDIR, less with less kept.\n\n" +
		"Examples:\n\n    otpost bench\n    otpost bench --json > today.json\n    otpost bench --only rates --rounds 12"
}

// Run measures and prints, or serves the yardstick that it is compared with.
func (c *benchCmd) Run(ctx context.Context, con *console) error {
	if c.Yardstick != "" {
		return bench.ServeYardstick(ctx, c.Yardstick, c.Listen)
	}
	if c.Rounds < 1 || slices.ContainsFunc(c.Kept, func(n int) bool { return n < 0 }) {
		return operate.UsageError("bench: at least one round, and no fewer messages than none")
	}
	exe, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find this program: %w", err)
	}
	report, err := bench.Run(ctx, bench.Options{Exe: exe, Rounds: c.Rounds, Kept: c.Kept, Only: c.Only, Profile: c.Profile, Progress: con.err})
	if err != nil {
		return err
	}
	if c.JSON {
		return printJSON(con.out, report)
	}
	return report.Print(con.out)
}
