package bench

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"otpost/driver/sim"
)

// process is a server that runs as a process of its own.
type process struct {
	base  string
	cmd   *exec.Cmd
	said  bytes.Buffer
	took  time.Duration // from exec to ready
	extra func()        // stops what belongs to it
}

// startPatience bounds how long a process may take to answer.
const startPatience = 60 * time.Second

// measured is the simulated modem behind a rig: one without +CMMS, since an open link would make its sends quicker than the
// submit time that line use is counted by.
const measured = "sierra-mc7455"

// start runs the binary with args and --listen of a free port, and waits until it is ready.
func (b *run) start(ctx context.Context, what string, args ...string) (*process, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	addr := l.Addr().String()
	if err := l.Close(); err != nil {
		return nil, err
	}
	p := &process{base: "http://" + addr, cmd: exec.CommandContext(ctx, b.Exe, args...)}
	p.cmd.Env = append(os.Environ(), "OTPOST_LISTEN="+addr, "OTPOST_TEST_LISTEN="+addr)
	p.cmd.Stderr = &p.said
	p.cmd.Cancel = func() error { return p.cmd.Process.Signal(syscall.SIGTERM) }
	began := time.Now()
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", what, err)
	}
	c := newCaller(p.base, "")
	for c.call(ctx, "GET", "/readyz", nil, nil) != nil {
		if time.Since(began) > startPatience || ctx.Err() != nil {
			p.stop()
			return nil, errors.Join(fmt.Errorf("%s did not get ready; it said: %s", what, p.said.String()), ctx.Err())
		}
		<-time.After(time.Millisecond)
	}
	p.took = time.Since(began)
	return p, nil
}

// stop ends the process and waits for it.
func (p *process) stop() {
	_ = p.cmd.Process.Signal(syscall.SIGTERM) // it may have ended already
	_ = p.cmd.Wait()                          // how it ended is of no interest any more
	if p.extra != nil {
		p.extra()
	}
}

// memory reads a line of /proc/<pid>/status, in bytes: VmRSS or its peak, VmHWM.
func (p *process) memory(line string) (int64, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		return 0, err
	}
	for l := range strings.Lines(string(b)) {
		if rest, ok := strings.CutPrefix(l, line+":"); ok {
			kB, err := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
			return kB << 10, err
		}
	}
	return 0, fmt.Errorf("no %s in the process's status", line)
}

// cpu returns the processor time that the process has had, or 0 when the system does not tell.
func (p *process) cpu() time.Duration {
	const tick = 10 * time.Millisecond // USER_HZ, see proc(5)
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.cmd.Process.Pid))
	if err != nil {
		return 0
	}
	fields := strings.Fields(string(b[bytes.LastIndexByte(b, ')')+1:])) // from the third of proc(5) on
	if len(fields) < 13 {
		return 0
	}
	user, uerr := strconv.Atoi(fields[11])
	system, serr := strconv.Atoi(fields[12])
	if uerr != nil || serr != nil {
		return 0
	}
	return time.Duration(user+system) * tick
}

// rig is a daemon with simulated modems in this process, so that the daemon's memory is its own.
type rig struct {
	*process
	*caller
	network *sim.Network
}

// rigOptions are a rig's modems.
type rigOptions struct {
	modems int
	submit time.Duration // that a message takes
	tap    sim.Tap
}

// rig starts modems, and a daemon on the data folder named; everything without limits, and codes live for ten minutes, so
// that many can wait.
func (b *run) rig(ctx context.Context, data string, o rigOptions) (*rig, error) {
	dir := filepath.Join(b.dir, data)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	r := &rig{network: sim.NewNetwork(sim.NetworkConfig{NoMagic: true})}
	ctx, cancel := context.WithCancel(ctx)
	var running sync.WaitGroup
	stop := func() {
		cancel()
		running.Wait()
	}
	var modems []string
	for i := range o.modems {
		name := fmt.Sprintf("m%d", i)
		link := filepath.Join(dir, name+".tty")
		m, err := sim.New(sim.Config{Name: name, Personality: measured, Network: r.network, SubmitTime: o.submit, Link: link, Tap: o.tap})
		if err != nil {
			stop()
			return nil, err
		}
		running.Go(func() {
			_ = m.Run(ctx) // a modem that fails shows as a missing text
			_ = m.Close()
		})
		modems = append(modems, fmt.Sprintf("{name: %s, device: %s}", name, link))
	}
	file := filepath.Join(dir, "otpost.yaml")
	yaml := fmt.Sprintf("socket: %s/s\ndata_dir: %s\ncountries: [GB]\nlog: {level: error}\nmodems: [%s]\npurposes: {login: {ttl: 10m}}\n"+
		"limits: {phone_hour: 0, phone_day: 0, account_day: 0, account_phones_day: 0, client_hour: 0, prefix_day: 0, key_hour: 0}\n",
		dir, dir, strings.Join(modems, ", "))
	err := os.WriteFile(file, []byte(yaml), 0o600)
	if err == nil {
		r.process, err = b.start(ctx, "the daemon", "serve", "--config", file)
	}
	if err != nil {
		stop()
		return nil, err
	}
	r.process.extra = stop
	if err := r.signIn(ctx, b.Exe, file, o.modems); err != nil {
		r.stop()
		return nil, err
	}
	return r, nil
}

// signIn makes a key and waits until n modems are ready.
func (r *rig) signIn(ctx context.Context, exe, file string, n int) error {
	out, err := exec.CommandContext(ctx, exe, "key", "create", "--config", file, "--name", "bench", "--scope", "admin", "--json").Output()
	if err != nil {
		return fmt.Errorf("make a key: %w", err)
	}
	var made struct{ Token string }
	if err := json.Unmarshal(out, &made); err != nil {
		return err
	}
	r.caller = newCaller(r.process.base, made.Token)
	for began := time.Now(); ; <-time.After(5 * time.Millisecond) {
		var all struct{ Modems []struct{ State string } }
		if err := r.call(ctx, "GET", "/v1/modems", nil, &all); err != nil {
			return err
		}
		ready := 0
		for _, m := range all.Modems {
			if m.State == "ready" {
				ready++
			}
		}
		if ready == n {
			return nil
		}
		if time.Since(began) > startPatience {
			return fmt.Errorf("%d of %d modems are ready", ready, n)
		}
	}
}
