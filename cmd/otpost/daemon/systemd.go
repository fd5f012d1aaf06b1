package daemon

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/coreos/go-systemd/v22/activation"
	sd "github.com/coreos/go-systemd/v22/daemon"

	"otpost/gateway/store"
)

// inherited returns the sockets that systemd opened for the daemon (otpost.socket); none when it did not.
func inherited() ([]net.Listener, error) {
	all, err := activation.Listeners()
	if err != nil {
		return nil, fmt.Errorf("take the sockets from systemd: %w", err)
	}
	for i, l := range all {
		if l == nil {
			return nil, fmt.Errorf("systemd handed over something that is no stream socket (number %d); see otpost.socket", i)
		}
	}
	return all, nil
}

// notify tells systemd when the daemon is ready, and then feeds its watchdog for as long as the store commits and every
// modem's loop turns. It does nothing where there is no systemd.
func (d *Daemon) notify(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return nil
	case <-d.Ready():
	}
	if _, err := sd.SdNotify(false, sd.SdNotifyReady); err != nil {
		d.log.Warn("systemd was not told that the daemon is ready", "error", err)
	}
	every, err := sd.SdWatchdogEnabled(false)
	if err != nil || every == 0 {
		return err
	}
	tick := time.NewTicker(every / 3)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			if err := d.alive(ctx, every/3); err != nil {
				d.log.Error("not feeding the watchdog", "error", err)
			} else if _, err := sd.SdNotify(false, sd.SdNotifyWatchdog); err != nil {
				d.log.Warn("systemd's watchdog was not fed", "error", err)
			}
		}
	}
}

// alive commits to the store and looks at every modem's loop.
func (d *Daemon) alive(ctx context.Context, within time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	now := time.Now()
	err := d.kv.Update(ctx, func(tx store.Txn) error {
		return store.Save(tx, "meta/heartbeat", now, time.Time{})
	})
	if err != nil && !errors.Is(err, store.ErrFull) { // a full disk is told by other means, and no restart mends it
		return fmt.Errorf("the store does not commit: %w", err)
	}
	for _, m := range d.modems {
		if turned := m.Turned(); now.Sub(turned) > loopPatience {
			return fmt.Errorf("the loop of modem %s last turned %v ago", m.Name(), now.Sub(turned).Round(time.Second))
		}
	}
	return nil
}

// loopPatience is longer than any step of a modem's loop takes: a verdict waits up to 5 minutes (DESIGN 6.4), and the
// ladder's pauses grow to as much.
const loopPatience = 15 * time.Minute
