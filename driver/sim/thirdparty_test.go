package sim

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// program finds a third-party program. Without it the test skips and says why; under CI it must be there.
func program(t *testing.T, name, pkg string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err == nil {
		return path
	}
	if os.Getenv("CI") == "true" {
		t.Fatalf("%s is not installed: apt-get install %s", name, pkg)
	}
	t.Skipf("%s is not installed (apt-get install %s): the simulated modem is not tried with it", name, pkg)
	return ""
}

// record keeps the exchange, to be shown when the test fails.
type record struct {
	mu    sync.Mutex
	lines []string
}

func (r *record) tap(dir, line string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.lines = append(r.lines, dir+" "+line)
}

func (r *record) show(t *testing.T) {
	t.Cleanup(func() {
		if t.Failed() {
			r.mu.Lock()
			defer r.mu.Unlock()
			t.Logf("the exchange:\n%s", strings.Join(r.lines, "\n"))
		}
	})
}

// station is a modem on a terminal, its network, and a folder.
type station struct {
	*Modem
	t   *testing.T
	dir string
}

func newStation(t *testing.T, cfg Config) *station {
	t.Helper()
	dir := t.TempDir()
	rec := &record{}
	rec.show(t)
	cfg.Link, cfg.Tap = filepath.Join(dir, "modem0"), rec.tap
	return &station{Modem: run(t, cfg), t: t, dir: dir}
}

func (s *station) write(name, text string) string {
	s.t.Helper()
	path := filepath.Join(s.dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		s.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		s.t.Fatal(err)
	}
	return path
}

// command runs a program to its end and returns what it printed.
func (s *station) command(name string, args ...string) string {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Env = append(os.Environ(), "LC_ALL=C.UTF-8", "HOME="+s.dir)
	out, err := cmd.CombinedOutput()
	if err != nil {
		s.t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return string(out)
}

// daemon runs a program until the test ends, and shows what it printed if the test failed.
func (s *station) daemon(name string, args ...string) {
	s.t.Helper()
	var out bytes.Buffer
	cmd := exec.Command(name, args...)
	cmd.Env = append(os.Environ(), "LC_ALL=C.UTF-8", "HOME="+s.dir)
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() {
		_ = cmd.Process.Signal(os.Interrupt) // it may have ended by itself
		ended := make(chan error, 1)
		go func() { ended <- cmd.Wait() }()
		select {
		case <-ended:
		case <-time.After(5 * time.Second):
			_ = cmd.Process.Kill() // as above
			<-ended
		}
		if s.t.Failed() {
			s.t.Logf("%s printed:\n%s", name, out.String())
		}
	})
}

// gets waits for the newest text on a phone and compares it to the letter.
func (s *station) gets(phone, want string, parts int) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	got, err := s.net.Wait(ctx, Filter{To: phone})
	if err != nil {
		s.t.Fatalf("phone %s got nothing: %v", phone, err)
	}
	if got[0].Text != want || got[0].Parts != parts || len(got) != 1 {
		s.t.Errorf("phone %s: got %d texts, the newest %q in %d parts; want %q in %d", phone, len(got), got[0].Text, got[0].Parts, want, parts)
	}
}

const (
	shortText   = "Your code to turn on SMS security codes: 123456. Valid 5 min."
	unicodeText = "Ваш код: 482913. Никому его не сообщайте."
)

// longText takes three parts.
func longText() string {
	var b strings.Builder
	for i := range 8 {
		fmt.Fprintf(&b, "Sentence %d of a long text that takes three parts. ", i)
	}
	return strings.TrimSpace(b.String())
}

func TestGammu(t *testing.T) {
	t.Parallel()
	gammu := program(t, "gammu", "gammu")
	s := newStation(t, Config{})
	rc := s.write("gammurc", "[gammu]\ndevice = "+s.Path()+"\nconnection = at115200\nmodel = at\n")
	has := func(out string, want ...string) {
		t.Helper()
		for _, w := range want {
			if !strings.Contains(out, w) {
				t.Errorf("want %q in:\n%s", w, out)
			}
		}
	}
	batch := s.write("batch", "identify\ngetsmsc\nnetworkinfo\n"+
		"sendsms TEXT +447700900101 -text \""+shortText+"\"\n"+
		"sendsms TEXT +447700900102 -unicode -text \""+unicodeText+"\"\n"+
		"sendsms TEXT +447700900103 -len 400 -text \""+longText()+"\"\n")
	has(s.command(gammu, "-c", rc, "batch", batch), "Otpost", "Simulated modem", s.IMEI(), s.IMSI(), "+99970000000", "home network", "001 01")
	s.gets("+447700900101", shortText, 1)
	s.gets("+447700900102", unicodeText, 1)
	s.gets("+447700900103", longText(), 3)
	if err := s.net.Text("+447700900456", "", "An answer with €uro and more"); err != nil {
		t.Fatal(err)
	}
	has(s.command(gammu, "-c", rc, "getallsms"), "+447700900456", "An answer with €uro and more")
}

