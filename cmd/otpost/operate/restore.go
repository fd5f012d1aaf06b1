package operate

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"

	"filippo.io/age"

	"otpost/cmd/otpost/config"
	"otpost/gateway/store"
	"otpost/gateway/store/keys"
)

// read checks or restores the backup and says what it holds and what was done. It is checked to its end first: one that
// was altered leaves nothing behind, not even a key file.
func (c *restoreCmd) read(ctx context.Context, f *os.File, ids []age.Identity) (store.Summary, string, error) {
	sum, err := store.Check(ctx, f, ids...)
	if c.Check || err != nil {
		return sum, "it can be restored", err
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return sum, "", fmt.Errorf("read the backup again: %w", err)
	}
	cfg, err := c.Load()
	if err != nil {
		return store.Summary{}, "", err
	}
	if err := os.MkdirAll(cfg.DataDir, 0o700); err != nil {
		return store.Summary{}, "", fmt.Errorf("make the data folder: %w", err)
	}
	ring, err := restoreKeys(cfg)
	if err != nil {
		return store.Summary{}, "", err
	}
	dir := filepath.Join(cfg.DataDir, "store")
	sum, err = store.RestoreBadger(ctx, f, store.BadgerConfig{Dir: dir, Keys: ring, Reserve: int64(cfg.Reserve), Log: slog.New(slog.DiscardHandler)}, ids...)
	if errors.Is(err, store.ErrNotEmpty) {
		err = fmt.Errorf("%w: stop the daemon and move %s away first", err, dir)
	}
	return sum, "restored into " + dir, err
}

// restoreKeys reads the key file, or makes one: a backup is sealed anew under whatever keys there are.
func restoreKeys(cfg config.Config) (*keys.Ring, error) {
	path := keyFile(cfg)
	ring, err := keys.Load(path)
	if errors.Is(err, fs.ErrNotExist) {
		return keys.Create(path, rand.Reader)
	}
	return ring, err
}

// keyFile is where the key file is.
func keyFile(cfg config.Config) string {
	if cfg.KeyFile != "" {
		return cfg.KeyFile
	}
	return filepath.Join(cfg.DataDir, "otpost.key")
}
