// Package driver drives one GSM/LTE modem over a serial port with AT commands (3GPP TS 27.005, 27.007) and PDUs (3GPP
// TS 23.040). It knows nothing of codes, queues or policies.
//
// A [Modem] is one loop that owns one port: open, initialise, use, undo, back off, open again. Its parts, each one small
// file behind one small interface: the port wrapper above tarm/serial, the filter that cleans the byte stream, the `at`
// package of warthog618/modem, the PDU codec over warthog618/sms, and the recovery ladder.
package driver

import (
	"context"
	"time"
)

// Outcome says how a hand-over to a modem ended.
type Outcome string

// The three outcomes. There is no fourth: whatever happens to a modem, a submit ends in one of these.
const (
	Accepted Outcome = "accepted" // the network took every part; References holds their TP-MR
	Refused  Outcome = "refused"  // it did not go out: refused by modem or network, or nothing was submitted; safe to retry
	Unknown  Outcome = "unknown"  // it may have gone out: no final result after Ctrl-Z, reset, unplugged in between
)

// Class says whose fault a refusal is; it decides retry, other modem, or the end.
type Class string

// The classes of +CMS ERROR and +CME ERROR causes, and of refusals that the driver makes itself.
const (
	ClassNone      Class = ""
	ClassRecipient Class = "recipient" // this number cannot be reached: final, never held against the modem
	ClassContent   Class = "content"   // this PDU is not acceptable: final
	ClassNetwork   Class = "network"   // transient: back off, another modem may try
	ClassCredit    Class = "credit"    // the SIM is out of credit or barred: quarantine the SIM
	ClassSIM       Class = "sim"       // SIM missing, busy, locked, wrong: another modem
	ClassStorage   Class = "storage"   // message memory full: sweep, then retry
	ClassModem     Class = "modem"     // the modem failed: counts towards its reset
	ClassUnknown   Class = "unknown"   // a cause that is in no table: treated as modem-class once, then final
)

// Submit is one message to hand to a modem. It is a secret: Text must not be logged, and String redacts it.
type Submit struct {
	To        string        // E.164 with the leading +
	Text      string        // UTF-8; GSM-7 when it fits the default alphabet, else UCS-2 (3GPP TS 23.038)
	Validity  time.Duration // life left: nothing leaves after it; what is left of it at each part becomes TP-VP, rounded up to a step
	ConcatRef uint8         // TP-UDH concatenation reference when there are several parts
	SkipParts int           // parts that an earlier attempt already got accepted
	Again     bool          // this is the one permitted second send: TP-RD (reject duplicates) is set
	Flash     bool          // class 0
	More      bool          // the queue holds more for this modem: +CMMS may keep the link open
	Message   string        // the caller's id of it, for the log; may be empty
	Request   string        // correlation id of the request that asked for it, for the log; may be empty

	// Yield is asked between two parts, by the modem's loop: true leaves the rest to another hand-over (Refused with
	// CodeYielded and what was taken), because something more urgent waits. nil: the parts go back to back.
	Yield func() bool
}

// Result is the verdict on a Submit.
type Result struct {
	Outcome    Outcome
	References []uint8   // TP-MR of each part accepted now, in order; may be non-empty with Refused or Unknown too
	Taken      int       // parts accepted now, also those whose reference the modem did not tell
	Parts      int       // how many parts the whole message has
	Class      Class     // of a refusal
	Code       string    // "cms-38", "cme-14", "error", "no-prompt", "not-ready", …; never free text from the modem
	ICCID      string    // the SIM that was used; empty when none was reached
	Submitted  time.Time // when Ctrl-Z of the last part went out; zero: nothing did
	Done       time.Time // when the verdict fell
}

// Report is one SMS-STATUS-REPORT (3GPP TS 23.040 9.2.2.3).
type Report struct {
	ICCID     string    // the SIM it came to
	Reference uint8     // TP-MR
	Recipient string    // TP-RA, as the network wrote it
	Status    byte      // TP-ST: 0x00-0x1f delivered (0x00 received), 0x20-0x3f still trying, 0x40-0x6f permanent, 0x70- temporary and ended
	Sent      time.Time // TP-SCTS, by the network's clock and to the second; zero: not told
	At        time.Time // when it reached us, by our clock: TP-DT is the network's, and no good for comparing with ours
}

// Final says whether the network has stopped trying, and Delivered whether the phone has the part.
func (r Report) Final() bool     { return r.Status < 0x20 || r.Status >= 0x40 }
func (r Report) Delivered() bool { return r.Status < 0x03 }

// Inbound is one text that arrived, its parts joined.
type Inbound struct {
	ICCID string
	From  string
	Text  string // secret, as all texts
	Sent  time.Time
	At    time.Time
}

// State is where a modem stands.
type State string

// The states of a modem.
const (
	StateAbsent       State = "absent"       // no such device; waited for
	StateStarting     State = "starting"     // open, being initialised
	StateSearching    State = "searching"    // initialised, not registered: the queue holds
	StateReady        State = "ready"        // registered; sends
	StateRecovering   State = "recovering"   // in the recovery ladder
	StateSIMLocked    State = "sim-locked"   // wants a PIN or PUK that must not be tried
	StateSIMMissing   State = "sim-missing"  // no SIM
	StateDown         State = "down"         // opened but useless (no modem answers, port held by another process); LastError says why
	StateInterrogated State = "interrogated" // only for probe: identified, not used
)

// Status is a snapshot of a modem.
type Status struct {
	Name         string
	State        State
	Device       string // the port it is on now
	Manufacturer string
	Model        string
	Revision     string
	IMEI         string
	IMSI         string
	ICCID        string
	Operator     string
	Registration string // "home", "roaming", "searching", "denied", "none", "unknown"
	SignalDBm    int    // 0: unknown
	SMSC         string
	Reports      bool // delivery reports are routed to us
	StorageUsed  int
	StorageTotal int
	LastGood     time.Time // last sensible answer
	LastError    string    // of our own making; never text from a message
	Resets       map[string]uint64
	Since        time.Time // of State
	Sending      bool
}

// Handler takes what a modem produces. Calls come in order; a call that returns an error is repeated later with the same
// value (the message stays in the modem's memory where it can), so it must be idempotent. While it takes a report a send may
// begin and end, and the call for what comes during that send may overlap.
type Handler interface {
	// Report takes a delivery report; it returns nil once that is durable.
	Report(ctx context.Context, modem string, r Report) error
	// Inbound takes a text; it returns nil once that is durable.
	Inbound(ctx context.Context, modem string, in Inbound) error
	// Changed tells of a new Status; it must not block.
	Changed(s Status)
}
