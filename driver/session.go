package driver

import (
	"cmp"
	"context"
	"errors"
	"io"
	"slices"
	"sync"
	"time"
)

// sendRequest is a Send on its way into the loop. Who takes it always answers it.
type sendRequest struct {
	ctx    context.Context
	submit Submit
	done   chan Result
}

// call is another request: USSD, reset.
type call struct {
	do   func(*session) (string, error)
	done chan answer
}

type answer struct {
	text string
	err  error
}

// task is one command of housekeeping. Between two of them sends go first. A task that is queued already is not queued
// twice, so that a flood of indications costs one look.
type task struct {
	name string
	run  func(ctx context.Context) error
}

// session is one life of an open port. All its fields belong to the loop, except the channels.
type session struct {
	m     *Modem
	l     *line
	sends chan sendRequest
	calls chan call
	over  chan struct{} // closed when it takes no more requests

	ctx    context.Context // of Run; ends the wait for a verdict
	todo   []task
	news   []event              // that came unasked and are being dealt with
	lazy   map[string]time.Time // when each periodic task ran last
	caps   capabilities
	store  storage
	joiner joiner
	slots  map[slot]string // what was read there last; secret
	doomed map[slot]string // what was taken and is to be deleted
	ussd   *ussdWait
	faults int // refusals of class modem in a row
	ready  bool
	began  time.Time

	between bool  // the loop runs and hands nothing over: a send may begin
	broken  error // how a send that went first ended the session

	counted bool // the counters of what is lost are there, if only at zero

	// stop guards what follows: whether the daemon is stopping, and whether a message is being handed over.
	stop     sync.Mutex
	stopping bool
	handing  bool
}

// capabilities is what this modem turned out to do.
type capabilities struct {
	reports  int  // ds of +CNMI: 0 none, 1 +CDS, 2 +CDSI
	acks     bool // +CSMS says that +CNMA is wanted
	noCMMS   bool
	linkOpen bool // +CMMS=2 is in force
	ussdHex  bool // plain USSD was refused
	readCSQ  bool // +CSQ was refused: it is +CSQ?
	iccid    string
	imei     string
	pinTaken bool
	pinKey   string // under which the attempt of this session is remembered
}

func newSession(m *Modem, p io.ReadWriteCloser) *session {
	l := newLine(p, m.cfg, m.classes)
	l.f.unsettled = m.unsettled
	return &session{
		m: m, l: l,
		sends: make(chan sendRequest), calls: make(chan call), over: make(chan struct{}),
		lazy: map[string]time.Time{}, began: time.Now(), joiner: newJoiner(),
		slots: map[slot]string{}, doomed: map[slot]string{},
	}
}

// run initialises the modem and uses it until something breaks (the error says what) or ctx is done (nil).
func (s *session) run(ctx context.Context) error {
	s.ctx = ctx
	s.l.heard = s.takeArrivals
	s.m.serve(s) // before the state can say ready, or whoever reads that and sends is turned away
	defer s.end()
	defer context.AfterFunc(ctx, s.interrupt)()
	if err := s.initialise(ctx); err != nil {
		return err
	}
	s.m.ladder.healthy()
	return s.loop(ctx)
}

// interrupt ends whatever command a stopping daemon would have to wait for, by closing the port. A hand-over is left its
// grace.
func (s *session) interrupt() {
	s.stop.Lock()
	defer s.stop.Unlock()
	s.stopping = true
	if !s.handing {
		s.hangUpNow()
	}
}

// handOver marks the time in which the port must not be closed; false: there is none left.
func (s *session) handOver(on bool) bool {
	s.stop.Lock()
	defer s.stop.Unlock()
	if s.stopping && on {
		return false
	}
	if s.handing = on; s.stopping {
		s.hangUpNow()
	}
	return true
}

// hangUpNow is called with stop held. What closing has to say is said again by close.
func (s *session) hangUpNow() { _ = s.l.port.Close() }

// end turns requests away, and takes in what came last, which stands nowhere else.
func (s *session) end() {
	s.m.serve(nil)
	close(s.over)
	for _, e := range s.news { // behind what ended it
		if e.kind == evPDU {
			s.take(s.ctx, e)
		}
	}
	s.takeArrivals()
}

// close undoes newSession.
func (s *session) close() error {
	s.m.change(func(st *Status) { st.Sending = false })
	return s.l.close()
}

func (s *session) loop(ctx context.Context) error {
	poll := time.NewTicker(s.m.cfg.Poll)
	defer poll.Stop()
	s.between = true
	defer func() { s.between = false }()
	for {
		s.m.turn()
		if err := cmp.Or(s.step(ctx, poll.C), s.broken); err != nil {
			return err
		}
		if ctx.Err() != nil {
			return nil
		}
		s.note()
	}
}

// step does one thing: news of the modem itself, else a send if there is one, else a command of housekeeping, else it waits
// for any of them.
func (s *session) step(ctx context.Context, poll <-chan time.Time) error {
	if !s.l.f.aboutModem() {
		select {
		case r := <-s.sends:
			return s.send(r)
		default:
		}
	}
	if s.news = s.l.f.take(); len(s.news) > 0 {
		return s.handle(ctx)
	}
	if len(s.todo) > 0 {
		t := s.todo[0]
		s.todo = s.todo[1:]
		return s.fatal(t.run(ctx))
	}
	select {
	case r := <-s.sends:
		return s.send(r)
	case c := <-s.calls:
		text, err := c.do(s)
		c.done <- answer{text, err}
		return s.fatal(err)
	case <-s.l.f.notify:
	case <-poll:
		s.plan(time.Now())
	case <-s.l.at.Closed():
		return ErrHangup
	case <-ctx.Done():
	}
	return nil
}

