// Package wire holds the JSON bodies of Otpost's HTTP API, version 1. The server makes the OpenAPI document and its
// checks from these types, and the Go client sends and reads them, so the two cannot drift apart.
//
// Names are snake_case, times RFC 3339 in UTC, codes always strings, phones in answers always masked. The packages that
// use it decide what the values mean; nothing here has behaviour but redaction.
package wire

import (
	"log/slog"
	"time"
)

// Secret is a string that must not show up in logs: codes, PINs, phones, texts, keys. On the wire it is a plain string.
type Secret string

// LogValue keeps the value out of logs.
func (Secret) LogValue() slog.Value { return slog.StringValue("redacted") }

// GoString keeps the value out of %#v.
func (Secret) GoString() string { return `"redacted"` }

// String keeps the value out of %v and %s; convert with string(s) to use it.
func (Secret) String() string { return "redacted" }

// Account is a client's Main account as the portal knows it.
type Account struct {
	Account    string     `json:"account" doc:"The portal's own id of the account." example:"client-4711"`
	Grade      int        `json:"grade" doc:"The account's grade: 0 until security codes are on, then at least 1." example:"1"`
	PINSet     bool       `json:"pin_set" doc:"Whether the account has a PIN." example:"true"`
	Identities Identities `json:"identities" doc:"The account's ways to get security codes."`
	CreatedAt  time.Time  `json:"created_at" doc:"When the account came into being here."`
	UpdatedAt  time.Time  `json:"updated_at" doc:"When the account was last changed."`
}

// Identities are the ways of an account to get codes.
type Identities struct {
	SMS Identity `json:"sms" doc:"Security codes by SMS."`
}

// Identity is one way of an account to get codes.
type Identity struct {
	Status     string    `json:"status" enum:"disabled,pending,enabled" doc:"Pending: a code was sent and not yet confirmed." example:"enabled"`
	Phone      string    `json:"phone,omitempty" doc:"The phone, masked." example:"+44********23"`
	EnabledAt  time.Time `json:"enabled_at,omitzero" doc:"When codes were turned on."`
	LastUsedAt time.Time `json:"last_used_at,omitzero" doc:"When a code to this phone was last confirmed."`
}

// SetPIN is the body of PUT /v1/accounts/{account}/pin.
type SetPIN struct {
	PIN        Secret `json:"pin" minLength:"1" maxLength:"64" doc:"The new PIN: 4 to 12 digits, not a trivial one." example:"739154"`
	CurrentPIN Secret `json:"current_pin,omitempty" maxLength:"64" doc:"The PIN so far; needed when one is set." example:"264801"`
}

// SetGrade is the body of PUT /v1/accounts/{account}/grade.
type SetGrade struct {
	Grade int `json:"grade" minimum:"0" maximum:"100" doc:"The new grade." example:"2"`
}

// Enable is the body of POST /v1/accounts/{account}/sms/enable.
type Enable struct {
	Phone    Secret `json:"phone" minLength:"1" maxLength:"64" doc:"The phone, E.164 (or national digits when a default region is configured)." example:"+447700900123"`
	Locale   string `json:"locale,omitempty" maxLength:"35" pattern:"^[A-Za-z]{2,8}([-_][A-Za-z0-9]{1,8})*$" patternDescription:"a BCP 47 language tag" doc:"Language of the text, as a BCP 47 tag." example:"en"`
	ClientIP string `json:"client_ip,omitempty" maxLength:"45" doc:"The end user's address, for the limits per client." example:"198.51.100.7"`
}

// EnableVerify is the body of POST /v1/accounts/{account}/sms/enable/verify.
type EnableVerify struct {
	Code Secret `json:"code" minLength:"1" maxLength:"64" doc:"The digits from the text; spaces, hyphens and other scripts' digits are understood." example:"123456"`
	PIN  Secret `json:"pin" minLength:"1" maxLength:"64" doc:"The account's PIN." example:"739154"`
}

// Disable is the body of POST /v1/accounts/{account}/sms/disable.
type Disable struct {
	Locale   string `json:"locale,omitempty" maxLength:"35" pattern:"^[A-Za-z]{2,8}([-_][A-Za-z0-9]{1,8})*$" patternDescription:"a BCP 47 language tag" doc:"Language of the text, as a BCP 47 tag." example:"en"`
	ClientIP string `json:"client_ip,omitempty" maxLength:"45" doc:"The end user's address, for the limits per client." example:"198.51.100.7"`
}

// DisableVerify is the body of POST /v1/accounts/{account}/sms/disable/verify.
type DisableVerify struct {
	Code Secret `json:"code" minLength:"1" maxLength:"64" doc:"The digits from the text." example:"123456"`
}

// Transaction is what a withdrawal's code is bound to.
type Transaction struct {
	Amount   string `json:"amount" minLength:"1" maxLength:"40" pattern:"^[0-9]{1,24}([.][0-9]{1,12})?$" patternDescription:"a decimal number with a point" doc:"The amount, as it is shown to the client." example:"250.00"`
	Currency string `json:"currency" minLength:"3" maxLength:"10" pattern:"^[A-Z0-9]{3,10}$" patternDescription:"a currency code" doc:"ISO 4217 code." example:"EUR"`
	Payee    string `json:"payee" minLength:"1" maxLength:"80" doc:"Who gets it, as it is shown to the client." example:"DE89 3704 0044 0532 0130 00"`
}

