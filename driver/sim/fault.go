package sim

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Kind is what goes wrong.
type Kind string

// The kinds of faults. Those of the modem last for Fault.For from where they strike; those of a send strike one send at
// a time; those of the network change what becomes of an accepted text.
const (
	Silence     Kind = "silence"      // the modem is dead: hears and says nothing
	Garbage     Kind = "garbage"      // it talks as at a wrong baud rate
	Echo        Kind = "echo"         // it echoes, whatever ATE says
	Loopback    Kind = "loopback"     // the line comes back and no modem answers
	URCFlood    Kind = "urc-flood"    // 50 unsolicited lines a second
	BootLoop    Kind = "boot-loop"    // it restarts, again and again
	StuckPrompt Kind = "stuck-prompt" // it stays at the prompt, whatever is typed
	AskPIN      Kind = "pin"          // the SIM asks for its PIN
	SlowBytes   Kind = "slow-bytes"   // a pause (Delay, default 20ms) before each byte
	StorageFull Kind = "storage-full" // all message memory is full
	LostPort    Kind = "lost-port"    // the port hangs up, and comes back
	PartialLine Kind = "partial-line" // half an answer, the rest (if For is set) later
	NoSignal    Kind = "no-network"   // not registered

	CMSError       Kind = "cms"             // the send is refused with Cause
	PlainError     Kind = "error"           // the send is answered ERROR
	LostResult     Kind = "lost-result"     // no answer to the send
	LateResult     Kind = "late-result"     // the answer comes Delay later
	BareOK         Kind = "bare-ok"         // OK without a reference
	WrongReference Kind = "wrong-reference" // the reference of no message of ours
	Slow           Kind = "slow"            // the network takes Delay longer to answer

	Delayed         Kind = "delay"            // the text arrives Delay later
	Lose            Kind = "lose"             // the text never arrives; the report says so when its life is over
	NoReport        Kind = "no-report"        // the delivery report never comes
	LateReport      Kind = "late-report"      // it comes Delay later
	DuplicateReport Kind = "duplicate-report" // it comes twice
	FailedReport    Kind = "failed-report"    // the text does not arrive, and the report says so at once with Status
)

// Point is where in a send a fault strikes.
type Point string

// The points of a send.
const (
	Now          Point = "now"           // at once, whatever the modem is doing
	BeforePrompt Point = "before-prompt" // after +CMGS=, instead of or before the prompt
	AfterSubmit  Point = "after-submit"  // after Ctrl-Z, before the network has it
	AfterAccept  Point = "after-accept"  // the network has it; before the answer
	MidLine      Point = "mid-line"      // in the middle of the answer's line
	InNetwork    Point = "network"       // where the network's kinds strike; filled in by itself
)

// Fault is one thing that goes wrong. Which modem and recipients, where, for how long and how often is chosen; what is
// left out has a sensible default.
type Fault struct {
	ID          string        `yaml:"id"`
	Kind        Kind          `yaml:"kind"`
	Modem       string        `yaml:"modem"`       // its name; empty: all
	To          string        `yaml:"to"`          // the recipient's last digits; empty: all
	At          Point         `yaml:"at"`          // default: by kind
	After       time.Duration `yaml:"after"`       // begins so much later
	For         time.Duration `yaml:"for"`         // how long it lasts; 0: until it is removed, or by kind at a point
	Sends       int           `yaml:"sends"`       // strikes so many sends, then is over; 0: no limit
	Probability float64       `yaml:"probability"` // of striking a send, seeded; 0: always
	Delay       time.Duration `yaml:"delay"`
	Cause       int           `yaml:"cause"`  // CMS cause of cms
	Status      int           `yaml:"status"` // TP-ST of failed-report
}

// ErrBadFault is what is wrong with a fault; the error says more.
var ErrBadFault = errors.New("bad fault")

// ErrNoFault means that there is no fault of that id.
var ErrNoFault = errors.New("no such fault")

// strikeTime is how long a fault lasts that strikes at a point and says nothing of its own.
const strikeTime = 5 * time.Second

// Kinds are all kinds of faults.
func Kinds() []Kind { return slices.Concat(lastingKinds(), sendKinds(), networkKinds()) }

