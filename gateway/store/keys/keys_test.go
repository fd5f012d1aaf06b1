package keys

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

const (
	keyA = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8"
	keyB = "__79_Pv6-fj39vX08_Lx8O_u7ezr6uno5-bl5OPi4eA"
)

// same tells whether two rings hold the same keys in the same order.
func same(a, b *Ring) bool { return bytes.Equal(a.text(), b.text()) }

func write(t *testing.T, text string, mode os.FileMode) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "keys")
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil { // whatever the umask says
		t.Fatal(err)
	}
	return path
}

func TestLoad(t *testing.T) {
	r, err := Load(write(t, "# a comment\n\nold "+keyA+"\n  new\t"+keyB+"  \n", 0o600))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"old", "new"}, r.IDs()); diff != "" {
		t.Errorf("ids (-want +got):\n%s", diff)
	}
	if r.Current() != "new" {
		t.Errorf("current is %q, want the last", r.Current())
	}
}

func TestLoadRefuses(t *testing.T) {
	tests := []struct {
		name, text string
		mode       os.FileMode
		want       string // part of the error
	}{
		{"group may read", "a " + keyA + "\n", 0o640, "chmod 600"},
		{"others may read", "a " + keyA + "\n", 0o604, "mode 0604"},
		{"others may write", "a " + keyA + "\n", 0o602, "chmod 600"},
		{"empty", "", 0o600, "holds no key"},
		{"comments only", "# nothing\n", 0o600, "holds no key"},
		{"torn in the key", "a " + keyA + "\nb " + keyB[:20], 0o600, "torn"},
		{"torn at the line's end", "a " + keyA, 0o600, "torn"},
		{"short key", "a " + keyA + "\nb " + keyB[:40] + "\n", 0o600, "line 2: the key is not base64url of 32 bytes"},
		{"not base64", "a " + strings.Repeat("!", 43) + "\n", 0o600, "line 1: the key is not base64url"},
		{"stray bits", "a " + keyA[:42] + "9\n", 0o600, "line 1: the key is not base64url"},
		{"no id", keyA + "\n", 0o600, "line 1: want an id and a key"},
		{"three words", "# c\na " + keyA + " x\n", 0o600, "line 2: want an id and a key, got 3 words"},
		{"bad id", "A! " + keyA + "\n", 0o600, "line 1: the id must be"},
		{"same id", "a " + keyA + "\na " + keyB + "\n", 0o600, "line 2: the id a is there twice"},
		{"same key", "a " + keyA + "\nb " + keyA + "\n", 0o600, "line 2: the key is the same as that of a"},
		{"huge", strings.Repeat("# x\n", maxFile/4+1), 0o600, "not a key file"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			path := write(t, tt.text, tt.mode)
			_, err := Load(path)
			if err == nil || !strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), path) {
				t.Fatalf("got %v, want it to name the file and %q", err, tt.want)
			}
			if strings.Contains(err.Error(), keyA[:10]) || strings.Contains(err.Error(), keyB[:10]) {
				t.Errorf("the error quotes a key: %v", err)
			}
		})
	}
}

func TestLoadMissingFolderFIFO(t *testing.T) {
	dir := t.TempDir()
	if _, err := Load(filepath.Join(dir, "none")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("missing: got %v, want fs.ErrNotExist", err)
	}
	if _, err := Load(dir); err == nil || !strings.Contains(err.Error(), "not a regular file") {
		t.Errorf("folder: got %v", err)
	}
	fifo := filepath.Join(dir, "fifo")
	if err := unix.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(fifo); err == nil || !strings.Contains(err.Error(), "not a regular file") {
		t.Errorf("FIFO: got %v", err)
	}
}

