package store

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func TestParseMapping(t *testing.T) {
	tests := []struct {
		name, line, path string
		ok               bool
	}{
		{"code", "00400000-00d43000 r-xp 00000000 08:01 1234  /usr/bin/otpost", "/usr/bin/otpost", true},
		{"a table", "7f11c0000000-7f11c0800000 rw-s 00000000 08:01 99    /var/lib/otpost/store/db/000001.sst", "/var/lib/otpost/store/db/000001.sst", true},
		{"with a space", "7f11c0000000-7f11c0800000 r--s 00000000 08:01 99    /srv/my data/1.sst", "/srv/my data/1.sst", true},
		{"private and written", "01700000-01800000 rw-p 01300000 08:01 1234  /usr/bin/otpost", "", false},
		{"no file", "c000000000-c000400000 rw-p 00000000 00:00 0", "", false},
		{"the stack", "7ffd1000-7ffd3000 rw-p 00000000 00:00 0    [stack]", "", false},
		{"nothing", "", "", false},
		{"rubbish", "zz-yy r-xp 0 0 /x", "", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m, ok := parseMapping(tt.line)
			if ok != tt.ok || ok && m.path != tt.path {
				t.Errorf("%+v, %v, want %q, %v", m, ok, tt.path, tt.ok)
			}
		})
	}
}

// Pages that are let go hold what they held, also what was written through the map and is not in the file yet.
func TestForgetPagesLosesNothing(t *testing.T) {
	path := filepath.Join(t.TempDir(), "1.sst")
	const size = 1 << 20
	if err := os.WriteFile(path, make([]byte, size), 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	b, err := unix.Mmap(int(f.Fd()), 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = unix.Munmap(b) }()
	for i := range b {
		b[i] = byte(i)
	}
	before := resident(t, path)
	if err := ForgetPages(func(p string) bool { return p == path }); err != nil {
		t.Fatal(err)
	}
	if after := resident(t, path); before < size>>10 || after != 0 {
		t.Errorf("%d kB were resident and %d kB are, want %d and none", before, after, size>>10)
	}
	for i := range b {
		if b[i] != byte(i) {
			t.Fatalf("byte %d is lost", i)
		}
	}
}

// A program that is made to run at any address corrects addresses in pages of its own file and then protects them.
func TestForgetPagesKeepsWhatWasWrittenAndProtected(t *testing.T) {
	path := filepath.Join(t.TempDir(), "program")
	const size = 1 << 20
	if err := os.WriteFile(path, make([]byte, size), 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	b, err := unix.Mmap(int(f.Fd()), 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = unix.Munmap(b) }()
	b[size/2] = 1
	if err := unix.Mprotect(b, unix.PROT_READ); err != nil {
		t.Fatal(err)
	}
	if err := ForgetPages(func(p string) bool { return p == path }); err != nil {
		t.Fatal(err)
	}
	if b[size/2] != 1 {
		t.Error("what was written is lost")
	}
}

// resident returns how many kB of a mapped file are resident.
func resident(t *testing.T, path string) (kB int) {
	t.Helper()
	smaps, err := os.ReadFile("/proc/self/smaps")
	if err != nil {
		t.Skip("the system does not tell: ", err)
	}
	_, rest, ok := strings.Cut(string(smaps), path)
	if !ok {
		t.Fatal("the file is not mapped")
	}
	for line := range strings.Lines(rest) {
		if n, ok := strings.CutPrefix(line, "Rss:"); ok {
			for _, c := range n {
				if c >= '0' && c <= '9' {
					kB = 10*kB + int(c-'0')
				}
			}
			return kB
		}
	}
	t.Fatal("no Rss")
	return 0
}