// CreateChallenge is the body of POST /v1/challenges.
type CreateChallenge struct {
	Account     string       `json:"account" minLength:"1" maxLength:"128" pattern:"^[A-Za-z0-9][A-Za-z0-9._:@-]{0,127}$" patternDescription:"an account id" doc:"The portal's own id of the account." example:"client-4711"`
	Purpose     string       `json:"purpose" minLength:"1" maxLength:"80" pattern:"^(login|withdrawal|operation:[a-z0-9][a-z0-9._-]{0,62})$" patternDescription:"login, withdrawal or operation:<slug>" doc:"What is confirmed: login, withdrawal or operation:<slug>." example:"withdrawal"`
	PIN         Secret       `json:"pin,omitempty" maxLength:"64" doc:"The account's PIN, where the purpose asks for it (withdrawal does)." example:"739154"`
	Transaction *Transaction `json:"transaction,omitempty" doc:"What the code is bound to, where the purpose asks for it (withdrawal does)."`
	Locale      string       `json:"locale,omitempty" maxLength:"35" pattern:"^[A-Za-z]{2,8}([-_][A-Za-z0-9]{1,8})*$" patternDescription:"a BCP 47 language tag" doc:"Language of the text, as a BCP 47 tag." example:"en"`
	ClientIP    string       `json:"client_ip,omitempty" maxLength:"45" doc:"The end user's address, for the limits per client." example:"198.51.100.7"`
}

// VerifyChallenge is the body of POST /v1/challenges/{id}/verify.
type VerifyChallenge struct {
	Code         Secret       `json:"code" minLength:"1" maxLength:"64" doc:"The digits from the text." example:"123456"`
	PIN          Secret       `json:"pin,omitempty" maxLength:"64" doc:"The account's PIN, where the purpose asks for it now." example:"739154"`
	Transaction  *Transaction `json:"transaction,omitempty" doc:"The same three values as at the challenge's creation, where it had them."`
	ClientSecret Secret       `json:"client_secret,omitempty" maxLength:"128" doc:"The secret from the challenge's creation, where the purpose gave one."`
}

// Challenge is one question "does this person hold that phone?".
type Challenge struct {
	ID           string           `json:"id" doc:"The challenge's id." example:"chl_01k9w3b5x8t2q4r6s7v9y0z1a2"`
	Account      string           `json:"account" doc:"The account it is for." example:"client-4711"`
	Purpose      string           `json:"purpose" doc:"What is confirmed." example:"withdrawal"`
	Status       string           `json:"status" enum:"pending,verified,blocked,expired,canceled,superseded" doc:"Where it stands." example:"pending"`
	Phone        string           `json:"phone" doc:"The phone, masked." example:"+44********23"`
	CreatedAt    time.Time        `json:"created_at" doc:"When it was created."`
	ExpiresAt    time.Time        `json:"expires_at" doc:"When it ends unanswered."`
	ResendAfter  time.Time        `json:"resend_after,omitzero" doc:"When a resend is allowed again."`
	SendsLeft    int              `json:"sends_left" doc:"How many sends are left." example:"2"`
	AttemptsLeft int              `json:"attempts_left" doc:"How many answers are left before a block." example:"5"`
	Message      ChallengeMessage `json:"message" doc:"The latest text that carries its code."`
	ClientSecret string           `json:"client_secret,omitempty" doc:"To be kept by the caller and given at verify; only in the answer to a send, when the purpose asks for one."`
}

// ChallengeMessage is how the text of a challenge fares.
type ChallengeMessage struct {
	ID     string `json:"id,omitempty" doc:"The message's id." example:"msg_01k9w3b5x8t2q4r6s7v9y0z1a2"`
	Status string `json:"status,omitempty" doc:"The message's state." example:"queued"`
	Parts  int    `json:"parts,omitempty" doc:"How many SMS it takes; known once it was handed over." example:"1"`
}

// FailureCounter is where one counter of wrong answers stands.
type FailureCounter struct {
	Of         string    `json:"of" enum:"account,phone,pin" doc:"What it counts by: codes by the account, codes by its phone, or the account's PIN." example:"account"`
	Failures   int       `json:"failures" doc:"Wrong answers since the last right one." example:"3"`
	Left       int       `json:"left" doc:"Answers that somebody known may still give before a block." example:"2"`
	BlockedFor int       `json:"blocked_for" doc:"Seconds of a block for everyone that are left." example:"0"`
	Strangers  int       `json:"strangers_blocked_for" doc:"Seconds of a block for addresses (or accounts) that never succeeded." example:"0"`
	Locked     bool      `json:"locked" doc:"Whether only an unlock helps." example:"false"`
	LastAt     time.Time `json:"last_at,omitzero" doc:"When it last changed."`
}

// FailureCounters are all that judge an account's answers.
type FailureCounters struct {
	Counters []FailureCounter `json:"counters" nullable:"false" doc:"All that judge the account's answers."`
}
