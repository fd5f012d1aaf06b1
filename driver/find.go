package driver

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"time"
)

var errWrongModem = errors.New("another modem is at this port")

// Ports lists the serial ports on which a modem may be, the stable names first, each device once.
func Ports() []string {
	var out, devices []string
	for _, pattern := range []string{"/dev/serial/by-id/*", "/dev/ttyUSB*", "/dev/ttyACM*"} {
		names, err := filepath.Glob(pattern)
		if err != nil {
			continue // the patterns are well formed
		}
		for _, name := range names {
			device, err := filepath.EvalSymlinks(name)
			if err == nil && !slices.Contains(devices, device) {
				out, devices = append(out, name), append(devices, device)
			}
		}
	}
	return out
}

// find opens the port on which the modem is: Device, unless IMEI says that it is elsewhere now. initialise checks that
// the modem is the right one; here only a wrong or missing Device makes us look around.
func (m *Modem) find(ctx context.Context) (*port, string, error) {
	var first error
	if m.cfg.Device != "" && m.ladder.strange != m.cfg.Device {
		p, err := openPort(m.cfg.Device, m.cfg.Baud)
		if err == nil || m.wanted() == "" {
			return p, m.cfg.Device, err
		}
		first = err
	}
	m.ladder.strange = ""
	for _, device := range m.cfg.Candidates() {
		if ctx.Err() != nil {
			return nil, "", ctx.Err()
		}
		p, err := openPort(device, m.cfg.Baud)
		if err != nil {
			continue // held by another modem's driver, or not ours to open
		}
		if !sameIMEI(imeiAt(p, m.cfg, m.classes), m.wanted()) {
			continue
		}
		if p, err = openPort(device, m.cfg.Baud); err == nil {
			return p, device, nil
		}
	}
	if first == nil {
		first = fmt.Errorf("no port has a modem with IMEI …%s: %w", tail(m.wanted()), ErrAbsent)
	}
	return nil, "", first
}

func tail(s string) string { return s[max(0, len(s)-4):] }

// wanted is the IMEI that this modem must have; empty: any.
func (m *Modem) wanted() string { return m.cfg.IMEI }

// imeiAt asks a port who is there, quickly, and closes it.
func imeiAt(p *port, cfg Config, classes classTable) string {
	l := newLine(p, cfg, classes)
	defer l.close()
	l.at.Escape('\r', '\n')
	l.drain()
	for range 2 {
		info, err := l.exchange("+CGSN", time.Second)
		if err == nil {
			for _, s := range info.info {
				if n := digits(s, 14, 16); n != "" {
					return n
				}
			}
		}
	}
	return ""
}

// checkIMEI ends a session with the wrong modem.
func (s *session) checkIMEI() error {
	want := s.m.wanted()
	if want == "" || sameIMEI(want, s.caps.imei) {
		return nil
	}
	s.m.ladder.strange = s.m.Status().Device
	return fmt.Errorf("%w: IMEI …%s, want …%s; it is looked for on the other ports", errWrongModem, tail(s.caps.imei), tail(want))
}

// sameIMEI compares without the check digit, which some modems leave out or replace by a software version.
func sameIMEI(a, b string) bool {
	return len(a) >= 14 && len(b) >= 14 && a[:14] == b[:14]
}
