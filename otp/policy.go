package otp

import (
	"maps"
	"time"

	"otpost/gateway"
)

// Policy is the configurable part of the rules; DefaultPolicy has the defaults of DESIGN 4.
type Policy struct {
	Countries     []string                  // ISO 3166 alpha-2; "*" alone: every country
	DefaultRegion string                    // for national numbers; empty: only E.164
	Purposes      map[Purpose]PurposePolicy // the four built-in ones, and every operation:<slug> that may be asked for
	Resend        ResendPolicy
	Failures      FailurePolicy
	Limits        LimitPolicy
	Pumping       PumpingPolicy
	PIN           PINPolicy
	Grade         GradePolicy
	Texts         TextPolicy
	Currencies    []string // accepted beside ISO 4217, three to five capitals and digits ("USDT")
}

// PINUse says when a purpose asks for the PIN.
type PINUse string

// The uses of the PIN.
const (
	PINNone     PINUse = "none"
	PINAtCreate PINUse = "create"
	PINAtVerify PINUse = "verify"
)

// ResendMode says whether a resend repeats the code or makes a new one, which ends the old one's life.
type ResendMode string

// The modes of resending.
const (
	ResendSame   ResendMode = "same"
	ResendRotate ResendMode = "rotate"
)

// PurposePolicy is how challenges of one purpose behave.
type PurposePolicy struct {
	TTL          time.Duration
	Digits       int
	PIN          PINUse
	Transaction  bool // the code is bound to amount, currency and payee
	Resend       ResendMode
	Lane         gateway.Lane
	ClientSecret bool // send returns a secret that verify must bring
}

// ResendPolicy bounds the sends of one challenge.
type ResendPolicy struct {
	Cooldown []time.Duration // after the first send, after the second, …; the last one repeats
	Sends    int             // in all, the first included
}

// FailurePolicy is how wrong answers are answered, see failures.go.
type FailurePolicy struct {
	Max       int           // consecutive failures that block
	Strangers int           // of these, how many may come from addresses that never succeeded, once one has
	Block     time.Duration // the first block; each further one is twice as long
	MaxBlock  time.Duration
	LockAfter int // failures without a success after which only an unlock helps (NIST SP 800-63B-4 3.2.2: at most 100)
}

// LimitPolicy holds the quotas of sends. Zero: no such limit.
type LimitPolicy struct {
	PhoneHour        int
	PhoneDay         int
	AccountDay       int
	AccountNewPhones int // different phones in a day
	ClientHour       int // per client address, IPv6 by /64
	PrefixDay        int // per calling code and three digits
	KeyHour          int // per API key
}

// PumpingMode says what the pumping guard does.
type PumpingMode string

// The modes of the pumping guard.
const (
	PumpingOff     PumpingMode = "off"
	PumpingObserve PumpingMode = "observe" // only counts what it would have refused
	PumpingEnforce PumpingMode = "enforce"
)

// PumpingPolicy is the guard against paid traffic made by asking for codes that nobody verifies, see pumping.go.
type PumpingPolicy struct {
	Mode          PumpingMode
	CountryFloor  int           // unverified sends a day that are always allowed
	PrefixFloor   int           // the same, per prefix
	PeakShare     float64       // of the best day of verified sends in the last 14
	RecentShare   float64       // of the verified sends of the last 24 h
	BlockedFor    time.Duration // how long a country or prefix is refused once its budget is spent
	ExemptCountry []string      // never refused
}

// PINMode says who keeps the PINs.
type PINMode string

// The keepers of PINs.
const (
	PINLocal  PINMode = "local"
	PINPortal PINMode = "portal" // asked through Config.PIN
)

// PINPolicy is the shape of PINs and the cost of guessing one from a stolen hash (argon2id).
type PINPolicy struct {
	Mode      PINMode
	MinDigits int
	MaxDigits int
	MemoryKiB uint32
	Time      uint32
	Threads   uint8
}

// OnDisable says what disabling SMS codes does to the grade.
type OnDisable string

// The effects of disabling on the grade.
const (
	GradeKeep   OnDisable = "keep"
	GradeRevoke OnDisable = "revoke" // takes a grade 1 that enabling gave
)

// GradePolicy is the rule of grades.
type GradePolicy struct {
	OnDisable OnDisable
	Max       int // the highest grade that may be set
}

const (
	maxTTL    = 10 * time.Minute // DESIGN 4.5; OWASP ASVS 5.0 6.5.5
	minTTL    = 30 * time.Second
	minDigits = 6 // NIST SP 800-63B-4 3.1.3.2: at least six decimal digits
	maxDigits = 10
)

// DefaultPolicy returns the defaults. Countries is empty and has to be set.
func DefaultPolicy() Policy {
	return Policy{
		Purposes: map[Purpose]PurposePolicy{
			SMSEnable:  {TTL: 5 * time.Minute, Digits: 6, PIN: PINAtVerify, Resend: ResendSame, Lane: gateway.LaneEnrol},
			SMSDisable: {TTL: 5 * time.Minute, Digits: 6, PIN: PINNone, Resend: ResendSame, Lane: gateway.LaneEnrol},
			Login:      {TTL: 5 * time.Minute, Digits: 6, PIN: PINNone, Resend: ResendSame, Lane: gateway.LaneLogin},
			Withdrawal: {TTL: 5 * time.Minute, Digits: 6, PIN: PINAtCreate, Transaction: true, Resend: ResendRotate, Lane: gateway.LaneWithdrawal},
		},
		Resend: ResendPolicy{Cooldown: []time.Duration{30 * time.Second, time.Minute, 2 * time.Minute}, Sends: 3},
		Failures: FailurePolicy{
			Max: 5, Strangers: 3, Block: 15 * time.Minute, MaxBlock: 24 * time.Hour, LockAfter: 100,
		},
		Limits: LimitPolicy{
			PhoneHour: 5, PhoneDay: 10, AccountDay: 20, AccountNewPhones: 3, ClientHour: 30, PrefixDay: 10_000, KeyHour: 20_000,
		},
		Pumping: PumpingPolicy{
			Mode: PumpingObserve, CountryFloor: 20, PrefixFloor: 20, PeakShare: 0.3, RecentShare: 0.3, BlockedFor: 12 * time.Hour,
		},
		PIN:   PINPolicy{Mode: PINLocal, MinDigits: 4, MaxDigits: 12, MemoryKiB: 19 * 1024, Time: 2, Threads: 1},
		Grade: GradePolicy{OnDisable: GradeKeep, Max: 9},
		Texts: TextPolicy{DefaultLocale: "en"},
	}
}

// DefaultOperation returns the policy from which the configuration of an operation:<slug> starts.
func DefaultOperation() PurposePolicy {
	return PurposePolicy{TTL: 5 * time.Minute, Digits: 6, PIN: PINNone, Resend: ResendRotate, Lane: gateway.LaneWithdrawal}
}

// clone returns a copy that shares nothing that the caller may change later.
func (p Policy) clone() Policy {
	p.Purposes = maps.Clone(p.Purposes)
	return p
}
