package operate

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"filippo.io/age"
	"github.com/google/renameio/v2"
)

type backupCmd struct {
	connection   `embed:""`
	asJSON       `embed:""`
	Output       string   `arg:"" help:"The file to write; - is standard output." type:"path"`
	Recipient    []string `short:"r" placeholder:"AGE1…" help:"An age public key; whoever has its secret half can read the backup. May be given more than once."`
	MakeIdentity string   `placeholder:"FILE" help:"Make a new age key, write its secret half to this file, and encrypt to it. Keep that file apart from the backups." type:"path"`
}

// Help shows the command at work.
func (*backupCmd) Help() string {
	return "The daemon goes on meanwhile. A backup holds everything but the key file (data_dir/otpost.key): restored beside another one, only codes that are on their way are lost. " +
		"A backup that was cut off leaves no file.\n" +
		examples("otpost backup --make-identity backup.key otpost.backup", "otpost backup -r age1… otpost-$(date +%F).backup", "otpost backup -r age1… - | ssh vault 'cat > otpost.backup'")
}

// Run writes a backup of the running daemon.
func (c *backupCmd) Run(ctx context.Context, con *Console) error {
	if len(c.Recipient) == 0 && c.MakeIdentity == "" {
		return UsageError("who shall read the backup? give --recipient, or --make-identity for a first key")
	}
	if c.Output == "-" && terminal(con.out) {
		return UsageError("a backup is no text for a terminal; send it into a file or a pipe")
	}
	daemon, err := c.dial(con)
	if err != nil {
		return err
	}
	if _, err := age.ParseRecipients(strings.NewReader(strings.Join(c.Recipient, "\n"))); err != nil && len(c.Recipient) > 0 {
		return UsageError("--recipient: want age public keys, age1…")
	}
	to := c.Recipient
	if c.MakeIdentity != "" {
		public, err := makeIdentity(c.MakeIdentity)
		if err != nil {
			return err
		}
		fmt.Fprintf(con.err, "new key %s; its secret half is in %s: keep that apart from the backups\n", public, c.MakeIdentity)
		to = append(to, public)
	}
	if c.Output == "-" {
		_, err := daemon.Backup(ctx, con.out, to...)
		return err
	}
	f, err := renameio.NewPendingFile(c.Output, renameio.WithPermissions(0o600))
	if err != nil {
		return fmt.Errorf("write the backup: %w", err)
	}
	records, err := daemon.Backup(ctx, f, to...)
	if err != nil {
		return errors.Join(err, f.Cleanup())
	}
	if err := f.CloseAtomicallyReplace(); err != nil {
		return fmt.Errorf("write the backup: %w", err)
	}
	return c.print(con.out, map[string]any{"file": c.Output, "records": records}, func(w io.Writer) { fmt.Fprintf(w, "%s holds %d records\n", c.Output, records) })
}

// makeIdentity writes a new age key to a file that is not there yet, and returns its public half.
func makeIdentity(path string) (string, error) {
	id, err := age.GenerateX25519Identity()
	if err != nil {
		return "", fmt.Errorf("make a key: %w", err)
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return "", fmt.Errorf("make a key: %w", err)
	}
	_, err = fmt.Fprintf(f, "# public key: %s\n%s\n", id.Recipient(), id)
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return "", fmt.Errorf("make a key: %w", err)
	}
	return id.Recipient().String(), nil
}

type restoreCmd struct {
	ConfigFile `embed:""`
	asJSON     `embed:""`
	Backup     string `arg:"" help:"The backup." type:"existingfile"`
	Identity   string `short:"i" required:"" placeholder:"FILE" help:"A file that holds the age secret key." type:"existingfile"`
	Check      bool   `help:"Only read the backup to its end and say what it holds."`
}

// Help shows the command at work.
func (*restoreCmd) Help() string {
	return "The daemon must be stopped, and the data folder must hold no store yet: move the old one away. A backup that was altered or cut off is refused before anything is written.\n" +
		examples("otpost restore --check -i backup.key otpost.backup", "otpost restore -c /etc/otpost/otpost.yaml -i backup.key otpost.backup")
}

// Run restores a backup into the configured data folder, or only checks it.
func (c *restoreCmd) Run(ctx context.Context, con *Console) error {
	ids, err := readIdentities(c.Identity)
	if err != nil {
		return err
	}
	f, err := os.Open(c.Backup)
	if err != nil {
		return fmt.Errorf("open the backup: %w", err)
	}
	defer f.Close()
	sum, done, err := c.read(ctx, f, ids)
	if err != nil {
		return err
	}
	out := map[string]any{"created": sum.Created, "records": sum.Records, "restored": !c.Check}
	return c.print(con.out, out, func(w io.Writer) {
		fmt.Fprintf(w, "%s: %d records of %s; %s\n", c.Backup, sum.Records, clock(sum.Created), done)
	})
}

// readIdentities reads age secret keys from a file; its content is never repeated.
func readIdentities(path string) ([]age.Identity, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("open the key: %w", err)
	}
	defer f.Close()
	ids, err := age.ParseIdentities(f)
	if err != nil {
		return nil, fmt.Errorf("%s holds no age secret key (AGE-SECRET-KEY-1…)", path)
	}
	return ids, nil
}
