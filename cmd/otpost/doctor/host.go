package doctor

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"otpost/cmd/otpost/config"
)

// The clock is wrong for sure before this.
func oldest() time.Time { return time.Date(2026, time.January, 1, 0, 0, 0, 0, time.UTC) }

// clock: codes live for minutes, so a clock that jumps makes them worthless or lets them live too long.
func (e *examination) clock() {
	const why = "codes live for minutes by this clock, and a step back keeps them alive"
	now := e.Now()
	if now.Before(oldest()) {
		e.mend("clock", "the clock says "+now.UTC().Format(time.DateTime)+" UTC", why, "timedatectl set-ntp true")
		return
	}
	if info, err := os.Stat(e.KeyFile); err == nil && info.ModTime().After(now.Add(time.Minute)) {
		e.mend("clock", "the clock went back: the key file is from the future", why, "timedatectl set-ntp true")
		return
	}
	synced, err := e.Synced()
	switch {
	case err != nil:
		e.watch("clock", plain(err), why, "timedatectl status")
	case !synced:
		e.watch("clock", "nothing keeps the clock right", why, "timedatectl set-ntp true")
	default:
		e.good("clock", "the clock is kept right")
	}
}

// exposure: who can reach the API.
func (e *examination) exposure() {
	addr := e.Config.Listen
	if addr == "" {
		e.good("listen", "only on the socket "+e.Config.Socket)
		return
	}
	host, _, err := net.SplitHostPort(addr)
	ip, perr := netip.ParseAddr(host)
	local := host == "localhost" || perr == nil && ip.IsLoopback()
	switch {
	case err != nil:
		e.mend("listen", plain(err), "the daemon does not start", "otpost config check --config "+e.ConfigPath)
	case local:
		e.good("listen", addr+" is for this machine only")
	case e.Config.TLS.CertFile == "":
		e.watch("listen", addr+" takes plain HTTP from other machines", "PINs, codes and keys can be read on the way", "set tls.cert_file and tls.key_file, or listen on 127.0.0.1")
	default:
		e.good("listen", addr+" takes HTTPS from other machines")
	}
}

// daemon asks whether the daemon runs and can do its work; false while there is none.
func (e *examination) daemon(ctx context.Context) bool {
	const why = "no codes are sent"
	if e.Daemon == nil {
		e.watch("daemon", "no daemon answers on "+e.Config.Socket, why, "systemctl start otpost; journalctl -u otpost -n 20")
		return false
	}
	if _, err := e.Daemon.Modems(ctx); err != nil {
		e.watch("daemon", plain(err), why, "systemctl start otpost; journalctl -u otpost -n 20")
		return false
	}
	if _, err := e.Daemon.Ready(ctx); err != nil {
		e.mend("daemon", "it runs but is not ready: "+plain(err), why, "journalctl -u otpost -n 20")
		return true
	}
	e.good("daemon", "it runs and is ready")
	return true
}

// grabbers finds the programs that are known to open every serial port, whether or not they have one of ours now.
func (e *examination) grabbers() {
	if !slices.ContainsFunc(e.Config.Modems, func(m config.Modem) bool { return m.Device != config.SimulatorDevice }) {
		return
	}
	names, err := filepath.Glob(filepath.Join(e.Proc, "[0-9]*", "comm"))
	if err != nil {
		return // the pattern is well formed
	}
	var seen []string
	for _, name := range names {
		b, err := os.ReadFile(name)
		comm := strings.TrimSpace(string(b))
		if err != nil || slices.Contains(seen, comm) {
			continue // gone meanwhile, or known already
		}
		if mend := grabber(comm); mend != "" {
			seen = append(seen, comm)
			e.watch("other programs", comm+" is running", "it opens serial ports and talks to modems on them, now or when one is plugged in", mend)
		}
	}
	if len(seen) == 0 {
		e.good("other programs", "none is running that is known to take modems")
	}
}

// grabber is how a program that takes modems is kept off them; empty for others.
func grabber(comm string) string {
	switch comm {
	case "ModemManager":
		return "install 71-otpost-modemmanager.rules, or: systemctl disable --now ModemManager"
	case "brltty":
		return "apt remove brltty, or: systemctl mask --now brltty.service brltty-udev.service"
	case "gammu-smsd", "smsd", "wvdial", "pppd", "minicom", "picocom":
		return fmt.Sprintf("stop %s while otpost uses the modem", comm)
	}
	return ""
}
