package driver

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"reflect"
	"sync"
	"sync/atomic"
	"time"
)

// The values of Status.Registration.
const (
	RegistrationHome      = "home"
	RegistrationRoaming   = "roaming"
	RegistrationSearching = "searching"
	RegistrationDenied    = "denied"
	RegistrationNone      = "none"
	RegistrationUnknown   = "unknown"
)

// Modem is one modem: a loop that owns its port, and the calls into that loop. All methods are safe for concurrent use;
// Run is called once.
type Modem struct {
	cfg       Config
	log       *slog.Logger
	metrics   *metrics
	classes   classTable
	trace     *trace
	ladder    *ladder      // of the loop
	finder    finder       // of the loop
	unsettled bool         // a result is owed since before the port was opened; of the loop
	unlisted  time.Time    // +CMGL hung: until then storage is read slot by slot; of the loop
	barring   barring      // of the loop
	debts     []debt       // reports that the handler did not take yet, over re-openings; of the loop
	turned    atomic.Int64 // when the loop last came round, in Unix nanoseconds

	// mu guards what follows.
	mu      sync.Mutex
	status  Status
	session *session // takes requests; nil: not initialised
}

// New returns a modem; it starts nothing.
func New(cfg Config) (*Modem, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	classes, err := newClassTable(cfg.Classes)
	if err != nil {
		return nil, fmt.Errorf("modem %s: %w", cfg.Name, err)
	}
	kept := &trace{}
	m := &Modem{
		cfg: cfg.remember(kept), trace: kept, classes: classes, metrics: newMetrics(cfg.Registry),
		log: cfg.Log.With("modem", cfg.Name),
		status: Status{
			Name: cfg.Name, State: StateAbsent, Device: cfg.Device, IMEI: cfg.IMEI,
			Registration: RegistrationUnknown, Resets: map[string]uint64{}, Since: time.Now(),
		},
	}
	m.ladder = newLadder(m)
	m.metrics.snapshot(m.status)
	return m, nil
}

// Turned is when the modem's loop last came round; zero before Run. A loop that does not turn for longer than a verdict
// may take (LateWindow) and the ladder's pauses is stuck, and only a new process mends that.
func (m *Modem) Turned() time.Time {
	if n := m.turned.Load(); n != 0 {
		return time.Unix(0, n)
	}
	return time.Time{}
}

func (m *Modem) turn() { m.turned.Store(time.Now().UnixNano()) }

// Name returns the modem's name.
func (m *Modem) Name() string { return m.cfg.Name }

// Status returns a snapshot.
func (m *Modem) Status() Status {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.copyStatus()
}

// copyStatus is called with mu held.
func (m *Modem) copyStatus() Status {
	s := m.status
	s.Resets = maps.Clone(s.Resets)
	return s
}

// change alters the status, and tells the handler and the gauges when it differs by more than the clock.
func (m *Modem) change(f func(*Status)) {
	m.mu.Lock()
	old := m.copyStatus()
	f(&m.status)
	if m.status.State != old.State {
		m.status.Since = time.Now()
	}
	now := m.copyStatus()
	m.mu.Unlock()
	m.metrics.snapshot(now)
	if !sameStatus(old, now) {
		m.cfg.Handler.Changed(now)
	}
	if missed := now.State == StateAbsent && old.LastError == "" && now.LastError != ""; old.State != now.State || missed {
		level := slog.LevelInfo
		stopped := now.State == StateAbsent && now.LastError == ""
		if old.State == StateReady && !stopped || missed || wantsHands(now.State) { // codes go nowhere
			level = slog.LevelWarn
		}
		m.log.Log(context.Background(), level, "modem state", "state", now.State, "was", old.State, "device", now.Device, "reason", now.LastError)
	}
}

// sending tells whether a message is being handed over, of which nothing but the status depends.
func (m *Modem) sending(on bool) {
	m.mu.Lock()
	if m.status.Sending == on {
		m.mu.Unlock()
		return
	}
	m.status.Sending = on
	now := m.copyStatus()
	m.mu.Unlock()
	m.cfg.Handler.Changed(now)
}

// answered notes when the modem gave its last sensible answer.
func (m *Modem) answered(at time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.status.LastGood.Equal(at) {
		m.status.LastGood = at
		m.metrics.answered(m.status.Name, at)
	}
}

