package otp

import (
	"context"
	"crypto/subtle"
	"errors"
	"regexp"
	"time"

	"otpost/gateway/store"
)

var challengeID = regexp.MustCompile(`^` + challengePrefix + `[0-9a-z]{26}$`)

// EnableVerify answers the account's enable challenge with the code and the PIN, which are judged together.
func (s *Service) EnableVerify(ctx context.Context, now time.Time, by Caller, account string, r VerifyRequest) (AccountView, error) {
	return s.verifyLatest(ctx, now, by, account, SMSEnable, r)
}

// DisableVerify answers the account's disable challenge.
func (s *Service) DisableVerify(ctx context.Context, now time.Time, by Caller, account string, r VerifyRequest) (AccountView, error) {
	return s.verifyLatest(ctx, now, by, account, SMSDisable, r)
}

func (s *Service) verifyLatest(ctx context.Context, now time.Time, by Caller, account string, p Purpose, r VerifyRequest) (AccountView, error) {
	if err := checkAccount(account); err != nil {
		return AccountView{}, err
	}
	a := answer{
		action: string(p) + ".verify", account: account, purpose: p, request: r,
		find: func(tx store.Txn) (challenge, error) {
			c, found, err := s.latest(tx, account, p)
			if err == nil && !found {
				err = refuse(NotFound, "no code was asked for")
			}
			return c, err
		},
	}
	var view AccountView
	a.then = func(w *work, _ *challenge) (err error) {
		view, err = w.accountIn(w.tx, now, account)
		return err
	}
	if err := s.judge(ctx, now, by, &a); err != nil {
		return AccountView{}, err
	}
	return view, nil
}

// Verify answers the challenge id.
func (s *Service) Verify(ctx context.Context, now time.Time, by Caller, id string, r VerifyRequest) (ChallengeView, error) {
	a := answer{
		action: "challenge.verify", request: r,
		find: func(tx store.Txn) (challenge, error) { return s.findIn(tx, id) },
	}
	var view ChallengeView
	a.then = func(w *work, c *challenge) (err error) {
		view, err = w.view(c)
		return err
	}
	if err := s.judge(ctx, now, by, &a); err != nil {
		return ChallengeView{}, err
	}
	return view, nil
}

// answer is one answer to a challenge.
type answer struct {
	action  string
	account string  // empty: not known before the challenge is found
	purpose Purpose // empty: likewise
	request VerifyRequest
	find    func(store.Txn) (challenge, error)
	then    func(*work, *challenge) error // when it was right: makes what is shown
	code    string                        // normalised; the same in each run of the function
	pin     bool                          // a PIN belongs to it
	verdict *pinVerdict                   // of the PIN; nil: not computed, because a counter blocks
}

// walled looks ahead whether a counter blocks a, so that no PIN is computed in vain.
func (s *Service) walled(now time.Time, by Caller, a *answer) func(store.Txn) (bool, error) {
	return func(tx store.Txn) (bool, error) {
		w := &work{Service: s, tx: tx, now: now, by: by, account: a.account}
		c, err := a.find(tx)
		if e := new(Error); errors.As(err, &e) {
			return false, nil // no challenge: the PIN is computed all the same
		}
		if err != nil {
			return false, err
		}
		j, err := w.judges(a, &c)
		return err == nil && j.wait(w) > 0, err
	}
}

// pinFirst ends a transaction that found a challenge whose answer has a PIN to it, which was not computed yet. It says what
// the answer is about; the answer itself stays as it is, for the function of an update may run again.
type pinFirst struct {
	account string
	purpose Purpose
}

func (pinFirst) Error() string { return "the pin is to be computed first" }

// judge decides on a. A PIN is computed first, outside the transaction and whether or not there is a challenge, so that
// the time tells nothing; what it came to counts only inside, after the counters.
func (s *Service) judge(ctx context.Context, now time.Time, by Caller, a *answer) error {
	if err := by.check(); err != nil {
		return err
	}
	for {
		if err := s.prepare(ctx, now, by, a); err != nil {
			return err
		}
		err := s.do(ctx, now, by, a.action, a.account, func(w *work) error { return w.judge(a) })
		first := pinFirst{}
		if !errors.As(err, &first) {
			return err
		}
		a.account, a.purpose = first.account, first.purpose
	}
}

// prepare does what comes before the transaction, as soon as it is known what a is about.
func (s *Service) prepare(ctx context.Context, now time.Time, by Caller, a *answer) (err error) {
	if a.purpose == "" {
		return nil
	}
	if err := s.wellFormed(a, a.purpose); err != nil {
		return err
	}
	if s.policy.Purposes[a.purpose].PIN == PINAtVerify {
		a.pin = true
		if a.verdict, err = s.askPIN(ctx, a.account, a.request.PIN, s.walled(now, by, a)); err != nil {
			return s.unjudged(ctx, now, by, a.action, a.account, err)
		}
	}
	return nil
}

// unjudged records that a PIN could not be judged.
func (s *Service) unjudged(ctx context.Context, now time.Time, by Caller, action, account string, err error) error {
	if e := new(Error); errors.As(err, &e) {
		return s.refused(ctx, now, by, action, account, err)
	}
	return err
}

