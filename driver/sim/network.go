package sim

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sort"
	"strings"
	"sync"
	"time"

	"github.com/warthog618/sms/encoding/tpdu"
)

// What a phone keeps.
const (
	keepMessages = 500
	keepFor      = 24 * time.Hour
	maxPhones    = 10_000
	maxPartial   = 1_000
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
	sent    uint64
}

// phone is a handset's inbox, oldest first; a message may still be on its way (ReceivedAt lies ahead).
type phone struct {
	inbox   []Message
	partial map[partKey]*partial
}

// partKey tells which parts belong together (TS 23.040 9.2.3.24.1).
type partKey struct {
	from       string
	ref, total int
}

type partial struct {
	parts []*tpdu.TPDU
	have  int
	at    time.Time
}

// Message is a text that a phone got.
type Message struct {
	ID         uint64    `json:"id"`
	To         string    `json:"to"`
	From       string    `json:"from"`
	Text       string    `json:"text"`
	Code       string    `json:"code,omitempty"` // the last run of 6 to 10 digits in it
	Parts      int       `json:"parts"`
	Flash      bool      `json:"flash,omitempty"` // class 0
	Modem      string    `json:"modem"`
	ReceivedAt time.Time `json:"received_at"`
}

// Filter chooses messages; its zero value chooses all.
type Filter struct {
	To      string    // the phone's number, as it was dialled
	After   time.Time // received later than this
	AfterID uint64    // with a greater id
	Limit   int       // at most so many, the newest; 0: all
}

func (f Filter) matches(msg *Message, now time.Time) bool {
	return !msg.ReceivedAt.After(now) && msg.ReceivedAt.After(f.After) && msg.ID > f.AfterID
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
	n := &Network{cfg: cfg, phones: map[string]*phone{}, changed: make(chan struct{})}
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

// Messages are those that a filter chooses, newest first.
func (n *Network) Messages(f Filter) []Message {
	n.mu.Lock()
	defer n.mu.Unlock()
	out, _ := n.choose(f, time.Now())
	return out
}

// Wait is Messages, but waits until there is one; if ctx ends first, its error is returned.
func (n *Network) Wait(ctx context.Context, f Filter) ([]Message, error) {
	for {
		n.mu.Lock()
		now := time.Now()
		out, due := n.choose(f, now)
		changed := n.changed
		n.mu.Unlock()
		if len(out) > 0 {
			return out, nil
		}
		if err := pause(ctx, changed, due, now); err != nil {
			return nil, err
		}
	}
}

// pause waits for a change, for the next message that is on its way, or for ctx.
func pause(ctx context.Context, changed <-chan struct{}, due, now time.Time) error {
	var arrives <-chan time.Time
	if !due.IsZero() {
		t := time.NewTimer(due.Sub(now))
		defer t.Stop()
		arrives = t.C
	}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-changed:
	case <-arrives:
	}
	return nil
}

// choose also tells when the next message arrives that is on its way (zero: none is).
func (n *Network) choose(f Filter, now time.Time) (out []Message, due time.Time) {
	for number, p := range n.phones {
		if f.To != "" && number != normal(f.To) {
			continue
		}
		p.forget(now)
		for i := range p.inbox {
			msg := &p.inbox[i]
			if msg.ReceivedAt.After(now) && (due.IsZero() || msg.ReceivedAt.Before(due)) {
				due = msg.ReceivedAt
			}
			if f.matches(msg, now) {
				out = append(out, *msg)
			}
		}
	}
	sort.Slice(out, func(i, j int) bool {
		if !out[i].ReceivedAt.Equal(out[j].ReceivedAt) {
			return out[i].ReceivedAt.After(out[j].ReceivedAt)
		}
		return out[i].ID > out[j].ID
	})
	if f.Limit > 0 && len(out) > f.Limit {
		out = out[:f.Limit]
	}
	return out, due
}

