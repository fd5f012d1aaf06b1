package gateway

import (
	"context"
	"errors"
	"fmt"
	"time"

	"otpost/driver"
	"otpost/gateway/store"
)

const (
	fullPause = time.Second      // before a full store is asked again
	lastTries = 10 * time.Second // for which a verdict is still offered to a full store when the gateway is to end
)

// A job is one claimed message on its way to a modem.
type job struct {
	entry    *entry
	id       string
	attempt  int
	parts    int // that go in this hand-over, and are counted
	iccid    string
	notAfter time.Time
	lane     Lane
	submit   driver.Submit
}

// serve hands messages to one modem, one after the other, until ctx is done. A modem that hangs holds up its own worker
// and nothing else.
func (g *Gateway) serve(ctx context.Context, m *modemState) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case e := <-m.jobs:
			if err := g.handle(ctx, m, e); err != nil && ctx.Err() == nil {
				return fmt.Errorf("modem %s: %w", m.name, err)
			}
		}
	}
}

func (g *Gateway) handle(ctx context.Context, m *modemState, e *entry) error {
	j, err := g.claim(ctx, m, e)
	if err != nil || j == nil {
		g.idle(m, e)
		return err
	}
	for j != nil && err == nil {
		j, err = g.carry(ctx, m, j)
	}
	return err
}

// carry hands a claimed message over and settles it. It returns the next one for the modem if that was claimed along with the
// verdict.
func (g *Gateway) carry(ctx context.Context, m *modemState, j *job) (*job, error) {
	began := time.Now()
	g.watch(m, j, began)
	r := g.hand(ctx, m, j)
	next, err := g.settle(ctx, m, j, r)
	if err != nil {
		g.cfg.Log.Error("verdict was not written: the message is uncertain at the next start", "message_id", j.id, "request_id", j.submit.Request, "error", err)
		return nil, err
	}
	g.done(m, r, j, time.Since(began), next)
	return next, nil
}

// idle frees a modem whose claim came to nothing; the message goes back unless its state has changed.
func (g *Gateway) idle(m *modemState, e *entry) {
	g.mu.Lock()
	defer g.mu.Unlock()
	m.free()
	g.queue.back(e)
	nudge(g.work)
}

// watch lets the keeper doubt a hand-over that takes too long. It takes its time from the claim's commit: until that is
// durable, however long the store takes, nothing is with the modem.
func (g *Gateway) watch(m *modemState, j *job, now time.Time) {
	g.mu.Lock()
	defer g.mu.Unlock()
	m.began, m.parts = now, j.parts
	m.doubtAt = now.Add(max(g.cfg.UnsureAfter, m.atMost(max(m.pace, defaultSubmitTime))))
	g.dueAt(m.doubtAt)
}

// done learns from a hand-over, and frees its modem unless that has its next message already.
func (g *Gateway) done(m *modemState, r driver.Result, j *job, took time.Duration, next *job) {
	g.mu.Lock()
	defer g.mu.Unlock()
	m.free()
	if r.Outcome == driver.Accepted {
		m.measure(took, max(1, r.Taken, len(r.References)))
	}
	now := time.Now()
	m.fault(now, r)
	if next != nil {
		m.busy(next.entry, now)
		return
	}
	m.flight = flight{}
	nudge(g.work)
}

// hand gives the message to the modem and waits for its verdict, however long that takes. Nothing is handed over after
// the deadline, and the modem gives up by itself if it passes before the first byte.
func (g *Gateway) hand(ctx context.Context, m *modemState, j *job) driver.Result {
	now := time.Now()
	switch {
	case !now.Before(j.notAfter):
		return driver.Result{Outcome: driver.Refused, Code: errExpired, Done: now}
	case ctx.Err() != nil:
		return driver.Result{Outcome: driver.Refused, Code: errStopped, Done: now}
	case m.route.Modem.Status().ICCID != j.iccid: // re-plugged since the claim, which counted against another SIM
		return driver.Result{Outcome: driver.Refused, Class: driver.ClassSIM, Code: errSIMChanged, Done: now}
	}
	ctx, cancel := context.WithDeadline(ctx, j.notAfter)
	defer cancel()
	g.mu.Lock()
	s := j.submit
	s.Validity, s.More = j.notAfter.Sub(now), g.queue.waiting(m.bit())
	g.mu.Unlock()
	s.Yield = g.yield(m, j)
	r := m.route.Modem.Send(ctx, s)
	switch r.Outcome {
	case driver.Accepted, driver.Refused, driver.Unknown:
	default:
		g.cfg.Log.Error("modem gave no verdict", "modem", m.name, "message_id", j.id, "request_id", j.submit.Request)
		r = driver.Result{Outcome: driver.Unknown, Code: "no-verdict", Done: time.Now()}
	}
	return r
}

// yield says between two parts whether the rest has to wait: for a minute that has room for it, or for a code.
func (g *Gateway) yield(m *modemState, j *job) func() bool {
	gone := 0
	return func() bool {
		gone++
		return gone >= j.parts || j.lane == LaneText && g.wanted(m)
	}
}

// wanted says whether a code waits that the modem could send instead of a long text's next part.
func (g *Gateway) wanted(m *modemState) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	for l := range LaneText {
		if g.queue.head(l, asker{bit: m.bit(), iccid: m.simID()}, time.Now().UnixMilli()) != nil {
			return true
		}
	}
	return false
}

// inTurn says whether anything waits for a modem now.
func (q *queue) inTurn() bool { return q.waiting(^uint64(0)) }

// waiting says whether anything waits that the modem may carry.
func (q *queue) waiting(bit uint64) bool {
	for l := range q.lanes {
		for key, g := range q.lanes[l].groups {
			if key.mask&bit != 0 && g.ring != nil {
				return true
			}
		}
	}
	return false
}

