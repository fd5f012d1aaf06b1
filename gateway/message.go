// Package gateway is the queue between those who send and the modems: lanes, deadlines, routing, pacing, the send
// ledger, delivery reports and events.
//
// An accepted message is a promise. Every change of a message is one durable transaction that checks the old state; the
// hand-over to a modem is durable before the first byte reaches it; nothing is transmitted after its deadline; nothing is
// sent twice unless it was refused or its policy allows the one resend. A message's text is rendered at the moment of
// sending through a function handed in, so no code is ever written to the queue.
package gateway

import (
	"context"
	"time"

	"otpost/driver"
	"otpost/gateway/store"
)

// Status is a message's state.
type Status string

// The states of a message: queued → sending → sent → delivered | undelivered, or one of the other ends.
const (
	Queued      Status = "queued"
	Sending     Status = "sending"
	Sent        Status = "sent"
	Delivered   Status = "delivered"
	Undelivered Status = "undelivered"
	Failed      Status = "failed"
	Expired     Status = "expired"
	Canceled    Status = "canceled"
	Uncertain   Status = "uncertain"
)

// Lane is a priority: lower numbers go first.
type Lane int

// The lanes, most urgent first.
const (
	LaneWithdrawal Lane = iota // withdrawal and operations
	LaneLogin
	LaneEnrol // enable and disable
	LaneText
	Lanes int = iota
)

func (l Lane) String() string {
	return [...]string{"withdrawal", "login", "enrol", "text"}[l]
}

// Kind tells a code from a text.
type Kind string

// The kinds of message.
const (
	KindCode Kind = "code" // rendered at the moment of sending from Ref
	KindText Kind = "text" // carries its text until it is final
)

// Uncertainty is what may be done about a message that may or may not have gone out.
type Uncertainty string

// The policies for uncertain messages.
const (
	ResendOnce Uncertainty = "resend_once" // once more, same text, TP-RD set, if its life allows
	Keep       Uncertainty = "keep"        // never
)

// Draft is a message to be enqueued.
type Draft struct {
	To       string // E.164
	Country  string // ISO 3166 alpha-2 of To, for conversion and metrics; empty: unknown
	Kind     Kind
	Lane     Lane
	Ref      string // for KindCode: what the Renderer needs to know (a challenge id and generation)
	Text     string // for KindText
	Account  string // the account it belongs to, for events in order and erasure; may be empty
	Purpose  string // for events and conversion; may be empty
	NotAfter time.Time
	Flash    bool
	Unsure   Uncertainty // empty: by kind, from the configuration
	Request  string      // correlation id of the request that asks for it, for the log; may be empty
}

// Message is the ledger's record of one message. To and Text are secrets and redacted in logs.
type Message struct {
	ID          string      `json:"id"`
	To          string      `json:"to"`
	Country     string      `json:"country,omitempty"`
	Kind        Kind        `json:"kind"`
	Lane        Lane        `json:"lane"`
	Ref         string      `json:"ref,omitempty"`
	Text        string      `json:"text,omitempty"`
	Account     string      `json:"account,omitempty"`
	Purpose     string      `json:"purpose,omitempty"`
	Flash       bool        `json:"flash,omitempty"`
	Unsure      Uncertainty `json:"unsure,omitempty"`
	Request     string      `json:"request,omitempty"` // correlation id of the request that asked for it
	Status      Status      `json:"status"`
	Parts       int         `json:"parts,omitempty"` // as estimated until a modem has encoded it
	Again       bool        `json:"again,omitempty"` // the next hand-over is the one permitted second send
	Shun        string      `json:"shun,omitempty"`  // a SIM that failed this recipient lately: another one first
	ConcatRef   uint8       `json:"concat_ref,omitempty"`
	Attempts    []Attempt   `json:"attempts,omitempty"`
	Error       string      `json:"error,omitempty"`    // a stable code: "cms-38", "expired-in-queue", "canceled", …
	Verified    bool        `json:"verified,omitempty"` // its code came back
	CreatedAt   time.Time   `json:"created_at"`
	NotBefore   time.Time   `json:"not_before,omitzero"` // set aside until then
	NotAfter    time.Time   `json:"not_after"`
	SentAt      time.Time   `json:"sent_at,omitzero"`
	DeliveredAt time.Time   `json:"delivered_at,omitzero"`
	FinalAt     time.Time   `json:"final_at,omitzero"`
}

// Attempt is one hand-over of a message to a modem.
type Attempt struct {
	Modem      string         `json:"modem"`
	ICCID      string         `json:"iccid,omitempty"`
	Outcome    driver.Outcome `json:"outcome,omitempty"` // empty while sending
	Class      driver.Class   `json:"class,omitempty"`
	Code       string         `json:"code,omitempty"`
	Again      bool           `json:"again,omitempty"`      // the one permitted second send
	First      int            `json:"first,omitempty"`      // parts that earlier attempts had got accepted
	References []uint8        `json:"references,omitempty"` // of the parts from First on
	Taken      int            `json:"taken,omitempty"`      // parts accepted, also those without a reference
	Reports    []PartReport   `json:"reports,omitempty"`    // as long as References once the first has come
	ClaimedAt  time.Time      `json:"claimed_at"`
	DoneAt     time.Time      `json:"done_at,omitzero"` // zero while the modem still owes its verdict
}

// PartReport is what the network last said of one part.
type PartReport struct {
	Status byte      `json:"status"` // TP-ST
	At     time.Time `json:"at,omitzero"`
}

// Modem is what the gateway needs of a driver. *driver.Modem is one; simulations bring their own.
type Modem interface {
	Name() string
	// Send hands s over and returns its one verdict. ctx is looked at only before the first byte.
	Send(ctx context.Context, s driver.Submit) driver.Result
	Status() driver.Status
}

// Renderer makes the text of a code message at the moment of sending, inside the transaction that claims it. An error
// that wraps ErrMoot cancels the message (the code is no longer wanted); any other is a failure of the message.
type Renderer func(tx store.Txn, now time.Time, m Message) (string, error)

// Event is something that happened, written in the transaction that caused it.
type Event struct {
	ID      string         `json:"id"` // evt_…, ascending
	Type    string         `json:"type"`
	At      time.Time      `json:"at"`
	Account string         `json:"account,omitempty"` // events of one account are delivered in order
	Data    map[string]any `json:"data,omitempty"`    // never a code, PIN, text or full number
}
