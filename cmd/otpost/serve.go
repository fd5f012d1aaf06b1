package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"

	"otpost/cmd/otpost/config"
	"otpost/cmd/otpost/daemon"
)

type serveCmd struct {
	configFile `embed:""`
}

// Run runs the daemon until ctx is done.
func (c *serveCmd) Run(ctx context.Context, con *console) error {
	cfg, err := c.load()
	if err != nil {
		return err
	}
	log := newLog(con, cfg.Log)
	d, err := daemon.New(ctx, daemon.Options{Config: cfg, Log: log, Version: version()})
	if err != nil {
		return err
	}
	go announce(ctx, d, log)
	defer context.AfterFunc(ctx, func() { log.Info("stopping; what a modem is sending is waited for") })()
	err = errors.Join(d.Run(ctx), d.Close())
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

// newLog makes the daemon's logger on standard error. journald stamps the time itself.
func newLog(con *console, cfg config.Log) *slog.Logger {
	var level slog.Level
	if err := level.UnmarshalText([]byte(cfg.Level)); err != nil {
		panic(fmt.Sprintf("log level %q passed validation: %v", cfg.Level, err))
	}
	opts := &slog.HandlerOptions{Level: level}
	if cfg.Format == "json" {
		return slog.New(slog.NewJSONHandler(con.err, opts))
	}
	if cfg.Format == "auto" && os.Getenv("JOURNAL_STREAM") != "" {
		opts.ReplaceAttr = func(groups []string, a slog.Attr) slog.Attr {
			if len(groups) == 0 && a.Key == slog.TimeKey {
				return slog.Attr{}
			}
			return a
		}
	}
	return slog.New(slog.NewTextHandler(con.err, opts))
}
