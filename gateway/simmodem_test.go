package gateway

import (
	"context"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"strings"
	"sync"
	"time"

	"otpost/driver"
)

// A simModem is a modelled modem with a temper of its own.
type simModem struct {
	w       *world
	name    string
	perfect bool

	mu    sync.Mutex
	iccid string
	state driver.State
	ref   uint8
	n     uint64
}

func (m *simModem) Name() string { return m.name }

func (m *simModem) Status() driver.Status {
	m.mu.Lock()
	defer m.mu.Unlock()
	return driver.Status{Name: m.name, ICCID: m.iccid, State: m.state, Reports: true}
}

// dice returns a generator that depends on the seed and the modem's nth hand-over only.
func (m *simModem) dice() *rand.Rand {
	m.n++
	h := fnv.New64a()
	fmt.Fprint(h, m.name)
	return rand.New(rand.NewPCG(uint64(m.w.seed)^h.Sum64(), m.n))
}

func (m *simModem) Send(ctx context.Context, s driver.Submit) driver.Result {
	m.mu.Lock()
	dice, iccid, state := m.dice(), m.iccid, m.state
	m.mu.Unlock()
	now := time.Now()
	r := driver.Result{ICCID: iccid, Parts: Parts(s.Text)}
	if ctx.Err() != nil || state != driver.StateReady {
		r.Outcome, r.Class, r.Code, r.Done = driver.Refused, driver.ClassModem, "not-ready", now
		return r
	}
	i := m.w.hand(handover{at: now, message: strings.TrimPrefix(s.Text, "text "), modem: m.name, iccid: iccid, parts: r.Parts - s.SkipParts, again: s.Again})
	m.play(i, s, dice, &r)
	r.Done = time.Now()
	m.w.handed(i, r)
	return r
}

// play is the hand-over itself: what happens and what is said of it are two things.
func (m *simModem) play(i int, s driver.Submit, dice *rand.Rand, r *driver.Result) {
	fate := dice.IntN(100)
	if m.w.isClosing() {
		fate = 0
	}
	time.Sleep(time.Duration(dice.IntN(4000)) * time.Millisecond)
	switch {
	case fate < 60 || m.perfect:
		m.accept(i, s, dice, r, true)
		r.Outcome = driver.Accepted
		if r.Code == driver.CodeYielded {
			r.Outcome = driver.Refused
		}
	case fate < 75:
		r.Outcome = driver.Refused
		r.Class = []driver.Class{driver.ClassNetwork, driver.ClassModem, driver.ClassSIM, driver.ClassStorage, driver.ClassUnknown, driver.ClassCredit}[dice.IntN(6)]
		r.Code = "cms-500"
	case fate < 78:
		r.Outcome, r.Class, r.Code = driver.Refused, driver.ClassRecipient, "cms-1"
	case fate < 90:
		m.accept(i, s, dice, r, dice.IntN(2) == 0)
		time.Sleep(time.Duration(dice.IntN(300)) * time.Second)
		r.References, r.Outcome, r.Code = nil, driver.Unknown, "no-result"
	case fate < 95:
		m.accept(i, s, dice, r, true)
		time.Sleep(time.Duration(dice.IntN(300)) * time.Second) // late, but a verdict
		r.Outcome = driver.Accepted
		if r.Code == driver.CodeYielded {
			r.Outcome = driver.Refused
		}
	default:
		time.Sleep(time.Duration(60+dice.IntN(240)) * time.Second)
		r.Outcome, r.Class, r.Code = driver.Refused, driver.ClassNetwork, "cms-38"
	}
}

// accept lets the network take the text, deliver it if it happens, and report sooner or later, never, or twice.
func (m *simModem) accept(i int, s driver.Submit, dice *rand.Rand, r *driver.Result, happens bool) {
	r.Submitted = time.Now()
	left := r.Parts - s.SkipParts
	for n := range left {
		if n > 0 && s.Yield != nil && s.Yield() {
			r.Code, r.Taken = driver.CodeYielded, n
			m.w.submitted(i, n)
			return
		}
		m.mu.Lock()
		ref := m.ref
		m.ref++
		m.mu.Unlock()
		r.References = append(r.References, ref)
		if !happens {
			continue
		}
		m.w.left(i)
		for range 1 - dice.IntN(5)/4 + dice.IntN(5)/4 {
			delay := time.Duration(dice.IntN(20_000)) * time.Millisecond
			status := byte(0)
			if dice.IntN(10) == 0 {
				status = 0x41
			}
			rep := driver.Report{ICCID: r.ICCID, Reference: ref, Recipient: s.To, Status: status, Sent: r.Submitted.Truncate(time.Second)}
			go m.reportUntilTaken(rep, delay)
		}
	}
	if happens {
		m.w.reached(i)
	}
}

func (m *simModem) reportUntilTaken(r driver.Report, delay time.Duration) {
	time.Sleep(delay)
	r.At = time.Now()
	for {
		if g := m.w.gateway(); g != nil && g.Report(context.Background(), m.name, r) == nil {
			return
		}
		time.Sleep(3 * time.Second)
	}
}
