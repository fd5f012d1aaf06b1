package driver

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"time"
)

var errWrongModem = errors.New("another modem is at this port")

// Ports lists the serial ports on which a modem may be, each device once: those that the caller knows of, then the stable
// names, then the others.
func Ports(known ...string) []string {
	names := slices.Clone(known)
	for _, pattern := range []string{"/dev/serial/by-id/*", "/dev/ttyUSB*", "/dev/ttyACM*"} {
		found, err := filepath.Glob(pattern)
		if err != nil {
			continue // the patterns are well formed
		}
		names = append(names, found...)
	}
	var out, devices []string
	for _, name := range names {
		device, err := filepath.EvalSymlinks(name)
		if err == nil && !slices.Contains(devices, device) {
			out, devices = append(out, name), append(devices, device)
		}
	}
	return out
}

const scanRounds = 3 // in vain, before another modem at a port without a configured IMEI is taken on

// finder knows which modem belongs here. It belongs to the modem's loop.
type finder struct {
	learned string    // IMEI of the modem that was here first, where none is configured
	strange string    // the port at which another modem was found
	scanned time.Time // when the other ports were looked at last
	rounds  int       // of that in vain
}

// find opens the port on which the modem is: Device, unless another modem was found there or nothing is; then whatever
// port has the wanted IMEI. Two modems whose device names were swapped thus go on as themselves.
func (m *Modem) find(ctx context.Context) (io.ReadWriteCloser, string, error) {
	absent := fmt.Errorf("no port has a modem with IMEI …%s: %w", tail(m.wanted()), ErrAbsent)
	if m.cfg.Device != "" && m.finder.strange != m.cfg.Device {
		p, err := openPort(m.cfg.Device, m.cfg.Baud)
		if err == nil {
			return p, m.cfg.Device, nil
		}
		absent = err
	}
	if m.wanted() == "" || time.Since(m.finder.scanned) < m.cfg.Scan {
		return nil, "", absent
	}
	p, device := m.scan(ctx)
	m.finder.scanned = time.Now()
	if p != nil {
		return p, device, nil
	}
	if m.finder.strange != "" {
		m.finder.rounds++
	}
	m.finder.strange = "" // perhaps it has been put right
	if m.finder.rounds >= scanRounds && m.cfg.IMEI == "" {
		m.log.Warn("the modem that was here is nowhere; whichever comes to its port is taken on")
		m.finder = finder{}
	}
	return nil, "", absent
}

// scan asks every free port for its IMEI.
func (m *Modem) scan(ctx context.Context) (io.ReadWriteCloser, string) {
	for _, device := range m.cfg.Candidates() {
		if ctx.Err() != nil || device == m.finder.strange {
			continue
		}
		p, err := openPort(device, m.cfg.Baud)
		if err != nil {
			continue // held by another modem's driver, or not ours to open
		}
		if !sameIMEI(imeiAt(p, m.cfg, m.classes), m.wanted()) {
			continue
		}
		if p, err := openPort(device, m.cfg.Baud); err == nil {
			return p, device
		}
	}
	return nil, ""
}

func tail(s string) string { return s[max(0, len(s)-4):] }

// wanted is the IMEI that this modem must have; empty: any.
func (m *Modem) wanted() string { return cmp.Or(m.cfg.IMEI, m.finder.learned) }

// imeiAt asks a port who is there, quickly, and closes it.
func imeiAt(p *port, cfg Config, classes classTable) string {
	l := newLine(p, cfg, classes)
	defer func() { _ = l.close() }() // what matters is what was learned
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

// checkIMEI ends a session with the wrong modem, and learns who the first one is. A modem that tells no IMEI is taken
// where none is asked for by the configuration.
func (s *session) checkIMEI() error {
	want, is := s.m.wanted(), s.caps.imei
	if want == "" || is == "" && s.m.cfg.IMEI == "" || sameIMEI(want, is) {
		s.m.finder.learned = cmp.Or(is, s.m.finder.learned)
		s.m.finder.strange, s.m.finder.rounds = "", 0
		return nil
	}
	s.m.finder.strange = s.m.Status().Device
	return fmt.Errorf("%w: IMEI …%s, want …%s; it is looked for on the other ports", errWrongModem, tail(is), tail(want))
}

// sameIMEI compares without the check digit, which some modems leave out or replace by a software version.
func sameIMEI(a, b string) bool {
	return len(a) >= 14 && len(b) >= 14 && a[:14] == b[:14]
}
