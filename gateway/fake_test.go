package gateway

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"otpost/driver"
	"otpost/gateway/store"
)

var soak = flag.Int("soak", 1, "multiply the counts of long tests")

// A fakeModem is a modelled modem. What happened (texts on phones) and what was reported (verdicts) are set
// independently by its script.
type fakeModem struct {
	name  string
	iccid string

	mu     sync.Mutex
	state  driver.State
	script func(n int, s driver.Submit) fakeAct // nil: accept after a second
	net    *fakeNet
	ref    uint8
	n      int
}

// A fakeAct says how one hand-over goes.
type fakeAct struct {
	took    time.Duration
	happens bool          // the phone gets it
	result  driver.Result // what is said of it; References are filled in when accepted
	hang    time.Duration // after it happened, before the verdict
	mute    bool          // accepted, and no reference is told
	deaf    bool          // does not give the modem back between two parts
	part    time.Duration // instead of took: that each part takes, and between two the caller may have the modem back
}

// A fakeText is what a phone got.
type fakeText struct {
	at    time.Time
	to    string
	text  string
	modem string
	iccid string
	again bool
	ref   uint8
}

// A fakeNet is the phones.
type fakeNet struct {
	mu    sync.Mutex
	texts []fakeText
}

func (n *fakeNet) all() []fakeText {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Clone(n.texts)
}

func newFakeModem(name string, net *fakeNet) *fakeModem {
	return &fakeModem{name: name, iccid: "8944" + name, state: driver.StateReady, net: net}
}

func (m *fakeModem) Name() string { return m.name }

func (m *fakeModem) Status() driver.Status {
	m.mu.Lock()
	defer m.mu.Unlock()
	return driver.Status{Name: m.name, State: m.state, ICCID: m.iccid, Reports: true}
}

func (m *fakeModem) set(g *Gateway, s driver.State) {
	m.mu.Lock()
	m.state = s
	m.mu.Unlock()
	g.Changed(m.Status())
}

// plays sets the script while the modem is in use.
func (m *fakeModem) plays(script func(int, driver.Submit) fakeAct) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.script = script
}

func accept(took time.Duration) fakeAct {
	return fakeAct{took: took, happens: true, result: driver.Result{Outcome: driver.Accepted}}
}

func refuse(class driver.Class, code string) fakeAct {
	return fakeAct{took: time.Second, result: driver.Result{Outcome: driver.Refused, Class: class, Code: code}}
}

func (m *fakeModem) Send(ctx context.Context, s driver.Submit) driver.Result {
	m.mu.Lock()
	if m.ref == 0 && m.n == 0 {
		m.ref = 100
	}
	act := accept(time.Second)
	if m.script != nil {
		act = m.script(m.n, s)
	}
	m.n++
	m.mu.Unlock()
	if ctx.Err() != nil {
		return driver.Result{Outcome: driver.Refused, Code: "late", Done: time.Now()}
	}
	began := time.Now()
	time.Sleep(act.took)
	r := act.result
	r.ICCID, r.Parts = m.iccid, Parts(s.Text)
	left := r.Parts - s.SkipParts
	if n := act.parts(s, left); n < left {
		r.Outcome, r.Code, r.Submitted, act.happens, left = driver.Refused, driver.CodeYielded, began, false, n
	}
	refs := make([]uint8, left)
	m.mu.Lock()
	for i := range refs {
		refs[i] = m.ref
		m.ref++
	}
	m.mu.Unlock()
	if act.happens {
		r.Submitted = began
		m.net.mu.Lock()
		m.net.texts = append(m.net.texts, fakeText{time.Now(), s.To, s.Text, m.name, m.iccid, s.Again, refs[0]})
		m.net.mu.Unlock()
	}
	time.Sleep(act.hang)
	switch {
	case r.Code == driver.CodeYielded:
		r.References, r.Taken = refs, len(refs)
	case r.Outcome == driver.Accepted && act.mute:
		r.Taken = len(refs)
	case r.Outcome == driver.Accepted:
		r.References = refs
	}
	r.Done = time.Now()
	return r
}

// parts takes the time of each part, and returns how many went out before the caller wanted the modem back.
func (a fakeAct) parts(s driver.Submit, left int) int {
	for n := 1; ; n++ {
		time.Sleep(a.part)
		if n == left || s.Yield != nil && s.Yield() && !a.deaf {
			return n
		}
	}
}

// A bench is a gateway over a memory store with modelled modems, inside a synctest bubble.
type bench struct {
	t      *testing.T
	kv     store.KV
	life   *mortal // the running gateway's way to kv
	net    *fakeNet
	modems []*fakeModem
	g      *Gateway
	config func(*Config)
	route  func(*Route)
	stop   context.CancelFunc
	done   chan error
	random *rand.ChaCha8
}

