package sim

import (
	"fmt"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// users keeps an eye on who has a terminal open. One that is killed leaves it in exclusive mode (TIOCEXCL), which the kernel
// ends with the last descriptor; ours never goes, so that nobody but root would get in again until the modem is made anew.
type users struct {
	news *os.File // inotify: somebody has closed the terminal
}

// watchUsers begins to listen.
func watchUsers(terminal string) (*users, error) {
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		return nil, err
	}
	u := &users{news: os.NewFile(uintptr(fd), "inotify")}
	if _, err := unix.InotifyAddWatch(fd, terminal, unix.IN_CLOSE); err != nil {
		u.close()
		return nil, err
	}
	return u, nil
}

// watch ends the terminal's exclusive mode whenever its last user has gone, until stop or close. How many have come and gone
// is not told (inotify puts like events together), so each time it looks who is left.
func (u *users) watch(terminal *os.File) {
	if u == nil || u.news.SetReadDeadline(time.Time{}) != nil {
		return
	}
	for buf := make([]byte, 4096); ; {
		if _, err := u.news.Read(buf); err != nil {
			return
		}
		conn, err := terminal.SyscallConn()
		if err != nil {
			return // it is closed
		}
		_ = conn.Control(func(fd uintptr) { // as above
			on, err := unix.IoctlGetInt(int(fd), unix.TIOCGEXCL)
			if err == nil && on != 0 && !used(terminal.Name(), int(fd)) {
				_ = unix.IoctlSetInt(int(fd), unix.TIOCNXCL, 0)
			}
		})
	}
}

// used says whether anybody has the terminal open, but for our own descriptor. Processes of other people are not seen unless
// we are root; such a user then loses a mode that keeps nobody out who asks for the lock (flock) too.
func used(terminal string, own int) bool {
	links, err := filepath.Glob("/proc/[0-9]*/fd/*")
	if err != nil {
		return true // the pattern is well formed
	}
	ours := fmt.Sprintf("/proc/%d/fd/%d", os.Getpid(), own)
	for _, link := range links {
		if to, err := os.Readlink(link); err == nil && to == terminal && link != ours {
			return true
		}
	}
	return false
}

// stop ends watch and may be followed by another; what happens in between is not missed.
func (u *users) stop() {
	if u != nil {
		_ = u.news.SetReadDeadline(time.Unix(1, 0)) // of a closed file: watch has ended
	}
}

func (u *users) close() {
	if u != nil {
		_ = u.news.Close() // nothing is written to it
	}
}