// wantsHands says whether somebody has to do something about a modem in that state.
func wantsHands(s State) bool { return s == StateDown || s == StateSIMLocked || s == StateSIMMissing }

func sameStatus(a, b Status) bool {
	a.LastGood, b.LastGood = time.Time{}, time.Time{}
	return reflect.DeepEqual(a, b)
}

// Run owns the modem until ctx is done: open, initialise, use, undo, back off, open again. It returns nil, and leaves
// nothing running.
func (m *Modem) Run(ctx context.Context) error {
	for ctx.Err() == nil {
		m.turn()
		err := m.once(ctx)
		if ctx.Err() != nil {
			break
		}
		m.ladder.recover(ctx, err)
	}
	m.change(func(s *Status) { s.State, s.LastError, s.Sending = StateAbsent, "", false })
	return nil
}

// once is one life of the port.
func (m *Modem) once(ctx context.Context) (err error) {
	p, device, err := m.open(ctx)
	if err != nil {
		return err
	}
	m.change(func(s *Status) { s.State, s.Device = StateStarting, device })
	s := newSession(m, p)
	defer func() { err = errors.Join(err, s.close()) }()
	return s.run(ctx)
}

func (m *Modem) open(ctx context.Context) (io.ReadWriteCloser, string, error) {
	if m.cfg.Open != nil {
		p, err := m.cfg.Open(ctx)
		return p, m.cfg.Device, err
	}
	return m.find(ctx)
}

// serve makes s take requests; nil: nobody does.
func (m *Modem) serve(s *session) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.session = s
}

// serving returns who takes requests and the state.
func (m *Modem) serving() (*session, State, string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.session, m.status.State, m.status.ICCID
}

// Send hands s over and returns its one verdict. Calls are served one after another. ctx, and Validity from now on, count
// until the first byte of each part; from then on the call lasts as long as that part's verdict does, up to
// Config.LateWindow. A modem that is not ready refuses at once.
func (m *Modem) Send(ctx context.Context, s Submit) Result {
	se, state, iccid := m.serving()
	if se == nil || state != StateReady {
		return notReady(state, iccid)
	}
	if s.Validity > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, s.Validity)
		defer cancel()
	}
	r := sendRequest{ctx: ctx, submit: s, done: make(chan Result, 1)}
	select {
	case se.sends <- r:
		return <-r.done
	case <-se.over:
		_, state, iccid = m.serving()
		return notReady(state, iccid)
	case <-ctx.Done():
		return Result{Outcome: Refused, Class: ClassModem, Code: CodeCanceled, ICCID: iccid, Done: time.Now()}
	}
}

// notReady is the refusal of a modem that cannot send now.
func notReady(state State, iccid string) Result {
	class := ClassModem
	switch state {
	case StateSIMLocked, StateSIMMissing:
		class = ClassSIM
	case StateSearching:
		class = ClassNetwork
	}
	return Result{Outcome: Refused, Class: class, Code: CodeNotReady, ICCID: iccid, Done: time.Now()}
}

// ErrNotReady is what USSD and Reset answer when nothing can be done with the modem now.
var ErrNotReady = errors.New("modem is not ready")

// Reset restarts the modem (AT+CFUN=1,1) and initialises it anew. It returns when the command is given.
func (m *Modem) Reset(ctx context.Context) error {
	_, err := m.ask(ctx, func(s *session) (string, error) { return "", s.reset() })
	if errors.Is(err, errRestarting) {
		return nil
	}
	return err
}

// ask runs f in the loop, between two sends.
func (m *Modem) ask(ctx context.Context, f func(*session) (string, error)) (string, error) {
	se, state, _ := m.serving()
	if se == nil {
		return "", fmt.Errorf("%w: %s", ErrNotReady, state)
	}
	c := call{do: f, done: make(chan answer, 1)}
	select {
	case se.calls <- c:
	case <-se.over:
		return "", ErrNotReady
	case <-ctx.Done():
		return "", ctx.Err()
	}
	select {
	case a := <-c.done:
		return a.text, a.err
	case <-se.over:
		select {
		case a := <-c.done: // it was the last thing done
			return a.text, a.err
		default:
			return "", ErrNotReady
		}
	case <-ctx.Done():
		return "", ctx.Err()
	}
}
