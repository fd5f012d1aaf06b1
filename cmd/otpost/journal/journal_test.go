package journal

import (
	"bytes"
	"encoding/binary"
	"errors"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// patient bounds how long a test waits for an entry that always comes.
const patient = 30 * time.Second

// journald is a stand-in: a socket and what came over it.
type journald struct {
	t    *testing.T
	conn *net.UnixConn
}

func listen(t *testing.T, path string) *journald {
	t.Helper()
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := conn.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
			t.Error(err)
		}
	})
	return &journald{t, conn}
}

// next is the next entry.
func (j *journald) next() map[string]string {
	j.t.Helper()
	if err := j.conn.SetReadDeadline(time.Now().Add(patient)); err != nil {
		j.t.Fatal(err)
	}
	b := make([]byte, 1<<16)
	n, err := j.conn.Read(b)
	if err != nil {
		j.t.Fatal(err)
	}
	return decode(j.t, b[:n])
}

// decode reads an entry as journald does.
func decode(t *testing.T, b []byte) map[string]string {
	t.Helper()
	fields := map[string]string{}
	for len(b) > 0 {
		line, rest, ok := bytes.Cut(b, []byte("\n"))
		if !ok {
			t.Fatalf("a field does not end: %q", b)
		}
		name, value, simple := strings.Cut(string(line), "=")
		if !simple {
			if len(rest) < 8 {
				t.Fatalf("no length: %q", rest)
			}
			n := binary.LittleEndian.Uint64(rest)
			value, rest = string(rest[8:8+n]), rest[8+n+1:]
		}
		if _, twice := fields[name]; twice {
			t.Errorf("field %s comes twice", name)
		}
		fields[name] = value
		b = rest
	}
	return fields
}

// hidden prints nothing of itself.
type hidden string

func (hidden) LogValue() slog.Value { return slog.StringValue("redacted") }

func TestEntries(t *testing.T) {
	path := filepath.Join(t.TempDir(), "socket")
	j := listen(t, path)
	log := slog.New(NewHandler(path, os.Stderr, slog.LevelInfo))
	for _, tc := range []struct {
		name string
		log  func()
		want map[string]string
	}{
		{"fields", func() { log.Info("request", "request_id", "req-1", "status", 202, "took", 1500*time.Microsecond) }, map[string]string{
			"PRIORITY": "6", "MESSAGE": "request request_id=req-1 status=202 took=1.5ms", "OTPOST_REQUEST_ID": "req-1", "OTPOST_STATUS": "202", "OTPOST_TOOK": "1.5ms"}},
		{"an error of several lines", func() { log.Error("lost", "error", errors.New("a\nb")) }, map[string]string{
			"PRIORITY": "3", "MESSAGE": `lost error="a\nb"`, "OTPOST_ERROR": "a\nb"}},
		{"a forged field", func() { log.Warn("odd", "text", "x\nPRIORITY=0\nMESSAGE=owned") }, map[string]string{
			"PRIORITY": "4", "MESSAGE": `odd text="x\nPRIORITY=0\nMESSAGE=owned"`, "OTPOST_TEXT": "x\nPRIORITY=0\nMESSAGE=owned"}},
		{"bound attributes and groups", func() {
			log.With("modem", "sim0").WithGroup("line").With("kind", "echo").Info("fault", slog.Group("at", "x", 1), "y", "")
		}, map[string]string{"PRIORITY": "6", "MESSAGE": `fault modem=sim0 line.kind=echo line.at.x=1 line.y=""`,
			"OTPOST_MODEM": "sim0", "OTPOST_LINE_KIND": "echo", "OTPOST_LINE_AT_X": "1", "OTPOST_LINE_Y": ""}},
		{"what hides itself", func() { log.Info("pin", "pin", hidden("1234")) }, map[string]string{
			"PRIORITY": "6", "MESSAGE": "pin pin=redacted", "OTPOST_PIN": "redacted"}},
		{"a reserved name", func() { log.Info("m", "message", "msg_1", "Zeit-Zone", "x") }, map[string]string{
			"PRIORITY": "6", "MESSAGE": "m message=msg_1 Zeit-Zone=x", "OTPOST_MESSAGE": "msg_1", "OTPOST_ZEIT_ZONE": "x"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			j.t = t
			log.Debug("is below the level")
			tc.log()
			tc.want["SYSLOG_IDENTIFIER"] = "otpost"
			if diff := cmp.Diff(tc.want, j.next()); diff != "" {
				t.Errorf("entry (-want +got):\n%s", diff)
			}
		})
	}
}