func newBench(t *testing.T, modems int) *bench {
	b := &bench{t: t, kv: store.NewMemory(), net: &fakeNet{}, random: rand.NewChaCha8([32]byte{1})}
	for i := range modems {
		b.modems = append(b.modems, newFakeModem(fmt.Sprintf("m%d", i), b.net))
	}
	return b
}

var testSecrets = store.NewMemory().Secrets()

func (b *bench) build() *Gateway {
	b.t.Helper()
	b.life = &mortal{KV: b.kv}
	cfg := Config{KV: b.life, Secrets: testSecrets, Random: b.random, Log: slog.New(slog.DiscardHandler), Render: renderTest}
	if b.config != nil {
		b.config(&cfg)
	}
	g, err := New(cfg)
	if err != nil {
		b.t.Fatal(err)
	}
	for _, m := range b.modems {
		r := Route{Modem: m, SubmitTime: time.Second}
		if b.route != nil {
			b.route(&r)
		}
		if err := g.Attach(r); err != nil {
			b.t.Fatal(err)
		}
	}
	b.g = g
	return g
}

func renderTest(_ store.Txn, _ time.Time, m Message) (string, error) {
	switch m.Ref {
	case "moot":
		return "", fmt.Errorf("challenge is over: %w", ErrMoot)
	case "broken":
		return "", errors.New("no such template")
	}
	return "code for " + m.Ref, nil
}

// start builds and runs the gateway until the returned function is called.
func (b *bench) start() {
	b.t.Helper()
	g := b.build()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	b.stop, b.done = cancel, done
	go func() { done <- g.Run(ctx) }()
	<-g.Ready()
	synctest.Wait()
}

// kill ends the process as SIGKILL does: from now on nothing it does reaches the store. Its hand-overs go on at the
// modems; the returned function waits for what is left of it.
func (b *bench) kill() func() {
	b.life.dead.Store(true)
	b.stop()
	done := b.done
	return func() { <-done }
}

// mortal is a store that a killed process cannot reach any more.
type mortal struct {
	store.KV
	dead atomic.Bool
}

var errDead = errors.New("process is dead")

func (m *mortal) Update(ctx context.Context, f func(store.Txn) error) error {
	if m.dead.Load() {
		return errDead
	}
	return m.KV.Update(ctx, f)
}

func (m *mortal) View(ctx context.Context, f func(store.Txn) error) error {
	if m.dead.Load() {
		return errDead
	}
	return m.KV.View(ctx, f)
}

func (b *bench) end() {
	b.t.Helper()
	b.stop()
	if err := <-b.done; err != nil {
		b.t.Errorf("Run: %v", err)
	}
}

func code(to string, life time.Duration) Draft {
	return Draft{To: to, Country: "GB", Kind: KindCode, Lane: LaneLogin, Ref: "chl_1", Account: "alice", Purpose: "login", NotAfter: time.Now().Add(life)}
}

func text(to, body string) Draft {
	return Draft{To: to, Kind: KindText, Lane: LaneText, Text: body, NotAfter: time.Now().Add(24 * time.Hour)}
}

func (b *bench) enqueue(d Draft) string {
	b.t.Helper()
	id, err := b.try(d)
	if err != nil {
		b.t.Fatalf("Enqueue: %v", err)
	}
	return id
}

func (b *bench) enqueueMany(d Draft, n int) (ids []string) {
	b.t.Helper()
	for range n {
		ids = append(ids, b.enqueue(d))
	}
	return ids
}

func (b *bench) try(d Draft) (string, error) {
	var m Message
	err := b.kv.Update(context.Background(), func(tx store.Txn) error {
		var err error
		m, err = b.g.Enqueue(tx, time.Now(), d)
		return err
	})
	return m.ID, err
}

func (b *bench) message(id string) Message {
	b.t.Helper()
	var m Message
	err := b.kv.View(context.Background(), func(tx store.Txn) error {
		var err error
		m, err = b.g.Lookup(tx, id)
		return err
	})
	if err != nil {
		b.t.Fatalf("Lookup(%s): %v", id, err)
	}
	return m
}

func (b *bench) wantStatus(id string, want Status) Message {
	b.t.Helper()
	synctest.Wait()
	m := b.message(id)
	if m.Status != want {
		b.t.Errorf("message %s is %s (%s), want %s; attempts %+v", id, m.Status, m.Error, want, m.Attempts)
	}
	return m
}

func (b *bench) report(m *fakeModem, to string, ref uint8, status byte) {
	b.t.Helper()
	err := b.g.Report(context.Background(), m.name, driver.Report{ICCID: m.iccid, Reference: ref, Recipient: to, Status: status, At: time.Now()})
	if err != nil {
		b.t.Errorf("Report: %v", err)
	}
}

func sleep(d time.Duration) { time.Sleep(d); synctest.Wait() }
