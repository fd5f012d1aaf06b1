package sim

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/warthog618/sms/encoding/tpdu"
)

// NetworkConfig says what network to simulate. The zero value is a good network that takes no time.
type NetworkConfig struct {
	Operator    string            // its name; default "Otpost"
	PLMN        string            // default "00101", the test network
	USSD        map[string]string // answers to service codes; *100# tells the credit by itself
	CreditCause int               // CMS cause of a send without credit; default 21
	NoMagic     bool              // recipients' last digits order nothing (see [Magic])
	Seed        uint64            // of all that is left to chance
	Log         *slog.Logger      // default: discards
}

// Network is the simulated network and the phones in it. Several modems may share one. Its methods may be called from
// any goroutine.
type Network struct {
	cfg NetworkConfig

	mu      sync.Mutex // guards everything below
	phones  map[string]*phone
	modems  []*Modem
	changed chan struct{} // closed and replaced when an inbox changed
	next    uint64        // id of the next message
	refs    int           // concatenation reference of the next inbound text
	faults  faultList
	held    centre
	sent    uint64
}

// NewNetwork makes a network without phones: one appears when it is first texted.
func NewNetwork(cfg NetworkConfig) *Network {
	if cfg.Operator == "" {
		cfg.Operator = "Otpost"
	}
	if cfg.PLMN == "" {
		cfg.PLMN = "00101"
	}
	if cfg.CreditCause == 0 {
		cfg.CreditCause = 21
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	n := &Network{cfg: cfg, phones: map[string]*phone{}, changed: make(chan struct{}), held: centre{}}
	n.faults.seed(cfg.Seed)
	return n
}

func (n *Network) attach(m *Modem) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, other := range n.modems {
		if other.cfg.Name == m.cfg.Name {
			return fmt.Errorf("simulated modem %s: another one in this network has that name", m.cfg.Name)
		}
		if other.id.number == m.id.number || other.id.imsi == m.id.imsi {
			return fmt.Errorf("simulated modem %s: modem %s has the same seed or number", m.cfg.Name, other.cfg.Name)
		}
	}
	n.modems = append(n.modems, m)
	return nil
}

func (n *Network) detach(m *Modem) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for i, other := range n.modems {
		if other == m {
			n.modems = append(n.modems[:i:i], n.modems[i+1:]...)
			return
		}
	}
}

// Modems are the modems in the network.
func (n *Network) Modems() []*Modem {
	n.mu.Lock()
	defer n.mu.Unlock()
	return append([]*Modem(nil), n.modems...)
}

// Modem finds one by its name; nil if there is none.
func (n *Network) Modem(name string) *Modem {
	for _, m := range n.Modems() {
		if m.cfg.Name == name {
			return m
		}
	}
	return nil
}

// Errors of Text.
var (
	// ErrNoModem means that no modem of the network has that number or name.
	ErrNoModem = errors.New("no simulated modem has that number or name")
	// ErrBadText means that a text or a number cannot be sent.
	ErrBadText = errors.New("not a text that a handset can send")
)

// Text sends an inbound text from a handset to a modem, chosen by its number or name; "" chooses the only one.
func (n *Network) Text(from, to, text string) error {
	if from == "" || len(from) > 20 || text == "" || len(text) > 10_000 {
		return fmt.Errorf("%w: want a sender of at most 20 characters and a text", ErrBadText)
	}
	m := n.find(to)
	if m == nil {
		return ErrNoModem
	}
	n.mu.Lock()
	n.refs++
	ref := n.refs & 0xff
	n.mu.Unlock()
	pdus, err := deliverPDUs(from, text, ref, time.Now())
	if err != nil {
		return errors.Join(ErrBadText, err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, tp := range pdus {
		m.arrive(arrival{tp: tp, class: 4})
	}
	return nil
}

func (n *Network) find(to string) *Modem {
	modems := n.Modems()
	if to == "" && len(modems) == 1 {
		return modems[0]
	}
	for _, m := range modems {
		if m.cfg.Name == to || to != "" && m.id.number == normal(to) {
			return m
		}
	}
	return nil
}

// Sent counts the submits that the network accepted: what happened, whatever the modem said of it.
func (n *Network) Sent() uint64 {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.sent
}

// verdict is the network's answer to a submit.
type verdict struct {
	cause   int // CMS cause of a refusal; 0: accepted
	reports []plannedReport
}

type plannedReport struct {
	after time.Duration
	tp    []byte
}

// submit takes an SMS-SUBMIT from a modem (whose mutex is held): refuses it, or brings it to the phone.
func (n *Network) submit(m *Modem, t *tpdu.TPDU, ref uint8, to string) verdict {
	n.mu.Lock()
	defer n.mu.Unlock()
	now := time.Now()
	how := n.faults.network(m.cfg.Name, to, n.cfg.NoMagic, now)
	if how.cause != 0 {
		return verdict{cause: how.cause}
	}
	key := heldKey{from: m.id.number, to: to, ref: ref}
	if t.FirstOctet.RD() && n.held.holds(key, now) {
		return verdict{cause: duplicate}
	}
	n.sent++
	if how.delay > validity(t, now) {
		how.lose = true // TP-VP: the service centre gives up before the phone is there
	}
	switch {
	case how.lose:
		n.held.hold(key, now, now.Add(validity(t, now)))
	case how.status == 0:
		n.held.hold(key, now, now.Add(how.delay))
		n.receive(m, t, to, now.Add(how.delay))
	}
	return verdict{reports: n.reports(m, t, ref, how, now)}
}

// reports plans the delivery reports of an accepted submit, if it asked for one.
func (n *Network) reports(m *Modem, t *tpdu.TPDU, ref uint8, how treatment, now time.Time) []plannedReport {
	if !t.FirstOctet.SRR() || how.noReport {
		return nil
	}
	var out []plannedReport
	plan := func(after time.Duration, status byte) {
		tp, err := reportPDU(ref, t.DA, now, now.Add(after), status)
		if err != nil {
			n.cfg.Log.Error("no delivery report for a simulated text", "error", err)
			return
		}
		out = append(out, plannedReport{after: after, tp: tp})
	}
	delay := how.delay + m.cfg.ReportDelay + how.reportDelay
	switch {
	case how.lose:
		plan(validity(t, now), 0x46) // TS 23.040 9.2.3.15: validity period expired
	case how.status != 0:
		plan(delay, how.status)
	default:
		if how.trying {
			plan(m.cfg.ReportDelay, 0x30) // still trying
		}
		for range 1 + how.duplicates {
			plan(delay, 0)
		}
	}
	return out
}

// Clear forgets all messages, faults and phones.
func (n *Network) Clear() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.phones, n.held = map[string]*phone{}, centre{}
	n.faults.list = nil
}

// slowness is the time that a submit takes longer than the modem's own.
func (n *Network) slowness(m *Modem, to string) time.Duration {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.faults.slowness(m.cfg.Name, to, n.cfg.NoMagic, time.Now())
}

// suffix says whether a number ends in what a fault asks for.
func suffix(number, want string) bool { return want == "" || strings.HasSuffix(number, want) }