func lastingKinds() []Kind {
	return []Kind{
		Silence, Garbage, Echo, Loopback, URCFlood, BootLoop, StuckPrompt, AskPIN, SlowBytes, StorageFull, LostPort,
		PartialLine, NoSignal,
	}
}

func sendKinds() []Kind {
	return []Kind{CMSError, PlainError, LostResult, LateResult, BareOK, WrongReference}
}

func networkKinds() []Kind {
	return []Kind{Slow, Delayed, Lose, NoReport, LateReport, DuplicateReport, FailedReport}
}

// complete checks a fault and fills in what it leaves out.
func (f Fault) complete() (Fault, error) {
	bad := func(format string, args ...any) (Fault, error) {
		return Fault{}, fmt.Errorf("%w: %s", ErrBadFault, fmt.Sprintf(format, args...))
	}
	if !slices.Contains(Kinds(), f.Kind) {
		return bad("unknown kind %q: there are %s", f.Kind, list(Kinds()))
	}
	network := slices.Contains(networkKinds(), f.Kind)
	points := []Point{"", Now, BeforePrompt, AfterSubmit, AfterAccept, MidLine}
	switch {
	case !slices.Contains(points, f.At) && f.At != InNetwork:
		return bad("unknown point %q: there are %s", f.At, list(points[1:]))
	case network && f.At != "" && f.At != InNetwork:
		return bad("%s has no point: it is what the network does", f.Kind)
	case f.At == Now && slices.Contains(sendKinds(), f.Kind):
		return bad("%s strikes a send: at must be a point of it", f.Kind)
	case f.At == BeforePrompt && f.To != "":
		return bad("before the prompt the modem does not know the recipient: leave out to, or choose another point")
	case f.After < 0 || f.For < 0 || f.Delay < 0 || f.Sends < 0:
		return bad("after, for, delay and sends are not negative")
	case f.Probability < 0 || f.Probability > 1:
		return bad("probability is from 0 to 1")
	case f.Cause != 0 && (f.Cause < 1 || f.Cause > 999):
		return bad("cause is from 1 to 999")
	case f.Status != 0 && (f.Status < 0x20 || f.Status > 0xff):
		return bad("status is a TP-ST that is not a delivery: from 32 to 255")
	case len(f.ID) > 64 || len(f.Modem) > 64 || len(f.To) > 20:
		return bad("id and modem have at most 64 characters, to at most 20")
	}
	f.fill(network)
	return f, nil
}

// fill puts in the defaults.
func (f *Fault) fill(network bool) {
	if f.At == "" {
		f.At = f.defaultPoint(network)
	}
	if f.Kind == CMSError && f.Cause == 0 {
		f.Cause = 38
	}
	if f.Kind == FailedReport && f.Status == 0 {
		f.Status = 0x46
	}
	if f.Delay == 0 {
		f.Delay = map[Kind]time.Duration{
			SlowBytes: 20 * time.Millisecond, LateResult: 10 * time.Second, Slow: 10 * time.Second,
			Delayed: 30 * time.Second, LateReport: 30 * time.Second,
		}[f.Kind]
	}
	if f.Probability == 0 {
		f.Probability = 1
	}
}

func (f *Fault) defaultPoint(network bool) Point {
	switch {
	case network:
		return InNetwork
	case f.Kind == CMSError || f.Kind == PlainError:
		return AfterSubmit
	case slices.Contains(sendKinds(), f.Kind):
		return AfterAccept
	case f.Kind == PartialLine && f.Sends+len(f.To) > 0:
		return MidLine
	case f.Kind == StuckPrompt && f.To == "":
		return BeforePrompt
	case f.Sends > 0 || f.To != "":
		return AfterSubmit
	}
	return Now
}

func list[T ~string](all []T) string {
	out := make([]string, len(all))
	for i, s := range all {
		out[i] = string(s)
	}
	return strings.Join(out, ", ")
}

// armed is a fault in the list.
type armed struct {
	Fault
	from  time.Time
	until time.Time // zero: no end
	left  int       // sends; -1: no limit
	hits  int
}

func (a *armed) live(now time.Time) bool {
	return !now.Before(a.from) && (a.until.IsZero() || now.Before(a.until)) && a.left != 0
}

// faultList is what was ordered and is not over. The network's mutex guards it.
type faultList struct {
	list []*armed
	rng  *rand.Rand
	next int
}

