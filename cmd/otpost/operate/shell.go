package operate

import (
	"fmt"
	"strings"

	"github.com/alecthomas/kong"

	"otpost/cmd/otpost/manual"
)

type completionCmd struct {
	Shell string `arg:"" enum:"bash,zsh,fish" help:"bash, zsh or fish."`
}

// Help shows the command at work.
func (*completionCmd) Help() string {
	return "Put it where your shell looks for completions.\n" +
		examples("otpost completion bash > /etc/bash_completion.d/otpost", "otpost completion zsh > /usr/local/share/zsh/site-functions/_otpost",
			"otpost completion fish > ~/.config/fish/completions/otpost.fish")
}

// Run prints the shell's script.
func (c *completionCmd) Run(con *Console) error {
	_, err := fmt.Fprint(con.out, manual.Script(c.Shell))
	return err
}

// completeCmd is what the shells' scripts ask.
type completeCmd struct {
	Words []string `arg:"" optional:"" help:"The command line so far, without the program's name."`
}

// Run prints each way to go on and, behind a tab, what it is.
func (c *completeCmd) Run(k *kong.Context, con *Console) error {
	for _, w := range manual.Complete(k.Model, c.Words) {
		if _, err := fmt.Fprintln(con.out, strings.TrimRight(w.Word+"\t"+w.Help, "\t")); err != nil {
			return err
		}
	}
	return nil
}

type manCmd struct{}

// Help shows the command at work.
func (*manCmd) Help() string {
	return examples("otpost man | man -l -", "otpost man > /usr/local/share/man/man1/otpost.1")
}

// Run prints the manual page.
func (*manCmd) Run(k *kong.Context, con *Console) error {
	_, err := fmt.Fprint(con.out, manual.Man(k.Model, manPage(con.version)))
	return err
}

func manPage(version string) manual.Page {
	return manual.Page{Version: version, Tagline: "gateway for SMS one-time codes over GSM modems", Sections: []manual.Section{
		{Title: "EXIT STATUS", Entries: [][2]string{
			{"0", "It worked."},
			{"1", "It did not; standard error says why. Also: doctor found something to mend, a row of a list was refused, a followed message was not sent."},
			{"2", "The command line was wrong; nothing was done."},
			{"78", "The configuration is wrong. systemd does not start the daemon again then."},
		}},
		{Title: "ENVIRONMENT", Entries: [][2]string{
			{"OTPOST_LISTEN, OTPOST_DATA_DIR, OTPOST_LIMITS__PHONE_DAY, …", "Go over the key of the configuration that they name; two underscores step into a mapping."},
			{"NO_COLOR", "If set, nothing is coloured. Only a terminal is ever coloured."},
		}},
		{Title: "FILES", Entries: [][2]string{
			{"/etc/otpost/otpost.yaml", "The configuration."},
			{"/run/otpost/otpost.sock", "Where the commands reach the daemon."},
			{"/var/lib/otpost", "The store and its key file, otpost.key. Keep a copy of the key file apart from the backups."},
		}},
	}}
}
