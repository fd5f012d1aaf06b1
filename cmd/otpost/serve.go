package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os/signal"
	"syscall"

	sdjournal "github.com/coreos/go-systemd/v22/journal"

	"otpost/cmd/otpost/bench"
	"otpost/cmd/otpost/config"
	"otpost/cmd/otpost/daemon"
	"otpost/cmd/otpost/journal"
)

type serveCmd struct {
	configFile `embed:""`
	Profile    string `hidden:"" env:"OTPOST_TEST_PROFILE"` // where to leave profiles, see bench.Profile
}

// Run runs the daemon until ctx is done.
func (c *serveCmd) Run(ctx context.Context, con *console) error {
	cfg, err := c.load()
	if err != nil {
		return err
	}
	signal.Ignore(syscall.SIGPIPE) // nobody reads standard error any more: no reason to stop
	log := newLog(con, cfg.Log)
	d, err := daemon.New(ctx, daemon.Options{Config: cfg, Log: log, Version: version()})
	if err != nil {
		return err
	}
	go limitMemory(ctx)
	endProfile := func() error { return nil }
	if c.Profile != "" {
		if endProfile, err = bench.Profile(c.Profile); err != nil {
			return errors.Join(err, d.Close())
		}
	}
	go announce(ctx, d, log)
	defer context.AfterFunc(ctx, func() { log.Info("stopping; what a modem is sending is waited for") })()
	err = errors.Join(d.Run(ctx), endProfile(), d.Close())
	log.Info("stopped")
	return err
}

// announce tells the log when the daemon is ready.
func announce(ctx context.Context, d *daemon.Daemon, log *slog.Logger) {
	select {
	case <-ctx.Done():
		return
	case <-d.Ready():
	}
	log.Info("ready", "version", version(), "address", address(d))
}

func address(d *daemon.Daemon) string {
	if a := d.Addr(); a != nil {
		return a.String()
	}
	return "none"
}

// newLog makes the daemon's logger: on standard error, or under systemd in the journal, with a field for each attribute.
func newLog(con *console, cfg config.Log) *slog.Logger {
	var level slog.Level
	if err := level.UnmarshalText([]byte(cfg.Level)); err != nil {
		panic(fmt.Sprintf("log level %q passed validation: %v", cfg.Level, err))
	}
	opts := &slog.HandlerOptions{Level: level}
	if cfg.Format == "json" {
		return slog.New(slog.NewJSONHandler(con.err, opts))
	}
	// An error means that JOURNAL_STREAM is none of systemd's.
	if journaled, err := sdjournal.StderrIsJournalStream(); cfg.Format == "auto" && err == nil && journaled {
		return slog.New(journal.NewHandler(journal.Socket, con.err, level))
	}
	return slog.New(slog.NewTextHandler(con.err, opts))
}
