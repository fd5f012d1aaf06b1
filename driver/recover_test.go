package driver

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// A modem that falls silent climbs the ladder: opened again and again, told to restart, and each step counted.
func TestLadder(t *testing.T) {
	bubble(t, nil, func(t *testing.T, m *Modem, fk *fake, _ *recorder) {
		ready(t, m)
		time.Sleep(2 * time.Minute)
		fk.mu.Lock()
		working := fk.answers
		fk.answers = map[string]string{}
		for cmd := range working {
			fk.answers[cmd] = ""
		}
		for _, cmd := range []string{"", "Z", "E0", "V1", "+CMEE=1", "+CFUN=1,1"} {
			fk.answers[cmd] = ""
		}
		fk.mu.Unlock()
		until(t, time.Minute, "recovering", func() bool { return m.Status().State == StateRecovering })
		if e := m.Status().LastError; !strings.Contains(e, "no modem answers") {
			t.Errorf("last error %q", e)
		}
		time.Sleep(10 * time.Minute)
		s := m.Status()
		if s.Resets["reopen"] < 10 || s.Resets["cfun"] < 1 || s.Resets["cfun"] > 2 || fk.count("+CFUN=1,1") != int(s.Resets["cfun"]) {
			t.Errorf("resets %v, told to restart %d times", s.Resets, fk.count("+CFUN=1,1"))
		}
		fk.mu.Lock()
		fk.answers = working
		fk.mu.Unlock()
		until(t, time.Minute, "healthy", func() bool { return m.Status().State == StateReady })
	})
}

// A modem that answers every question and sends nothing climbs the ladder too, for opening it again always goes well: told to
// restart, then the operator's hook, at growing intervals, until a message is taken.
func TestLadderOfBarrenModem(t *testing.T) {
	for name, answer := range map[string]any{"refuses": "\r\n+CMS ERROR: 500\r\n", "hangs": ""} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(fk *fake, c *Config) {
				fk.submit = func(int, string) any { return answer }
				c.ResetHook = []string{"/nonexistent"}
			}, func(t *testing.T, m *Modem, fk *fake, _ *recorder) {
				for range 600 {
					if r := m.Send(t.Context(), hello); r.Outcome == Accepted {
						t.Fatalf("%+v", r)
					}
					time.Sleep(10 * time.Second)
				}
				s := m.Status()
				if s.Resets["reopen"] < 3 || s.Resets["cfun"] < 2 || s.Resets["cfun"] > 60 || s.Resets["hook"] < 1 || fk.count("+CFUN=1,1") != int(s.Resets["cfun"]) {
					t.Errorf("resets %v, told to restart %d times", s.Resets, fk.count("+CFUN=1,1"))
				}
				fk.mu.Lock()
				fk.submit = func(int, string) any { return "\r\n+CMGS: 9\r\n\r\nOK\r\n" }
				fk.mu.Unlock()
				until(t, time.Minute, "it sends", func() bool { return m.Send(t.Context(), hello).Outcome == Accepted })
				s = m.Status()
				for i := range 60 {
					if r := m.Send(t.Context(), hello); r.Outcome != Accepted {
						t.Fatalf("message %d: %+v", i, r)
					}
					time.Sleep(10 * time.Second)
				}
				if diff := cmp.Diff(s.Resets, m.Status().Resets); diff != "" {
					t.Errorf("resets of a modem that sends again: %s", diff)
				}
			})
		})
	}
}

// A port that vanishes is waited for, however long and often, and never reset.
func TestVanishedPortIsNotReset(t *testing.T) {
	gone := false
	bubble(t, func(fk *fake, c *Config) {
		open := c.Open
		c.Open = func(ctx context.Context) (io.ReadWriteCloser, error) {
			fk.mu.Lock()
			absent := gone
			fk.mu.Unlock()
			if absent {
				return nil, ErrAbsent
			}
			return open(ctx)
		}
		c.USBReset, c.ResetHook = true, []string{"/nonexistent"}
	}, func(t *testing.T, m *Modem, fk *fake, h *recorder) {
		for range 5 {
			ready(t, m)
			time.Sleep(2 * time.Minute)
			fk.mu.Lock()
			gone = true
			fk.mu.Unlock()
			fk.unplug()
			until(t, 5*time.Second, "absent", func() bool { return m.Status().State == StateAbsent })
			time.Sleep(time.Hour)
			fk.mu.Lock()
			gone = false
			fk.mu.Unlock()
			until(t, 5*time.Second, "back", func() bool { return m.Status().State == StateReady })
		}
		if got := m.Status().Resets; len(got) != 0 {
			t.Errorf("resets %v of a modem that was only unplugged", got)
		}
	})
}

