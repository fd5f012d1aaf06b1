package doctor

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"otpost/cmd/otpost/config"
	"otpost/driver"
)

// Host is this machine.
func Host() System {
	return System{Now: time.Now, Proc: "/proc", Free: free, Synced: synced, Access: access, Holders: holders, Probe: probe}
}

func free(dir string) (int64, error) {
	var s unix.Statfs_t
	if err := unix.Statfs(dir, &s); err != nil {
		return 0, fmt.Errorf("free space of %s: %w", dir, err)
	}
	return int64(s.Bavail) * int64(s.Bsize), nil
}

// staUnsync is STA_UNSYNC of adjtimex(2).
const staUnsync = 0x40

func synced() (bool, error) {
	var t unix.Timex
	if _, err := unix.Adjtimex(&t); err != nil {
		return false, fmt.Errorf("ask the kernel about the clock: %w", err)
	}
	return t.Status&staUnsync == 0, nil
}

func access(path string) error {
	err := unix.Access(path, unix.R_OK|unix.W_OK)
	if errors.Is(err, unix.ENOENT) {
		return fs.ErrNotExist
	}
	if err != nil {
		return &os.PathError{Op: "open", Path: path, Err: err}
	}
	return nil
}

// holders are the other programs that have a port open. A pseudo-terminal is always open at a simulated modem's end.
func holders(device string) []driver.Holder {
	target, err := filepath.EvalSymlinks(device)
	if err != nil || strings.HasPrefix(target, "/dev/pts/") {
		return nil
	}
	return driver.Holders(device)
}

// Bounds of asking a modem.
const (
	probeTime   = 30 * time.Second
	commandTime = 5 * time.Second
)

// probe asks the modem who it is and how it stands; a refusal of +CGSMS? is no fault.
func probe(ctx context.Context, m config.Modem) (Probed, error) {
	if m.Device == "" {
		return Probed{}, errors.New("it is found by its imei, and only the daemon looks for it: start the daemon")
	}
	ctx, cancel := context.WithTimeout(ctx, probeTime)
	defer cancel()
	st, err := driver.Probe(ctx, m.Device, m.Baud)
	if err != nil {
		return Probed{}, err
	}
	p := Probed{Status: st}
	answers, err := driver.Commands(ctx, m.Device, m.Baud, commandTime, "+CGSMS?")
	if err == nil && len(answers) == 1 && len(answers[0].Lines) == 1 {
		p.SMSService = answers[0].Lines[0]
	}
	return p, nil
}
