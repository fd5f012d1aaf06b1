package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"otpost/cmd/otpost/bench"
)

type benchCmd struct {
	JSON      bool          `help:"Print JSON."`
	Window    time.Duration `default:"2s" help:"How long each rate is measured."`
	Only      []string      `enum:"fsync,yardstick,rates,latency,line,kept" help:"Only these parts: fsync, yardstick, rates, latency, line, kept."`
	Large     bool          `help:"Also with 1,000,000 messages kept; takes some minutes more."`
	Yardstick string        `hidden:"" help:"Serve the yardstick on a store in this folder."`
	Listen    string        `hidden:"" env:"OTPOST_TEST_LISTEN"`
}

// Run measures and prints, or serves the yardstick that it is compared with.
func (c *benchCmd) Run(ctx context.Context, con *console) error {
	if c.Yardstick != "" {
		return bench.ServeYardstick(ctx, c.Yardstick, c.Listen)
	}
	exe, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find this program: %w", err)
	}
	report, err := bench.Run(ctx, bench.Options{Exe: exe, Window: c.Window, Large: c.Large, Only: c.Only, Progress: con.err})
	if err != nil {
		return err
	}
	if c.JSON {
		return printJSON(con.out, report)
	}
	return report.Print(con.out)
}
