// Package otp holds the rules of security codes: accounts, PINs, challenges, codes, failure counters, limits and the
// grade. It knows nothing of HTTP, modems or the store's engine; time comes in as an argument, randomness by Config.
//
// A code is derived from a key and its challenge, never stored (see code.go). Failures are counted outside the challenge,
// before the comparison and in the same transaction, so no interleaving of sends, resends and verifies buys a sixth guess.
// Sources of the rules: NIST SP 800-63B-4 3.1.3 and 3.2.2, OWASP ASVS 5.0 chapter 6, PSD2 RTS articles 4 and 5, RFC 4226.
package otp

import (
	"fmt"
	"time"

	"otpost/gateway"
	"otpost/gateway/store"
)

// Purpose is what a challenge is for: one of the four below, or "operation:<slug>".
type Purpose string

// The built-in purposes.
const (
	SMSEnable  Purpose = "sms.enable"
	SMSDisable Purpose = "sms.disable"
	Login      Purpose = "login"
	Withdrawal Purpose = "withdrawal"
)

// Outbox takes messages and events into the caller's transaction. *gateway.Gateway is one.
type Outbox interface {
	// Enqueue queues m; it wakes the queue when the transaction commits. A *gateway.CapacityError or
	// gateway.ErrStorageLow refuses it, and the whole transaction should be given up.
	Enqueue(tx store.Txn, now time.Time, m gateway.Draft) (gateway.Message, error)
	// Cancel ends a queued message; one that is already with a modem is left alone (gateway.ErrTooLate).
	Cancel(tx store.Txn, now time.Time, id string) error
	// Lookup returns a message.
	Lookup(tx store.Txn, id string) (gateway.Message, error)
	// Emit writes an event.
	Emit(tx store.Txn, now time.Time, e gateway.Event) error
	// Erase removes messages and events of an account, and what else it keeps of its phones and of those given: as much as
	// one transaction should. While there may be more it is to be called again, in another one and with the same phones.
	Erase(tx store.Txn, now time.Time, account string, phones ...string) (more bool, err error)
}

// Converter is an Outbox that wants to know whose codes come back. *gateway.Gateway is one.
type Converter interface {
	// Converted notes that the code of the message id was verified. A message that is gone is no error.
	Converted(tx store.Txn, now time.Time, id string) error
}

// Code is the stable name of a refusal; the api maps each to one HTTP status (DESIGN 7).
type Code string

// The refusals.
const (
	InvalidRequest     Code = "invalid-request"
	CountryNotAllowed  Code = "country-not-allowed"
	NumberNotAllowed   Code = "number-not-allowed"
	NotFound           Code = "not-found"
	AlreadyEnabled     Code = "sms-already-enabled"
	NotEnabled         Code = "sms-not-enabled"
	PINNotSet          Code = "pin-not-set"
	ChallengeOver      Code = "challenge-over"
	VerificationFailed Code = "verification-failed"
	InvalidPhone       Code = "invalid-phone"
	WeakPIN            Code = "weak-pin"
	RateLimited        Code = "rate-limited"
	Blocked            Code = "blocked"
	ResendTooEarly     Code = "resend-too-early"
	PINUnavailable     Code = "pin-unavailable" // portal mode: the portal did not answer; nothing was judged (503)
)

// Error is a refusal with the facts that the caller may be told. Its text is for people and holds no secret.
type Error struct {
	Code         Code
	Detail       string        // what was wrong and what to do
	Limit        string        // RateLimited: which limit ("phone-hour", "account-day", …)
	RateLimit    LimitState    // RateLimited: the same limit's facts, for the RateLimit header fields
	RetryAfter   time.Duration // RateLimited, Blocked, ResendTooEarly, PINUnavailable
	AttemptsLeft *int          // VerificationFailed
	Status       Status        // ChallengeOver
}

// LimitState is where one limit stands: the RateLimit-Policy (Quota, Window) and RateLimit (Remaining, Reset) fields.
type LimitState struct {
	Name      string
	Quota     int
	Window    time.Duration
	Remaining int
	Reset     time.Duration // until there is one more
}

// Error says what was refused and why, for people.
func (e *Error) Error() string { return string(e.Code) + ": " + e.Detail }

func refuse(code Code, format string, args ...any) *Error {
	return &Error{Code: code, Detail: fmt.Sprintf(format, args...)}
}

// Caller says on whose behalf a call comes, for limits and the audit trail.
type Caller struct {
	Key      string // id of the API key, or "socket:<uid>"
	ClientIP string // the end user's address as the portal gives it; may be empty
	Request  string // correlation id
}

// Status is a challenge's state.
type Status string

// The states of a challenge.
const (
	Pending    Status = "pending"
	Verified   Status = "verified"
	BlockedOut Status = "blocked"
	ExpiredOut Status = "expired"
	Canceled   Status = "canceled"
	Superseded Status = "superseded"
)

// AccountView is what an account looks like from outside.
type AccountView struct {
	Account   string
	Grade     int
	PINSet    bool
	SMS       IdentityView
	CreatedAt time.Time
	UpdatedAt time.Time
}

// IdentityView is one way of an account to get codes.
type IdentityView struct {
	Type      string // "sms"
	Status    string // disabled, pending, enabled
	Phone     string // masked
	EnabledAt time.Time
	LastUsed  time.Time
}

// ChallengeView is what a challenge looks like from outside.
type ChallengeView struct {
	ID           string
	Account      string
	Purpose      Purpose
	Status       Status
	Phone        string // masked
	CreatedAt    time.Time
	ExpiresAt    time.Time
	ResendAfter  time.Time
	SendsLeft    int
	AttemptsLeft int
	Message      gateway.Message // the latest send; To and Text are empty
	ClientSecret string          // only in the answer to the first send, when the purpose asks for one
	RateLimit    LimitState      // only in the answer to a send: the limit with the least left
}

// Transaction is what a withdrawal's code is bound to. All three come again, equal, at verify.
type Transaction struct {
	Amount   string `json:"amount"`   // decimal with a point
	Currency string `json:"currency"` // ISO 4217
	Payee    string `json:"payee"`
}
