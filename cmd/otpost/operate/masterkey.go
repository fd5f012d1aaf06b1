package operate

import (
	"context"
	"crypto/rand"
	"fmt"
	"io"

	"otpost/cmd/otpost/daemon"
	"otpost/gateway/store/keys"
)

type masterKeyCmd struct {
	List   masterKeyListCmd   `cmd:"" help:"List the keys that the daemon knows, and whether each is still needed."`
	Rotate masterKeyRotateCmd `cmd:"" help:"Add a new key to the key file; the daemon uses it from its next start on."`
	Drop   masterKeyDropCmd   `cmd:"" help:"Remove a key that is no longer needed from the key file."`
}

type masterKeyListCmd struct {
	connection `embed:""`
	asJSON     `embed:""`
}

// Run prints the keys' ids, never the keys.
func (c *masterKeyListCmd) Run(ctx context.Context, con *Console) error {
	client, err := c.dial(con)
	if err != nil {
		return err
	}
	all, err := client.MasterKeys(ctx)
	if err != nil {
		return fmt.Errorf("list the master keys: %w", err)
	}
	return c.print(con.out, all, func(w io.Writer) {
		row(w, "ID", "CURRENT", "SEALS RECORDS", "PENDING CODES")
		for _, k := range all.Keys {
			row(w, k.ID, fmt.Sprint(k.Current), fmt.Sprint(k.SealsRecords), fmt.Sprint(k.PendingCodes))
		}
	})
}

type masterKeyRotateCmd struct {
	ConfigFile `embed:""`
}

// Help shows the command at work.
func (*masterKeyRotateCmd) Help() string {
	return "The old keys stay until nothing needs them: restart the daemon, wait until `otpost master-key list` shows that a key seals no records and makes no codes, then drop it. Make a new copy of the key file.\n" +
		examples("otpost master-key rotate")
}

// Run adds a key to the file.
func (c *masterKeyRotateCmd) Run(con *Console) error {
	cfg, err := c.Load()
	if err != nil {
		return err
	}
	path := daemon.KeyFile(cfg)
	id, err := keys.Rotate(path, rand.Reader)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(con.out, "%s is the current key of %s from the daemon's next start on; copy the file to where its copy is kept\n", id, path)
	return err
}

type masterKeyDropCmd struct {
	connection `embed:""`
	ID         string `arg:"" help:"The key's id."`
}

// Help shows the command at work.
func (*masterKeyDropCmd) Help() string {
	return "Asks the running daemon first, and refuses while any record or pending code needs the key. A backup made before loses the codes that were on their way without it, nothing else.\n" +
		examples("otpost master-key drop k1")
}

// Run removes a key from the file once the daemon has said that nothing needs it.
func (c *masterKeyDropCmd) Run(ctx context.Context, con *Console) error {
	cfg, err := ConfigFile{Path: c.Config}.Load()
	if err != nil {
		return err
	}
	client, err := c.dial(con)
	if err != nil {
		return err
	}
	all, err := client.MasterKeys(ctx)
	if err != nil {
		return fmt.Errorf("ask the daemon which keys it needs: %w", err)
	}
	for _, k := range all.Keys {
		switch {
		case k.ID != c.ID:
		case k.Current:
			return fmt.Errorf("key %s is the current one; rotate first and restart the daemon", k.ID)
		case k.SealsRecords || k.PendingCodes > 0:
			return fmt.Errorf("key %s is still needed (seals records: %v, pending codes: %d); try again later", k.ID, k.SealsRecords, k.PendingCodes)
		default:
			if err := keys.Drop(daemon.KeyFile(cfg), c.ID); err != nil {
				return err
			}
			_, err = fmt.Fprintf(con.out, "%s is dropped\n", c.ID)
			return err
		}
	}
	return fmt.Errorf("the daemon knows no key %s; `otpost master-key list` shows those it knows", c.ID)
}
