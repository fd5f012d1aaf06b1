package operate

import (
	"context"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"otpost/api/wire"
)

type keyCmd struct {
	Create keyCreateCmd `cmd:"" help:"Make an API key; its token is shown this once."`
	List   keyListCmd   `cmd:"" help:"List the API keys."`
	Revoke keyRevokeCmd `cmd:"" help:"End an API key at once."`
	Rotate keyRotateCmd `cmd:"" help:"Give an API key a new token; the old one goes on working for a while."`
}

type keyCreateCmd struct {
	connection `embed:""`
	Name       string        `required:"" help:"What the key is for."`
	Scope      []string      `required:"" enum:"portal,messages,ops,admin" help:"What it may do: portal, messages, ops, admin; may be given more than once."`
	Expires    time.Duration `placeholder:"DURATION" help:"How long it works; default: for ever."`
	AllowFrom  []string      `placeholder:"CIDR" help:"Where it may be used from; default: anywhere."`
	PerMinute  int           `placeholder:"N" help:"Requests it may make in a minute; default: the daemon's limit."`
	Profile    string        `help:"Whose request bodies POST /v1/messages takes from it, like generic or authentik."`
	Recipient  []string      `placeholder:"NUMBER" help:"With the profiles grafana and alertmanager: who is told."`
	JSON       bool          `help:"Print JSON."`
}

// Help shows the command at work.
func (*keyCreateCmd) Help() string {
	return "The token is printed alone on standard output, so that it can go into a file that others cannot read.\n" +
		examples("(umask 077; otpost key create --name portal --scope portal > portal.key)", "otpost key create --name grafana --scope messages --profile grafana --recipient +447700900123 --allow-from 192.0.2.7")
}

// Run makes the key and prints its token alone on standard output, so that it can be put into a file.
func (c *keyCreateCmd) Run(ctx context.Context, con *Console) error {
	daemon, err := c.dial(con)
	if err != nil {
		return err
	}
	in := wire.CreateKey{Name: c.Name, Scopes: c.Scope, AllowFrom: c.AllowFrom, PerMinute: c.PerMinute, Profile: c.Profile}
	for _, to := range c.Recipient {
		in.Recipients = append(in.Recipients, wire.Secret(to))
	}
	if c.Expires != 0 {
		at := time.Now().Add(c.Expires).UTC()
		in.ExpiresAt = &at
	}
	made, err := daemon.CreateKey(ctx, in)
	if err != nil {
		return fmt.Errorf("make the key: %w", err)
	}
	if c.JSON {
		return PrintJSON(con.out, made)
	}
	fmt.Fprintf(con.err, "%s with %s; keep the token, it is not shown again:\n", made.Key.ID, strings.Join(made.Key.Scopes, ", "))
	_, err = fmt.Fprintln(con.out, made.Token)
	return err
}

type keyListCmd struct {
	connection `embed:""`
	JSON       bool `help:"Print JSON."`
}

// Run lists the keys, newest first.
func (c *keyListCmd) Run(ctx context.Context, con *Console) error {
	daemon, err := c.dial(con)
	if err != nil {
		return err
	}
	all, err := daemon.Keys(ctx)
	if err != nil {
		return fmt.Errorf("list the keys: %w", err)
	}
	if c.JSON {
		return PrintJSON(con.out, all)
	}
	w := tabwriter.NewWriter(con.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "ID\tNAME\tSCOPES\tCREATED\tLAST USED\tSTATE")
	for _, k := range all.Keys {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\n", k.ID, k.Name, strings.Join(k.Scopes, ","), day(k.CreatedAt), day(k.LastUsedAt), keyState(k, time.Now()))
	}
	return w.Flush()
}

func keyState(k wire.Key, now time.Time) string {
	switch {
	case !k.RevokedAt.IsZero():
		return "revoked"
	case !k.ExpiresAt.IsZero() && !k.ExpiresAt.After(now):
		return "expired"
	}
	return "good"
}

func day(t time.Time) string {
	if t.IsZero() {
		return "never"
	}
	return t.UTC().Format("2006-01-02 15:04Z")
}

type keyRevokeCmd struct {
	connection `embed:""`
	asJSON     `embed:""`
	ID         string `arg:"" help:"The key's id."`
}

// Run ends a key.
func (c *keyRevokeCmd) Run(ctx context.Context, con *Console) error {
	daemon, err := c.dial(con)
	if err != nil {
		return err
	}
	k, err := daemon.RevokeKey(ctx, c.ID)
	if err != nil {
		return fmt.Errorf("revoke the key: %w", err)
	}
	return c.print(con.out, k, func(w io.Writer) { fmt.Fprintf(w, "%s (%s) is revoked\n", k.ID, k.Name) })
}

type keyRotateCmd struct {
	connection `embed:""`
	asJSON     `embed:""`
	ID         string        `arg:"" help:"The key's id."`
	Overlap    time.Duration `default:"24h" help:"How long the old token goes on working."`
}

// Run prints the new token alone on standard output.
func (c *keyRotateCmd) Run(ctx context.Context, con *Console) error {
	daemon, err := c.dial(con)
	if err != nil {
		return err
	}
	made, err := daemon.RotateKey(ctx, c.ID, fmt.Sprintf("%ds", int(c.Overlap.Seconds())))
	if err != nil {
		return fmt.Errorf("rotate the key: %w", err)
	}
	if c.JSON {
		return PrintJSON(con.out, made)
	}
	fmt.Fprintf(con.err, "%s has a new token; the old one works for %v more:\n", made.Key.ID, c.Overlap)
	_, err = fmt.Fprintln(con.out, made.Token)
	return err
}
