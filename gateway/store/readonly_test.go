package store

import (
	"crypto/rand"
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"otpost/gateway/store/keys"
)

// TestReadOnlyDisk: on a disk that can only be read (EROFS) the store is not opened, nothing in it changes, and with the
// disk writable again everything is there.
func TestReadOnlyDisk(t *testing.T) {
	needRoot(t)
	disk := t.TempDir()
	if err := unix.Mount("tmpfs", disk, "tmpfs", 0, "size=400m"); err != nil {
		skipOrFail(t, "needs to mount a disk: %v", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(disk, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	ring, err := keys.Create(filepath.Join(t.TempDir(), "key"), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(disk, "data")
	open := func() (*Badger, error) {
		return OpenBadger(t.Context(), BadgerConfig{Dir: dir, Keys: ring, Reserve: 32 << 20})
	}
	b, err := open()
	if err != nil {
		t.Fatal(err)
	}
	err = b.Update(t.Context(), func(tx Txn) error { return tx.Set("otp/kept", []byte("here"), time.Time{}) })
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount("", disk, "", unix.MS_REMOUNT|unix.MS_RDONLY, ""); err != nil {
		t.Fatal(err)
	}
	b, err = open()
	if err == nil {
		t.Error("opened on a disk that can only be read", b.Close())
	} else if !errors.Is(err, unix.EROFS) && !strings.Contains(err.Error(), "read-only file system") {
		t.Errorf("the error does not say that the disk can only be read: %v", err)
	}
	if err := unix.Mount("", disk, "", unix.MS_REMOUNT, ""); err != nil {
		t.Fatal(err)
	}
	if b, err = open(); err != nil {
		t.Fatal(err)
	}
	err = b.View(t.Context(), func(tx Txn) error {
		v, err := tx.Get("otp/kept")
		if string(v) != "here" {
			t.Errorf("kept %q", v)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
	if err := b.Close(); err != nil {
		t.Error(err)
	}
}
