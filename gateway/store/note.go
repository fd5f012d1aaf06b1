package store

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// noteName is what the side file is sealed under. It is no key of the store.
const noteName = "meta/store/note"

// noted is what the side file says: this store had reached that commit. The engine passes most damage to its log over in
// silence, as if the lost commits had never been, and a folder put back from a copy looks sound to it; this does not.
type noted struct {
	ID     string    `json:"id"`     // of the store
	Commit uint64    `json:"commit"` // its newest commit by then, counted by ourselves
	At     time.Time `json:"at"`
}

// note is the side file.
type note struct {
	path   string
	sealer *sealer
	id     string

	mu   sync.Mutex
	last uint64 // what the file says
}

// read returns what the file says; nil if there is none. It also is the first test of the key file, before the engine
// is touched.
func (n *note) read() (*noted, error) {
	b, err := os.ReadFile(n.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("side file: %w", err)
	}
	b, err = n.sealer.open(noteName, b)
	var was noted
	if err == nil {
		err = json.Unmarshal(b, &was)
	}
	if err != nil {
		return nil, fmt.Errorf("side file %s (if it alone is damaged and the key file is right, delete it): %w", n.path, err)
	}
	return &was, nil
}

// check compares the store with what was noted.
func (n *note) check(was *noted, commit uint64) error {
	why := ""
	switch {
	case was == nil:
		return nil
	case n.id == "":
		why = "the store is empty"
	case was.ID != n.id:
		why = "this is another store than the one noted"
	case was.Commit > commit:
		why = fmt.Sprintf("it ends at commit %d", commit)
	default:
		return nil
	}
	return fmt.Errorf("%w: commit %d was reached on %s, but %s: part of it was lost, or an old copy was put in its place. "+
		"Put the right data back or restore a backup; to accept the loss, delete %s",
		ErrOlder, was.Commit, was.At.UTC().Format(time.RFC3339), why, n.path)
}

// write notes that commit is durable, in one step, synced.
func (n *note) write(commit uint64, now time.Time) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if commit == n.last {
		return nil
	}
	b, err := json.Marshal(noted{ID: n.id, Commit: commit, At: now})
	if err != nil {
		return fmt.Errorf("side file: %w", err)
	}
	if err := replaceFile(n.path, n.sealer.seal(nil, noteName, b)); err != nil {
		return fmt.Errorf("side file: %w", err)
	}
	n.last = commit
	return nil
}

// replaceFile puts b at path in one step and syncs file and folder.
func replaceFile(path string, b []byte) error {
	f, err := os.OpenFile(path+".tmp", os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	if err == nil {
		err = f.Sync()
	}
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return err
	}
	return syncDir(filepath.Dir(path))
}

func syncDir(path string) error {
	dir, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}
