package doctor

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"otpost/api/wire"
	"otpost/cmd/otpost/config"
	"otpost/driver"
)

// modem looks at one modem: its port, and then what the daemon or, while none runs, the modem itself says.
func (e *examination) modem(ctx context.Context, m config.Modem, running bool) {
	check := "modem " + m.Name
	if m.Device == config.SimulatorDevice {
		e.good(check, "it is simulated: no text reaches a real phone")
		return
	}
	if running {
		if view, ok := e.view(ctx, m.Name); ok {
			e.stable(check, m)
			e.seen(check, m, view)
			return
		}
	}
	if !e.port(check, m) {
		return
	}
	e.stable(check, m)
	st, err := e.Probe(ctx, m)
	if err != nil {
		e.mend(check, plain(err), "nothing can be sent through it", "otpost modem probe")
		return
	}
	e.probed(check, m, st)
}

func (e *examination) view(ctx context.Context, name string) (wire.Modem, bool) {
	all, err := e.Daemon.Modems(ctx)
	if err != nil {
		return wire.Modem{}, false
	}
	i := slices.IndexFunc(all.Modems, func(m wire.Modem) bool { return m.Name == name })
	if i < 0 {
		return wire.Modem{}, false
	}
	return all.Modems[i], true
}

// port says whether the port can be opened at all.
func (e *examination) port(check string, m config.Modem) bool {
	if m.Device == "" {
		return true // found by its IMEI
	}
	err := e.Access(m.Device)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		e.mend(check, m.Device+" is not there", "nothing can be sent through it", "plug it in, then: otpost modem probe")
		return false
	case err != nil:
		e.mend(check, m.Device+" may not be opened by this user", "the daemon needs it", "usermod -aG dialout otpost, and for yourself: sudo usermod -aG dialout $USER")
		return false
	}
	if who := e.Holders(m.Device); len(who) > 0 {
		mend := grabber(who[0].Name)
		if mend == "" {
			mend = fmt.Sprintf("stop it: kill %d", who[0].PID)
		}
		e.mend(check, fmt.Sprintf("%s is held by %s", m.Device, who[0]), "two programs on one port garble each other's commands", mend)
		return false
	}
	return true
}

// stable warns of names that change when another stick is plugged in first.
func (e *examination) stable(check string, m config.Modem) {
	if m.IMEI == "" && (strings.HasPrefix(m.Device, "/dev/ttyUSB") || strings.HasPrefix(m.Device, "/dev/ttyACM")) {
		e.watch(check, m.Device+" is a name that changes", "after a restart another modem may have it", "use the name under /dev/serial/by-id that `otpost modem probe` prints, or set imei")
	}
}

// seen judges what the daemon says of a modem.
func (e *examination) seen(check string, m config.Modem, v wire.Modem) {
	const why = "nothing is sent through it"
	switch driver.State(v.State) {
	case driver.StateReady:
	case driver.StateAbsent:
		e.mend(check, "its port is not there: "+v.LastError, why, "plug it in, then: otpost modem probe")
	case driver.StateSIMLocked:
		e.locked(check, m)
	case driver.StateSIMMissing:
		e.mend(check, "it has no SIM", why, "insert one, or clean its contacts; then: otpost modem reset "+m.Name)
	case driver.StateSearching:
		e.unregistered(check, v.Registration)
	default:
		e.mend(check, fmt.Sprintf("it is %s: %s", v.State, v.LastError), why, "otpost modem show "+m.Name+"; otpost modem reset "+m.Name)
	}
	if v.Paused {
		e.watch(check, "an operator has paused it", why, "otpost modem resume "+m.Name)
	}
	if v.Quarantined != "" {
		e.mend(check, "it is kept out of routing: "+v.Quarantined, why, "see to the SIM (credit, bar), then: otpost modem resume "+m.Name)
	}
	if driver.State(v.State) == driver.StateReady {
		e.working(check, v.Registration, v.SignalDBm, v.StorageUsed, v.StorageTotal)
		if !v.Reports {
			e.watch(check, "no delivery reports come in", "a text is known to be sent, not to be delivered", "ask the network operator whether the SIM may have reports")
		}
	}
}

// probed judges what a modem says of itself.
func (e *examination) probed(check string, m config.Modem, st Probed) {
	switch st.State {
	case driver.StateSIMLocked:
		e.locked(check, m)
		return
	case driver.StateSIMMissing:
		e.mend(check, "it has no SIM", "nothing can be sent through it", "insert one, or clean its contacts")
		return
	}
	if st.SMSC == "" {
		e.mend(check, "no message centre (SMSC) is set", "every text is refused", "ask the network operator for the number, then: otpost modem at "+st.Device+" '+CSCA=\"+…\",145'")
	}
	if strings.HasSuffix(strings.TrimSpace(st.SMSService), "0") {
		e.watch(check, "texts go over the packet network only (+CGSMS: 0)", "where SMS over LTE is not offered they are refused", "otpost modem at "+st.Device+" +CGSMS=3")
	}
	if st.Registration != "home" && st.Registration != "roaming" {
		e.unregistered(check, st.Registration)
		return
	}
	e.working(check, st.Registration, st.SignalDBm, st.StorageUsed, st.StorageTotal)
}

func (e *examination) locked(check string, m config.Modem) {
	mend := "put its PIN into a file of mode 0600 and name that as sim_pin_file"
	if m.SIMPINFile != "" {
		mend = "the PIN in " + m.SIMPINFile + " was refused or may not be tried any more: unlock the SIM in a phone, put the right PIN there, then restart"
	}
	e.mend(check, "its SIM is locked", "nothing is sent through it, and no PIN is tried twice", mend)
}

func (e *examination) unregistered(check, registration string) {
	if registration == "denied" {
		e.mend(check, "the network refuses the SIM", "nothing is sent through it", "ask the network operator whether the SIM is active")
		return
	}
	e.mend(check, "it is not registered with a network ("+registration+")", "nothing is sent through it", "move the antenna; otpost modem show says the signal")
}

// weakSignal in dBm: below it registration comes and goes (27.007 8.5: rssi 6).
const weakSignal = -101

// working judges a modem that is registered.
func (e *examination) working(check, registration string, dBm, used, total int) {
	if dBm != 0 && dBm < weakSignal {
		e.watch(check, fmt.Sprintf("the signal is weak: %d dBm", dBm), "texts are slow or refused", "move the antenna")
	}
	if total > 0 && used >= total-total/5 {
		e.watch(check, fmt.Sprintf("its message storage is nearly full: %d of %d", used, total), "no delivery report and no text comes in any more", "start the daemon, which sweeps it")
	}
	if registration == "roaming" {
		e.watch(check, "it is roaming", "each text costs more, and some are refused", "check that the SIM is of this country")
	}
	e.good(check, fmt.Sprintf("registered (%s), %d dBm", registration, dBm))
}
