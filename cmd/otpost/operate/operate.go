// Package operate holds the commands of those who run the daemon: clients of its API, found through its configuration and
// its socket, and what looks at this machine and its ports. What they print on standard output is what was asked for, as
// text or, with --json, as JSON; everything else goes to standard error.
//
// They print no secret but the one that was asked to be made or shown: a new key's token, the texts of the inbox. They take
// none on the command line.
package operate

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"

	"otpost/cmd/otpost/config"
	"otpost/cmd/otpost/daemon"
)

// Commands are the operators' commands.
type Commands struct {
	Key        keyCmd        `cmd:"" help:"API keys."`
	Account    accountCmd    `cmd:"" help:"Accounts: show, unlock, erase, set the grade."`
	Challenge  challengeCmd  `cmd:"" help:"Challenges: show, cancel."`
	Send       sendCmd       `cmd:"" help:"Send a text, to one number or to a list."`
	Messages   messagesCmd   `cmd:"" help:"Outgoing messages: list, show, cancel."`
	Inbox      inboxCmd      `cmd:"" help:"Texts that came in."`
	Modem      modemCmd      `cmd:"" help:"Modems: those of the daemon, and those on this machine's ports."`
	Webhook    webhookCmd    `cmd:"" help:"Webhooks: list, log, test, replay."`
	MasterKey  masterKeyCmd  `cmd:"" name:"master-key" help:"The keys that seal the store and make the codes."`
	Selftest   selftestCmd   `cmd:"" help:"Hold the configuration against the rules of the field."`
	Events     eventsCmd     `cmd:"" help:"What happened, and what happens."`
	Limits     limitsCmd     `cmd:"" help:"What the limits refuse."`
	Audit      auditCmd      `cmd:"" help:"The audit trail."`
	Backup     backupCmd     `cmd:"" help:"Back up the running daemon's store, encrypted."`
	Restore    restoreCmd    `cmd:"" help:"Restore a backup into an empty data folder, or check one."`
	Doctor     doctorCmd     `cmd:"" help:"Find out what is wrong on this machine, and how to mend it."`
	Support    supportCmd    `cmd:"" name:"support-bundle" help:"Gather what is needed to find a fault, without secrets or numbers."`
	Completion completionCmd `cmd:"" help:"Print what makes a shell complete otpost's command lines."`
	Man        manCmd        `cmd:"" help:"Print the manual page."`
	Complete   completeCmd   `cmd:"" hidden:""`
}

// Console is what a command reads and writes: in for what does not belong on a command line, out for what was asked for,
// err for everything else.
type Console struct {
	in       io.Reader
	out, err io.Writer
	version  string
}

// NewConsole returns a console; version is the program's.
func NewConsole(in io.Reader, out, err io.Writer, version string) *Console {
	return &Console{in: in, out: out, err: err, version: version}
}

// A UsageError is a command line that parses but asks for something that cannot be.
type UsageError string

func (e UsageError) Error() string { return string(e) }

// A ConfigError is a configuration that trying again will not mend.
type ConfigError struct{ err error }

func (e *ConfigError) Error() string { return e.err.Error() }

// ConfigFile is the flag that names the configuration.
type ConfigFile struct {
	Path string `name:"config" short:"c" default:"/etc/otpost/otpost.yaml" env:"OTPOST_TEST_CONFIG" help:"The configuration file." type:"path"`
}

// Load reads the configuration and checks what its values mean to each other, without opening anything. Its error is a
// *ConfigError.
func (f ConfigFile) Load() (config.Config, error) {
	cfg, err := config.Load(f.Path, os.Environ())
	if err != nil {
		return config.Config{}, &ConfigError{err}
	}
	if _, err := daemon.PolicyOf(cfg); err != nil {
		return config.Config{}, &ConfigError{fmt.Errorf("%s: %w", f.Path, err)}
	}
	return cfg, nil
}

// examples are the last part of a command's help.
func examples(lines ...string) string { return "\nExamples:\n\n    " + strings.Join(lines, "\n    ") }

// PrintJSON writes v for people and programs.
func PrintJSON(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}

// printLine writes v as one line of JSON, for streams.
func printLine(w io.Writer, v any) error { return json.NewEncoder(w).Encode(v) }