// TestJournalIsGone: without a journal lines go to the fallback, with the priority that systemd understands there; and to the
// journal again when it is back.
func TestJournalIsGone(t *testing.T) {
	path := filepath.Join(t.TempDir(), "socket")
	var fallback bytes.Buffer
	log := slog.New(NewHandler(path, &fallback, slog.LevelInfo))
	log.Info("before it was there")
	j := listen(t, path)
	log.Info("there")
	if got := j.next()["MESSAGE"]; got != "there" {
		t.Errorf("the journal got %q", got)
	}
	if err := errors.Join(j.conn.Close(), os.RemoveAll(path)); err != nil {
		t.Fatal(err)
	}
	log.Warn("gone", "n", 1)
	j = listen(t, path)
	log.Info("restarted")
	if got := j.next()["MESSAGE"]; got != "restarted" {
		t.Errorf("the journal got %q", got)
	}
	if diff := cmp.Diff("<6>before it was there\n<4>gone n=1\n", fallback.String()); diff != "" {
		t.Errorf("fallback (-want +got):\n%s", diff)
	}
}

// TestJournalDoesNotRead: a journal that hangs holds nobody up; when it reads again it is told how much it missed.
func TestJournalDoesNotRead(t *testing.T) {
	path := filepath.Join(t.TempDir(), "socket")
	j := listen(t, path)
	var fallback bytes.Buffer
	h := NewHandler(path, &fallback, slog.LevelInfo)
	log := slog.New(h)
	const lines = 5000 // more than a socket holds
	began := time.Now()
	for range lines {
		log.Info("line")
	}
	if took := time.Since(began); took > patient {
		t.Errorf("%d lines took %v", lines, took)
	}
	h.out.mu.Lock()
	dropped := h.out.dropped
	h.out.stuck = time.Time{} // the pause is over
	h.out.mu.Unlock()
	if dropped == 0 || dropped == lines || fallback.Len() > 0 {
		t.Fatalf("dropped %d of %d lines, fallback %q", dropped, lines, fallback.String())
	}
	for range lines - dropped {
		if got := j.next()["MESSAGE"]; got != "line" {
			t.Fatalf("the journal got %q", got)
		}
	}
	log.Info("again")
	if got := j.next()["OTPOST_LINES"]; got == "" {
		t.Error("the journal is not told what it missed")
	}
	if got := j.next()["MESSAGE"]; got != "again" {
		t.Errorf("the journal got %q", got)
	}
}

func TestLongKeys(t *testing.T) {
	if got := name(strings.Repeat("k", 100)); len(got) != 64 {
		t.Errorf("a name of %d characters", len(got))
	}
}

// FuzzEntry: whatever is logged, journald reads the fields that were written and no other.
func FuzzEntry(f *testing.F) {
	f.Add("request", "status", "202")
	f.Add("a\nPRIORITY=0", "error", "x\n\x00\xff=\nMESSAGE=y")
	f.Fuzz(func(t *testing.T, message, key, value string) {
		want := map[string]string{"PRIORITY": "6", "SYSLOG_IDENTIFIER": "otpost", "MESSAGE": message, name(key): value}
		if diff := cmp.Diff(want, decode(t, entry(6, message, []pair{{key, value}}))); diff != "" {
			t.Errorf("entry (-want +got):\n%s", diff)
		}
	})
}
