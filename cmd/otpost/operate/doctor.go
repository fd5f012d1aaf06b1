package operate

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"github.com/google/renameio/v2"

	"otpost/api/client"
	"otpost/api/wire"
	"otpost/cmd/otpost/config"
	"otpost/cmd/otpost/doctor"
	"otpost/cmd/otpost/support"
)

type doctorCmd struct {
	ConfigFile `embed:""`
	asJSON     `embed:""`
}

// Help shows the command at work.
func (*doctorCmd) Help() string {
	return "It looks at the configuration's files, keys and certificates, the disk, the clock, the ports and who holds them, and at each modem: through the daemon while it runs, " +
		"else at the modem itself. Each finding says what, why, and the command that mends it; doctor changes nothing. Exit code 1: something must be mended.\n" +
		examples("sudo -u otpost otpost doctor", "otpost doctor --json | jq '.findings[] | select(.level == \"mend\")'")
}

// Run looks at this machine.
func (c *doctorCmd) Run(ctx context.Context, con *Console) error {
	findings := c.examine(ctx, con)
	if c.JSON {
		if err := PrintJSON(con.out, map[string]any{"findings": findings}); err != nil {
			return err
		}
	} else if err := printFindings(con.out, findings, colour(con.out)); err != nil {
		return err
	}
	if doctor.Sick(findings) {
		return errors.New("something must be mended")
	}
	return nil
}

func (c *doctorCmd) examine(ctx context.Context, con *Console) []doctor.Finding {
	cfg, err := c.Load()
	if err != nil {
		return []doctor.Finding{{Check: "configuration", Level: doctor.Mend, What: err.Error(), Why: "the daemon does not start with it",
			Mend: "otpost config check --config " + c.Path}}
	}
	s := doctor.Host()
	s.Config, s.ConfigPath, s.KeyFile = cfg, c.Path, keyFile(cfg)
	if daemon := onSocket(con, cfg); daemon != nil {
		s.Daemon = daemon
	}
	return doctor.Examine(ctx, s)
}

// onSocket is a client of the configured socket, or nil where there is none.
func onSocket(con *Console, cfg config.Config) *client.Client {
	if cfg.Socket == "" {
		return nil
	}
	if _, err := os.Stat(cfg.Socket); err != nil {
		return nil
	}
	daemon, err := client.New(client.Options{Socket: cfg.Socket, UserAgent: "otpost/" + con.version})
	if err != nil {
		return nil
	}
	return daemon
}

// printFindings writes the findings for people.
func printFindings(w io.Writer, all []doctor.Finding, coloured bool) error {
	paint := map[doctor.Level]string{doctor.Good: "32", doctor.Watch: "33", doctor.Mend: "31"}
	var b bytes.Buffer
	for _, f := range all {
		level := fmt.Sprintf("%-5s", f.Level)
		if coloured {
			level = "\x1b[" + paint[f.Level] + "m" + level + "\x1b[0m"
		}
		fmt.Fprintf(&b, "%s  %s: %s\n", level, f.Check, f.What)
		if f.Why != "" {
			fmt.Fprintf(&b, "       why:  %s\n", f.Why)
		}
		if f.Mend != "" {
			fmt.Fprintf(&b, "       mend: %s\n", f.Mend)
		}
	}
	_, err := w.Write(b.Bytes())
	return err
}

type supportCmd struct {
	ConfigFile `embed:""`
	asJSON     `embed:""`
	Output     string        `arg:"" optional:"" help:"The file to write; default: otpost-support-TIME.tar.gz here." type:"path"`
	Since      time.Duration `default:"24h" help:"How far back the events go."`
}

// Help shows the command at work.
func (*supportCmd) Help() string {
	return "Version, configuration, doctor's findings, and, while the daemon runs, its metrics, modems and last events. It holds no secret, account, text or phone number; " +
		"look into it before you hand it on.\n" + examples("otpost support-bundle", "tar tzf otpost-support-*.tar.gz")
}

// Run writes the bundle.
func (c *supportCmd) Run(ctx context.Context, con *Console) error {
	now := time.Now()
	name := c.Output
	if name == "" {
		name = "otpost-support-" + now.UTC().Format("20060102-150405") + ".tar.gz"
	}
	files, err := c.gather(ctx, con)
	if err != nil {
		return err
	}
	var b bytes.Buffer
	if err := support.Write(&b, now, files); err != nil {
		return err
	}
	if err := renameio.WriteFile(name, b.Bytes(), 0o600); err != nil {
		return fmt.Errorf("write the bundle: %w", err)
	}
	return c.print(con.out, map[string]any{"file": name, "files": len(files)}, func(w io.Writer) { fmt.Fprintf(w, "%s holds %d files\n", filepath.Base(name), len(files)) })
}

func (c *supportCmd) gather(ctx context.Context, con *Console) ([]support.File, error) {
	findings := (&doctorCmd{ConfigFile: c.ConfigFile}).examine(ctx, con)
	about, err := support.JSON("version.json", map[string]string{"version": con.version, "go": runtime.Version(), "platform": runtime.GOOS + "/" + runtime.GOARCH})
	if err != nil {
		return nil, err
	}
	found, err := support.JSON("doctor.json", findings)
	if err != nil {
		return nil, err
	}
	files := []support.File{about, found}
	cfg, err := c.Load()
	if err != nil {
		fmt.Fprintln(con.err, "otpost: the configuration does not load; doctor.json says why")
		return files, nil
	}
	shown, err := support.Config(cfg)
	if err != nil {
		return nil, err
	}
	files = append(files, shown)
	daemon := onSocket(con, cfg)
	if daemon == nil {
		fmt.Fprintln(con.err, "otpost: no daemon runs; metrics, modems and events are missing")
		return files, nil
	}
	live, err := c.ask(ctx, daemon)
	if err != nil {
		fmt.Fprintf(con.err, "otpost: the daemon did not say everything: %v\n", err)
	}
	return append(files, live...), nil
}

// eventsMost bounds the events of a bundle: the newest are kept.
const eventsMost = 2000

// ask gathers what only the daemon knows; what it got is returned with the error.
func (c *supportCmd) ask(ctx context.Context, daemon *client.Client) (files []support.File, err error) {
	add := func(f support.File, err error) error {
		if err == nil {
			files = append(files, f)
		}
		return err
	}
	var metrics bytes.Buffer
	if err := daemon.Metrics(ctx, &metrics); err != nil {
		return files, err
	}
	files = append(files, support.File{Name: "metrics.txt", Data: metrics.Bytes()})
	modems, err := daemon.Modems(ctx)
	if err != nil {
		return files, err
	}
	if err := add(support.Modems(modems)); err != nil {
		return files, err
	}
	var events []wire.Event
	err = daemon.PastEvents(ctx, eventAt(time.Now().Add(-c.Since)), func(e wire.Event) error {
		events = append(events, e)
		if len(events) > 2*eventsMost {
			events = append(events[:0], events[eventsMost:]...)
		}
		return nil
	})
	if err != nil {
		return files, err
	}
	return files, add(support.Events(events[max(0, len(events)-eventsMost):]))
}
