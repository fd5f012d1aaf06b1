package otp

import (
	"context"
	"crypto/sha256"
	"encoding/base32"
	"fmt"
	"io"
	"strings"
	"time"

	"otpost/gateway"
	"otpost/gateway/store"
)

const challengePrefix = "chl_"

// seed is the randomness of one challenge, drawn before its transaction.
type seed struct {
	id     string
	nonce  []byte // 128 bits
	secret string // for the client, when the purpose asks for one
}

func (s *Service) draw(now time.Time, p PurposePolicy) (seed, error) {
	id, err := store.NewID(challengePrefix, now, s.cfg.Random)
	if err != nil {
		return seed{}, err
	}
	b := make([]byte, 32)
	if _, err := io.ReadFull(s.cfg.Random, b); err != nil {
		return seed{}, fmt.Errorf("draw a nonce: %w", err)
	}
	drawn := seed{id: id, nonce: b[:16]}
	if p.ClientSecret {
		drawn.secret = strings.ToLower(base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(b[16:]))
	}
	return drawn, nil
}

func hashSecret(secret string) []byte {
	sum := sha256.Sum256([]byte(secret))
	return sum[:]
}

// Enable starts turning SMS codes on: it sends a code to the phone. The account needs a PIN first.
func (s *Service) Enable(ctx context.Context, now time.Time, by Caller, account string, r EnableRequest) (ChallengeView, error) {
	locale, err := parseRequest(account, r.Locale)
	if err != nil {
		return ChallengeView{}, err
	}
	ph, err := s.policy.parsePhone(r.Phone)
	if err != nil {
		return ChallengeView{}, s.do(ctx, now, by, string(SMSEnable), account, func(w *work) error {
			w.phone, w.country = ph.E164, ph.Country
			return err
		})
	}
	return s.open(ctx, now, by, account, SMSEnable, func(w *work, c *challenge) error {
		a, found, err := w.loadAccount()
		switch {
		case err != nil:
			return err
		case a.SMS != nil:
			return refuse(AlreadyEnabled, "SMS codes are on already; disable them first to change the phone")
		case a.PIN == nil && w.policy.PIN.Mode == PINLocal:
			return refuse(PINNotSet, "the account needs a PIN before SMS codes can be turned on")
		}
		c.Locale = locale
		c.Phone, c.Country, c.Prefix = ph.E164, ph.Country, ph.Prefix
		if found {
			return nil
		}
		return w.saveAccount(a)
	})
}

// Disable starts turning SMS codes off: it sends a code to the enrolled phone.
func (s *Service) Disable(ctx context.Context, now time.Time, by Caller, account, locale string) (ChallengeView, error) {
	locale, err := parseRequest(account, locale)
	if err != nil {
		return ChallengeView{}, err
	}
	return s.open(ctx, now, by, account, SMSDisable, func(w *work, c *challenge) error {
		c.Locale = locale
		return w.enrolled(c)
	})
}

// Create starts the confirmation of a login, a withdrawal or another operation.
func (s *Service) Create(ctx context.Context, now time.Time, by Caller, r CreateRequest) (ChallengeView, error) {
	locale, err := parseRequest(r.Account, r.Locale)
	if err != nil {
		return ChallengeView{}, err
	}
	p, err := s.creatable(r)
	if err != nil {
		return ChallengeView{}, err
	}
	if err := by.check(); err != nil {
		return ChallengeView{}, err
	}
	var verdict *pinVerdict
	if p.PIN == PINAtCreate {
		if verdict, err = s.askPIN(ctx, r.Account, r.PIN, s.pinWalled(now, by, r.Account)); err != nil {
			return ChallengeView{}, s.unjudged(ctx, now, by, string(r.Purpose), r.Account, err)
		}
	}
	return s.open(ctx, now, by, r.Account, r.Purpose, func(w *work, c *challenge) error {
		c.Locale, c.Transaction = locale, r.Transaction
		if err := w.enrolled(c); err != nil || p.PIN != PINAtCreate {
			return err
		}
		return w.judgePIN(verdict)
	})
}

