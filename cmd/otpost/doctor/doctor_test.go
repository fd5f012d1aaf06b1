package doctor

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"io/fs"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"otpost/api/wire"
	"otpost/cmd/otpost/config"
	"otpost/driver"
	"otpost/gateway/store/keys"
)

// fakeDaemon answers as it is told.
type fakeDaemon struct {
	ready, gone error
	modems      []wire.Modem
}

func (d fakeDaemon) Ready(context.Context) (*wire.Health, error) { return &wire.Health{}, d.ready }
func (d fakeDaemon) Modems(context.Context) (*wire.Modems, error) {
	return &wire.Modems{Modems: d.modems}, d.gone
}

var now = time.Date(2026, time.March, 4, 9, 30, 0, 0, time.UTC)

func write(t *testing.T, path, text string, mode os.FileMode) string {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
	return path
}

// healthy is a machine on which nothing is wrong, in a folder of the test.
func healthy(t *testing.T) *System {
	t.Helper()
	dir := t.TempDir()
	data := filepath.Join(dir, "data")
	if err := os.MkdirAll(filepath.Join(data, "store"), 0o700); err != nil {
		t.Fatal(err)
	}
	key := filepath.Join(data, "otpost.key")
	if _, err := keys.Create(key, rand.Reader); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(key, now, now.Add(-time.Hour)); err != nil {
		t.Fatal(err)
	}
	cfg := config.Default()
	cfg.DataDir = data
	cfg.Modems = []config.Modem{{Name: "stick", Device: "/dev/serial/by-id/usb-x-port0"}}
	write(t, filepath.Join(dir, "proc/1/comm"), "systemd\n", 0o644)
	left := 100
	return &System{
		Config: cfg, ConfigPath: write(t, filepath.Join(dir, "otpost.yaml"), "x", 0o644), KeyFile: key,
		Daemon: fakeDaemon{modems: []wire.Modem{{Name: "stick", State: "ready", Registration: "home", SignalDBm: -71, Reports: true, StorageTotal: 20, DayLeft: &left}}},
		Now:    func() time.Time { return now }, Proc: filepath.Join(dir, "proc"),
		Free: func(string) (int64, error) { return 1 << 40, nil }, Synced: func() (bool, error) { return true, nil },
		Access: func(string) error { return nil }, Holders: func(string) []driver.Holder { return nil },
		Probe: func(context.Context, config.Modem) (Probed, error) {
			return Probed{Status: driver.Status{State: driver.StateInterrogated, Device: "/dev/x", Registration: "home", SignalDBm: -71, SMSC: "+44", StorageTotal: 20}}, nil
		},
	}
}

func TestHealthy(t *testing.T) {
	for name, change := range map[string]func(*System){
		"daemon": func(*System) {},
		"before the first start": func(s *System) {
			s.Config.DataDir = filepath.Join(s.Config.DataDir, "new")
			s.KeyFile = filepath.Join(s.Config.DataDir, "otpost.key")
		},
		"simulator": func(s *System) { s.Config.Modems = []config.Modem{{Name: "sim", Device: config.SimulatorDevice}} },
		"certificate": func(s *System) {
			certificate(t, s, now.Add(-time.Hour), now.Add(90*24*time.Hour))
			s.Config.Listen = "0.0.0.0:8475"
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := healthy(t)
			change(s)
			for _, f := range Examine(context.Background(), *s) {
				if f.Level != Good || f.Check == "" || f.What == "" {
					t.Errorf("%+v", f)
				}
			}
		})
	}
}

// modemIs makes the daemon's modem something else.
func modemIs(change func(*wire.Modem)) func(*testing.T, *System) {
	return func(_ *testing.T, s *System) {
		d := s.Daemon.(fakeDaemon)
		change(&d.modems[0])
		s.Daemon = d
	}
}

