package sim

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"
)

// Errors that a caller may branch on.
var (
	// ErrUnplugged ends Serve when a fault has pulled the modem out of its port; Run waits for its return by itself.
	ErrUnplugged = errors.New("the simulated modem is unplugged")
	// ErrBusy is returned by Serve when another connection is being served: a port has one user.
	ErrBusy = errors.New("the simulated modem already serves a connection")
	// ErrClosed is returned after Close.
	ErrClosed = errors.New("the simulated modem is closed")
)

// Config says what to simulate. The zero value is a generic modem on a network of its own that takes no time.
type Config struct {
	Name        string        // how faults and logs call it; default "sim"
	Personality string        // a name of [Personalities], or the path of a YAML file; default "generic"
	SubmitTime  time.Duration // from Ctrl-Z to the network's answer
	ReportDelay time.Duration // from the text's arrival on the phone to the delivery report
	Link        string        // a symbolic link to the pseudo-terminal; made by New, removed by Close
	Network     *Network      // default: a new one
	Number      string        // the SIM's own number; default one of +9997… made from Seed
	Seed        uint64        // makes IMEI, ICCID, IMSI and all randomness; default made from Name
	PIN         string        // the SIM asks for it; default: no PIN
	NoSIM       bool          // no SIM in the modem
	Credit      int           // texts that the SIM can pay for; 0: no limit
	Booting     bool          // start as if just powered: boot lines first, not registered at once
	NoPTY       bool          // open no pseudo-terminal: only Serve is used
	Tap         Tap           // sees each line of the exchange, PDUs and texts included
	Log         *slog.Logger  // default: discards
}

// Tap sees the exchange line by line: dir is ">>" from host to modem and "<<" from modem to host. It is called with the
// modem's mutex held: it must be quick and must not call back.
type Tap func(dir, line string)

// Modem is one simulated modem. Its methods may be called from any goroutine.
type Modem struct {
	cfg      Config
	log      *slog.Logger
	net      *Network
	kind     *Personality
	commands map[string]*entry
	id       identity

	mu         sync.Mutex // guards everything below
	rng        *rand.Rand
	closed     bool
	deaf       bool // between power-up and the first boot line
	booting    bool // until the last boot line: the SIM is busy
	sess       *session
	timers     map[*time.Timer]struct{}
	boots      int // counts restarts; a command that was running before one is forgotten
	tty        *tty
	back       chan struct{} // closed when an unplugged modem comes back; nil while plugged
	at         interpreter
	set        settings
	sim        card
	radio      radio
	mem        *memory
	route      routing
	ref        uint8 // TP-MR of the next submit
	draft      drafts
	faults     effects
	credit     int
	clockShift time.Duration // +CCLK was set by so much
	linkUntil  time.Time     // +CMMS keeps the link to the network open
}

// New makes a modem and opens its pseudo-terminal, so that Path is good at once; nothing is read before Run.
func New(cfg Config) (*Modem, error) {
	if cfg.Name == "" {
		cfg.Name = "sim"
	}
	if cfg.Personality == "" {
		cfg.Personality = "generic"
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.Network == nil {
		cfg.Network = NewNetwork(NetworkConfig{})
	}
	kind, err := LoadPersonality(cfg.Personality)
	if err != nil {
		return nil, err
	}
	m := build(cfg, kind)
	if !cfg.NoPTY {
		if m.tty, err = openTTY(cfg.Link); err != nil {
			return nil, fmt.Errorf("simulated modem %s: %w", cfg.Name, err)
		}
	}
	if err := cfg.Network.attach(m); err != nil {
		return nil, errors.Join(err, m.tty.Close())
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if cfg.Booting {
		m.boot(0)
	}
	m.chatter()
	return m, nil
}

func build(cfg Config, kind *Personality) *Modem {
	seed := cfg.Seed
	if seed == 0 {
		seed = seedOf(cfg.Name)
	}
	m := &Modem{
		cfg: cfg, log: cfg.Log.With("simulated_modem", cfg.Name), net: cfg.Network, kind: kind,
		commands: commandTable(kind),
		id:       newIdentity(seed, kind, cfg.Number),
		rng:      rand.New(rand.NewPCG(seed, 0x07b057)),
		timers:   map[*time.Timer]struct{}{},
		credit:   cfg.Credit,
	}
	if cfg.Credit == 0 {
		m.credit = -1
	}
	m.ref = uint8(seed*37 + 11) // any value: the driver must not lean on where references start
	m.sim = newCard(cfg)
	m.radio = newRadio()
	m.mem = newMemory(kind)
	m.route.memories = kind.defaultMemories()
	m.reset()
	return m
}

// Name is the modem's name.
func (m *Modem) Name() string { return m.cfg.Name }

// Number is the SIM's own number: what recipients see as sender and where a handset texts to.
func (m *Modem) Number() string { return m.id.number }

// IMEI, ICCID and IMSI identify modem and SIM; they are made from the seed.
func (m *Modem) IMEI() string  { return m.id.imei }
func (m *Modem) ICCID() string { return m.id.iccid }
func (m *Modem) IMSI() string  { return m.id.imsi }

// Path is where to open the modem: the link if there is one, else the pseudo-terminal. Without a link the path may
// change when a fault unplugs the modem and it comes back.
func (m *Modem) Path() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.tty.Path()
}

// Plugged says whether the modem is in its port; a fault may have pulled it out for a while.
func (m *Modem) Plugged() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.back == nil && !m.closed
}

