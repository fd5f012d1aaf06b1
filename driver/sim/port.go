package sim

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/creack/pty"
	"golang.org/x/sys/unix"
	"golang.org/x/term"
)

// tty is a pseudo-terminal: the modem works the master, its user opens the slave.
type tty struct {
	master *os.File
	slave  *os.File // held open, so that the master gets no EIO while nobody has the slave
	users  *users   // of the slave; nil: the kernel does not tell
	link   string
	lock   net.Listener // says to others that the link is in use; nil without a link
}

// openTTY opens a raw pseudo-terminal and points link (if any) at it.
func openTTY(link string) (*tty, error) {
	t := &tty{}
	if link != "" {
		if err := t.claim(link); err != nil {
			return nil, err
		}
	}
	if err := t.open(); err != nil {
		return nil, errors.Join(err, t.Close())
	}
	if t.link != "" {
		if err := t.point(); err != nil {
			return nil, errors.Join(err, t.Close())
		}
	}
	return t, nil
}

func (t *tty) open() error {
	master, slave, err := pty.Open()
	if err != nil {
		return fmt.Errorf("open a pseudo-terminal: %w", err)
	}
	t.slave = slave
	if t.master, err = pollable(master); err != nil {
		return fmt.Errorf("poll the pseudo-terminal of %s: %w", slave.Name(), err)
	}
	if _, err := term.MakeRaw(int(slave.Fd())); err != nil {
		return fmt.Errorf("make %s raw: %w", slave.Name(), err)
	}
	t.users, err = watchUsers(slave.Name())
	if err != nil { // the user's inotify instances are used up: only a user that is killed is noticed less well
		t.users = nil
	}
	return nil
}

// pollable gives f's terminal deadlines: creack/pty leaves it blocking, and a blocked read would outlive Close.
func pollable(f *os.File) (*os.File, error) {
	fd, err := unix.FcntlInt(f.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	if err = errors.Join(err, f.Close()); err != nil {
		return nil, err
	}
	if err := unix.SetNonblock(fd, true); err != nil {
		return nil, errors.Join(err, unix.Close(fd))
	}
	p := os.NewFile(uintptr(fd), "/dev/ptmx")
	return p, p.SetDeadline(time.Time{})
}

// claim takes the link's name: refused when it is in use by another simulated modem or is no link of ours. A socket in
// the abstract namespace is the lock, since it goes away with its process and leaves nothing behind.
func (t *tty) claim(link string) error {
	abs, err := filepath.Abs(link)
	if err != nil {
		return fmt.Errorf("link %s: %w", link, err)
	}
	if err := ours(abs); err != nil {
		return err
	}
	sum := sha256.Sum256([]byte(abs))
	lock, err := net.Listen("unix", "@otpost-sim-"+hex.EncodeToString(sum[:16]))
	if err != nil {
		return fmt.Errorf("link %s: another simulated modem has it: stop that one or choose another path", link)
	}
	t.link, t.lock = abs, lock
	return nil
}

// ours checks that path is free or a symbolic link to a terminal, as an earlier simulated modem leaves when it is killed.
func ours(path string) error {
	fi, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("link: %w", err)
	}
	if fi.Mode()&fs.ModeSymlink == 0 {
		return fmt.Errorf("link %s: it exists and is no link of a simulated modem: remove it or choose another path", path)
	}
	target, err := os.Readlink(path)
	if err != nil {
		return fmt.Errorf("link: %w", err)
	}
	if !strings.HasPrefix(target, "/dev/pts/") {
		return fmt.Errorf("link %s: it points to %s and not into /dev/pts: remove it or choose another path", path, target)
	}
	return nil
}

// point makes the link, or moves it, in one step.
func (t *tty) point() error {
	temp := fmt.Sprintf("%s.%d.tmp", t.link, os.Getpid())
	if err := os.Symlink(t.slave.Name(), temp); err != nil {
		return fmt.Errorf("link %s: %w", t.link, err)
	}
	if err := os.Rename(temp, t.link); err != nil {
		return errors.Join(fmt.Errorf("link %s: %w", t.link, err), os.Remove(temp))
	}
	return nil
}

// Path is the link, or the terminal itself.
func (t *tty) Path() string {
	switch {
	case t == nil:
		return ""
	case t.link != "":
		return t.link
	case t.slave == nil:
		return ""
	}
	return t.slave.Name()
}

// hangUp closes the terminal (its user reads EOF or EIO) and takes the link away; replug brings both back.
func (t *tty) hangUp() {
	t.closeEnds()
	t.unlink()
}

func (t *tty) replug() error {
	if err := t.open(); err != nil {
		return err
	}
	if t.link == "" {
		return nil
	}
	return t.point()
}

func (t *tty) closeEnds() {
	for _, f := range []*os.File{t.master, t.slave} {
		if f != nil {
			_ = f.Close() // nothing is buffered in a pseudo-terminal of ours that could be lost
		}
	}
	t.users.close()
}

// unlink removes the link if it is still ours: someone may have replaced it.
func (t *tty) unlink() {
	if t.link == "" || t.slave == nil {
		return
	}
	if target, err := os.Readlink(t.link); err == nil && target == t.slave.Name() {
		_ = os.Remove(t.link) // a link that stays is replaced at the next start
	}
}

// Close closes the terminal and removes the link. It may be called twice, and on nil.
func (t *tty) Close() error {
	if t == nil {
		return nil
	}
	t.unlink()
	t.closeEnds()
	if t.lock != nil {
		_ = t.lock.Close() // its name is free in any case when the process ends
	}
	return nil
}