// takeArrivals hands on the texts and reports that have come, without using the line.
func (s *session) takeArrivals() {
	for _, e := range s.l.f.takePDUs() {
		s.take(s.ctx, e)
	}
}

// take hands on what stands nowhere else, and so also when the daemon is to stop.
func (s *session) take(ctx context.Context, e event) {
	s.arrived(context.WithoutCancel(ctx), e.pdu)
	if s.caps.acks {
		s.first(task{"acknowledge", s.acknowledge})
	}
}

// fatal passes on the errors that end a session; a command that was refused or went unanswered once does not.
func (s *session) fatal(err error) error {
	switch {
	case errors.Is(err, ErrHangup), errors.Is(err, ErrSilent), errors.Is(err, errReset), errors.Is(err, errStuckWrite),
		errors.Is(err, errReinit), errors.Is(err, errRestarting):
		return err
	case errors.Is(err, errTimeout):
		s.m.metrics.faults.WithLabelValues(s.m.cfg.Name, "timeout").Inc()
	}
	return nil
}

// note brings the status and what is counted up to date with the loop.
func (s *session) note() {
	if noise, dropped := s.l.f.losses(); noise+dropped > 0 || !s.counted {
		s.m.metrics.faults.WithLabelValues(s.m.cfg.Name, "noise").Add(float64(noise))
		s.m.metrics.faults.WithLabelValues(s.m.cfg.Name, "news-dropped").Add(float64(dropped))
		s.counted = true
	}
	s.m.answered(s.l.good)
	s.m.sending(false)
}

// errReinit ends a session so that the port is opened and the modem initialised afresh; not a fault of the port.
var errReinit = errors.New("modem has to be initialised again")

// errRestarting ends a session whose modem was told to restart.
var errRestarting = errors.New("modem is restarting")

// handle deals with what came unasked, in order.
func (s *session) handle(ctx context.Context) error {
	for len(s.news) > 0 {
		e := s.news[0]
		s.news = s.news[1:]
		if err := s.event(ctx, e); err != nil {
			return err
		}
	}
	return nil
}

// beside waits for f, which does not use the session, and lets sends go first meanwhile: the disk that f waits for is not to
// hold up the line. None goes before news of the modem itself, such as that it has restarted, nor before what came with that
// which f is about.
func (s *session) beside(f func() error) error {
	done := make(chan error, 1)
	go func() {
		err := errKept
		defer func() { done <- err }() // also if f ends the goroutine
		err = f()
	}()
	for {
		sends, news := s.sends, s.l.f.notify
		switch {
		case !s.between || s.broken != nil:
			sends, news = nil, nil
		case len(s.news) > 0 || s.l.f.aboutModem():
			sends = nil
		}
		select {
		case err := <-done:
			return err
		case <-news:
		case r := <-sends:
			s.l.f.remind() // of what was looked at here
			s.broken = s.send(r)
		}
	}
}

// alone runs f without a send in between.
func (s *session) alone(f func()) {
	defer func(was bool) { s.between = was }(s.between)
	s.between = false
	f()
}

func (s *session) event(ctx context.Context, e event) error {
	switch e.kind {
	case evPDU:
		s.take(ctx, e)
	case evStored, evStoredReport:
		mem, index := storedAt(e.text)
		s.soon(task{"fetch" + e.text, func(ctx context.Context) error { return s.fetch(ctx, mem, index) }})
	case evRegistration:
		s.registrationNews(e.text)
	case evSIM:
		s.soon(task{"sim", s.pollSIM}, task{"registration", s.pollRegistration})
	case evUSSD:
		s.ussdAnswer(e.text)
	case evBoot:
		s.fault("restart")
		return errReset
	case evReady:
		if time.Since(s.began) > settleTime {
			s.fault("restart")
			return errReset
		}
	case evFull:
		s.fault("storage-full")
		s.soon(task{"sweep", s.sweep})
	case evStrayPrompt:
		s.fault("stray-prompt")
		s.l.dirty = true
	case evRing:
		s.soon(task{"hang-up", s.hangUp})
	case evLate:
		s.fault("late-answer")
	}
	return nil
}

// settleTime is how long after opening start-up lines are still news of the same start.
const settleTime = 45 * time.Second

func (s *session) fault(kind string) {
	s.m.metrics.faults.WithLabelValues(s.m.cfg.Name, kind).Inc()
	s.m.log.Debug("line fault", "kind", kind)
}

// soon queues housekeeping; a queue that grows is a flood, and the periodic sweep makes up for what is left out.
func (s *session) soon(tasks ...task) {
	for _, t := range tasks {
		if len(s.todo) < 256 && !slices.ContainsFunc(s.todo, func(q task) bool { return q.name == t.name }) {
			s.todo = append(s.todo, t)
		}
	}
}

// first queues housekeeping before all other; the same may be there several times.
func (s *session) first(t task) { s.todo = append([]task{t}, s.todo...) }

func (s *session) acknowledge(context.Context) error {
	_, err := s.l.command("+CNMA", commandTime)
	return err // 340 (nothing to acknowledge) is harmless, quirk Q40
}

func (s *session) hangUp(context.Context) error {
	_, err := s.l.command("H", commandTime)
	return err
}

// reset restarts the modem on request.
func (s *session) reset() error {
	_, err := s.l.command("+CFUN=1,1", commandTime)
	s.m.ladder.count("cfun")
	var cause *Cause
	if errors.As(err, &cause) {
		return err
	}
	return errRestarting
}
