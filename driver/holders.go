package driver

import (
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

// Holder is a process that has a port open.
type Holder struct {
	PID  int
	Name string
}

func (h Holder) String() string { return fmt.Sprintf("%s (pid %d)", h.Name, h.PID) }

// Holders lists the other processes that have the device open, as far as /proc lets us see.
func Holders(device string) []Holder {
	target, err := filepath.EvalSymlinks(device)
	if err != nil {
		return nil
	}
	links, err := filepath.Glob("/proc/[0-9]*/fd/*")
	if err != nil {
		return nil
	}
	var found []Holder
	for _, link := range links {
		pid, err := strconv.Atoi(strings.Split(link, "/")[2])
		if err != nil || pid == os.Getpid() || slices.ContainsFunc(found, func(h Holder) bool { return h.PID == pid }) {
			continue
		}
		if to, err := os.Readlink(link); err == nil && to == target {
			found = append(found, Holder{PID: pid, Name: processName(pid)})
		}
	}
	return found
}

// otherHolders is Holders, but for pseudo-terminals: a simulated modem keeps its own end's twin open.
func otherHolders(device string) []Holder {
	target, err := filepath.EvalSymlinks(device)
	if err != nil || strings.HasPrefix(target, "/dev/pts/") {
		return nil
	}
	return Holders(device)
}

func processName(pid int) string {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid))
	if err != nil {
		return "unknown"
	}
	return strings.TrimSpace(string(b))
}

func heldError(name string, who []Holder) error {
	if len(who) == 0 {
		return fmt.Errorf("%s: %w; find it with: fuser -v %s", name, ErrHeld, name)
	}
	list := make([]string, len(who))
	for i, h := range who {
		list[i] = h.String()
	}
	return fmt.Errorf("%s: %w: %s; %s", name, ErrHeld, strings.Join(list, ", "), releaseAdvice(who[0], name))
}

func releaseAdvice(h Holder, name string) string {
	switch h.Name {
	case "ModemManager":
		return `tell ModemManager to leave this modem alone (udev: ENV{ID_MM_DEVICE_IGNORE}="1") or: systemctl disable --now ModemManager`
	case "brltty":
		return "brltty takes many USB serial ports for braille displays: apt remove brltty, or mask brltty-udev.service"
	}
	return fmt.Sprintf("stop that program, or give another port than %s", name)
}

// groupOf names the group that owns the device, dialout when it cannot be told.
func groupOf(name string) string {
	info, err := os.Stat(name)
	if err != nil {
		return "dialout"
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok || stat.Gid == 0 {
		return "dialout"
	}
	g, err := user.LookupGroupId(strconv.Itoa(int(stat.Gid)))
	if err != nil {
		return "dialout"
	}
	return g.Name
}
