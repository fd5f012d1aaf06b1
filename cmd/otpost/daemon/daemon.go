// Package daemon assembles the program: keys, store, gateway, rules, modems, API. It is a value that a test can run whole,
// in-process, on port 0 with a simulated modem.
package daemon

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"golang.org/x/sync/errgroup"

	"otpost/api"
	"otpost/api/wire"
	"otpost/cmd/otpost/config"
	"otpost/driver"
	"otpost/driver/sim"
	"otpost/gateway"
	"otpost/gateway/store"
	"otpost/gateway/store/keys"
	"otpost/otp"
)

// Options are what a Daemon is made from.
type Options struct {
	Config  config.Config
	Log     *slog.Logger
	Version string
	Tap     sim.Tap // sees the line of every simulated modem; nil: nobody

	BeforeCommit func() // makes the store's disk slower, for tests; nil: no
}

// Daemon is the whole program. New opens everything, Run runs it, Close undoes it.
type Daemon struct {
	opts      Options
	log       *slog.Logger
	registry  *prometheus.Registry
	ring      *keys.Ring
	kv        *store.Badger
	queue     *gateway.Gateway
	rules     *otp.Service
	server    *api.Server
	network   *sim.Network // nil unless a modem is simulated
	modems    []*driver.Modem
	listeners []net.Listener
	tasks     []task
	undo      []undo
}

// task is something long-lived: it blocks until ctx is done and then returns nil.
type task struct {
	name string
	run  func(context.Context) error
}

// undo takes back one step of New.
type undo struct {
	name string
	do   func() error
}

// closeTimeout bounds Close: a step that hangs must not keep the process alive.
const closeTimeout = 10 * time.Second

// New opens the store, the listeners and the simulated modems; it starts nothing. On an error everything is undone.
func New(ctx context.Context, opts Options) (*Daemon, error) {
	d := &Daemon{opts: opts, log: opts.Log, registry: prometheus.NewRegistry()}
	d.registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	for _, step := range []func(context.Context) error{d.listenAll, d.openStore, d.buildRules, d.buildModems, d.buildServer} {
		if err := step(ctx); err != nil {
			return nil, errors.Join(err, d.Close())
		}
	}
	return d, nil
}

func (d *Daemon) openStore(ctx context.Context) error {
	cfg := d.opts.Config
	if err := os.MkdirAll(cfg.DataDir, 0o700); err != nil {
		return fmt.Errorf("data_dir: %w; it must be a folder that the daemon's user can make or write", err)
	}
	ring, err := d.keyRing(cfg)
	if err != nil {
		return err
	}
	d.ring = ring
	d.kv, err = store.OpenBadger(ctx, store.BadgerConfig{
		Dir: filepath.Join(cfg.DataDir, "store"), Keys: ring, Reserve: int64(cfg.Reserve), Log: d.log, Registry: d.registry,
		BeforeCommit: d.opts.BeforeCommit,
	})
	if err != nil {
		return fmt.Errorf("open the store in %s: %w", cfg.DataDir, err)
	}
	d.undo = append(d.undo, undo{"close the store", d.kv.Close})
	d.tasks = append(d.tasks, task{"store", d.kv.Run}, task{"store watch", d.watchStore}, task{"memory", d.settleDown})
	return nil
}

// KeyFile is the path of the key file.
func KeyFile(cfg config.Config) string {
	return cmp.Or(cfg.KeyFile, filepath.Join(cfg.DataDir, "otpost.key"))
}

// masterKeys tells which keys are still needed.
func (d *Daemon) masterKeys(ctx context.Context, now time.Time) ([]wire.MasterKey, error) {
	codes, err := d.rules.KeysInUse(ctx, now)
	if err != nil {
		return nil, err
	}
	var all []wire.MasterKey
	for _, id := range d.ring.IDs() {
		seals, err := d.kv.InUse(ctx, id)
		if err != nil {
			return nil, err
		}
		all = append(all, wire.MasterKey{ID: id, Current: id == d.ring.Current(), SealsRecords: seals, PendingCodes: codes[id]})
	}
	return all, nil
}

// keyRing reads the key file. It makes one only where there is neither a key file nor a store: a store without its key
// needs the lost file, not a new one.
func (d *Daemon) keyRing(cfg config.Config) (*keys.Ring, error) {
	path := KeyFile(cfg)
	ring, err := keys.Load(path)
	if !errors.Is(err, fs.ErrNotExist) {
		return ring, err
	}
	if _, err := os.Stat(filepath.Join(cfg.DataDir, "store")); err == nil {
		return nil, fmt.Errorf("key file %s is not there, but the store that it seals is: put the key file back", path)
	}
	if ring, err = keys.Create(path, rand.Reader); err != nil {
		return nil, fmt.Errorf("%w; the daemon's user must be able to write there", err)
	}
	d.log.Info("key file made; keep a copy of it apart from the backups", "path", path)
	return ring, nil
}

// watchStore ends the daemon when the store is dead: a failed sync means unknown, and only a fresh start knows.
func (d *Daemon) watchStore(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return nil
	case <-d.kv.Dead():
		return fmt.Errorf("store: %w; start again", store.ErrUnknown)
	}
}

