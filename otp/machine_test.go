package otp

import (
	"context"
	"errors"
	"fmt"
	"time"

	"otpost/gateway/store"
)

// machine drives a service by random steps and holds each answer against a model of its own, which knows only what
// DESIGN says: it is written against answers and never looks into records.
type machine struct {
	b      *bench
	mutant mutant
	pick   func(n int) int // a number below n
	now    time.Time
	angry  bool // most answers are wrong
	steady bool // the clock was never set back, so the model knows exactly what must succeed

	clients []*modelClient
	sent    []*modelChallenge
}

// modelClient is an account with a phone of its own.
type modelClient struct {
	id, phone string
	enabled   bool
	grade     int
	row       int // wrong answers compared since a success or a served block
	level     int
	until     time.Time // end of the block
}

type modelChallenge struct {
	client  *modelClient
	purpose Purpose
	id      string
	codes   []string // by generation
	live    bool
	expires time.Time
	sends   int
	again   time.Time
}

// mutant breaks the service from outside, after a call; each is a fault that somebody could write.
type mutant string

const (
	noMutant         mutant = ""
	sendResetsCount  mutant = "a send resets the failure counters"
	consumeLeftOut   mutant = "a verified challenge stays pending"
	supersedeLeftOut mutant = "an older challenge stays pending"
	blockForgotten   mutant = "a restart forgets blocks"
	gradeFalls       mutant = "a verification lowers the grade"
)

func newMachine(b *bench, m mutant, pick func(int) int) *machine {
	x := &machine{b: b, mutant: m, pick: pick, now: start, steady: true, angry: pick(2) == 0}
	for i := range 2 {
		c := &modelClient{id: fmt.Sprintf("client-%d", i), phone: fmt.Sprintf("+44770090012%d", i)}
		b.must(b.SetPIN(context.Background(), x.now, portal, c.id, goodPIN, ""))
		if i == 1 {
			c.grade = 4
			_, err := b.SetGrade(context.Background(), x.now, portal, c.id, 4)
			b.must(err)
		}
		x.clients = append(x.clients, c)
	}
	return x
}

// run makes steps until one contradicts the model.
func (x *machine) run(steps int) error {
	for i := range steps {
		if err := x.step(); err != nil {
			return fmt.Errorf("step %d: %w", i, err)
		}
		if err := x.grades(); err != nil {
			return fmt.Errorf("step %d: %w", i, err)
		}
	}
	return nil
}

func (x *machine) step() error {
	switch x.pick(16) {
	case 0, 1, 2, 3:
		return x.send()
	case 4, 5:
		return x.resend()
	case 6, 7, 8, 9, 10, 11:
		return x.verify()
	case 12:
		return x.cancel()
	case 13:
		x.restart()
	case 14:
		// mostly short steps, or no row of wrong answers would ever be long
		x.now = x.now.Add([]time.Duration{time.Second, 31 * time.Second, 3 * time.Minute, 20 * time.Minute, 26 * time.Hour}[x.pick(5)])
	default:
		if x.pick(4) == 0 {
			x.now = x.now.Add(-time.Duration(1+x.pick(7200)) * time.Second)
			x.steady = false
		}
	}
	return nil
}

func (x *machine) restart() {
	x.b.restart()
	if x.mutant == blockForgotten {
		x.forget()
	}
}

// forget drops all failure counters.
func (x *machine) forget() {
	x.b.must(x.b.kv.Update(context.Background(), func(tx store.Txn) error {
		var doomed []string
		err := tx.Scan(store.Range{Prefix: "otp/failures/"}, func(key string, _ []byte) bool {
			doomed = append(doomed, key)
			return true
		})
		for _, key := range doomed {
			err = errors.Join(err, tx.Delete(key))
		}
		return err
	}))
}

// blocked is the model's own idea of a block.
func (c *modelClient) blocked(now time.Time) bool { return now.Before(c.until) }

// served begins a new row when a block has run its time.
func (c *modelClient) served(now time.Time) {
	if !c.until.IsZero() && !c.blocked(now) {
		c.row, c.until = 0, time.Time{}
	}
}

var modelPurposes = []Purpose{SMSEnable, SMSDisable, Login, Withdrawal}

