package operate

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/creack/pty"
	"github.com/google/go-cmp/cmp"

	"otpost/api/wire"
	"otpost/cmd/otpost/bulk"
	"otpost/cmd/otpost/doctor"
)

func TestProgress(t *testing.T) {
	var b bytes.Buffer
	bar := &progress{w: &b, on: true, total: 4}
	for i := range 4 {
		bar.show(i+1, bulk.Tally{Refused: i / 3})
	}
	bar.end()
	if got := b.String(); !strings.HasPrefix(got, "\r[#######.......................] 1/4, 0 refused ") ||
		!strings.HasSuffix(got, "\r["+strings.Repeat("#", barWidth)+"] 4/4, 1 refused \n") {
		t.Errorf("%q", got)
	}
	b.Reset()
	off := &progress{w: &b, total: 4}
	off.show(4, bulk.Tally{})
	if off.end(); b.Len() > 0 {
		t.Errorf("without a terminal: %q", b.String())
	}
}

// Only a terminal is coloured, and that only when nobody asked for none.
func TestColour(t *testing.T) {
	ptmx, tty, err := pty.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer ptmx.Close()
	defer tty.Close()
	file, err := os.Create(filepath.Join(t.TempDir(), "f"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	for _, c := range []struct {
		name, noColor, term string
		out                 any
		want                bool
	}{
		{"terminal", "", "xterm", tty, true},
		{"NO_COLOR", "1", "xterm", tty, false},
		{"dumb", "", "dumb", tty, false},
		{"file", "", "xterm", file, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Setenv("NO_COLOR", c.noColor)
			t.Setenv("TERM", c.term)
			if got := colour(c.out.(*os.File)); got != c.want {
				t.Errorf("coloured: %v", got)
			}
		})
	}
	if colour(&bytes.Buffer{}) {
		t.Error("a buffer is coloured")
	}
}

func TestPrintFindings(t *testing.T) {
	all := []doctor.Finding{{Check: "disk", Level: doctor.Good, What: "fine"}, {Check: "tls", Level: doctor.Mend, What: "over", Why: "refused", Mend: "renew"}}
	var b bytes.Buffer
	if err := printFindings(&b, all, false); err != nil {
		t.Fatal(err)
	}
	want := "good   disk: fine\nmend   tls: over\n       why:  refused\n       mend: renew\n"
	if d := cmp.Diff(want, b.String()); d != "" {
		t.Errorf("(-want +got)\n%s", d)
	}
	b.Reset()
	if err := printFindings(&b, all, true); err != nil || !strings.Contains(b.String(), "\x1b[31mmend \x1b[0m  tls") {
		t.Errorf("%v %q", err, b.String())
	}
}

// A stranger's text cannot move the cursor or break the line.
func TestOneLine(t *testing.T) {
	if got := oneLine("a\x1b[2Jb\nc\r\x7f\u009bd é"); got != "a·[2Jb⏎c···d é" {
		t.Errorf("%q", got)
	}
}

// The id of a time stands before the events of that time, and behind those before.
func TestEventAt(t *testing.T) {
	at := time.Date(2026, 3, 4, 9, 30, 0, 0, time.UTC)
	if a, b := eventAt(at), eventAt(at.Add(time.Millisecond)); !(a < b) || len(a) != len("evt_")+26 || a != strings.ToLower(a) {
		t.Errorf("%s, %s", a, b)
	}
	if got := eventAt(time.Unix(-5, 0)); got != "evt_"+strings.Repeat("0", 26) {
		t.Errorf("before 1970: %s", got)
	}
}

func TestKeyState(t *testing.T) {
	now := time.Date(2026, 3, 4, 9, 30, 0, 0, time.UTC)
	for want, k := range map[string]wire.Key{
		"good": {ExpiresAt: now.Add(1)}, "expired": {ExpiresAt: now}, "revoked": {RevokedAt: now.Add(-1), ExpiresAt: now},
	} {
		if got := keyState(k, now); got != want {
			t.Errorf("%s is called %s", want, got)
		}
	}
}

// What a probe prints is what the configuration takes.
func TestStanza(t *testing.T) {
	var b bytes.Buffer
	probed{Device: "/dev/serial/by-id/x", State: "interrogated", Manufacturer: "SIMCOM", Model: "SIM800 C", IMEI: "867567021234567", Registration: "home", SMSC: true}.print(&b)
	if got := b.String(); !strings.HasSuffix(got, "\n  - name: sim800c-4567\n    device: /dev/serial/by-id/x\n    imei: \"867567021234567\"\n") {
		t.Error(got)
	}
	for state, want := range map[string]string{"sim-locked": "sim_pin_file", "sim-missing": "no SIM inside"} {
		b.Reset()
		probed{Device: "/dev/x", State: state}.print(&b)
		if !strings.Contains(b.String(), want) || !strings.Contains(b.String(), "name: modem\n") {
			t.Errorf("%s: %s", state, b.String())
		}
	}
}

// An identity is never overwritten, and a file without one is not repeated.
func TestIdentities(t *testing.T) {
	path := filepath.Join(t.TempDir(), "key")
	public, err := makeIdentity(path)
	if err != nil || !strings.HasPrefix(public, "age1") {
		t.Fatal(public, err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	if ids, err := readIdentities(path); err != nil || len(ids) != 1 {
		t.Errorf("%v, %v", ids, err)
	}
	if _, err := makeIdentity(path); !errors.Is(err, os.ErrExist) {
		t.Errorf("a second one: %v", err)
	}
	if err := os.WriteFile(path, []byte("AGE-SECRET-KEY-1hunter2"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := readIdentities(path); err == nil || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("a torn key: %v", err)
	}
}

// A configuration that was named and is not there is an error: the command must not reach another daemon than was meant.
func TestDialWithoutTheNamedConfiguration(t *testing.T) {
	console := NewConsole(nil, io.Discard, io.Discard, "test")
	_, err := connection{Config: filepath.Join(t.TempDir(), "staging.yaml")}.dial(console)
	if wrong, ok := errors.AsType[*ConfigError](err); !ok || !strings.Contains(wrong.Error(), "staging.yaml") {
		t.Errorf("got %v", err)
	}
}
