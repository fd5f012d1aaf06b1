package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"runtime"
	"runtime/debug"
	"strings"
	"text/tabwriter"

	"go.yaml.in/yaml/v3"

	"otpost/cmd/otpost/config"
	"otpost/cmd/otpost/daemon"
	"otpost/otp"
)

// commands is the whole command line.
type commands struct {
	Serve     serveCmd     `cmd:"" help:"Run the daemon."`
	Demo      demoCmd      `cmd:"" help:"Play the main job on a simulated modem, then keep serving."`
	Sim       simCmd       `cmd:"" help:"Run a simulated modem alone."`
	Config    configCmd    `cmd:"" help:"Check or show the configuration."`
	Key       keyCmd       `cmd:"" help:"API keys."`
	Account   accountCmd   `cmd:"" help:"Accounts: show, unlock, erase, set the grade."`
	Challenge challengeCmd `cmd:"" help:"Challenges: show, cancel."`
	Send      sendCmd      `cmd:"" help:"Send a text, to one number or to a list."`
	Messages  messagesCmd  `cmd:"" help:"Outgoing messages: list, show, cancel."`
	Inbox     inboxCmd     `cmd:"" help:"Texts that came in."`
	Modem     modemCmd     `cmd:"" help:"Modems: those of the daemon, and those on this machine's ports."`
	Events    eventsCmd    `cmd:"" help:"What happened, and what happens."`
	Limits    limitsCmd    `cmd:"" help:"What the limits refuse."`
	Audit     auditCmd     `cmd:"" help:"The audit trail."`
	Backup    backupCmd    `cmd:"" help:"Back up the running daemon's store, encrypted."`
	Restore   restoreCmd   `cmd:"" help:"Restore a backup into an empty data folder, or check one."`
	Bench     benchCmd     `cmd:"" help:"Measure this machine: sends, verifies, modem line use, memory."`
	Doctor    doctorCmd    `cmd:"" help:"Find out what is wrong on this machine, and how to mend it."`
	Support   supportCmd   `cmd:"" name:"support-bundle" help:"Gather what is needed to find a fault, without secrets or numbers."`
	Version   versionCmd   `cmd:"" help:"Say which version this is."`

	Completion completionCmd `cmd:"" help:"Print what makes a shell complete otpost's command lines."`
	Man        manCmd        `cmd:"" help:"Print the manual page."`
	Complete   completeCmd   `cmd:"" hidden:""`
}

type configCmd struct {
	Check configCheckCmd `cmd:"" help:"Say what is wrong with a configuration, or that nothing is."`
	Show  configShowCmd  `cmd:"" help:"Print the configuration with every default and environment variable in place."`
}

// configFile is the flag that names the configuration.
type configFile struct {
	Path string `name:"config" short:"c" default:"/etc/otpost/otpost.yaml" env:"OTPOST_TEST_CONFIG" help:"The configuration file." type:"path"`
}

// load reads the configuration and checks what its values mean to each other, without opening anything.
func (f configFile) load() (config.Config, error) {
	cfg, err := config.Load(f.Path, os.Environ())
	if err != nil {
		return config.Config{}, &configError{err}
	}
	if _, err := daemon.PolicyOf(cfg); err != nil {
		return config.Config{}, &configError{fmt.Errorf("%s: %w", f.Path, err)}
	}
	return cfg, nil
}

// A configError is a configuration that trying again will not mend.
type configError struct{ err error }

func (e *configError) Error() string { return e.err.Error() }

type configCheckCmd struct {
	configFile `embed:""`
}

// Run loads the configuration as serve would, without opening anything.
func (c *configCheckCmd) Run(con *console) error {
	cfg, err := c.load()
	if err != nil {
		return err
	}
	policy, err := daemon.PolicyOf(cfg)
	if err != nil {
		return fmt.Errorf("%s: %w", c.Path, err)
	}
	fmt.Fprintf(con.out, "%s is good: %d modems, countries %v\n", c.Path, len(cfg.Modems), cfg.Countries)
	return printTexts(con.out, policy)
}

// printTexts shows how each text comes out: what it costs to send and what people will read.
func printTexts(w io.Writer, policy otp.Policy) error {
	reports, err := policy.TextReports()
	if err != nil {
		return err
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "LOCALE\tTEXT\tENCODING\tLONGEST\tEXAMPLE")
	for _, r := range reports {
		fmt.Fprintf(t, "%s\t%s\t%s\t%d of %d\t%s\n", r.Locale, r.Purpose, r.Encoding, r.Length, r.Room, strings.ReplaceAll(r.Example, "\n", " / "))
	}
	return t.Flush()
}

type configShowCmd struct {
	configFile `embed:""`
}

// Run prints the configuration; it holds the names of secret files, never their content.
func (c *configShowCmd) Run(con *console) error {
	cfg, err := c.load()
	if err != nil {
		return err
	}
	enc := yaml.NewEncoder(con.out)
	defer enc.Close()
	return enc.Encode(cfg)
}

type versionCmd struct {
	JSON bool `help:"Print JSON."`
}

// Run prints the version, the Go release and the platform.
func (c *versionCmd) Run(con *console) error {
	v := map[string]string{"version": version(), "go": runtime.Version(), "platform": runtime.GOOS + "/" + runtime.GOARCH}
	if c.JSON {
		return printJSON(con.out, v)
	}
	_, err := fmt.Fprintf(con.out, "otpost %s (%s, %s)\n", v["version"], v["go"], v["platform"])
	return err
}

// release is set by the package build: -ldflags "-X main.release=1.2.3".
var release string

func version() string {
	if release != "" {
		return release
	}
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" && info.Main.Version != "(devel)" {
		return info.Main.Version
	}
	return "0.0.0-dev"
}

// printLine writes v as one line of JSON, for streams.
func printLine(w io.Writer, v any) error { return json.NewEncoder(w).Encode(v) }

func printJSON(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}