func (x *machine) send() error {
	c, p := x.clients[x.pick(len(x.clients))], modelPurposes[x.pick(len(modelPurposes))]
	ctx := context.Background()
	var v ChallengeView
	var err error
	switch p {
	case SMSEnable:
		v, err = x.b.Enable(ctx, x.now, portal, c.id, EnableRequest{Phone: c.phone})
	case SMSDisable:
		v, err = x.b.Disable(ctx, x.now, portal, c.id, "")
	default:
		r := CreateRequest{Account: c.id, Purpose: p}
		if p == Withdrawal {
			t := transfer
			r.PIN, r.Transaction = goodPIN, &t
		}
		v, err = x.b.Create(ctx, x.now, portal, r)
	}
	allowed := (p == SMSEnable) != c.enabled
	switch {
	case err == nil && !allowed:
		return fmt.Errorf("%s was sent while enabled is %v", p, c.enabled)
	case err != nil && allowed && x.steady && !c.blocked(x.now):
		return fmt.Errorf("%s was not sent: %w", p, err)
	case err == nil && x.steady && c.blocked(x.now):
		return fmt.Errorf("%s was sent to a blocked client", p)
	case err != nil:
		return nil
	}
	for _, old := range x.sent {
		if old.client == c && old.purpose == p && old.live && x.mutant != supersedeLeftOut {
			old.live = false
		} else if old.client == c && old.purpose == p && old.live {
			x.revive(old.id)
			old.live = false
		}
	}
	x.sent = append(x.sent, &modelChallenge{
		client: c, purpose: p, id: v.ID, codes: []string{x.code(v.ID)}, live: true, expires: v.ExpiresAt, sends: 1, again: v.ResendAfter,
	})
	if x.mutant == sendResetsCount {
		x.forget()
	}
	return nil
}

// code reads the phone.
func (x *machine) code(id string) string {
	x.b.now = x.now
	return x.b.code(id)
}

// revive sets a challenge back to pending behind the service's back.
func (x *machine) revive(id string) {
	x.b.must(x.b.kv.Update(context.Background(), func(tx store.Txn) error {
		c, err := store.Load[challenge](tx, challengeKey(id))
		if err != nil {
			return err
		}
		c.Status = Pending
		return store.Save(tx, challengeKey(id), c, time.Time{})
	}))
}

func (x *machine) any() *modelChallenge {
	if len(x.sent) == 0 {
		return nil
	}
	return x.sent[max(0, len(x.sent)-1-x.pick(min(len(x.sent), 4)))] // one of the latest
}

func (x *machine) resend() error {
	c := x.any()
	if c == nil {
		return nil
	}
	v, err := x.b.Resend(context.Background(), x.now, portal, c.id)
	if err != nil {
		if x.steady && c.live && x.now.Before(c.expires) && c.sends < 3 && !x.now.Before(c.again) && !c.client.blocked(x.now) {
			return fmt.Errorf("was not resent: %w", err)
		}
		return nil
	}
	c.sends++
	if !c.live || c.sends > 3 || x.steady && (x.now.Before(c.again) || !x.now.Before(c.expires)) {
		return fmt.Errorf("resent for the %d. time, live %v", c.sends, c.live)
	}
	code := x.code(c.id)
	if c.purpose == Withdrawal {
		c.codes = append(c.codes, code)
	} else if code != c.codes[0] {
		return errors.New("the resent code is another")
	}
	c.expires, c.again = v.ExpiresAt, v.ResendAfter
	if x.mutant == sendResetsCount {
		x.forget()
	}
	return nil
}

// guess chooses among the right code, one that was right, and wrong ones.
func (x *machine) guess(c *modelChallenge) string {
	code := c.codes[len(c.codes)-1]
	if x.angry && x.pick(8) != 0 {
		return wrong(code)
	}
	switch x.pick(6) {
	case 0, 1:
		return code
	case 2:
		return c.codes[0]
	case 3:
		return x.sent[x.pick(len(x.sent))].codes[0] // of another challenge
	default:
		return wrong(code)
	}
}