// says makes the modem itself, without a daemon, say something else.
func says(change func(*Probed)) func(*testing.T, *System) {
	return func(_ *testing.T, s *System) {
		p, _ := s.Probe(context.Background(), config.Modem{})
		change(&p)
		s.Daemon, s.Probe = nil, func(context.Context, config.Modem) (Probed, error) { return p, nil }
	}
}

// Each thing that can be wrong is found, alone, at its level, with a way to mend it.
func TestFindings(t *testing.T) {
	for _, c := range []struct {
		name        string
		level       Level
		check, what string
		mend        string
		change      func(*testing.T, *System)
	}{
		{"config gone", Mend, "configuration", "no such file", "otpost config check", func(_ *testing.T, s *System) { s.ConfigPath += "x" }},
		{"config open", Mend, "configuration", "changed by others", "chmod go-w", func(t *testing.T, s *System) { chmod(t, s.ConfigPath, 0o666) }},
		{"data open", Mend, "data_dir", "mode 0750", "chmod 700", func(t *testing.T, s *System) { chmod(t, s.Config.DataDir, 0o750) }},
		{"data a file", Mend, "data_dir", "is no folder", "mv ", func(t *testing.T, s *System) {
			s.Config.DataDir = write(t, filepath.Join(t.TempDir(), "d"), "x", 0o600)
		}},
		{"key lost", Mend, "key_file", "is not there, but the store", "put the key file back", func(t *testing.T, s *System) { remove(t, s.KeyFile) }},
		{"key open", Mend, "key_file", "otpost.key", "chmod 600", func(t *testing.T, s *System) { chmod(t, s.KeyFile, 0o640) }},
		{"key torn", Mend, "key_file", "otpost.key", "put it back", func(t *testing.T, s *System) {
			write(t, s.KeyFile, "k1 abc", 0o600)
			_ = os.Chtimes(s.KeyFile, now, now) // else the clock is found wrong too
		}},
		{"PIN file gone", Mend, "modem stick sim_pin_file", "no such file", "chmod 600", func(t *testing.T, s *System) { s.Config.Modems[0].SIMPINFile = "/nowhere/pin" }},
		{"hook secret open", Mend, "webhook secret_file", "can be read by others", "chmod 600", func(t *testing.T, s *System) {
			s.Config.Webhooks = []config.Webhook{{SecretFile: write(t, filepath.Join(t.TempDir(), "s"), "x", 0o644)}}
		}},
		{"hook secret empty", Mend, "webhook secret_file", "is empty", "put the secret there", func(t *testing.T, s *System) {
			s.Config.Webhooks = []config.Webhook{{SecretFile: write(t, filepath.Join(t.TempDir(), "s"), "", 0o600)}}
		}},
		{"certificate over", Mend, "tls", "ended on 2026-03-04", "renew", func(t *testing.T, s *System) { certificate(t, s, now.Add(-time.Hour), now.Add(-time.Second)) }},
		{"certificate to come", Mend, "tls", "begins on", "date", func(t *testing.T, s *System) { certificate(t, s, now.Add(time.Hour), now.Add(1000*time.Hour)) }},
		{"certificate soon", Watch, "tls", "ends on 2026-03-05", "renew", func(t *testing.T, s *System) { certificate(t, s, now.Add(-time.Hour), now.Add(24*time.Hour)) }},
		{"certificate without key", Mend, "tls", "tls", "belong together", func(t *testing.T, s *System) {
			certificate(t, s, now, now.Add(time.Hour))
			other := *s
			certificate(t, &other, now, now.Add(time.Hour))
			s.Config.TLS.KeyFile = other.Config.TLS.KeyFile
		}},
		{"authority", Mend, "tls.client_ca_file", "holds no certificate", "PEM", func(t *testing.T, s *System) {
			certificate(t, s, now.Add(-time.Hour), now.Add(90*24*time.Hour))
			s.Config.TLS.ClientCAFile = write(t, filepath.Join(t.TempDir(), "ca"), "x", 0o644)
		}},
		{"disk full", Mend, "disk", "63 MiB free", "make room", func(_ *testing.T, s *System) { s.Free = func(string) (int64, error) { return 64<<20 - 1, nil } }},
		{"disk filling", Watch, "disk", "255 MiB free", "make room", func(_ *testing.T, s *System) { s.Free = func(string) (int64, error) { return 256<<20 - 1, nil } }},
		{"disk unknown", Watch, "disk", "input/output", "df -h", func(_ *testing.T, s *System) {
			s.Free = func(string) (int64, error) { return 0, errors.New("input/output error") }
		}},
		{"clock of 1970", Mend, "clock", "1970-01-01", "set-ntp", func(_ *testing.T, s *System) { s.Now = func() time.Time { return time.Unix(0, 0) } }},
		{"clock went back", Mend, "clock", "from the future", "set-ntp", func(_ *testing.T, s *System) { s.Now = func() time.Time { return now.Add(-2 * time.Hour) } }},
		{"clock free", Watch, "clock", "nothing keeps", "set-ntp", func(_ *testing.T, s *System) { s.Synced = func() (bool, error) { return false, nil } }},
		{"exposed", Watch, "listen", "plain HTTP", "tls.cert_file", func(_ *testing.T, s *System) { s.Config.Listen = "[::]:8475" }},
		{"no daemon", Watch, "daemon", "no daemon answers", "systemctl start", func(_ *testing.T, s *System) { s.Daemon = nil }},
		{"daemon hung", Watch, "daemon", "refused", "systemctl start", func(_ *testing.T, s *System) { s.Daemon = fakeDaemon{gone: errors.New("connection refused")} }},
		{"daemon not ready", Mend, "daemon", "not ready: the queue", "journalctl", func(_ *testing.T, s *System) {
			d := s.Daemon.(fakeDaemon)
			d.ready = errors.New("the queue is being read")
			s.Daemon = d
		}},
		{"ModemManager", Watch, "other programs", "ModemManager is running", "systemctl disable", func(t *testing.T, s *System) { write(t, s.Proc+"/9/comm", "ModemManager\n", 0o644) }},
		{"brltty", Watch, "other programs", "brltty is running", "apt remove brltty", func(t *testing.T, s *System) { write(t, s.Proc+"/9/comm", "brltty\n", 0o644) }},
		{"name changes", Watch, "modem stick", "/dev/ttyUSB2 is a name that changes", "by-id", func(_ *testing.T, s *System) { s.Config.Modems[0].Device = "/dev/ttyUSB2" }},

		{"absent", Mend, "modem stick", "its port is not there", "plug it in", modemIs(func(m *wire.Modem) { m.State = "absent" })},
		{"locked", Mend, "modem stick", "its SIM is locked", "sim_pin_file", modemIs(func(m *wire.Modem) { m.State = "sim-locked" })},
		{"no SIM", Mend, "modem stick", "it has no SIM", "insert one", modemIs(func(m *wire.Modem) { m.State = "sim-missing" })},
		{"searching", Mend, "modem stick", "not registered", "antenna", modemIs(func(m *wire.Modem) { m.State = "searching" })},
		{"denied", Mend, "modem stick", "the network refuses the SIM", "is active", modemIs(func(m *wire.Modem) { m.State, m.Registration = "searching", "denied" })},
		{"down", Mend, "modem stick", "it is down: held", "modem reset stick", modemIs(func(m *wire.Modem) { m.State, m.LastError = "down", "held" })},
		{"paused", Watch, "modem stick", "paused", "modem resume stick", modemIs(func(m *wire.Modem) { m.Paused = true })},
		{"credit", Mend, "modem stick", "kept out of routing: credit", "modem resume stick", modemIs(func(m *wire.Modem) { m.Quarantined = "credit" })},
		{"weak", Watch, "modem stick", "-105 dBm", "antenna", modemIs(func(m *wire.Modem) { m.SignalDBm = -105 })},
		{"storage", Watch, "modem stick", "nearly full: 16 of 20", "sweeps", modemIs(func(m *wire.Modem) { m.StorageUsed = 16 })},
		{"roaming", Watch, "modem stick", "roaming", "SIM", modemIs(func(m *wire.Modem) { m.Registration = "roaming" })},
		{"no reports", Watch, "modem stick", "no delivery reports", "operator", modemIs(func(m *wire.Modem) { m.Reports = false })},

		{"gone", Mend, "modem stick", "is not there", "modem probe", func(_ *testing.T, s *System) { s.Daemon, s.Access = nil, func(string) error { return fs.ErrNotExist } }},
		{"forbidden", Mend, "modem stick", "may not be opened", "usermod -aG dialout", func(_ *testing.T, s *System) {
			s.Daemon, s.Access = nil, func(string) error { return fs.ErrPermission }
		}},
		{"held", Mend, "modem stick", "held by ModemManager (pid 9)", "systemctl disable", func(_ *testing.T, s *System) {
			s.Daemon, s.Holders = nil, func(string) []driver.Holder { return []driver.Holder{{PID: 9, Name: "ModemManager"}} }
		}},
		{"held by any", Mend, "modem stick", "held by cat (pid 9)", "kill 9", func(_ *testing.T, s *System) {
			s.Daemon, s.Holders = nil, func(string) []driver.Holder { return []driver.Holder{{PID: 9, Name: "cat"}} }
		}},
		{"silent", Mend, "modem stick", "no modem answers", "modem probe", func(_ *testing.T, s *System) {
			s.Daemon, s.Probe = nil, func(context.Context, config.Modem) (Probed, error) { return Probed{}, driver.ErrSilent }
		}},
		{"no SMSC", Mend, "modem stick", "no message centre", "+CSCA", says(func(p *Probed) { p.SMSC = "" })},
		{"packet only", Watch, "modem stick", "+CGSMS: 0", "+CGSMS=3", says(func(p *Probed) { p.SMSService = "+CGSMS: 0" })},
		{"unregistered", Mend, "modem stick", "not registered", "antenna", says(func(p *Probed) { p.Registration = "none" })},
		{"locked itself", Mend, "modem stick", "its SIM is locked", "sim_pin_file", says(func(p *Probed) { p.State = driver.StateSIMLocked })},
		{"no SIM itself", Mend, "modem stick", "it has no SIM", "insert one", says(func(p *Probed) { p.State = driver.StateSIMMissing })},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := healthy(t)
			c.change(t, s)
			var found bool
			all := Examine(context.Background(), *s)
			for _, f := range all {
				switch {
				case f.Level == c.level && f.Check == c.check && strings.Contains(f.What, c.what):
					found = true
					if !strings.Contains(f.Mend, c.mend) || f.Why == "" {
						t.Errorf("%+v, want a way to mend it with %q", f, c.mend)
					}
				case f.Level != Good && !(f.Check == "daemon" && s.Daemon == nil) && c.name != "daemon hung" && c.name != "clock of 1970":
					t.Errorf("found too: %+v", f)
				}
			}
			if !found {
				t.Errorf("not found: %s %s %q in %+v", c.level, c.check, c.what, all)
			}
			if Sick(all) != (c.level == Mend) {
				t.Errorf("sick is %v", Sick(all))
			}
		})
	}
}

func chmod(t *testing.T, path string, mode os.FileMode) {
	t.Helper()
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
}

func remove(t *testing.T, path string) {
	t.Helper()
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
}

// certificate gives the system a certificate of its own making.
func certificate(t *testing.T, s *System, from, until time.Time) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	leaf := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "otpost.example"}, NotBefore: from, NotAfter: until}
	cert, err := x509.CreateCertificate(rand.Reader, leaf, leaf, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	block := func(kind string, b []byte) string {
		return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: b}))
	}
	s.Config.TLS.CertFile = write(t, filepath.Join(dir, "cert.pem"), block("CERTIFICATE", cert), 0o644)
	s.Config.TLS.KeyFile = write(t, filepath.Join(dir, "key.pem"), block("PRIVATE KEY", secret), 0o600)
}
