package driver

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"sync"
	"time"
	"unsafe"

	"github.com/tarm/serial"
	"golang.org/x/sys/unix"
)

// What goes wrong with a port. Each is wrapped with the port's name and what to do about it.
var (
	ErrAbsent     = errors.New("no such device")                     // not plugged in: waited for
	ErrHangup     = errors.New("port hung up")                       // unplugged while it was open
	ErrHeld       = errors.New("port is held by another process")    // flock, TIOCEXCL, or seen in /proc
	ErrNotSerial  = errors.New("not a serial port")                  // a regular file, a folder, a pipe
	ErrPermission = errors.New("no permission to open the port")     // not in the device's group
	ErrBaud       = errors.New("the port refuses this baud rate")    // unknown to the kernel or the driver
	ErrSilent     = errors.New("no modem answers AT on this port")   // a GPS, a printer, a diagnostics port, a hung modem
	errNotPolled  = errors.New("port cannot be used with deadlines") // the wrapper's own proof failed
)

// writeLimit bounds one write: a modem that does not drain its input must not hold the loop (libraries.md B 11).
const writeLimit = 3 * time.Second

// port is an exclusively owned serial port: tarm/serial's termios work, with O_NONBLOCK restored so that the Go poller
// can end reads and writes, flock and TIOCEXCL, and a Close that never drains.
type port struct {
	file *os.File
	once sync.Once
	err  error // of Close
}

var _ io.ReadWriteCloser = (*port)(nil)

// The wrapper reaches the *os.File in tarm's Port, its only field; this fails to compile when that layout changes, and a
// test checks the field's name.
var _ [unsafe.Sizeof(uintptr(0))]byte = [unsafe.Sizeof(serial.Port{})]byte{}

func fileOf(p *serial.Port) *os.File { return *(**os.File)(unsafe.Pointer(p)) }

// openPort opens the named device. Its errors wrap one of the sentinels above and say what to do.
func openPort(name string, baud int) (*port, error) {
	if err := checkDevice(name); err != nil {
		return nil, err
	}
	p, err := serial.OpenPort(&serial.Config{Name: name, Baud: baud})
	if err != nil {
		return nil, openError(name, baud, err)
	}
	f := fileOf(p)
	if err := own(f); err != nil {
		return nil, errors.Join(openError(name, baud, err), f.Close())
	}
	if who := otherHolders(name); len(who) > 0 {
		return nil, errors.Join(heldError(name, who), (&port{file: f}).Close())
	}
	return &port{file: f}, nil
}

// own makes the open file pollable and exclusive.
func own(f *os.File) error {
	conn, err := f.SyscallConn()
	if err != nil {
		return err
	}
	var inner error
	err = conn.Control(func(fd uintptr) {
		if inner = unix.SetNonblock(int(fd), true); inner != nil {
			return
		}
		unix.CloseOnExec(int(fd))
		if inner = unix.Flock(int(fd), unix.LOCK_EX|unix.LOCK_NB); inner != nil {
			return
		}
		inner = unix.IoctlSetInt(int(fd), unix.TIOCEXCL, 0)
	})
	if err := errors.Join(err, inner); err != nil {
		return err
	}
	if err := f.SetReadDeadline(time.Time{}); err != nil {
		return errNotPolled
	}
	return nil
}

// checkDevice refuses what is no character device before tarm changes its settings.
func checkDevice(name string) error {
	info, err := os.Stat(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("%s: %w", name, ErrAbsent)
	case err != nil:
		return openError(name, 0, err)
	case info.Mode()&fs.ModeCharDevice == 0:
		return fmt.Errorf("%s: %w; give the modem's AT port, such as /dev/serial/by-id/… or /dev/ttyUSB2", name, ErrNotSerial)
	}
	return nil
}

func openError(name string, baud int, err error) error {
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, unix.ENXIO), errors.Is(err, unix.ENODEV):
		return fmt.Errorf("%s: %w", name, ErrAbsent)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("%s: %w; add the daemon's user to the port's group: usermod -aG %s USER", name, ErrPermission, groupOf(name))
	case errors.Is(err, unix.EBUSY), errors.Is(err, unix.EAGAIN):
		return heldError(name, otherHolders(name))
	case errors.Is(err, unix.ENOTTY):
		return fmt.Errorf("%s: %w: it has no line settings; give the modem's AT port, such as /dev/serial/by-id/… or /dev/ttyUSB2", name, ErrNotSerial)
	case errors.Is(err, unix.EIO):
		return fmt.Errorf("%s: %w", name, ErrHangup)
	case errors.Is(err, unix.EINVAL), err.Error() == "Unrecognized baud rate":
		return fmt.Errorf("%s: %w (%d); most modems take 115200", name, ErrBaud, baud)
	}
	return fmt.Errorf("open %s: %w", name, err)
}

// Read blocks until bytes come, the port hangs up (ErrHangup) or is closed (os.ErrClosed).
func (p *port) Read(b []byte) (int, error) {
	n, err := p.file.Read(b)
	return n, hangup(err)
}

// Write returns within writeLimit, with os.ErrDeadlineExceeded when the modem did not drain.
func (p *port) Write(b []byte) (int, error) {
	if err := p.file.SetWriteDeadline(time.Now().Add(writeLimit)); err != nil {
		return 0, hangup(err)
	}
	n, err := p.file.Write(b)
	return n, hangup(err)
}

func hangup(err error) error {
	switch {
	case errors.Is(err, io.EOF), errors.Is(err, unix.EIO), errors.Is(err, unix.ENXIO), errors.Is(err, unix.ENODEV):
		return ErrHangup
	}
	return err
}

// Close throws away what is still queued, gives up exclusiveness and closes; a blocked Read or Write returns at once.
func (p *port) Close() error {
	p.once.Do(func() {
		if conn, err := p.file.SyscallConn(); err == nil {
			_ = conn.Control(func(fd uintptr) { // of a port that hung up both fail, and nothing is left to undo
				_ = unix.IoctlSetInt(int(fd), unix.TCFLSH, unix.TCIOFLUSH)
				_ = unix.IoctlSetInt(int(fd), unix.TIOCNXCL, 0)
			})
		}
		p.err = p.file.Close()
	})
	return p.err
}