// settle writes a verdict and all that follows from it in one transaction, the claim of the modem's next message included.
func (g *Gateway) settle(ctx context.Context, m *modemState, j *job, r driver.Result) (next *job, err error) {
	err = g.insist(ctx, func(tx store.Txn) error {
		now := time.Now()
		next = nil
		if err := g.settleIn(tx, now, m, j, r); err != nil {
			return err
		}
		if r.Outcome != driver.Accepted || ctx.Err() != nil {
			return nil
		}
		var err error
		next, err = g.claimNext(tx, now, m)
		return err
	})
	return next, err
}

func (g *Gateway) settleIn(tx store.Txn, now time.Time, m *modemState, j *job, r driver.Result) error {
	msg, err := g.find(tx, j.id)
	if err != nil {
		return ignoreNotFound(err) // erased meanwhile
	}
	was, claimed := msg.Status, simOr(msg.Attempts[j.attempt].ICCID, m.name)
	doubted := msg.Attempts[j.attempt].Outcome == driver.Unknown
	if !msg.verdict(now, j.attempt, r) {
		return nil
	}
	if doubted { // or it would take reports that are about others
		if err := g.unshelve(tx, g.unsureKey(claimed, msg.ID, j.attempt)); err != nil {
			return err
		}
	}
	sim := simOr(msg.Attempts[j.attempt].ICCID, m.name)
	if err := g.account(tx, now, &msg, j, claimed, sim, r, m.limits()); err != nil {
		return err
	}
	if err := g.await(tx, now, &msg, j.attempt); err != nil {
		return err
	}
	if err := g.blame(tx, now, &msg, sim, r); err != nil {
		return err
	}
	if msg.To == "" && msg.Status == Queued {
		msg.end(now, Canceled, errCanceled) // erased meanwhile
	}
	if r.Outcome == driver.Unknown && msg.Status == Queued {
		if err := g.tell(tx, now, &msg, Uncertain); err != nil {
			return err
		}
	}
	tx.OnDone(func(committed bool) {
		if committed {
			g.metrics.verdict(r)
		}
	})
	if err := g.put(tx, now, was, &msg); err != nil {
		return err
	}
	return g.reconsider(tx, now, sim, j.submit.To) // msg may be erased
}

func simOr(iccid, modem string) string {
	if iccid == "" {
		return "modem:" + modem
	}
	return iccid
}

// account brings the SIM's counters to what has really happened.
func (g *Gateway) account(tx store.Txn, now time.Time, m *Message, j *job, claimed, used string, r driver.Result, l limits) error {
	s, err := g.loadSIM(tx, now, claimed)
	if err != nil {
		return err
	}
	if claimed != used { // the SIM was changed between claim and hand-over
		s.giveBack(j.parts)
		if err := g.saveSIM(tx, claimed, s); err != nil {
			return err
		}
		if s, err = g.loadSIM(tx, now, used); err != nil {
			return err
		}
		s.take(now, j.parts, l)
	}
	gone := max(r.Taken, len(r.References))
	if gone > j.parts { // the modem did not stop where it was asked to
		s.take(now, gone-j.parts, l)
	}
	switch {
	case r.Outcome == driver.Refused && r.Submitted.IsZero() && gone == 0:
		s.giveBack(j.parts)
	case r.Code == driver.CodeYielded:
		s.unsend(max(0, j.parts-gone))
	case r.Outcome == driver.Refused: // the parts behind the refused one were not submitted
		s.unsend(max(0, j.parts-gone-1))
	case r.Outcome == driver.Accepted:
		s.unblock()
		if m.Kind == KindCode {
			s.sentCode()
			if err := g.countPrefix(tx, now, m, (*Conversion).sent); err != nil {
				return err
			}
		}
	}
	if r.Outcome == driver.Refused && r.Class == driver.ClassCredit {
		s.block(now, "credit")
		g.cfg.Log.Warn("sim is out of credit or barred and rests", "until", s.blockedUntil())
	}
	return g.saveSIM(tx, used, s)
}

// blame remembers a failure that may be the recipient's, or the SIM that left the message in doubt.
func (g *Gateway) blame(tx store.Txn, now time.Time, m *Message, sim string, r driver.Result) error {
	if r.Outcome == driver.Refused && blames(r.Class) && m.To != "" {
		return g.recipientFailed(tx, now, m.To, sim)
	}
	return nil
}

// update runs f, and again as long as the store only lacks space. Any other failure of the store is the caller's end.
func (g *Gateway) update(ctx context.Context, f func(store.Txn) error) error {
	return g.updateUntil(ctx, ctx.Done(), f)
}

// insist is update for what must not be lost when ctx is done: it is still tried for a while then.
func (g *Gateway) insist(ctx context.Context, f func(store.Txn) error) error {
	anyway := context.WithoutCancel(ctx)
	err := g.updateUntil(anyway, ctx.Done(), f)
	if !errors.Is(err, store.ErrFull) {
		return err
	}
	anyway, cancel := context.WithTimeout(anyway, lastTries)
	defer cancel()
	return g.update(anyway, f)
}

func (g *Gateway) updateUntil(ctx context.Context, done <-chan struct{}, f func(store.Txn) error) error {
	for {
		err := g.cfg.KV.Update(ctx, f)
		if !errors.Is(err, store.ErrFull) {
			return err
		}
		g.cfg.Log.Error("store is full: free some space", "error", err)
		select {
		case <-done:
			return err
		case <-time.After(fullPause):
		}
	}
}

func ignoreNotFound(err error) error {
	if errors.Is(err, ErrNotFound) {
		return nil
	}
	return err
}