// forget drops what is too old or too much.
func (p *phone) forget(now time.Time) {
	keep := p.inbox[:0]
	for i, msg := range p.inbox {
		if i >= len(p.inbox)-keepMessages && now.Sub(msg.ReceivedAt) < keepFor {
			keep = append(keep, msg)
		}
	}
	clear(p.inbox[len(keep):])
	p.inbox = keep
	for k, part := range p.partial {
		if now.Sub(part.at) >= keepFor {
			delete(p.partial, k)
		}
	}
}

// Delete removes the messages that a filter chooses and says how many.
func (n *Network) Delete(f Filter) int {
	n.mu.Lock()
	defer n.mu.Unlock()
	count, now := 0, time.Now()
	for number, p := range n.phones {
		if f.To != "" && number != normal(f.To) {
			continue
		}
		keep := p.inbox[:0]
		for i := range p.inbox {
			if f.matches(&p.inbox[i], now) {
				count++
				continue
			}
			keep = append(keep, p.inbox[i])
		}
		clear(p.inbox[len(keep):])
		p.inbox = keep
	}
	return count
}

// Phone is one handset of the network, in brief.
type Phone struct {
	Number   string    `json:"number"`
	Messages int       `json:"messages"`
	LastAt   time.Time `json:"last_at"`
}

// Phones are the handsets that were texted, the one with the newest message first.
func (n *Network) Phones() []Phone {
	n.mu.Lock()
	defer n.mu.Unlock()
	out, now := []Phone{}, time.Now()
	for number, p := range n.phones {
		p.forget(now)
		ph := Phone{Number: number}
		for _, msg := range p.inbox {
			if !msg.ReceivedAt.After(now) {
				ph.Messages++
				ph.LastAt = msg.ReceivedAt
			}
		}
		out = append(out, ph)
	}
	sort.Slice(out, func(i, j int) bool {
		if !out[i].LastAt.Equal(out[j].LastAt) {
			return out[i].LastAt.After(out[j].LastAt)
		}
		return out[i].Number < out[j].Number
	})
	return out
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
	n.sent++
	if !how.lose && how.status == 0 {
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

// receive puts a part on the phone; a message shows when all its parts are there.
func (n *Network) receive(m *Modem, t *tpdu.TPDU, to string, at time.Time) {
	p := n.phone(to)
	if p == nil {
		return
	}
	parts := p.join(m.id.number, t, at)
	if parts == nil {
		return
	}
	text, err := decodeText(parts)
	if err != nil {
		n.cfg.Log.Error("a simulated phone cannot read a text", "error", err)
		return
	}
	class, err := t.DCS.Class()
	n.next++
	p.inbox = append(p.inbox, Message{
		ID: n.next, To: to, From: m.id.number, Text: text, Code: codeOf(text), Parts: len(parts),
		Flash: err == nil && class == tpdu.MClass0, Modem: m.cfg.Name, ReceivedAt: at.UTC(),
	})
	p.forget(at)
	close(n.changed)
	n.changed = make(chan struct{})
}

func (n *Network) phone(number string) *phone {
	p := n.phones[number]
	if p == nil && len(n.phones) < maxPhones {
		p = &phone{partial: map[partKey]*partial{}}
		n.phones[number] = p
	}
	return p
}

// join collects the parts of a message and returns them in order when none is missing.
func (p *phone) join(from string, t *tpdu.TPDU, at time.Time) []*tpdu.TPDU {
	total, seq, ref, ok := t.ConcatInfo()
	if !ok || total < 2 {
		return []*tpdu.TPDU{t}
	}
	if seq < 1 || seq > total {
		return nil
	}
	k := partKey{from: from, ref: ref, total: total}
	part := p.partial[k]
	if part == nil {
		if len(p.partial) >= maxPartial {
			return nil
		}
		part = &partial{parts: make([]*tpdu.TPDU, total)}
		p.partial[k] = part
	}
	if part.parts[seq-1] == nil {
		part.have++
	}
	part.parts[seq-1], part.at = t, at
	if part.have < total {
		return nil
	}
	delete(p.partial, k)
	return part.parts
}

// Clear forgets all messages, faults and phones.
func (n *Network) Clear() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.phones = map[string]*phone{}
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