func (l *faultList) seed(seed uint64) { l.rng = rand.New(rand.NewPCG(seed, 0xfa0175)) }

// find is the first live fault for a send at a point, counted as struck; nil if there is none.
func (l *faultList) find(modem, to string, points []Point, magic bool, now time.Time) *Fault {
	for _, a := range l.list {
		if !slices.Contains(points, a.At) || a.Modem != "" && a.Modem != modem || !suffix(to, a.To) || !a.live(now) {
			continue
		}
		if a.Probability < 1 && l.rng.Float64() >= a.Probability {
			continue
		}
		a.hits++
		if a.left > 0 {
			a.left--
		}
		f := a.Fault
		return &f
	}
	if f, ok := Magic(to); magic && ok && slices.Contains(points, f.At) {
		return &f
	}
	return nil
}

// treatment is what the network does with one text.
type treatment struct {
	cause       int
	lose        bool
	noReport    bool
	trying      bool
	delay       time.Duration
	reportDelay time.Duration
	duplicates  int
	status      byte
}

// network decides about one text: all faults of the network that match work together, each at most once.
func (l *faultList) network(modem, to string, noMagic bool, now time.Time) treatment {
	var t treatment
	for _, kind := range networkKinds() {
		if f := l.ofKind(kind, modem, to, noMagic, now); f != nil && kind != Slow {
			t.apply(f)
		}
	}
	return t
}

func (l *faultList) ofKind(kind Kind, modem, to string, noMagic bool, now time.Time) *Fault {
	one := faultList{rng: l.rng}
	for _, a := range l.list {
		if a.Kind == kind {
			one.list = append(one.list, a)
		}
	}
	f := one.find(modem, to, []Point{InNetwork}, !noMagic, now)
	if f == nil || f.Kind != kind {
		return nil
	}
	return f
}

func (t *treatment) apply(f *Fault) {
	switch f.Kind {
	case Delayed:
		t.delay = f.Delay
	case Lose:
		t.lose = true
	case NoReport:
		t.noReport = true
	case LateReport:
		t.reportDelay, t.trying = f.Delay, true
	case DuplicateReport:
		t.duplicates = 1
	case FailedReport:
		t.status = byte(f.Status)
	}
}

// slowness is how much longer the network takes to answer a submit.
func (l *faultList) slowness(modem, to string, noMagic bool, now time.Time) time.Duration {
	if f := l.ofKind(Slow, modem, to, noMagic, now); f != nil {
		return f.Delay
	}
	return 0
}

// Magic is the fault that a recipient's last five digits order, so that a portal's own tests need no other call:
//
//	99ccc  refused with CMS cause ccc (99038 network out of order, 99021 no credit, 99500 unknown error)
//	98001  the network takes 10 s to answer
//	98002  arrives, and is never reported
//	98003  does not arrive, and the report says so
//	98004  arrives, and the modem never answers (the verdict stays open until the report)
//	98005  reported twice
//	98006  arrives 30 s late
//	98007  the report says "still trying", and 30 s later "delivered"
//	98008  the modem answers 30 s late
//	98009  the port hangs up after Ctrl-Z and comes back after 5 s
//	98010  does not arrive, and no report ever comes before its life is over
func Magic(to string) (Fault, bool) {
	if len(to) < 8 {
		return Fault{}, false
	}
	last := to[len(to)-5:]
	n, err := strconv.Atoi(last[2:])
	if err != nil || n == 0 {
		return Fault{}, false
	}
	var f Fault
	switch last[:2] {
	case "99":
		f = Fault{Kind: CMSError, Cause: n}
	case "98":
		kinds := map[int]Fault{
			1: {Kind: Slow}, 2: {Kind: NoReport}, 3: {Kind: FailedReport}, 4: {Kind: LostResult},
			5: {Kind: DuplicateReport}, 6: {Kind: Delayed}, 7: {Kind: LateReport},
			8: {Kind: LateResult, Delay: 30 * time.Second}, 9: {Kind: LostPort, To: last, For: strikeTime}, 10: {Kind: Lose},
		}
		f = kinds[n]
	}
	if f.Kind == "" {
		return Fault{}, false
	}
	f.ID = "number-" + last
	f, err = f.complete()
	return f, err == nil
}
