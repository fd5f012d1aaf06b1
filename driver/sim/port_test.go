package sim

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// run starts a modem on its terminal and stops it when the test ends.
func run(t *testing.T, cfg Config) *Modem {
	t.Helper()
	m, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- m.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
		if err := m.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return m
}

// ask opens a terminal, types a line and reads until want comes.
func ask(t *testing.T, path, line, want string) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := f.SetReadDeadline(time.Now().Add(5 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteString(line + "\r"); err != nil {
		t.Fatal(err)
	}
	var got strings.Builder
	for buf := make([]byte, 256); !strings.Contains(got.String(), want); {
		n, err := f.Read(buf)
		if err != nil {
			t.Fatalf("%s: %v after %q", line, err, got.String())
		}
		got.Write(buf[:n])
	}
}

func TestTerminalIsUsedAgainAndAgain(t *testing.T) {
	m := run(t, Config{})
	for range 20 {
		ask(t, m.Path(), "AT+CGMI", "Otpost\r\n\r\nOK\r\n")
	}
}

func TestLink(t *testing.T) {
	link := filepath.Join(t.TempDir(), "modem0")
	m := run(t, Config{Link: link})
	if m.Path() != link {
		t.Errorf("Path: got %s, want %s", m.Path(), link)
	}
	ask(t, link, "AT", "OK")
	if _, err := New(Config{Link: link}); err == nil || !strings.Contains(err.Error(), "another simulated modem has it") {
		t.Errorf("a second modem on the link: got %v", err)
	}
	if err := m.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Lstat(link); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the link is left behind: %v", err)
	}
}

func TestStaleLinkIsReplaced(t *testing.T) {
	link := filepath.Join(t.TempDir(), "modem0")
	if err := os.Symlink("/dev/pts/99999", link); err != nil {
		t.Fatal(err)
	}
	run(t, Config{Link: link})
	ask(t, link, "AT", "OK")
}

func TestForeignLinkIsRefused(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	other := filepath.Join(dir, "other")
	if err := os.Symlink(file, other); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		file:                             "is no link of a simulated modem",
		dir:                              "is no link of a simulated modem",
		other:                            "not into /dev/pts",
		filepath.Join(dir, "none", "m0"): "no such file or directory",
	} {
		_, err := New(Config{Link: path})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("link %s: got %v, want %q", path, err, want)
		}
	}
	if b, err := os.ReadFile(file); err != nil || string(b) != "precious" {
		t.Errorf("the file was touched: %q, %v", b, err)
	}
	left, err := os.ReadDir(dir)
	if err != nil || len(left) != 2 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

func TestLostPortHangsUpAndComesBack(t *testing.T) {
	n := NewNetwork(NetworkConfig{})
	link := filepath.Join(t.TempDir(), "modem0")
	m := run(t, Config{Link: link, Network: n})
	f, err := os.OpenFile(link, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := n.AddFault(Fault{ID: "pull", Kind: LostPort}); err != nil {
		t.Fatal(err)
	}
	if n, err := f.Read(make([]byte, 1)); err == nil {
		t.Errorf("read %d bytes from a port that is gone", n)
	}
	if _, err := os.Lstat(link); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the link is still there: %v", err)
	}
	if m.Plugged() {
		t.Error("the modem says that it is plugged")
	}
	if err := n.RemoveFault("pull"); err != nil {
		t.Fatal(err)
	}
	waitFor(t, func() bool { return m.up() })
	ask(t, link, "AT", "OK")
}

// exclusive asks the terminal whether others are kept out (TIOCGEXCL).
func (m *Modem) exclusive(t *testing.T) bool {
	t.Helper()
	m.mu.Lock()
	defer m.mu.Unlock()
	n, err := unix.IoctlGetInt(int(m.tty.slave.Fd()), unix.TIOCGEXCL)
	if err != nil {
		t.Fatal(err)
	}
	return n != 0
}

// A user that is killed leaves the terminal in exclusive mode, which lasts as long as anybody has it open, and the modem
// always has: it must end that, or nobody but root gets in again. As long as any user is left it must not.
func TestExclusiveUserIsKilled(t *testing.T) {
	m := run(t, Config{})
	waitFor(t, func() bool { return m.up() })
	for range 3 {
		first, err := os.OpenFile(m.Path(), os.O_RDWR|unix.O_NOCTTY, 0)
		if err != nil {
			t.Fatal(err)
		}
		second, err := os.OpenFile(m.Path(), os.O_RDWR|unix.O_NOCTTY, 0)
		if err != nil {
			t.Fatal(err)
		}
		if err := unix.IoctlSetInt(int(first.Fd()), unix.TIOCEXCL, 0); err != nil {
			t.Fatal(err)
		}
		if err := first.Close(); err != nil {
			t.Fatal(err)
		}
		if _, err := second.WriteString("AT\r"); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(second, make([]byte, 9)); err != nil { // echo and OK: the modem has had time to look
			t.Fatal(err)
		}
		if !m.exclusive(t) {
			t.Error("the mode was ended under a user that is left")
		}
		if err := second.Close(); err != nil {
			t.Fatal(err)
		}
		waitFor(t, func() bool { return !m.exclusive(t) })
	}
}

// up says that the modem answers again after a restart.
func (m *Modem) up() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.back == nil && !m.booting && m.sess != nil
}

// waitFor polls something that real time brings about.
func waitFor(t *testing.T, ok func() bool) {
	t.Helper()
	deadline := time.After(10 * time.Second)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-deadline:
			t.Fatal("waited 10 s in vain")
		case <-tick.C:
		}
	}
}