func (d *Daemon) buildRules(ctx context.Context) error {
	cfg := d.opts.Config
	policy, err := PolicyOf(cfg)
	if err != nil {
		return err
	}
	hooks, err := webhooks(cfg.Webhooks)
	if err != nil {
		return err
	}
	pin, err := pinChecker(cfg.PIN)
	if err != nil {
		return err
	}
	zone, err := time.LoadLocation(cfg.TimeZone)
	if err != nil {
		return fmt.Errorf("time zone: %w", err)
	}
	d.queue, err = gateway.New(gateway.Config{
		KV: d.kv, Secrets: d.kv.Secrets(), Random: rand.Reader, Log: d.log, Registry: d.registry, StoreLow: d.kv.Low,
		Retention: time.Duration(cfg.Retention), ReportWait: time.Duration(cfg.ReportWait), Location: zone,
		UnsureCode: gateway.Uncertainty(cfg.Uncertain.Codes), UnsureText: gateway.Uncertainty(cfg.Uncertain.Texts),
		Webhooks: hooks,
		Render: func(tx store.Txn, now time.Time, m gateway.Message) (string, error) {
			return d.rules.Render(tx, now, m)
		},
	})
	if err != nil {
		return err
	}
	d.tasks = append(d.tasks, task{"gateway", d.queue.Run})
	d.rules, err = otp.New(otp.Config{
		KV: d.kv, Secrets: d.kv.Secrets(), Keys: d.ring, Outbox: d.queue, Policy: policy, PIN: pin, Random: rand.Reader, Log: d.log, Registry: d.registry,
	})
	if err != nil {
		return err
	}
	if err := d.rules.CheckKeys(ctx, time.Now()); err != nil {
		d.log.Error("pending codes need a key that the key file does not have; they will expire", "error", err)
	}
	return nil
}

func (d *Daemon) buildServer(context.Context) error {
	cfg := d.opts.Config
	in, err := d.admission(cfg)
	if err != nil {
		return err
	}
	server, err := api.New(api.Config{
		TLS: in.tls, Insecure: cfg.Insecure, SocketScopes: in.users, CertificateScopes: in.certificates,
		Rules: d.rules, Gateway: d.queue, KV: d.kv, Secrets: d.kv.Secrets(), Log: d.log, Registry: d.registry,
		Texts:   api.TextLimits{PhoneHour: cfg.Limits.TextPhoneHour, PhoneDay: cfg.Limits.TextPhoneDay, KeyDay: cfg.Limits.TextKeyDay},
		Network: d.network, Modems: modemControl(d.modems), MasterKeys: d.masterKeys, Ready: d.ready, Version: d.opts.Version,
	})
	if err != nil {
		return err
	}
	d.server = server
	d.tasks = append(d.tasks,
		task{"api", func(ctx context.Context) error { return d.server.Run(ctx, d.listeners...) }},
		task{"notify", d.notify})
	return nil
}

// listenAll listens where the configuration says, or takes what systemd has opened already. It comes first: a port that is
// taken is the likeliest thing to go wrong, and then no key file and no store are left behind.
func (d *Daemon) listenAll(context.Context) error {
	cfg := d.opts.Config
	given, err := inherited()
	if err != nil {
		return err
	}
	for _, l := range given {
		if err := d.listen(func() (net.Listener, error) { return l, nil }); err != nil {
			return err
		}
	}
	if cfg.Listen != "" && len(given) == 0 {
		if err := d.listen(func() (net.Listener, error) { return listenTCP(cfg.Listen) }); err != nil {
			return err
		}
	}
	if cfg.Socket != "" && len(given) == 0 {
		return d.listen(func() (net.Listener, error) { return listenUnix(cfg.Socket) })
	}
	return nil
}

func (d *Daemon) listen(open func() (net.Listener, error)) error {
	l, err := open()
	if err != nil {
		return err
	}
	d.listeners = append(d.listeners, l)
	d.undo = append(d.undo, undo{"close listener", func() error {
		if err := l.Close(); !errors.Is(err, net.ErrClosed) {
			return err
		}
		return nil
	}})
	return nil
}

// Run runs everything until ctx is done or a part fails, and returns when every part has ended.
func (d *Daemon) Run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	for _, t := range d.tasks {
		g.Go(func() error {
			if err := t.run(ctx); err != nil {
				return fmt.Errorf("%s: %w", t.name, err)
			}
			return nil
		})
	}
	return g.Wait()
}

// Close undoes what New did, last step first, within a bound. It may be called twice.
func (d *Daemon) Close() error {
	steps := d.undo
	d.undo = nil
	done := make(chan error, 1)
	go func() {
		var errs []error
		for i := len(steps) - 1; i >= 0; i-- {
			if err := steps[i].do(); err != nil {
				errs = append(errs, fmt.Errorf("%s: %w", steps[i].name, err))
			}
		}
		done <- errors.Join(errs...)
	}()
	select {
	case err := <-done:
		return err
	case <-time.After(closeTimeout):
		return errors.New("closing took too long and was given up")
	}
}

// Addr is the address of the TCP listener, or nil.
func (d *Daemon) Addr() net.Addr {
	for _, l := range d.listeners {
		if l.Addr().Network() == "tcp" {
			return l.Addr()
		}
	}
	return nil
}

// Ready is closed when the queue has been read and sending has begun.
func (d *Daemon) Ready() <-chan struct{} { return d.queue.Ready() }

// Server is the API, for making a first key without a listener.
func (d *Daemon) Server() *api.Server { return d.server }

// Network is where the simulated phones are; nil unless a modem is simulated.
func (d *Daemon) Network() *sim.Network { return d.network }

// ready says why the daemon should get no traffic, or nil.
func (d *Daemon) ready() error {
	select {
	case <-d.queue.Ready():
		return nil
	default:
		return errors.New("the queue is being read")
	}
}
