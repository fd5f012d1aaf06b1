package driver

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"otpost/driver/sim"
)

// plugged is two simulated modems behind device names that a test can move around, as udev does.
type plugged struct {
	dir     string
	network *sim.Network
	modems  [2]*sim.Modem
}

func plug(t *testing.T) *plugged {
	t.Helper()
	p := &plugged{dir: t.TempDir(), network: sim.NewNetwork(sim.NetworkConfig{})}
	for i, name := range []string{"one", "two"} {
		modem, err := sim.New(sim.Config{Name: name, Network: p.network, Link: filepath.Join(p.dir, name)})
		if err != nil {
			t.Fatal(err)
		}
		(&bench{t: t}).background(modem.Run)
		t.Cleanup(func() { _ = modem.Close() })
		p.modems[i] = modem
	}
	p.name(t, "usb0", "one")
	p.name(t, "usb1", "two")
	return p
}

// name points a device name at a modem.
func (p *plugged) name(t *testing.T, device, modem string) {
	t.Helper()
	_ = os.Remove(p.device(device)) // the first time there is none
	if modem == "" {
		return
	}
	if err := os.Symlink(filepath.Join(p.dir, modem), p.device(device)); err != nil {
		t.Fatal(err)
	}
}

func (p *plugged) device(name string) string { return filepath.Join(p.dir, name) }

func (p *plugged) candidates() []string {
	names, _ := filepath.Glob(p.device("usb*")) // a constant pattern
	return names
}

// unplug pulls both modems out for a moment.
func (p *plugged) unplug(t *testing.T) {
	t.Helper()
	for _, m := range p.modems {
		if _, err := p.network.AddFault(sim.Fault{Kind: sim.LostPort, Modem: m.Name(), For: 300 * time.Millisecond}); err != nil {
			t.Fatal(err)
		}
	}
}

func (p *plugged) drive(t *testing.T, c Config) *bench {
	t.Helper()
	b := &bench{t: t, network: p.network, to: "+447700900123"}
	c.Candidates, c.Scan = p.candidates, 500*time.Millisecond
	b.start(c)
	return b
}

// Two modems swap device names while they are unplugged; each driver goes on with its own.
func TestSwappedNames(t *testing.T) {
	t.Parallel()
	p := plug(t)
	a, b := p.drive(t, Config{Device: p.device("usb0")}), p.drive(t, Config{Device: p.device("usb1")})
	first, second := a.m.Status().IMEI, b.m.Status().IMEI
	if first == second || first != p.modems[0].IMEI() {
		t.Fatalf("IMEIs %s and %s", first, second)
	}
	p.unplug(t)
	a.until(5*time.Second, "absent", func() bool { return a.m.Status().State == StateAbsent })
	b.until(5*time.Second, "absent", func() bool { return b.m.Status().State == StateAbsent })
	p.name(t, "usb0", "two")
	p.name(t, "usb1", "one")
	for i, x := range []*bench{a, b} {
		x.until(40*time.Second, "ready again", func() bool { return x.m.Status().State == StateReady })
		if s := x.m.Status(); s.IMEI != p.modems[i].IMEI() || s.Device != p.device([]string{"usb1", "usb0"}[i]) {
			t.Errorf("driver %d is on %s with the modem …%s", i, s.Device, tail(s.IMEI))
		}
		x.send("still myself", 1)
	}
}

// A configured IMEI is found on whatever port it is, and its own port may be missing.
func TestFoundByIMEI(t *testing.T) {
	t.Parallel()
	p := plug(t)
	for _, device := range []string{"", "usb0", "usb7"} {
		c := Config{IMEI: p.modems[1].IMEI()}
		if device != "" {
			c.Device = p.device(device)
		}
		t.Run("device "+device, func(t *testing.T) {
			b := p.drive(t, c)
			if s := b.m.Status(); s.Device != p.device("usb1") || s.IMEI != p.modems[1].IMEI() {
				t.Errorf("on %s with …%s", s.Device, tail(s.IMEI))
			}
		})
	}
}

// A modem that is replaced by another one, for good, is replaced here too, unless its IMEI is configured.
func TestReplacedModem(t *testing.T) {
	t.Parallel()
	p := plug(t)
	p.name(t, "usb1", "")
	b := p.drive(t, Config{Device: p.device("usb0")})
	p.unplug(t)
	b.until(5*time.Second, "absent", func() bool { return b.m.Status().State == StateAbsent })
	p.name(t, "usb0", "two")
	b.until(60*time.Second, "the other modem", func() bool {
		s := b.m.Status()
		return s.State == StateReady && s.IMEI == p.modems[1].IMEI()
	})
}

func TestPorts(t *testing.T) {
	t.Parallel()
	p := plug(t)
	p.name(t, "again", "one")
	known := []string{p.device("usb0"), p.device("again"), p.device("usb9"), p.device("usb1")}
	got := Ports(known...)
	if want := []string{p.device("usb0"), p.device("usb1")}; len(got) < 2 || !slices.Equal(got[:2], want) || slices.Contains(got, known[1]) || slices.Contains(got, known[2]) {
		t.Errorf("got %v, want %v first, each device once and none that is not there", got, want)
	}
}

func TestProbe(t *testing.T) {
	t.Parallel()
	p := plug(t)
	s, err := Probe(t.Context(), p.device("usb0"), 0)
	if err != nil {
		t.Fatal(err)
	}
	if s.State != StateInterrogated || s.IMEI != p.modems[0].IMEI() || s.ICCID != p.modems[0].ICCID() || s.SMSC == "" ||
		s.Registration != RegistrationHome || s.SignalDBm == 0 || s.Operator == "" || s.StorageTotal == 0 {
		t.Errorf("%+v", s)
	}
	_, silent := pseudo(t)
	tests := []struct {
		name, device string
		want         error
		says         string
	}{
		{"nobody answers", silent, ErrSilent, "other ports"},
		{"absent", p.device("usb9"), ErrAbsent, "usb9"},
		{"regular file", "find_test.go", ErrNotSerial, "AT port"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s, err := Probe(t.Context(), tt.device, 115200)
			if !errors.Is(err, tt.want) || !strings.Contains(err.Error(), tt.says) || s.IMEI != "" {
				t.Errorf("%+v, %v", s, err)
			}
		})
	}
}
