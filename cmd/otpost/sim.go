package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"golang.org/x/sync/errgroup"

	"otpost/driver/sim"
)

type simCmd struct {
	Link        string        `required:"" placeholder:"PATH" help:"A symbolic link to make to the modem's port, for a configuration or a terminal program to open." type:"path"`
	Personality string        `default:"generic" help:"Which modem to be."`
	SubmitTime  time.Duration `default:"0s" help:"How long the network takes for a message."`
	ReportDelay time.Duration `default:"0s" help:"How long after that the delivery report comes."`
	Seed        uint64        `help:"Makes identity and randomness; 0: from the name."`
	Scenario    string        `placeholder:"FILE" type:"path" help:"A YAML file of what goes wrong and when; it is played from the start."`
	HTTP        string        `placeholder:"HOST:PORT" help:"Serve the simulator's control API here; loopback only."`
}

// Run runs a simulated modem until ctx is done.
func (c *simCmd) Run(ctx context.Context, con *console) error {
	log := slog.New(slog.NewTextHandler(con.err, nil))
	network := sim.NewNetwork(sim.NetworkConfig{Seed: c.Seed, Log: log})
	var scenario *sim.Scenario
	if c.Scenario != "" {
		var err error
		if scenario, err = sim.LoadScenario(c.Scenario); err != nil {
			return err
		}
	}
	m, err := sim.New(sim.Config{
		Name: "sim0", Personality: c.Personality, SubmitTime: c.SubmitTime, ReportDelay: c.ReportDelay,
		Link: c.Link, Network: network, Seed: c.Seed, Log: log,
	})
	if err != nil {
		return err
	}
	serve := []func(context.Context) error{m.Run}
	if scenario != nil {
		serve = append(serve, func(ctx context.Context) error { return network.Play(ctx, scenario) })
	}
	if c.HTTP != "" {
		control, addr, err := simControl(c.HTTP, network)
		if err != nil {
			return errors.Join(err, m.Close())
		}
		fmt.Fprintf(con.out, "control API on http://%s\n", addr)
		serve = append(serve, control)
	}
	fmt.Fprintf(con.out, "simulated modem %s on %s\n", c.Personality, m.Path())
	return errors.Join(runAll(ctx, serve), m.Close())
}

// runAll runs every part until ctx is done or one fails.
func runAll(ctx context.Context, parts []func(context.Context) error) error {
	g, ctx := errgroup.WithContext(ctx)
	for _, part := range parts {
		g.Go(func() error { return part(ctx) })
	}
	return g.Wait()
}