func TestGammuSMSD(t *testing.T) {
	t.Parallel()
	smsd := program(t, "gammu-smsd", "gammu-smsd")
	s := newStation(t, Config{ReportDelay: 200 * time.Millisecond})
	box := func(name string) string { return filepath.Join(s.dir, name) + "/" }
	for _, name := range []string{"inbox", "outbox", "sent", "error"} {
		if err := os.Mkdir(box(name), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	rc := s.write("smsdrc", "[gammu]\ndevice = "+s.Path()+"\nconnection = at115200\nmodel = at\n[smsd]\nservice = files\n"+
		"logfile = "+box("log")+"../smsd.log\ndebuglevel = 255\ninboxpath = "+box("inbox")+"\noutboxpath = "+box("outbox")+
		"\nsentsmspath = "+box("sent")+"\nerrorsmspath = "+box("error")+"\ndeliveryreport = log\ncommtimeout = 1\nsendtimeout = 20\n"+
		"receivefrequency = 1\nstatusfrequency = 0\nchecksecurity = 0\nloopsleep = 1\noutboxformat = unicode\ntransmitformat = auto\n")
	t.Cleanup(func() {
		if t.Failed() {
			log, err := os.ReadFile(filepath.Join(s.dir, "smsd.log"))
			t.Logf("smsd.log (%v):\n%s", err, log)
		}
	})
	if err := os.Mkdir(filepath.Join(s.dir, "log"), 0o755); err != nil {
		t.Fatal(err)
	}
	s.write("outbox/OUT+447700900111.txtd", utf16le(shortText))
	s.write("outbox/OUT+447700900112.txtd", utf16le(unicodeText))
	s.write("outbox/OUT+447700900113.txtd", utf16le(longText()))
	s.daemon(smsd, "-c", rc)
	s.gets("+447700900111", shortText, 1)
	s.gets("+447700900112", unicodeText, 1)
	s.gets("+447700900113", longText(), 3)
	if err := s.net.Text("+447700900456", "", "Réponse №7: ok"); err != nil {
		t.Fatal(err)
	}
	s.fileWith("inbox/*", "Réponse №7: ok")
	s.fileWith("smsd.log", "Delivered to +447700900111")
}

// utf16le is what gammu's files spool is written in.
func utf16le(s string) string {
	out := []byte{0xff, 0xfe}
	for _, r := range s {
		out = append(out, byte(r), byte(r>>8))
	}
	return string(out)
}

// fileWith waits for a file with a text in it, in UTF-8 or in one of the UTF-16s.
func (s *station) fileWith(pattern, want string) {
	s.t.Helper()
	waitFor(s.t, func() bool {
		names, err := filepath.Glob(filepath.Join(s.dir, pattern))
		if err != nil {
			s.t.Fatal(err)
		}
		for _, name := range names {
			b, err := os.ReadFile(name)
			if err == nil && (bytes.Contains(b, []byte(want)) || bytes.Contains(b, []byte(utf16le(want)[2:])) || bytes.Contains(b, utf16be(want))) {
				return true
			}
		}
		return false
	})
}

func utf16be(s string) []byte {
	var out []byte
	for _, r := range s {
		out = append(out, byte(r>>8), byte(r))
	}
	return out
}

func TestSMSTools(t *testing.T) {
	t.Parallel()
	smsd := smstools(t)
	s := newStation(t, Config{ReportDelay: 200 * time.Millisecond})
	for _, name := range []string{"incoming", "outgoing", "checked", "sent", "report", "failed"} {
		if err := os.Mkdir(filepath.Join(s.dir, name), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	in := func(name string) string { return filepath.Join(s.dir, name) }
	conf := s.write("smsd.conf", "devices = SIM\noutgoing = "+in("outgoing")+"\nchecked = "+in("checked")+"\nincoming = "+in("incoming")+
		"\nreport = "+in("report")+"\nsent = "+in("sent")+"\nfailed = "+in("failed")+"\nlogfile = "+in("smsd.log")+"\ninfofile = "+in("info")+
		"\npidfile = "+in("pid")+"\nloglevel = 7\ndelaytime = 1\nreceive_before_send = no\nautosplit = 3\nstats = "+in("report")+
		"\n[SIM]\ndevice = "+s.Path()+"\nincoming = yes\nreport = yes\nbaudrate = 115200\ninit = AT+CNMI=2,1,0,1,0\nread_delay = 0\nmemory_start = 1\n")
	t.Cleanup(func() {
		if t.Failed() {
			log, err := os.ReadFile(in("smsd.log"))
			t.Logf("smsd.log (%v):\n%s", err, log)
		}
	})
	s.daemon(smsd, "-c"+conf, "-t")
	s.write("outgoing/one", "To: 447700900121\nReport: yes\n\n"+shortText)
	s.write("outgoing/two", "To: 447700900122\nAlphabet: UTF-8\n\n"+unicodeText)
	s.write("outgoing/three", "To: 447700900123\n\n"+longText())
	s.gets("+447700900121", shortText, 1)
	s.gets("+447700900122", unicodeText, 1)
	s.gets("+447700900123", longText(), 3)
	if err := s.net.Text("+447700900456", "", "An answer to smstools"); err != nil {
		t.Fatal(err)
	}
	s.fileWith("incoming/*", "An answer to smstools")
	s.fileWith("report/*", "447700900121")
}

// smstools finds smsd of smstools3: other packages have a program of that name.
func smstools(t *testing.T) string {
	t.Helper()
	if _, err := os.Stat("/usr/share/smstools"); err == nil {
		return program(t, "/usr/sbin/smsd", "smstools")
	}
	return program(t, "smsd-of-smstools", "smstools")
}
