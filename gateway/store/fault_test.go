package store

import (
	"crypto/rand"
	"errors"
	"fmt"
	mrand "math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"otpost/gateway/store/keys"
)

type randomReader struct{}

func (randomReader) Read(p []byte) (int, error) { return rand.Read(p) }

// needRoot skips a test that mounts, unless this is CI, where it must not be skipped in silence.
func needRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root, to mount a disk of its own")
	}
}

// skipOrFail skips for want of something; as root in CI that fails.
func skipOrFail(t *testing.T, format string, args ...any) {
	t.Helper()
	if os.Getenv("CI") == "true" && os.Geteuid() == 0 {
		t.Fatalf(format, args...)
	}
	t.Skipf(format, args...)
}

// TestKill: SIGKILL at any time; nothing acknowledged is lost, and the next open succeeds.
func TestKill(t *testing.T) {
	h := newBench(t, t.TempDir())
	for i := range 10 * *soak {
		p := h.start(t)
		h.readFor(t, p, time.Duration(mrand.IntN(120))*time.Millisecond)
		_ = p.Process.Kill() // its end is seen by Wait
		_ = p.Wait()
		h.drain(t, p)
		if lost := h.lost(t); lost > 0 {
			t.Fatalf("cycle %d: %d acknowledged records are lost", i, lost)
		}
	}
	if total(h.acked) == 0 {
		t.Error("nothing was ever acknowledged")
	}
	t.Logf("%d records acknowledged, 0 lost", total(h.acked))
}

// TestSyncFails: when a sync fails the store says unknown and is dead, the process ends at once, nothing that was
// acknowledged is lost.
func TestSyncFails(t *testing.T) {
	strace, err := exec.LookPath("strace")
	if err != nil {
		skipOrFail(t, "needs strace, to make a sync fail")
	}
	for i := range 3 * *soak {
		h := newBench(t, t.TempDir())
		inject := fmt.Sprintf("inject=msync:error=EIO:when=%d+", 10+i*7)
		p := h.start(t, strace, "-f", "-qq", "-o", "/dev/null", "-e", "trace=msync", "-e", inject)
		err := h.waitEnd(t, p)
		var exit *exec.ExitError
		if !errors.As(err, &exit) || exit.ExitCode() != exitDead {
			t.Fatalf("%s: the child ended with %v, want exit code %d: %s", inject, err, exitDead, p.stderr.String())
		}
		if len(h.errs) != 1 || h.errs[ErrUnknown.Error()] == 0 {
			t.Errorf("%s: its updates said %v, want %q only", inject, h.errs, ErrUnknown)
		}
		if lost := h.lost(t); lost > 0 {
			t.Errorf("%s: %d acknowledged records are lost", inject, lost)
		}
		t.Logf("%s: %d records acknowledged, 0 lost", inject, total(h.acked))
	}
}

// TestSystemCallFails: whatever single system call fails, whenever, nothing acknowledged is lost. The child may refuse to
// open, go on or stop.
func TestSystemCallFails(t *testing.T) {
	strace, err := exec.LookPath("strace")
	if err != nil {
		skipOrFail(t, "needs strace, to make a call fail")
	}
	for _, call := range []string{"fsync", "ftruncate", "openat", "write", "renameat", "mmap", "unlinkat"} {
		h := newBench(t, t.TempDir())
		opened := 0
		for range *soak {
			inject := fmt.Sprintf("inject=%s:error=EIO:when=%d", call, 1+mrand.IntN(30))
			p := h.launch(t, strace, "-f", "-qq", "-o", "/dev/null", "-e", "trace="+call, "-e", inject)
			if h.read(t, p, 3*time.Second) == "open" {
				opened++
			}
			h.readFor(t, p, time.Duration(mrand.IntN(200))*time.Millisecond)
			p.end()
			h.drain(t, p)
			if lost := h.lost(t); lost > 0 {
				t.Fatalf("%s: %d acknowledged records are lost", inject, lost)
			}
		}
		t.Logf("%s: %d of %d opened, %d records acknowledged, 0 lost", call, opened, *soak, total(h.acked))
	}
}