func TestJudgeAccess(t *testing.T) {
	const reg = unix.S_IFREG
	tests := []struct {
		name                 string
		mode, uid, gid, euid uint32
		want                 string
	}{
		{"own", reg | 0o600, 1000, 1000, 1000, ""},
		{"own, read only", reg | 0o400, 1000, 1000, 1000, ""},
		{"root's, readable by root", reg | 0o600, 0, 0, 0, ""},
		{"systemd credential by owner", reg | 0o400, 1000, 1000, 1000, ""},
		{"systemd credential by access list", reg | 0o440, 0, 0, 1000, ""},
		{"root's, of another group", reg | 0o440, 0, 1000, 1000, "others"},
		{"root's, group may write", reg | 0o460, 0, 0, 1000, "others"},
		{"root's, world-readable", reg | 0o444, 0, 0, 1000, "others"},
		{"root as root, group-readable", reg | 0o440, 0, 0, 0, "others"},
		{"another user's", reg | 0o600, 1001, 1000, 1000, "belongs to user 1001"},
		{"another user's, as root", reg | 0o600, 1001, 1000, 0, "belongs to user 1001"},
		{"device", unix.S_IFCHR | 0o600, 0, 0, 0, "regular"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			err := judgeAccess(tt.mode, tt.uid, tt.gid, tt.euid)
			if tt.want == "" && err != nil {
				t.Errorf("refused: %v", err)
			}
			if tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
		})
	}
}

func TestCreate(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keys")
	r, err := Create(path, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	st, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if st.Mode().Perm() != 0o600 {
		t.Errorf("mode is %v, want 0600", st.Mode())
	}
	loaded, err := Load(path)
	if err != nil {
		t.Fatal(err)
	}
	if !same(loaded, r) {
		t.Error("what was loaded is not what was made")
	}
	before, _ := os.ReadFile(path)
	if _, err := Create(path, rand.Reader); !errors.Is(err, fs.ErrExist) {
		t.Errorf("second Create: got %v, want fs.ErrExist", err)
	}
	if after, _ := os.ReadFile(path); !bytes.Equal(before, after) {
		t.Error("the second Create changed the file")
	}
	only(t, path)
}

// only checks that nothing but the key file is left in its folder.
func only(t *testing.T, path string) {
	t.Helper()
	entries, err := os.ReadDir(filepath.Dir(path))
	if err != nil || len(entries) != 1 {
		t.Errorf("the folder holds %v (%v), want the key file only", entries, err)
	}
}

func TestNoRandomness(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keys")
	if _, err := Create(path, strings.NewReader("short")); err == nil {
		t.Error("made a key of 5 bytes of randomness")
	}
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a file is there: %v", err)
	}
}

// TestDerive pins the derivation to a vector: HKDF-SHA-256 of the bytes 0 to 31, no salt, info "otpost/key/v1/" + label.
// A change would make every store unreadable.
func TestDerive(t *testing.T) {
	r, err := parse([]byte("a " + keyA + "\nb " + keyB + "\n"))
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]string{}
	for _, id := range r.IDs() {
		for _, label := range []string{"", "seal", "code", "seal/"} {
			k, err := r.Derive(id, label)
			if err != nil || len(k) != Size {
				t.Fatalf("derive %s %q: %d bytes, %v", id, label, len(k), err)
			}
			h := hex.EncodeToString(k)
			if other, ok := seen[h]; ok {
				t.Errorf("%s %q gives the same key as %s", id, label, other)
			}
			seen[h] = id + " " + label
		}
	}
	const want = "3351ada06411a78aeb2910ab96ed0497ba9b1af8cd8081a0135c1499b8454fc7"
	if got, _ := r.Derive("a", "seal"); hex.EncodeToString(got) != want {
		t.Errorf("derived %x, want %s", got, want)
	}
	if _, err := r.Derive("c", "seal"); !errors.Is(err, ErrUnknownKey) || !strings.Contains(err.Error(), `"c"`) {
		t.Errorf("unknown id: got %v, want ErrUnknownKey naming it", err)
	}
}