func (x *machine) verify() error {
	c := x.any()
	if c == nil {
		return nil
	}
	code := x.guess(c)
	before := x.b.comparisons.Load()
	c.client.served(x.now)
	err := x.answer(c, code)
	compared := int(x.b.comparisons.Load() - before)
	right := code == c.codes[len(c.codes)-1]
	if err == nil {
		return x.succeeded(c, right)
	}
	if x.steady && right && c.live && x.now.Before(c.expires) && !c.client.blocked(x.now) {
		return fmt.Errorf("the right code of %s was refused: %w", c.purpose, err)
	}
	return x.failed(c, compared)
}

func (x *machine) answer(c *modelChallenge, code string) error {
	ctx, r := context.Background(), VerifyRequest{Code: code}
	var err error
	switch c.purpose {
	case SMSEnable:
		if x.latest(c) == c {
			r.PIN = goodPIN
			_, err = x.b.EnableVerify(ctx, x.now, portal, c.client.id, r)
			return err
		}
		r.PIN = goodPIN
	case Withdrawal:
		t := transfer
		r.Transaction = &t
	}
	_, err = x.b.Verify(ctx, x.now, portal, c.id, r)
	return err
}

func (x *machine) latest(c *modelChallenge) (last *modelChallenge) {
	for _, o := range x.sent {
		if o.client == c.client && o.purpose == c.purpose {
			last = o
		}
	}
	return last
}

func (x *machine) succeeded(c *modelChallenge, right bool) error {
	switch {
	case !right:
		return fmt.Errorf("a wrong code of %s was taken", c.purpose)
	case !c.live:
		return fmt.Errorf("a code of %s was taken twice, or after its end", c.purpose)
	case !x.now.Before(c.expires):
		return fmt.Errorf("a code of %s was taken after its life", c.purpose)
	case x.steady && c.client.blocked(x.now):
		return errors.New("a blocked client was let in")
	}
	c.live = false
	c.client.row, c.client.level, c.client.until = 0, 0, time.Time{}
	switch c.purpose {
	case SMSEnable:
		c.client.enabled = true
		c.client.grade = max(c.client.grade, 1)
	case SMSDisable:
		c.client.enabled = false
		for _, o := range x.sent {
			if o.client == c.client {
				o.live = false
			}
		}
	}
	if x.mutant == consumeLeftOut {
		x.revive(c.id)
	}
	if x.mutant == gradeFalls {
		_, err := x.b.SetGrade(context.Background(), x.now, portal, c.client.id, 1)
		x.b.must(err)
	}
	return nil
}

// failed counts what was compared, and expects the block.
func (x *machine) failed(c *modelChallenge, compared int) error {
	if compared == 0 {
		return nil
	}
	if x.steady && c.client.blocked(x.now) {
		return errors.New("a blocked client's answer was compared")
	}
	if c.client.row++; c.client.row > 5 && x.steady {
		return fmt.Errorf("%d wrong answers were compared in a row", c.client.row)
	}
	if c.client.row == 5 {
		c.live = c.live && !x.steady // else the clock decides whether it was a block
		c.client.until = x.now.Add(min(15*time.Minute<<c.client.level, 24*time.Hour))
		c.client.level++
	}
	return nil
}

func (x *machine) cancel() error {
	c := x.any()
	if c == nil {
		return nil
	}
	err := x.b.Cancel(context.Background(), x.now, portal, c.id)
	if err == nil && !c.live && x.steady {
		return errors.New("what had ended was canceled")
	}
	if err != nil && x.steady && c.live && x.now.Before(c.expires) {
		return fmt.Errorf("not canceled: %w", err)
	}
	c.live = c.live && err != nil
	return nil
}

// grades holds invariant 5 after each step.
func (x *machine) grades() error {
	for _, c := range x.clients {
		a, err := x.b.Account(context.Background(), x.now, c.id)
		switch {
		case err != nil:
			return err
		case a.Grade != c.grade:
			return fmt.Errorf("grade is %d, want %d", a.Grade, c.grade)
		case (a.SMS.Status == "enabled") != c.enabled:
			return fmt.Errorf("sms is %s, want enabled %v", a.SMS.Status, c.enabled)
		}
	}
	return nil
}
