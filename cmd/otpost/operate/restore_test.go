package operate

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"filippo.io/age"

	"otpost/gateway/store"
)

// Of a thousand altered or cut backups the command restores none, and leaves nothing behind, not even a key file.
func TestRestoreRefusesMutations(t *testing.T) {
	dir := t.TempDir()
	file := func(name string) string { return filepath.Join(dir, name) }
	id, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	kv := store.NewMemory()
	if err := kv.Update(t.Context(), func(tx store.Txn) error {
		for i := range 800 { // more than one chunk of the encryption
			if err := tx.Set(fmt.Sprintf("t/%04d", i), []byte("a value of some length, so that there is something to alter"), time.Time{}); err != nil {
				return err
			}
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	var whole bytes.Buffer
	if _, err := store.Backup(t.Context(), kv, &whole, id.Recipient()); err != nil {
		t.Fatal(err)
	}
	put := func(name string, b []byte) string {
		if err := os.WriteFile(file(name), b, 0o600); err != nil {
			t.Fatal(err)
		}
		return file(name)
	}
	cmd := restoreCmd{Identity: put("backup.key", []byte(id.String()+"\n"))}
	cmd.Path = put("otpost.yaml", fmt.Appendf(nil, "data_dir: %s\ncountries: [GB]\nmodems: [{name: sim0, device: simulator}]\n", file("data")))
	console := NewConsole(nil, io.Discard, io.Discard, "test")
	for i := range 1000 {
		b, what := mutated(whole.Bytes(), i)
		cmd.Backup, cmd.Check = put("mutated.backup", b), i%2 == 0
		if err := cmd.Run(t.Context(), console); err == nil {
			t.Fatalf("a backup %s is taken", what)
		}
		if _, err := os.Stat(file("data")); !os.IsNotExist(err) {
			t.Fatalf("a backup %s left something behind", what)
		}
	}
	cmd.Backup, cmd.Check = put("whole.backup", whole.Bytes()), false
	if err := cmd.Run(t.Context(), console); err != nil {
		t.Errorf("the whole one: %v", err)
	}
	if _, err := os.Stat(file("data/store")); err != nil {
		t.Error(err)
	}
}

// mutated alters a copy of a file in one of some ways.
func mutated(whole []byte, i int) ([]byte, string) {
	b, n := bytes.Clone(whole), rand.IntN(len(whole))
	switch i % 5 {
	case 0:
		return b[:n], fmt.Sprint("cut at ", n)
	case 1:
		return append(b[:n], b[n+1:]...), fmt.Sprint("without byte ", n)
	case 2:
		return append(b, byte(n)), "with a byte more"
	case 3:
		return append(b, whole...), "twice over"
	}
	b[n] ^= 1 << rand.IntN(8)
	return b, fmt.Sprint("with a bit flipped in byte ", n)
}