// Run serves the pseudo-terminal until ctx ends or Close is called, and returns nil then. It survives its own
// unplugging: the terminal hangs up, and a new one stands under the same link when the fault is over.
func (m *Modem) Run(ctx context.Context) error {
	for {
		m.mu.Lock()
		back, closed := m.back, m.closed
		var port tty // its files change when it is unplugged
		if m.tty != nil {
			port = *m.tty
		}
		m.mu.Unlock()
		switch {
		case closed || ctx.Err() != nil:
			return nil
		case back != nil:
			select {
			case <-back:
			case <-ctx.Done():
			}
			continue
		case port.master == nil:
			return errors.New("simulated modem: it has no pseudo-terminal to run on")
		}
		err := m.servePort(ctx, port)
		if err != nil && !errors.Is(err, ErrUnplugged) && !errors.Is(err, ErrClosed) {
			return fmt.Errorf("simulated modem %s: %w", m.cfg.Name, err)
		}
	}
}

// servePort is Serve on the pseudo-terminal, with an eye on who else has it open.
func (m *Modem) servePort(ctx context.Context, port tty) error {
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		port.users.watch(port.slave)
	}()
	defer func() {
		port.users.stop()
		<-watched
	}()
	return m.Serve(ctx, port.master)
}

// Serve talks on rw until ctx ends (nil), the other side hangs up (nil) or the modem is unplugged ([ErrUnplugged]; rw is
// closed then if it can be). rw must have SetDeadline or Close, as net.Pipe and a terminal have, or ctx cannot end it.
func (m *Modem) Serve(ctx context.Context, rw io.ReadWriter) error {
	s, err := m.connect(rw)
	if err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, s.interrupt)
	written := make(chan struct{})
	go func() {
		defer close(written)
		s.out.drain(rw)
	}()
	err = m.read(rw, s)
	stop()
	s.interrupt()
	m.disconnect(s)
	<-written
	return s.verdict(ctx, err)
}

// Close stops the modem, closes its pseudo-terminal and removes the link. It may be called twice.
func (m *Modem) Close() error {
	m.mu.Lock()
	if m.closed {
		m.mu.Unlock()
		return nil
	}
	m.closed = true
	for t := range m.timers {
		t.Stop()
	}
	clear(m.timers)
	if m.back != nil {
		close(m.back)
		m.back = nil
	}
	s, t := m.sess, m.tty
	m.mu.Unlock()
	m.net.detach(m)
	if s != nil {
		s.interrupt()
	}
	return t.Close()
}

// after runs f with the mutex held when d has passed, unless the modem is closed by then. The mutex is held by the caller.
func (m *Modem) after(d time.Duration, f func()) {
	if m.closed {
		return
	}
	var t *time.Timer
	t = time.AfterFunc(d, func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		delete(m.timers, t)
		if !m.closed {
			f()
		}
	})
	m.timers[t] = struct{}{}
}
