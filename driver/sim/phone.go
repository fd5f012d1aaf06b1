package sim

import (
	"context"
	"sort"
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
	return !msg.ReceivedAt.After(now) && now.Sub(msg.ReceivedAt) < keepFor && msg.ReceivedAt.After(f.After) && msg.ID > f.AfterID
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
	for _, p := range n.texted(f.To) {
		for i := len(p.inbox) - 1; i >= 0 && p.inbox[i].ID > f.AfterID; i-- { // an inbox is in the order of its ids
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

// texted are the phones with that number, as it was dialled, or all for "".
func (n *Network) texted(to string) map[string]*phone {
	if to == "" {
		return n.phones
	}
	number := normal(to)
	if p, ok := n.phones[number]; ok {
		return map[string]*phone{number: p}
	}
	return nil
}

// forget drops what is too old or too much, the oldest first.
func (p *phone) forget(now time.Time) {
	for len(p.inbox) > keepMessages || len(p.inbox) > 0 && now.Sub(p.inbox[0].ReceivedAt) >= keepFor {
		p.inbox[0] = Message{} // so that its text goes
		p.inbox = p.inbox[1:]
	}
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
	for _, p := range n.texted(f.To) {
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