func TestPauses(t *testing.T) {
	l := newLadder(nil)
	var got []time.Duration
	for l.vain = range 8 {
		got = append(got, l.pauseNow())
	}
	want := []time.Duration{500 * time.Millisecond, time.Second, 2 * time.Second, 4 * time.Second, 8 * time.Second, 15 * time.Second, 15 * time.Second, 15 * time.Second}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("pause %d is %v, want %v", i, got[i], want[i])
		}
	}
	now := time.Unix(0, 0)
	var due []time.Duration
	for at := time.Duration(0); at < 5*time.Hour; at += time.Minute {
		if l.may("cfun", now.Add(at)) {
			due = append(due, at)
		}
	}
	wantDue := []time.Duration{0, 5 * time.Minute, 15 * time.Minute, 35 * time.Minute, 75 * time.Minute, 135 * time.Minute, 195 * time.Minute, 255 * time.Minute}
	if len(due) != len(wantDue) {
		t.Fatalf("due at %v, want %v", due, wantDue)
	}
	for i := range due {
		if due[i] != wantDue[i] {
			t.Errorf("due at %v, want %v", due, wantDue)
		}
	}
}

func TestHook(t *testing.T) {
	dir := t.TempDir()
	script := func(name, body string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte("#!/bin/sh\n"+body), 0o700); err != nil {
			t.Fatal(err)
		}
		return path
	}
	t.Setenv("OTPOST_SECRET", "canary")
	out := filepath.Join(dir, "out")
	tests := []struct {
		name string
		argv []string
		says string
	}{
		{"good", []string{script("good", `echo "$1|$OTPOST_MODEM|$OTPOST_DEVICE|$OTPOST_SECRET" > `+out), "; rm -rf /"}, ""},
		{"fails", []string{script("fails", "exit 3")}, "exit status 3"},
		{"hangs, with a child", []string{script("hangs", "sleep 60 & sleep 60")}, "killed after 300ms"},
		{"absent", []string{filepath.Join(dir, "nothing")}, "no such file"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			start := time.Now()
			err := runHook(t.Context(), tt.argv, 300*time.Millisecond, "m1", Status{Device: "/dev/ttyUSB2"})
			if (err == nil) != (tt.says == "") || err != nil && !strings.Contains(err.Error(), tt.says) {
				t.Errorf("got %v, want %q", err, tt.says)
			}
			if took := time.Since(start); took > 3*time.Second {
				t.Errorf("took %v", took)
			}
		})
	}
	if b, err := os.ReadFile(out); err != nil || string(b) != "; rm -rf /|m1|/dev/ttyUSB2|\n" {
		t.Errorf("the hook saw %q, %v", b, err)
	}
}

// usbReset switches the device, not its interface, off and on.
func TestUSBReset(t *testing.T) {
	root := t.TempDir()
	device := filepath.Join(root, "devices/pci0/usb1/1-2")
	tty := filepath.Join(device, "1-2:1.0/ttyUSB0/tty/ttyUSB0")
	if err := errors.Join(
		os.MkdirAll(tty, 0o755), os.MkdirAll(filepath.Join(root, "class/tty"), 0o755),
		os.WriteFile(filepath.Join(device, "authorized"), []byte("1"), 0o600),
		os.WriteFile(filepath.Join(device, "idVendor"), []byte("12d1"), 0o600),
		os.WriteFile(filepath.Join(device, "1-2:1.0/authorized"), []byte("1"), 0o600),
		os.Symlink("../../../ttyUSB0", filepath.Join(tty, "device")),
		os.Symlink("../../devices/pci0/usb1/1-2/1-2:1.0/ttyUSB0/tty/ttyUSB0", filepath.Join(root, "class/tty/ttyUSB0")),
		os.WriteFile(filepath.Join(root, "ttyUSB0"), nil, 0o600),
	); err != nil {
		t.Fatal(err)
	}
	got, err := usbSwitch(root, filepath.Join(root, "ttyUSB0"))
	if err != nil || got != filepath.Join(device, "authorized") {
		t.Fatalf("switch %q, %v", got, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel() // a daemon that stops meanwhile still puts the modem back
	if err := usbReset(ctx, root, filepath.Join(root, "ttyUSB0")); err != nil {
		t.Fatal(err)
	}
	if b, err := os.ReadFile(got); err != nil || string(b) != "1" {
		t.Errorf("left at %q, %v", b, err)
	}
	if _, err := usbSwitch(root, filepath.Join(root, "class")); err == nil {
		t.Error("a port that is not on USB has a switch")
	}
}

// A process of ours and one of another's: only the latter is a holder, by name.
func TestHolders(t *testing.T) {
	_, name := pseudo(t)
	if got := Holders(name); len(got) != 0 {
		t.Errorf("held by %v", got)
	}
	cmd := holdOpen(t, name)
	got := Holders(name)
	if len(got) != 1 || got[0].PID != cmd || got[0].Name != "sleep" {
		t.Errorf("held by %v, want sleep (pid %d)", got, cmd)
	}
}
