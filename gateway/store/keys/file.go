package keys

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// maxFile bounds a key file: about a thousand keys.
const maxFile = 64 << 10

const fileHeader = `# Otpost key file. Without it the store cannot be read; whoever has it can read the store and make codes.
# Keep a copy in a safe place, apart from backups. One key a line: id, base64url of 32 bytes. The last is current.
`

var encoding = base64.RawURLEncoding.Strict()

// Load reads the key file at path, which must not be readable by others.
func Load(path string) (*Ring, error) {
	// O_NONBLOCK: a FIFO in the file's place must not hold the start up.
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, fmt.Errorf("key file: %w", err)
	}
	defer f.Close()
	if err := checkAccess(f); err != nil {
		return nil, fmt.Errorf("key file %s: %w", path, err)
	}
	b, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, fmt.Errorf("key file: %w", err)
	}
	r, err := parse(b)
	if err != nil {
		return nil, fmt.Errorf("key file %s: %w", path, err)
	}
	return r, nil
}

// checkAccess refuses a file that anybody but its owner could read, or whose owner could replace it under us.
func checkAccess(f *os.File) error {
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil {
		return fmt.Errorf("look at it: %w", err)
	}
	return judgeAccess(st.Mode, st.Uid, st.Gid, uint32(os.Geteuid()))
}

func judgeAccess(mode, uid, gid, euid uint32) error {
	perm := mode & 0o7777
	switch {
	case mode&unix.S_IFMT != unix.S_IFREG:
		return errors.New("is not a regular file")
	case uid != euid && uid != 0:
		return fmt.Errorf("belongs to user %d, but this process is user %d: run as its owner, or chown it", uid, euid)
	case euid != 0 && uid == 0 && gid == 0 && perm&0o037 == 0:
		// A credential that systemd hands to a service user: root's, with an access list whose mask shows as group bits.
		return nil
	case perm&0o077 != 0:
		return fmt.Errorf("can be read or written by others (mode %04o): chmod 600 it", perm)
	}
	return nil
}

// parse reads the text of a key file.
func parse(b []byte) (*Ring, error) {
	switch {
	case len(b) > maxFile:
		return nil, fmt.Errorf("is longer than %d bytes: this is not a key file", maxFile)
	case len(b) > 0 && b[len(b)-1] != '\n':
		return nil, errors.New("is torn: the last line has no end; put a good copy back")
	}
	r := &Ring{}
	for i, line := range strings.Split(string(b), "\n") {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		k, err := parseKey(line)
		if err == nil {
			err = r.add(k)
		}
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", i+1, err)
		}
	}
	if len(r.keys) == 0 {
		return nil, errors.New("holds no key; put a good copy back")
	}
	return r, nil
}

// parseKey reads one line. Its errors never quote the line, which may hold a key.
func parseKey(line string) (key, error) {
	fields := strings.Fields(line)
	if len(fields) != 2 {
		return key{}, fmt.Errorf("want an id and a key, got %d words", len(fields))
	}
	if !validID(fields[0]) {
		return key{}, errors.New("the id must be 1 to 32 of a-z, 0-9 and -")
	}
	secret, err := encoding.DecodeString(fields[1])
	if err != nil || len(secret) != Size {
		return key{}, fmt.Errorf("the key is not base64url of %d bytes", Size)
	}
	return keep(fields[0], [Size]byte(secret)), nil
}

func validID(id string) bool {
	return len(id) > 0 && len(id) <= 32 && strings.Trim(id, "abcdefghijklmnopqrstuvwxyz0123456789-") == ""
}

// add appends k as the current key.
func (r *Ring) add(k key) error {
	for i := range r.keys {
		switch {
		case r.keys[i].id == k.id:
			return fmt.Errorf("the id %s is there twice", k.id)
		case r.keys[i].secret() == k.secret():
			return fmt.Errorf("the key is the same as that of %s", r.keys[i].id)
		}
	}
	r.keys = append(r.keys, k)
	return nil
}

// text is what parse reads.
func (r *Ring) text() []byte {
	var b bytes.Buffer
	b.WriteString(fileHeader)
	for i := range r.keys {
		secret := r.keys[i].secret()
		fmt.Fprintf(&b, "%s %s\n", r.keys[i].id, encoding.EncodeToString(secret[:]))
	}
	return b.Bytes()
}

// Create makes a key file at path (mode 0600, synced) with one new key; it never replaces a file.
func Create(path string, random io.Reader) (*Ring, error) {
	r, err := Generate(random)
	if err != nil {
		return nil, err
	}
	if err := r.write(path, os.Link); err != nil {
		if errors.Is(err, fs.ErrExist) {
			return nil, fmt.Errorf("key file %s: %w already; it is never replaced", path, fs.ErrExist)
		}
		return nil, fmt.Errorf("make key file: %w", err)
	}
	return r, nil
}

// write puts the ring at path in one step: a temporary file, synced, then placed (linked or renamed), the folder synced.
// So a crash leaves either no file, the old one or the new one.
func (r *Ring) write(path string, place func(temp, path string) error) error {
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	defer dir.Close()
	f, err := os.CreateTemp(dir.Name(), ".keys-*.tmp") // O_EXCL, mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // after a rename there is nothing to remove
	_, err = f.Write(r.text())
	if err == nil {
		err = f.Sync()
	}
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err := place(f.Name(), path); err != nil {
		return err
	}
	return dir.Sync()
}

// Rotate adds a new key to the file at path and makes it the current one; the old keys stay. It returns the new id.
func Rotate(path string, random io.Reader) (string, error) {
	var id string
	err := edit(path, func(r *Ring) error {
		k, err := newKey(random)
		if err != nil {
			return err
		}
		id = k.id
		return r.add(k)
	})
	return id, err
}

// Drop removes the key named id from the file at path. What is still sealed with it can then never be read again; the
// store tells whether there is any. The current key is never dropped.
func Drop(path, id string) error {
	return edit(path, func(r *Ring) error {
		i := slices.IndexFunc(r.keys, func(k key) bool { return k.id == id })
		switch {
		case i < 0:
			return fmt.Errorf("key %q: %w", id, ErrUnknownKey)
		case i == len(r.keys)-1:
			return fmt.Errorf("key %q is the current one: rotate first", id)
		}
		r.keys = slices.Delete(r.keys, i, i+1)
		return nil
	})
}

// edit changes the key file in one step, one process at a time.
func edit(path string, change func(*Ring) error) error {
	path, err := filepath.EvalSymlinks(path)
	if err != nil {
		return fmt.Errorf("key file: %w", err)
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return fmt.Errorf("key file: %w", err)
	}
	defer dir.Close() // and with it the lock
	if err := unix.Flock(int(dir.Fd()), unix.LOCK_EX); err != nil {
		return fmt.Errorf("lock the folder of key file %s: %w", path, err)
	}
	r, err := Load(path)
	if err != nil {
		return err
	}
	if err := change(r); err != nil {
		return fmt.Errorf("change key file %s: %w", path, err)
	}
	if err := r.write(path, os.Rename); err != nil {
		return fmt.Errorf("change key file: %w", err)
	}
	return nil
}