// TestFullDisk fills a real disk under a busy store, again and again: updates are refused, the process lives, and goes
// on by itself when there is room; it can be closed on the full disk, is not opened on it, and loses nothing.
func TestFullDisk(t *testing.T) {
	needRoot(t)
	disk := filepath.Join(t.TempDir(), "disk")
	if err := os.Mkdir(disk, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount("tmpfs", disk, "tmpfs", 0, "size=1000m"); err != nil {
		skipOrFail(t, "needs to mount a small disk: %v", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(disk, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	h := newBench(t, filepath.Join(disk, "data"), childReserve+"="+fmt.Sprint(128<<20))
	filler := filepath.Join(disk, "filler")
	p := h.start(t)
	for i := range *soak {
		clear(h.errs)
		fillDisk(t, filler)
		h.readUntil(t, p, func() bool { return len(h.errs) > 0 })
		h.readFor(t, p, 300*time.Millisecond)
		if h.errs[ErrFull.Error()] == 0 || len(h.errs) != 1 {
			t.Fatalf("fill %d: updates said %v: %s", i, h.errs, p.stderr.String())
		}
		before := total(h.acked)
		if err := os.Remove(filler); err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		h.readUntil(t, p, func() bool { return total(h.acked) > before })
		t.Logf("fill %d: goes on %v after space was freed", i, time.Since(start).Round(time.Millisecond))
	}
	fillDisk(t, filler)
	if err := errors.Join(p.Process.Signal(syscall.SIGTERM), h.waitEnd(t, p)); err != nil {
		t.Fatalf("closed on a full disk: %v: %s", err, p.stderr.String())
	}
	fillDisk(t, filler)
	ring, err := keys.Load(h.keys)
	if err != nil {
		t.Fatal(err)
	}
	if err := openErr(t, BadgerConfig{Dir: h.dir, Keys: ring}); !errors.Is(err, ErrFull) {
		t.Errorf("open on a full disk: %v", err)
	}
	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	if lost := h.lost(t); lost > 0 {
		t.Errorf("%d acknowledged records are lost", lost)
	}
	t.Logf("%d records acknowledged, 0 lost", total(h.acked))
}

// waitEnd reads what the child says until it ends.
func (h *bench) waitEnd(t *testing.T, p *process) error {
	for h.read(t, p, 30*time.Second) != "" {
	}
	return p.Wait()
}

// fillDisk writes to the file until the disk is full.
func fillDisk(t *testing.T, path string) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	b := make([]byte, 1<<20)
	for err == nil {
		_, err = f.Write(b)
	}
	if !errors.Is(err, unix.ENOSPC) {
		t.Fatal(err)
	}
}

// TestPowerCut takes the power away: the file system of a loop device is shut down without flushing its journal, so
// what was not synced is gone. Nothing acknowledged is lost; without synced commits something is, which shows that the
// test can see it.
func TestPowerCut(t *testing.T) {
	needRoot(t)
	d := newLoopDisk(t)
	t.Run("synced", func(t *testing.T) {
		h := newBench(t, filepath.Join(d.mount, "data"))
		for i := range 3 * *soak {
			d.cut(t, h)
			if lost := h.lost(t); lost > 0 {
				t.Fatalf("cycle %d: %d acknowledged records are lost", i, lost)
			}
		}
		t.Logf("%d records acknowledged, 0 lost", total(h.acked))
	})
	t.Run("control without syncs", func(t *testing.T) {
		h := newBench(t, filepath.Join(d.mount, "unsynced"), childNoSync+"=1")
		d.cut(t, h)
		acked := total(h.acked)
		lost := h.lost(t)
		if lost == 0 {
			t.Errorf("of %d records that were never synced all outlived the cut: it is none", acked)
		}
		t.Logf("%d of %d lost", lost, acked)
	})
}

// loopDisk is an ext4 file system on a file.
type loopDisk struct{ image, mount string }

func newLoopDisk(t *testing.T) *loopDisk {
	t.Helper()
	dir := t.TempDir()
	d := &loopDisk{image: filepath.Join(dir, "image"), mount: filepath.Join(dir, "mount")}
	if err := errors.Join(os.WriteFile(d.image, nil, 0o600), os.Truncate(d.image, 1<<30), os.Mkdir(d.mount, 0o700)); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("mkfs.ext4", "-q", "-F", d.image).CombinedOutput(); err != nil {
		t.Skipf("needs mkfs.ext4: %v %s", err, out)
	}
	if err := d.attach(); err != nil {
		t.Skipf("needs a loop device: %v", err)
	}
	t.Cleanup(func() {
		if err := d.detach(); err != nil {
			t.Error(err)
		}
	})
	return d
}

func (d *loopDisk) attach() error { return command("mount", "-o", "loop", d.image, d.mount) }
func (d *loopDisk) detach() error { return command("umount", d.mount) }

func command(name string, args ...string) error {
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s %s: %w: %s", name, strings.Join(args, " "), err, out)
	}
	return nil
}

// cut runs a child, freezes it, notes what it acknowledged, and only then cuts the power: so nothing is acknowledged
// after the cut.
func (d *loopDisk) cut(t *testing.T, h *bench) {
	t.Helper()
	p := h.start(t)
	before := total(h.acked)
	h.readFor(t, p, time.Duration(100+mrand.IntN(300))*time.Millisecond)
	h.readUntil(t, p, func() bool { return total(h.acked) > before })
	if err := p.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	var status unix.WaitStatus
	if _, err := unix.Wait4(p.Process.Pid, &status, unix.WUNTRACED, nil); err != nil || !status.Stopped() {
		t.Fatalf("the child did not stop: %v", err)
	}
	h.drain(t, p)
	if err := shutdown(d.mount); err != nil {
		t.Fatalf("power cut: %v", err)
	}
	p.end()
	h.drain(t, p)
	if err := errors.Join(d.detach(), d.attach()); err != nil {
		t.Fatal(err)
	}
}

// shutdown is FS_IOC_SHUTDOWN with "no log flush".
func shutdown(mount string) error {
	f, err := os.Open(mount)
	if err != nil {
		return err
	}
	defer f.Close()
	const fsIocShutdown, noLogFlush = 0x8004587d, 2
	return unix.IoctlSetPointerInt(int(f.Fd()), fsIocShutdown, noLogFlush)
}