// creatable checks the parts of r that need no state.
func (s *Service) creatable(r CreateRequest) (PurposePolicy, error) {
	p, ok := s.policy.Purposes[r.Purpose]
	switch {
	case !ok:
		return p, refuse(InvalidRequest, "purpose is login, withdrawal or an operation:<slug> that the configuration knows")
	case r.Purpose == SMSEnable || r.Purpose == SMSDisable:
		return p, refuse(InvalidRequest, "SMS codes are turned on and off by calls of their own, sms/enable and sms/disable")
	case p.Transaction && r.Transaction == nil:
		return p, refuse(InvalidRequest, "transaction with amount, currency and payee is required for %s", r.Purpose)
	case !p.Transaction && r.Transaction != nil:
		return p, refuse(InvalidRequest, "%s takes no transaction", r.Purpose)
	case p.PIN != PINAtCreate && r.PIN != "":
		return p, refuse(InvalidRequest, "%s takes no pin when it is created", r.Purpose)
	case r.Transaction != nil:
		return p, r.Transaction.check(s.policy.Currencies)
	}
	return p, nil
}

func parseRequest(account, locale string) (string, error) {
	if err := checkAccount(account); err != nil {
		return "", err
	}
	return parseLocale(locale)
}

// enrolled aims c at the account's phone.
func (w *work) enrolled(c *challenge) error {
	a, _, err := w.loadAccount()
	if err != nil {
		return err
	}
	if a.SMS == nil {
		return refuse(NotEnabled, "SMS codes are not on for this account")
	}
	c.Phone, c.Country, c.Prefix = a.SMS.Phone, a.SMS.Country, a.SMS.Prefix
	return nil
}

// open makes a challenge and its first send in one transaction. prepare decides whether it may be and fills it in.
func (s *Service) open(ctx context.Context, now time.Time, by Caller, account string, purpose Purpose, prepare func(*work, *challenge) error) (ChallengeView, error) {
	p := s.policy.Purposes[purpose]
	drawn, err := s.draw(now, p)
	if err != nil {
		return ChallengeView{}, err
	}
	var view ChallengeView
	err = s.do(ctx, now, by, string(purpose), account, func(w *work) error {
		c := challenge{
			ID: drawn.id, Account: account, Purpose: purpose, Status: Pending, Nonce: drawn.nonce, Generation: 1,
			KeyID: s.cfg.Keys.Current(), Digits: p.Digits, TTL: p.TTL, Address: w.actor(), CreatedAt: now, ExpiresAt: now.Add(p.TTL),
		}
		if drawn.secret != "" {
			c.Secret = hashSecret(drawn.secret)
		}
		if err := prepare(w, &c); err != nil {
			return err
		}
		state, err := w.firstSend(&c)
		if err != nil {
			return err
		}
		view, err = w.view(&c)
		view.ClientSecret, view.RateLimit = drawn.secret, state
		return err
	})
	if err != nil {
		return ChallengeView{}, err
	}
	return view, nil
}

// firstSend checks counters and limits, ends the challenge that c replaces, and queues c's message.
func (w *work) firstSend(c *challenge) (LimitState, error) {
	w.phone, w.country = c.Phone, c.Country
	w.note("challenge", c.ID)
	state, err := w.admit(c)
	if err != nil {
		return state, err
	}
	old, found, err := w.latestSound(w.tx, c.Account, c.Purpose)
	if err != nil {
		return state, err
	}
	if found && old.Status == Pending {
		if err := w.end(&old, superseded(&old, w.now)); err != nil {
			return state, err
		}
	}
	collect := c.ExpiresAt.Add(keepChallenge)
	if err := store.Save(w.tx, w.latestKey(c.Account, c.Purpose), c.ID, collect); err != nil {
		return state, err
	}
	if err := w.tx.Set(w.ownedPrefix(c.Account)+c.ID, []byte("{}"), collect); err != nil {
		return state, err
	}
	w.count(func() { w.metrics.challenges.WithLabelValues(c.Purpose.label(), "created").Inc() })
	return state, w.transmit(c)
}

// superseded is the last status of a challenge that a newer one replaces.
func superseded(c *challenge, now time.Time) Status {
	if c.current(now) == ExpiredOut {
		return ExpiredOut
	}
	return Superseded
}

// admit tells whether a send may be made, and takes it from every limit if so.
func (w *work) admit(c *challenge) (LimitState, error) {
	judges, err := w.codeJury(c.Account, c.Phone, w.address(c))
	if err != nil {
		return LimitState{}, err
	}
	if err := judges.blocked(w); err != nil {
		return LimitState{}, err
	}
	if err := w.guardPumping(c); err != nil { // before the limits, which count what they admit
		return LimitState{}, err
	}
	state, err := w.takeLimits(c)
	if err != nil {
		return state, err
	}
	return state, w.pumpingSent(c)
}

