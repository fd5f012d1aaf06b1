package driver

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/creack/pty"
	"github.com/tarm/serial"
	"golang.org/x/sys/unix"
)

// pseudo opens a pseudo-terminal and returns its master and the path of its slave.
func pseudo(t *testing.T) (*os.File, string) {
	t.Helper()
	master, slave, err := pty.Open()
	if err != nil {
		t.Skipf("no pseudo-terminal here: %v", err)
	}
	name := slave.Name()
	// The slave stays open, else the master reads EIO between two opens; a real modem does not go away either.
	t.Cleanup(func() { _ = master.Close(); _ = slave.Close() })
	return master, name
}

func TestTarmLayout(t *testing.T) {
	typ := reflect.TypeFor[serial.Port]()
	if typ.NumField() != 1 || typ.Field(0).Name != "f" || typ.Field(0).Type != reflect.TypeFor[*os.File]() {
		t.Fatalf("tarm/serial's Port is no longer {f *os.File}: %v", typ)
	}
}

func TestPortReadsAndWrites(t *testing.T) {
	master, name := pseudo(t)
	p, err := openPort(name, 115200)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	if _, err := p.Write([]byte("AT\r")); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 16)
	if n, err := master.Read(b); err != nil || string(b[:n]) != "AT\r" {
		t.Fatalf("modem got %q, %v", b[:n], err)
	}
	if _, err := master.Write([]byte("\r\nOK\r\n")); err != nil {
		t.Fatal(err)
	}
	if n, err := p.Read(b); err != nil || string(b[:n]) != "\r\nOK\r\n" {
		t.Fatalf("host got %q, %v", b[:n], err)
	}
}

// A blocked Read and a Write that nobody drains both end when the port is closed, and Close itself is quick.
func TestPortCloseNeverHangs(t *testing.T) {
	_, name := pseudo(t)
	p, err := openPort(name, 115200)
	if err != nil {
		t.Fatal(err)
	}
	read, write := make(chan error, 1), make(chan error, 1)
	go func() { _, err := p.Read(make([]byte, 1)); read <- err }()
	full := make(chan struct{})
	go func() {
		b := make([]byte, 4096)
		for i := 0; ; i++ {
			if i == 64 {
				close(full) // far beyond what a tty buffers
			}
			if _, err := p.Write(b); err != nil {
				write <- err
				return
			}
		}
	}()
	select {
	case <-full:
		t.Fatal("a tty took 256 kB that nobody read")
	case <-time.After(50 * time.Millisecond):
	}
	start := time.Now()
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	if d := time.Since(start); d > 500*time.Millisecond {
		t.Errorf("Close took %v", d)
	}
	for name, c := range map[string]chan error{"Read": read, "Write": write} {
		select {
		case err := <-c:
			if !errors.Is(err, os.ErrClosed) {
				t.Errorf("%s ended with %v, want os.ErrClosed", name, err)
			}
		case <-time.After(time.Second):
			t.Errorf("%s still blocked after Close", name)
		}
	}
	if err := p.Close(); err != nil {
		t.Errorf("second Close: %v", err)
	}
}

func TestPortHangup(t *testing.T) {
	master, slave, err := pty.Open()
	if err != nil {
		t.Skipf("no pseudo-terminal here: %v", err)
	}
	p, err := openPort(slave.Name(), 115200)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	_ = slave.Close()
	got := make(chan error, 1)
	go func() { _, err := p.Read(make([]byte, 1)); got <- err }()
	if err := master.Close(); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-got:
		if !errors.Is(err, ErrHangup) {
			t.Errorf("Read after unplugging: %v, want ErrHangup", err)
		}
	case <-time.After(time.Second):
		t.Error("Read did not notice that the modem is gone")
	}
	if _, err := p.Write([]byte("x")); !errors.Is(err, ErrHangup) {
		t.Errorf("Write after unplugging: %v, want ErrHangup", err)
	}
}

func TestPortOpenErrors(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "notes.txt")
	if err := os.WriteFile(file, []byte("hello"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, held := pseudo(t)
	owner, err := openPort(held, 115200)
	if err != nil {
		t.Fatal(err)
	}
	defer owner.Close()
	_, free := pseudo(t)
	tests := []struct {
		name, device string
		baud         int
		want         error
		says         string
	}{
		{"absent", filepath.Join(dir, "ttyUSB9"), 115200, ErrAbsent, "ttyUSB9"},
		{"regular file", file, 115200, ErrNotSerial, "AT port"},
		{"folder", dir, 115200, ErrNotSerial, "AT port"},
		{"no terminal", "/dev/null", 115200, ErrNotSerial, "line settings"},
		{"held", held, 115200, ErrHeld, "held by another"},
		{"baud", free, 1234, ErrBaud, "115200"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p, err := openPort(tt.device, tt.baud)
			if err == nil {
				_ = p.Close()
			}
			if !errors.Is(err, tt.want) || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("open: %v, want %v saying %q", err, tt.want, tt.says)
			}
		})
	}
	if b, err := os.ReadFile(file); err != nil || string(b) != "hello" {
		t.Errorf("the regular file was changed: %q, %v", b, err)
	}
	if err := openError("/dev/ttyUSB0", 0, unix.EACCES); !errors.Is(err, ErrPermission) || !strings.Contains(err.Error(), "usermod -aG dialout") {
		t.Errorf("no permission: %v", err)
	}
	if err := heldError("/dev/ttyUSB0", []Holder{{812, "ModemManager"}}); !strings.Contains(err.Error(), "ModemManager (pid 812)") || !strings.Contains(err.Error(), "ID_MM_DEVICE_IGNORE") {
		t.Errorf("held by ModemManager: %v", err)
	}
}

// A closed port can be opened again, also when something else kept the terminal alive (TIOCEXCL would outlive us).
func TestPortReopen(t *testing.T) {
	_, name := pseudo(t)
	before := len(openFiles(t))
	for range 200 {
		p, err := openPort(name, 115200)
		if err != nil {
			t.Fatal(err)
		}
		done := make(chan struct{})
		go func() { defer close(done); _, _ = p.Read(make([]byte, 1)) }()
		if err := p.Close(); err != nil {
			t.Fatal(err)
		}
		<-done
	}
	if after := len(openFiles(t)); after > before {
		t.Errorf("%d descriptors before, %d after 200 cycles", before, after)
	}
}

func openFiles(t *testing.T) []os.DirEntry {
	t.Helper()
	list, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Skip(err)
	}
	return list
}

// holdOpen starts another process that has the device open, and returns its id.
func holdOpen(t *testing.T, device string) int {
	t.Helper()
	f, err := os.OpenFile(device, os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	cmd := exec.Command("sleep", "60")
	cmd.Stdin = f
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	return cmd.Process.Pid
}
