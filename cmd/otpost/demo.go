package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"

	"otpost/api"
	"otpost/cmd/otpost/config"
	"otpost/cmd/otpost/daemon"
	"otpost/cmd/otpost/demo"
)

type demoCmd struct {
	Once   bool   `help:"End after the story: 0 if every step held."`
	Listen string `default:"127.0.0.1:0" help:"Where to serve; loopback only."`
	Log    bool   `help:"Show the daemon's log too."`
}

// errStoryTold ends the demo after the story.
var errStoryTold = errors.New("the story is told")

// demoSubmitTime is what the simulated modem takes for a message: as fast as an LTE modem does it.
const demoSubmitTime = 400 * time.Millisecond

// Run starts a daemon in a fresh folder, tells the story on it, and serves until ctx is done.
func (c *demoCmd) Run(ctx context.Context, con *console) error {
	began := time.Now()
	signal.Ignore(syscall.SIGPIPE) // a terminal that is gone must not leave the folder behind
	dir, err := os.MkdirTemp("", "otpost-demo-")
	if err != nil {
		return fmt.Errorf("make a folder for the demo: %w", err)
	}
	defer os.RemoveAll(dir)
	cfg, err := demoConfig(dir, c.Listen)
	if err != nil {
		return err
	}
	log := slog.New(slog.DiscardHandler)
	if c.Log {
		log = newLog(con, cfg.Log)
	}
	wire := demo.NewWire()
	d, err := daemon.New(ctx, daemon.Options{Config: cfg, Log: log, Version: version(), Tap: wire.Tap})
	if err != nil {
		return err
	}
	g, gctx := errgroup.WithContext(ctx)
	g.Go(func() error { return d.Run(gctx) })
	g.Go(func() error {
		err := c.tell(gctx, con, d, &demo.Story{Out: con.out, Network: d.Network(), Wire: wire, Began: began})
		if err == nil && c.Once {
			return errStoryTold
		}
		return err
	})
	err = g.Wait()
	switch {
	case errors.Is(err, errStoryTold):
		err = nil
	case ctx.Err() != nil && c.Once:
		err = errors.New("interrupted before every step had held")
	case ctx.Err() != nil:
		fmt.Fprintln(con.out, "\nStopped; nothing of the demo is left.")
		err = nil
	}
	return errors.Join(err, d.Close())
}

// demoConfig is the configuration of the demo: everything default, one simulated modem, all in dir.
func demoConfig(dir, listen string) (config.Config, error) {
	yaml := fmt.Sprintf(`{listen: %q, socket: %q, data_dir: %q, countries: [GB, IE], log: {format: text},
modems: [{name: sim0, device: simulator, simulator: {submit_time: %s, report_delay: 300ms}}]}`,
		listen, filepath.Join(dir, "otpost.sock"), dir, demoSubmitTime)
	return config.Parse("demo", []byte(yaml), nil)
}

func (c *demoCmd) tell(ctx context.Context, con *console, d *daemon.Daemon, story *demo.Story) error {
	select {
	case <-d.Ready():
	case <-ctx.Done():
		return nil
	}
	_, token, err := d.Server().Keys().Create(ctx, time.Now(), api.KeySpec{Name: "demo", Scopes: []api.Scope{api.ScopePortal, api.ScopeMessages, api.ScopeOps}})
	if err != nil {
		return fmt.Errorf("make the demo's key: %w", err)
	}
	if err := openConsole(ctx, d); err != nil {
		return err
	}
	story.Base, story.Token = "http://"+d.Addr().String(), token
	fmt.Fprintf(con.out, "Otpost demo: SMS security codes on a simulated modem. No hardware; nothing leaves this machine.\n")
	if err := story.Tell(ctx); err != nil {
		return err
	}
	fmt.Fprintf(con.out, "\nEvery step held.\n")
	if !c.Once {
		c.invite(con, story)
	}
	return nil
}

// openConsole lets whoever comes from this machine into the console, with a key that may do everything: nothing in it is real.
func openConsole(ctx context.Context, d *daemon.Daemon) error {
	_, key, err := d.Server().Keys().Create(ctx, time.Now(), api.KeySpec{Name: "demo console", Scopes: []api.Scope{api.ScopeAdmin}})
	if err != nil {
		return fmt.Errorf("make the console's key: %w", err)
	}
	d.Server().Console().SignIn(key)
	return nil
}

// invite prints what to try next.
func (c *demoCmd) invite(con *console, s *demo.Story) {
	fmt.Fprintf(con.out, `
Serving until Ctrl-C. In a browser:

  %[1]s/console/    the console: messages, modems, and the phones that the texts arrive on
  %[1]s/docs        the manual; the calls are at /docs/api

With curl:

  curl -s -H 'Authorization: Bearer %[2]s' -X POST %[1]s/v1/accounts/%[3]s/sms/enable -H 'Content-Type: application/json' -d '{"phone":"%[4]s"}'
  curl -s -H 'Authorization: Bearer %[2]s' '%[1]s/v1/simulator/messages?to=%%2B447700900123&wait=30s'
  curl -s -H 'Authorization: Bearer %[2]s' -X POST %[1]s/v1/accounts/%[3]s/sms/enable/verify -H 'Content-Type: application/json' -d '{"code":"…","pin":"%[5]s"}'
`, s.Base, s.Token, demo.Account, demo.Phone, demo.PIN)
}