// wellFormed refuses what cannot be an answer to a challenge of the purpose, which burns nothing.
func (s *Service) wellFormed(a *answer, purpose Purpose) error {
	p, ok := s.policy.Purposes[purpose]
	r := a.request
	if !ok { // taken out of the configuration since
		e := refuse(ChallengeOver, "the purpose %s is no longer configured", purpose)
		e.Status = Canceled
		return e
	}
	code, err := parseCode(r.Code, p.Digits)
	a.code = code
	switch {
	case err != nil:
		return err
	case p.PIN != PINAtVerify && r.PIN != "":
		return refuse(InvalidRequest, "%s takes no pin when it is verified", purpose)
	case p.Transaction && r.Transaction == nil:
		return refuse(InvalidRequest, "transaction is required and must be the one that the code was asked for")
	case !p.Transaction && r.Transaction != nil:
		return refuse(InvalidRequest, "%s takes no transaction", purpose)
	case p.ClientSecret && (r.ClientSecret == "" || len(r.ClientSecret) > 64):
		return refuse(InvalidRequest, "client_secret is required: the one that came with the challenge")
	case r.Transaction != nil:
		return r.Transaction.check(s.policy.Currencies)
	}
	return nil
}

// judge is the one place where an answer is compared (DESIGN 4.6): blocked, over, counted, compared, in this order.
func (w *work) judge(a *answer) error {
	c, err := a.find(w.tx)
	if err != nil {
		return err
	}
	if a.purpose == "" {
		if err := w.identify(a, &c); err != nil {
			return err
		}
	}
	w.phone, w.country = c.Phone, c.Country
	w.note("challenge", c.ID)
	w.note("purpose", string(c.Purpose))
	judges, err := w.judges(a, &c)
	if err != nil {
		return err
	}
	if err := judges.blocked(w); err != nil {
		return err
	}
	if err := w.over(&c); err != nil {
		return err
	}
	if a.pin && a.verdict == nil {
		return errUnblocked()
	}
	acct, found, err := w.loadAccount()
	if err != nil {
		return err
	}
	moved := c.Purpose != SMSEnable && acct.SMS != nil && acct.SMS.Phone != c.Phone
	if !found || (c.Purpose == SMSEnable) != (acct.SMS == nil) || moved { // cannot be while it is pending
		return w.stale(&c)
	}
	judges.raise(w)
	right, err := w.right(a, &c, acct)
	if err != nil {
		return err
	}
	if !right {
		return w.wrong(judges, &c)
	}
	if err := w.accept(judges, &c, acct); err != nil {
		return err
	}
	return a.then(w, &c)
}

// identify learns from the challenge what a is about.
func (w *work) identify(a *answer, c *challenge) error {
	w.account = c.Account
	if w.policy.Purposes[c.Purpose].PIN == PINAtVerify {
		return pinFirst{c.Account, c.Purpose}
	}
	return w.wellFormed(a, c.Purpose)
}

// judges returns the counters that a counts on.
func (w *work) judges(a *answer, c *challenge) (jury, error) {
	address := w.address(c)
	j, err := w.codeJury(c.Account, c.Phone, address)
	if err != nil || !a.pin {
		return j, err
	}
	// Every failed answer with a PIN counts as a failed PIN, or the counter would tell which part was wrong.
	pins, err := w.pinJury(c.Account, address)
	return append(j, pins...), err
}

// stale ends a challenge whose account has moved on.
func (w *work) stale(c *challenge) error {
	if err := w.end(c, Canceled); err != nil {
		return err
	}
	e := refuse(ChallengeOver, "the challenge is %s; start again", Canceled)
	e.Status = Canceled
	return e
}

// right compares every part, always all of them.
func (w *work) right(a *answer, c *challenge, acct account) (bool, error) {
	key, err := w.codeKey(c.KeyID)
	if err != nil {
		return false, err
	}
	if w.compared != nil {
		w.compared()
	}
	p := w.policy.Purposes[c.Purpose]
	right := sameCode(deriveCode(key, c.input(), c.Digits), a.code)
	right = c.Transaction.equal(a.request.Transaction) && right
	if p.ClientSecret || c.Secret != nil {
		right = subtle.ConstantTimeCompare(hashSecret(a.request.ClientSecret), c.Secret) == 1 && right
	}
	if p.PIN == PINAtVerify {
		right = a.verdict != nil && a.verdict.stands(acct) && right
	}
	return right, nil
}

func (w *work) wrong(judges jury, c *challenge) error {
	if err := judges.save(w); err != nil {
		return err
	}
	w.count(func() { w.metrics.challenges.WithLabelValues(c.Purpose.label(), "failed").Inc() })
	if judges.walled(w) {
		if err := w.end(c, BlockedOut); err != nil {
			return err
		}
	}
	if err := w.tellBlock(judges, map[string]any{"challenge": c.ID, "purpose": string(c.Purpose)}); err != nil {
		return err
	}
	return judges.failed(w)
}
