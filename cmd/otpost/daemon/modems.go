package daemon

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"regexp"
	"strings"
	"time"

	"otpost/cmd/otpost/config"
	"otpost/driver"
	"otpost/driver/sim"
	"otpost/gateway"
)

// buildModems makes a driver for each configured modem, and the simulated modem behind it where the device says so.
func (d *Daemon) buildModems(context.Context) error {
	for _, m := range d.opts.Config.Modems {
		device := m.Device
		if device == config.SimulatorDevice {
			path, err := d.simulate(m)
			if err != nil {
				return err
			}
			device = path
		}
		if err := d.drive(m, device); err != nil {
			return fmt.Errorf("modem %s: %w", m.Name, err)
		}
	}
	return nil
}

// simulate makes the simulated modem behind m and returns the path of its pseudo-terminal.
func (d *Daemon) simulate(m config.Modem) (string, error) {
	if d.network == nil {
		d.network = sim.NewNetwork(sim.NetworkConfig{})
	}
	s, err := sim.New(sim.Config{
		Name: m.Name, Personality: m.Simulator.Personality, Network: d.network, Log: d.log, Tap: d.opts.Tap,
		SubmitTime: time.Duration(m.Simulator.SubmitTime), ReportDelay: time.Duration(m.Simulator.ReportDelay),
		Link: d.opts.Config.DataDir + "/" + m.Name + ".tty",
	})
	if err != nil {
		return "", err
	}
	d.undo = append(d.undo, undo{"close simulated modem " + m.Name, s.Close})
	d.tasks = append(d.tasks, task{"simulated modem " + m.Name, s.Run})
	return s.Path(), nil
}

func (d *Daemon) drive(m config.Modem, device string) error {
	pin, err := secretFile(m.SIMPINFile)
	if err != nil {
		return err
	}
	modem, err := driver.New(driver.Config{
		Name: m.Name, Device: device, IMEI: m.IMEI, Baud: m.Baud, SIMPIN: pin, PINs: triedPINs{d.kv, d.kv.Secrets()},
		Handler: d.queue, Log: d.log, Registry: d.registry, Classes: classesOf(m), ResetHook: m.ResetHook, USBReset: m.USBReset,
		Candidates: d.ports,
	})
	if err != nil {
		return err
	}
	d.modems = append(d.modems, modem)
	d.tasks = append(d.tasks, task{"modem " + m.Name, modem.Run})
	balance, err := balanceOf(m.Balance)
	if err != nil {
		return err
	}
	return d.queue.Attach(gateway.Route{
		Modem: modem, Prefixes: m.Prefixes, PerMinute: m.PerMinute, PerDay: m.PerDay, PerMonth: m.PerMonth, Balance: balance,
	})
}

func balanceOf(b config.Balance) (gateway.Balance, error) {
	balance := gateway.Balance{Code: b.Code, Every: time.Duration(b.Every)}
	if b.Pattern == "" {
		return balance, nil
	}
	var err error
	if balance.Pattern, err = regexp.Compile(b.Pattern); err != nil {
		return balance, fmt.Errorf("pattern of the balance: %w", err)
	}
	return balance, nil
}

// ports are those on which any of the modems may be: they may have swapped names.
func (d *Daemon) ports() []string {
	var configured []string
	for _, m := range d.opts.Config.Modems {
		configured = append(configured, m.Device)
	}
	return driver.Ports(configured...)
}

// classesOf are those that the operator gave. Whoever texts a simulated phone whose number orders a refusal means that number,
// and not the SIM, however many follow one another.
func classesOf(m config.Modem) map[string]driver.Class {
	given := classes(m.Classes)
	if m.Device == config.SimulatorDevice {
		for _, code := range []string{"cms-8", "cms-10", "cms-21"} {
			if _, ok := given[code]; !ok {
				given[code] = driver.ClassRecipient
			}
		}
	}
	return given
}

func classes(named map[string]string) map[string]driver.Class {
	m := map[string]driver.Class{}
	for code, class := range named {
		m[code] = driver.Class(class)
	}
	return m
}

// secretFile reads a one-line secret from path; an empty path is no secret.
func secretFile(path string) (string, error) {
	if path == "" {
		return "", nil
	}
	info, err := os.Stat(path)
	if err != nil {
		return "", fmt.Errorf("secret file: %w", err)
	}
	if info.Mode().Perm()&0o077 != 0 {
		return "", fmt.Errorf("secret file %s can be read by others: chmod 600 %s", path, path)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return "", fmt.Errorf("secret file: %w", err)
	}
	s := strings.TrimSpace(string(b))
	if s == "" {
		return "", fmt.Errorf("secret file %s is empty", path)
	}
	return s, nil
}

// modemControl finds modems by name for the API.
type modemControl []*driver.Modem

func (c modemControl) find(name string) (*driver.Modem, error) {
	for _, m := range c {
		if m.Name() == name {
			return m, nil
		}
	}
	return nil, fmt.Errorf("modem %s: %w", name, fs.ErrNotExist)
}

// Reset sends a modem through the recovery ladder.
func (c modemControl) Reset(ctx context.Context, name string) error {
	m, err := c.find(name)
	if err != nil {
		return err
	}
	return m.Reset(ctx)
}

// USSD sends a service code, as for the balance of a prepaid SIM, and returns the network's answer.
func (c modemControl) USSD(ctx context.Context, name, code string) (string, error) {
	m, err := c.find(name)
	if err != nil {
		return "", err
	}
	return m.USSD(ctx, code)
}

// Trace returns the latest lines between the daemon and a modem, redacted.
func (c modemControl) Trace(name string) ([]driver.TraceLine, error) {
	m, err := c.find(name)
	if err != nil {
		return nil, err
	}
	return m.Trace(), nil
}
