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

// start runs the binary with args, listening on a free port, and waits until it is ready. What names it in errors and
// among profiles.
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
	if b.Profile != "" {
		p.cmd.Env = append(p.cmd.Env, "OTPOST_TEST_PROFILE="+filepath.Join(b.Profile, fmt.Sprintf("%02d-%s", b.daemons.Add(1), what)))
	}
	p.cmd.Stderr = &p.said
	p.cmd.Cancel = func() error { return p.cmd.Process.Signal(syscall.SIGTERM) }
	began := time.Now()
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", what, err)
	}
	c := newCaller(p.base, "")
	defer c.close()
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

// stop lets the process end, and waits for it.
func (p *process) stop() { p.end(syscall.SIGTERM) }

// kill ends the process at once.
func (p *process) kill() { p.end(syscall.SIGKILL) }

func (p *process) end(how syscall.Signal) {
	_ = p.cmd.Process.Signal(how) // it may have ended already
	_ = p.cmd.Wait()              // how it ended is of no interest any more
	if p.extra != nil {
		p.extra()
	}
}

// rest waits until the process has had next to nothing to do for a moment, or a second has passed.
func (p *process) rest(ctx context.Context) error {
	const moment = 50 * time.Millisecond
	for range time.Second / moment {
		before := p.cpu()
		if err := wait(ctx, moment); err != nil || p.cpu()-before <= moment/5 {
			return err
		}
	}
	return nil
}

// cpu returns the processor time that the process has had, or 0 when there is no process or the system does not tell.
func (p *process) cpu() time.Duration {
	if p == nil {
		return 0
	}
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

// rigLoginTTL is the longest life that a code may have, so that many can wait.
const rigLoginTTL = 10 * time.Minute

// rigOptions are a rig's modems.
type rigOptions struct {
	modems int
	submit time.Duration                     // that a message takes
	warm   int                               // more modems, which take no time and are for the warm accounts' phones alone
	tap    func(modem int, dir, text string) // nil, or sees the lines of each; see sim.Tap
}

// all is how many modems there are.
func (o rigOptions) all() int { return o.modems + o.warm }

// modem returns what a modem is, and how the daemon's configuration names it.
func (o rigOptions) modem(i int, dir string) (sim.Config, string) {
	name := fmt.Sprintf("m%d", i)
	cfg := sim.Config{Name: name, Personality: measured, Link: filepath.Join(dir, name+".tty")}
	prefix := accountPrefix
	if i < o.modems {
		cfg.SubmitTime = o.submit
	} else {
		prefix = warmPrefix
	}
	if o.tap != nil {
		cfg.Tap = func(dir, text string) { o.tap(i, dir, text) }
	}
	return cfg, fmt.Sprintf("{name: %s, device: %s, prefixes: [%q]}", name, cfg.Link, prefix)
}

// rig starts modems, and a daemon on the data folder named; everything without limits.
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
	for i := range o.all() {
		cfg, named := o.modem(i, dir)
		cfg.Network = r.network
		m, err := sim.New(cfg)
		if err != nil {
			stop()
			return nil, err
		}
		running.Go(func() {
			_ = m.Run(ctx) // a modem that fails shows as a missing text
			_ = m.Close()
		})
		modems = append(modems, named)
	}
	file := filepath.Join(dir, "otpost.yaml")
	yaml := fmt.Sprintf("socket: %s/s\ndata_dir: %s\ncountries: [GB]\nlog: {level: error}\nmodems: [%s]\npurposes: {login: {ttl: %v}}\n"+
		"limits: {phone_hour: 0, phone_day: 0, account_day: 0, account_phones_day: 0, client_hour: 0, prefix_day: 0, key_hour: 0}\n",
		dir, dir, strings.Join(modems, ", "), rigLoginTTL)
	err := os.WriteFile(file, []byte(yaml), 0o600)
	if err == nil {
		r.process, err = b.start(ctx, data, "serve", "--config", file)
	}
	if err != nil {
		stop()
		return nil, err
	}
	r.process.extra = stop
	if err := r.signIn(ctx, b.Exe, file, o.all()); err != nil {
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
	for began := time.Now(); ; <-time.After(2 * time.Millisecond) {
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
