package daemon

import (
	"context"
	"os"
	"runtime/debug"
	"time"

	"otpost/gateway/store"
)

// startGarbage is how long after the start its garbage is thrown away.
const startGarbage = 5 * time.Second

// settleDown keeps the daemon small: on the boards that it is made for, memory is what is short. Once started it lets go
// of what only the start needed: garbage, and the pages of code that come back from the system's cache when they are
// touched again.
func (d *Daemon) settleDown(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return nil
	case <-d.Ready():
	}
	select {
	case <-ctx.Done():
		return nil
	case <-time.After(startGarbage):
	}
	debug.FreeOSMemory()
	exe, err := os.Executable()
	if err == nil {
		err = store.ForgetPages(func(path string) bool { return path == exe })
	}
	if err != nil {
		d.log.Debug("code of the start stays resident", "error", err)
	}
	return nil
}