func TestRotateAndDrop(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keys")
	first, err := Create(path, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	id, err := Rotate(path, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	r, err := Load(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{first.Current(), id}, r.IDs()); diff != "" || r.Current() != id {
		t.Errorf("after Rotate, current %s (-want +got):\n%s", r.Current(), diff)
	}
	old, _ := first.Derive(first.Current(), "x")
	if kept, _ := r.Derive(first.Current(), "x"); !bytes.Equal(old, kept) {
		t.Error("the old key changed")
	}
	if err := Drop(path, id); err == nil || !strings.Contains(err.Error(), "current") {
		t.Errorf("dropping the current key: got %v", err)
	}
	if err := Drop(path, "nope"); !errors.Is(err, ErrUnknownKey) {
		t.Errorf("dropping an unknown key: got %v", err)
	}
	if err := Drop(path, first.Current()); err != nil {
		t.Fatal(err)
	}
	if r, err = Load(path); err != nil || !slices.Equal(r.IDs(), []string{id}) {
		t.Errorf("after Drop: %v, %v", r.IDs(), err)
	}
	only(t, path)
}

func TestRotateThroughSymlink(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keys")
	if _, err := Create(path, rand.Reader); err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(path, link); err != nil {
		t.Fatal(err)
	}
	if _, err := Rotate(link, rand.Reader); err != nil {
		t.Fatal(err)
	}
	if r, err := Load(path); err != nil || len(r.keys) != 2 {
		t.Errorf("the file behind the link was not changed: %v", err)
	}
}

func TestRotateAtOnce(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keys")
	if _, err := Create(path, rand.Reader); err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			if _, err := Rotate(path, rand.Reader); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if r, err := Load(path); err != nil || len(r.keys) != 9 {
		t.Errorf("want 9 keys after 8 rotations at once, got %d, %v", len(r.IDs()), err)
	}
}

func TestRedacted(t *testing.T) {
	r, err := parse([]byte("a " + keyA + "\n"))
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%t", "%p"} {
		fmt.Fprintf(&out, verb+"\n", r)
		fmt.Fprintf(&out, verb+"\n", *r)
		fmt.Fprintf(&out, verb+"\n", struct{ R *Ring }{r})
		fmt.Fprintf(&out, verb+"\n", struct{ R Ring }{*r})
		fmt.Fprintf(&out, verb+"\n", struct{ r *Ring }{r})
		fmt.Fprintf(&out, verb+"\n", struct{ r Ring }{*r})
		fmt.Fprintf(&out, verb+"\n", r.keys)
	}
	slog.New(slog.NewJSONHandler(&out, nil)).Info("m", "ring", r, "value", *r, "in", struct{ R *Ring }{r})
	slog.New(slog.NewTextHandler(&out, nil)).Info("m", "ring", r, "value", *r, "in", struct{ R *Ring }{r})
	if err := json.NewEncoder(&out).Encode(map[string]any{"p": r, "v": *r}); err != nil {
		t.Fatal(err)
	}
	for _, leak := range []string{keyA[:8], "00010203", "000102", "0 1 2 3", "0x0, 0x1", `\x00\x01`} {
		if strings.Contains(strings.ToLower(out.String()), strings.ToLower(leak)) {
			t.Errorf("found %q in\n%s", leak, out.String())
		}
	}
	if !strings.Contains(out.String(), redacted) {
		t.Error("nothing was printed at all")
	}
}

// FuzzParse: what parses is written back to what parses equal, and every ring has a usable current key.
func FuzzParse(f *testing.F) {
	f.Add([]byte("a " + keyA + "\n"))
	f.Add([]byte("# c\r\n\n old\t" + keyA + "\r\nnew " + keyB + "\n"))
	f.Add([]byte("a " + keyA))
	f.Add([]byte("a " + keyA + "=\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := parse(b)
		if err != nil {
			return
		}
		again, err := parse(r.text())
		if err != nil || !same(again, r) {
			t.Fatalf("written and read again: %v", err)
		}
		if _, err := r.Derive(r.Current(), "x"); err != nil {
			t.Fatal(err)
		}
	})
}
