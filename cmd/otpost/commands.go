package main

import (
	"fmt"
	"io"
	"runtime"
	"runtime/debug"
	"strings"
	"text/tabwriter"

	"go.yaml.in/yaml/v3"

	"otpost/cmd/otpost/config"
	"otpost/cmd/otpost/daemon"
	"otpost/cmd/otpost/operate"
	"otpost/otp"
)

// commands is the whole command line: what runs here, and what operators do.
type commands struct {
	Serve  serveCmd  `cmd:"" help:"Run the daemon."`
	Demo   demoCmd   `cmd:"" help:"Play the main job on a simulated modem, then keep serving."`
	Sim    simCmd    `cmd:"" help:"Run a simulated modem alone."`
	Config configCmd `cmd:"" help:"Check or show the configuration."`

	operate.Commands `embed:""`

	Bench   benchCmd   `cmd:"" help:"Measure this machine: sends, verifies, modem line use, memory."`
	Version versionCmd `cmd:"" help:"Say which version this is."`
}

type configCmd struct {
	Check configCheckCmd `cmd:"" help:"Say what is wrong with a configuration, or that nothing is."`
	Show  configShowCmd  `cmd:"" help:"Print the configuration with every default and environment variable in place."`
}

// configFile is the flag that names the configuration.
type configFile struct {
	operate.ConfigFile `embed:""`
}

func (f configFile) load() (config.Config, error) { return f.Load() }

type configCheckCmd struct {
	configFile `embed:""`
	JSON       bool `help:"Print JSON."`
}

// Help shows the command at work.
func (*configCheckCmd) Help() string {
	return "It also shows how each text comes out: its length, and what people will read. Exit code 78: it is wrong, and each line of standard error says where.\n\n" +
		"Examples:\n\n    otpost config check --config /etc/otpost/otpost.yaml"
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
	reports, err := policy.TextReports()
	if err != nil {
		return err
	}
	if c.JSON {
		return printJSON(con.out, map[string]any{"file": c.Path, "modems": len(cfg.Modems), "countries": cfg.Countries, "texts": textsForPrograms(reports)})
	}
	fmt.Fprintf(con.out, "%s is good: %d modems, countries %v\n", c.Path, len(cfg.Modems), cfg.Countries)
	return printTexts(con.out, reports)
}

// textsForPrograms are the reports under the names that everything else in JSON has.
func textsForPrograms(reports []otp.TextReport) []map[string]any {
	all := make([]map[string]any, len(reports))
	for i, r := range reports {
		all[i] = map[string]any{"locale": r.Locale, "text": r.Purpose, "encoding": r.Encoding, "length": r.Length, "room": r.Room, "compact": r.Compact, "example": r.Example}
	}
	return all
}

// printTexts shows how each text comes out: what it costs to send and what people will read.
func printTexts(w io.Writer, reports []otp.TextReport) error {
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

func printJSON(w io.Writer, v any) error { return operate.PrintJSON(w, v) }
