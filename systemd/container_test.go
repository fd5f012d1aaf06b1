package systemd_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// Bounds for the container: two cores may be busy with other things.
const (
	bootTime = 2 * time.Minute
	stepTime = 3 * time.Minute
)

// box is a small Debian that systemd has booted, in namespaces of its own and with no network but loopback.
type box struct {
	t      *testing.T
	leader string // the process id of its init
	root   string
}

// boot makes the box and boots it; when the test ends it is powered off. Folders and files of this machine can be bound in.
func boot(t *testing.T, binds ...string) *box {
	t.Helper()
	need(t, "mmdebstrap", "systemd-nspawn", "nsenter")
	needRoot(t)
	root := filepath.Join(t.TempDir(), "box")
	tree(t, root)
	args := []string{"--quiet", "--register=no", "--keep-unit", "--private-network", "--console=pipe", "--directory=" + root}
	for _, b := range binds {
		args = append(args, "--bind-ro="+b)
	}
	var console bytes.Buffer
	nspawn := exec.Command("systemd-nspawn", append(args, "--boot")...)
	nspawn.Stdout, nspawn.Stderr = &console, &console
	nspawn.WaitDelay = 10 * time.Second
	if err := nspawn.Start(); err != nil {
		t.Fatal(err)
	}
	b := &box{t: t, root: root}
	ended := make(chan error, 1)
	go func() { ended <- nspawn.Wait() }()
	t.Cleanup(func() {
		b.powerOff(nspawn, ended)
		if t.Failed() {
			t.Logf("console:\n%s", tail(console.String(), 40))
		}
	})
	b.leader = awaitLeader(t, nspawn.Process.Pid, ended)
	b.until(bootTime, "systemctl is-system-running | grep -qE 'running|degraded'")
	return b
}

// tree makes the box's files. OTPOST_BASE may name a tar of them, which saves the time.
func tree(t *testing.T, root string) {
	t.Helper()
	base := os.Getenv("OTPOST_BASE")
	if base == "" {
		base = filepath.Join(t.TempDir(), "base.tar")
		run(t, "mmdebstrap", "--quiet", "--variant=minbase", "--include=systemd,udev,curl", "bookworm", base)
	}
	if err := os.Mkdir(root, 0o755); err != nil {
		t.Fatal(err)
	}
	run(t, "tar", "--extract", "--file="+base, "--directory="+root, "--exclude=./dev/*")
}

func run(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), name, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return string(out)
}

// awaitLeader returns the process id of the box's init: the child of nspawn whose own children appear.
func awaitLeader(t *testing.T, nspawn int, ended <-chan error) string {
	t.Helper()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(bootTime)
	for {
		select {
		case err := <-ended:
			t.Fatalf("systemd-nspawn ended at once: %v", err)
		case <-deadline:
			t.Fatal("the box did not start")
		case <-tick.C:
			b, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", nspawn, nspawn))
			if err != nil {
				continue
			}
			for _, child := range strings.Fields(string(b)) {
				if comm, err := os.ReadFile("/proc/" + child + "/comm"); err == nil && strings.TrimSpace(string(comm)) == "systemd" {
					return child
				}
			}
		}
	}
}

func (b *box) powerOff(nspawn *exec.Cmd, ended <-chan error) {
	if b.leader != "" {
		_, _ = b.try(context.Background(), "systemctl poweroff") // what matters is that it ends, below
	}
	select {
	case <-ended:
	case <-time.After(30 * time.Second):
		if err := nspawn.Process.Kill(); err != nil {
			b.t.Errorf("end the box: %v", err)
		}
		<-ended
	}
}

// try runs a shell script in the box.
func (b *box) try(ctx context.Context, script string) (string, error) {
	cmd := exec.CommandContext(ctx, "nsenter", "--target", b.leader, "--mount", "--uts", "--ipc", "--net", "--pid", "--cgroup",
		"--root", "env", "-i", "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LANG=C.UTF-8", "HOME=/root",
		"DEBIAN_FRONTEND=noninteractive", "bash", "-euc", "cd /\n"+script)
	cmd.Dir = "/"
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// sh runs a script that must succeed, and returns what it printed.
func (b *box) sh(script string) string {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.t.Context(), stepTime)
	defer cancel()
	out, err := b.try(ctx, script)
	if err != nil {
		b.t.Fatalf("%s\n%v\n%s\n%s", script, err, out, b.journal())
	}
	return strings.TrimSpace(out)
}

// until repeats a script until it succeeds.
func (b *box) until(patience time.Duration, script string) string {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.t.Context(), patience)
	defer cancel()
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for out := ""; ; {
		select {
		case <-ctx.Done():
			b.t.Fatalf("not within %s: %s\n%s\n%s", patience, script, out, b.journal())
		case <-tick.C:
		}
		var err error
		if out, err = b.try(ctx, script); err == nil {
			return strings.TrimSpace(out)
		}
	}
}

// journal is the end of the service's log, for a failure's message.
func (b *box) journal() string {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	out, err := b.try(ctx, "systemctl status --no-pager otpost.service; journalctl -u otpost.service -n 25 --no-pager -o cat")
	if err != nil && out == "" {
		return err.Error()
	}
	return out
}

// put writes a file in the box.
func (b *box) put(path, content string) {
	b.t.Helper()
	write(b.t, filepath.Join(b.root, path), content, 0o644)
}

// with makes the box report to a subtest.
func (b *box) with(t *testing.T) *box {
	c := *b
	c.t = t
	return &c
}

func tail(s string, lines int) string {
	all := strings.Split(strings.TrimRight(s, "\n"), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}