// transmit queues the message of c's next send.
func (w *work) transmit(c *challenge) error {
	m, err := w.cfg.Outbox.Enqueue(w.tx, w.now, gateway.Draft{
		To: c.Phone, Country: c.Country, Kind: gateway.KindCode, Lane: w.policy.Purposes[c.Purpose].Lane,
		Ref: reference(c), Account: c.Account, Purpose: string(c.Purpose), NotAfter: c.ExpiresAt, Request: w.by.Request,
	})
	if err != nil {
		return err
	}
	w.sent = m
	c.Message, c.LastSend = m.ID, w.now
	c.Sends++
	return w.saveChallenge(c)
}

// cooldown is how long to wait after the n-th send of a challenge.
func (p ResendPolicy) cooldown(n int) time.Duration {
	return p.Cooldown[min(max(n, 1), len(p.Cooldown))-1]
}

// Resend sends a pending challenge's code again, or a new one in its place where the purpose rotates.
func (s *Service) Resend(ctx context.Context, now time.Time, by Caller, id string) (ChallengeView, error) {
	var view ChallengeView
	err := s.do(ctx, now, by, "challenge.resend", "", func(w *work) error {
		c, err := w.pending(id)
		if err != nil {
			return err
		}
		if err := w.resendable(&c); err != nil {
			return err
		}
		state, err := w.admit(&c)
		if err != nil {
			return err
		}
		if err := w.recall(&c); err != nil {
			return err
		}
		if w.policy.Purposes[c.Purpose].Resend == ResendRotate {
			c.rotate(w.now)
		}
		if err := w.transmit(&c); err != nil {
			return err
		}
		w.count(func() { w.metrics.challenges.WithLabelValues(c.Purpose.label(), "resent").Inc() })
		view, err = w.view(&c)
		view.RateLimit = state
		return err
	})
	if err != nil {
		return ChallengeView{}, err
	}
	return view, nil
}

// rotate gives c a new code with a life of its own, inside the longest life of a challenge.
func (c *challenge) rotate(now time.Time) {
	c.Generation++
	c.ExpiresAt = now.Add(c.TTL)
	if last := c.CreatedAt.Add(maxTTL); c.ExpiresAt.After(last) {
		c.ExpiresAt = last
	}
}

func (w *work) resendable(c *challenge) error {
	if c.Sends >= w.policy.Resend.Sends {
		e := refuse(RateLimited, "a code is sent at most %d times; start again", w.policy.Resend.Sends)
		e.Limit, e.RetryAfter = "challenge-sends", c.ExpiresAt.Sub(w.now)
		e.RateLimit = LimitState{Name: e.Limit, Quota: w.policy.Resend.Sends, Window: c.TTL, Reset: e.RetryAfter}
		return e
	}
	if c.LastSend.After(w.now) { // the clock was set back
		c.LastSend = w.now
		if err := w.saveChallenge(c); err != nil {
			return err
		}
	}
	if wait := w.policy.Resend.cooldown(c.Sends) - w.now.Sub(c.LastSend); wait > 0 {
		e := refuse(ResendTooEarly, "wait before the code is sent again")
		e.RetryAfter = wait
		return e
	}
	return nil
}

// Cancel ends a pending challenge.
func (s *Service) Cancel(ctx context.Context, now time.Time, by Caller, id string) error {
	return s.do(ctx, now, by, "challenge.cancel", "", func(w *work) error {
		c, err := w.pending(id)
		if err != nil {
			return err
		}
		return w.end(&c, Canceled)
	})
}

// pending loads the challenge id and refuses when it is over.
func (w *work) pending(id string) (challenge, error) {
	c, err := w.find(id)
	if err != nil {
		return c, err
	}
	w.account, w.phone, w.country = c.Account, c.Phone, c.Country
	w.note("challenge", c.ID)
	w.note("purpose", string(c.Purpose))
	return c, w.over(&c)
}

// over refuses a challenge that is no longer pending, and writes down that it has expired.
func (w *work) over(c *challenge) error {
	status := c.current(w.now)
	if status == Pending {
		return nil
	}
	if c.Status == Pending {
		if err := w.end(c, ExpiredOut); err != nil {
			return err
		}
	}
	e := refuse(ChallengeOver, "the challenge is %s; start again", status)
	e.Status = status
	return e
}

func (s *Service) findIn(tx store.Txn, id string) (challenge, error) {
	if !challengeID.MatchString(id) {
		return challenge{}, refuse(NotFound, "there is no such challenge")
	}
	c, found, err := load[challenge](tx, challengeKey(id))
	if err == nil && !found {
		err = refuse(NotFound, "there is no such challenge")
	}
	return c, err
}

func (w *work) find(id string) (challenge, error) { return w.findIn(w.tx, id) }
