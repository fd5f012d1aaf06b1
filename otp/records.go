package otp

import (
	"errors"
	"time"

	"otpost/gateway/store"
)

// The records of this package. Each key name holds pseudonyms only; each record carries its exact times, and the collect
// time that it is saved with only frees space.
//
//	otp/account/<account>               account
//	otp/challenge/<id>                  challenge
//	otp/latest/<account>/<purpose>      id of the newest challenge
//	otp/owned/<account>/<id>            marks the challenges of an account, for erasure
//	otp/failures/<kind>/<subject>       failures
//	otp/limit/<name>/<subject>          window
//	otp/pumping/<kind>/<destination>    traffic
//	otp/report/<day>                    dayReport
//	otp/audit/…                         see audit.go

// account is a client as we know one.
type account struct {
	ID         string    `json:"id"`
	Grade      int       `json:"grade"`
	GradeBySMS bool      `json:"grade_by_sms,omitempty"` // the grade is 1 because SMS codes were turned on
	PIN        *pinHash  `json:"pin,omitempty"`
	SMS        *identity `json:"sms,omitempty"` // nil: disabled
	CreatedAt  time.Time `json:"created_at"`
	UpdatedAt  time.Time `json:"updated_at"`
}

// identity is an enrolled phone.
type identity struct {
	Phone     string    `json:"phone"`
	Country   string    `json:"country"`
	Prefix    string    `json:"prefix"`
	EnabledAt time.Time `json:"enabled_at"`
	LastUsed  time.Time `json:"last_used,omitzero"`
}

// challenge is one question. There are no digits in it: the code is derived from it and a key that the store never sees.
type challenge struct {
	ID          string        `json:"id"`
	Account     string        `json:"account"`
	Purpose     Purpose       `json:"purpose"`
	Status      Status        `json:"status"` // Pending is also what an expired one says, see current
	Phone       string        `json:"phone"`
	Country     string        `json:"country"`
	Prefix      string        `json:"prefix"`
	Locale      string        `json:"locale,omitempty"`
	Nonce       []byte        `json:"nonce"`
	Generation  int           `json:"generation"`
	KeyID       string        `json:"key_id"`
	Digits      int           `json:"digits"`
	Transaction *Transaction  `json:"transaction,omitempty"`
	Secret      []byte        `json:"secret,omitempty"`  // hash of the client secret
	Address     string        `json:"address,omitempty"` // pseudonym of the client address that asked
	CreatedAt   time.Time     `json:"created_at"`
	ExpiresAt   time.Time     `json:"expires_at"`
	TTL         time.Duration `json:"ttl"`
	EndedAt     time.Time     `json:"ended_at,omitzero"`
	Sends       int           `json:"sends"`
	LastSend    time.Time     `json:"last_send"`
	Message     string        `json:"message"` // id of the latest send
}

// clockSlack is how far before its creation a challenge may be looked at. A clock that was set back further would let it
// live too long, so then it counts as expired.
const clockSlack = time.Minute

// current returns the status at now.
func (c *challenge) current(now time.Time) Status {
	if c.Status == Pending && (!now.Before(c.ExpiresAt) || c.CreatedAt.Sub(now) > clockSlack) {
		return ExpiredOut
	}
	return c.Status
}

// input is what c's code is derived from.
func (c *challenge) input() codeInput {
	return codeInput{
		Challenge: c.ID, Nonce: c.Nonce, Generation: c.Generation, Account: c.Account, Phone: c.Phone, Purpose: c.Purpose,
		Transaction: c.Transaction.hash(),
	}
}

func (s *Service) pseudonym(label, value string) string {
	return s.cfg.Secrets.Pseudonym("otp/"+label, value)
}

func (s *Service) accountKey(account string) string {
	return "otp/account/" + s.pseudonym("account", account)
}

func (s *Service) latestKey(account string, p Purpose) string {
	return "otp/latest/" + s.pseudonym("account", account) + "/" + string(p)
}

func (s *Service) ownedPrefix(account string) string {
	return "otp/owned/" + s.pseudonym("account", account) + "/"
}

func challengeKey(id string) string { return "otp/challenge/" + id }

// keepChallenge is how long a challenge can be looked up after its end.
const keepChallenge = day

// load is store.Load with "not there" as a value.
func load[T any](tx store.Txn, key string) (v T, found bool, err error) {
	v, err = store.Load[T](tx, key)
	if errors.Is(err, store.ErrNotFound) {
		return v, false, nil
	}
	return v, err == nil, err
}
