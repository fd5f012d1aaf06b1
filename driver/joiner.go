package driver

import (
	"fmt"
	"strings"
	"time"

	"github.com/warthog618/sms/encoding/tpdu"
)

// Bounds of joining inbound texts.
const (
	joinLimit  = 24 * time.Hour // after this a text is handed on with its gaps
	joinNumber = 64             // texts that wait for parts at once
)

// joiner collects the parts of inbound texts. The parts stay in the modem's storage until the whole text has been taken,
// so what it knows can be lost and found again by a sweep.
type joiner struct{ open map[string]*partial }

type partial struct {
	from  string
	sent  time.Time
	since time.Time
	parts []*tpdu.TPDU
	slots []slot
}

// joined is a whole text, and where its parts are stored.
type joined struct {
	from, text string
	sent       time.Time
	slots      []slot
}

func newJoiner() joiner { return joiner{open: map[string]*partial{}} }

// add files one part; ok says that whole is a complete text.
func (j joiner) add(at slot, t *tpdu.TPDU, now time.Time) (whole joined, ok bool) {
	total, seq, ref, multi := t.ConcatInfo()
	if !multi || total < 2 || seq < 1 || seq > total {
		total, seq, ref = 1, 1, -1
	}
	p := &partial{from: t.OA.Number(), sent: t.SCTS.Time, since: now, parts: make([]*tpdu.TPDU, total)}
	key := fmt.Sprintf("%s/%d/%d", p.from, ref, total)
	if total > 1 {
		if old, found := j.open[key]; found {
			p = old
		} else if len(j.open) >= joinNumber {
			return joined{}, false // stays in storage
		} else {
			j.open[key] = p
		}
	}
	p.parts[seq-1] = t
	p.keep(at)
	if p.missing() > 0 {
		return joined{}, false
	}
	delete(j.open, key)
	return p.join(), true
}

func (p *partial) keep(at slot) {
	for _, s := range p.slots {
		if s == at {
			return
		}
	}
	if at.stored() {
		p.slots = append(p.slots, at)
	}
}

func (p *partial) missing() (n int) {
	for _, t := range p.parts {
		if t == nil {
			n++
		}
	}
	return n
}

// join decodes the parts in order, each run of present ones together, so that a character split between two survives.
func (p *partial) join() joined {
	var b strings.Builder
	for start := 0; start < len(p.parts); {
		end := start
		for end < len(p.parts) && p.parts[end] != nil {
			end++
		}
		if end == start {
			b.WriteString("[…]")
			start++
			continue
		}
		text, err := textOf(p.parts[start:end])
		if err != nil {
			text = "[…]"
		}
		b.WriteString(text)
		start = end
	}
	return joined{from: p.from, text: b.String(), sent: p.sent, slots: p.slots}
}

// expire hands on, with their gaps, the texts that waited too long, or all of them when the storage is crowded.
func (j joiner) expire(now time.Time, crowded bool, take func(joined)) {
	for key, p := range j.open {
		if crowded || now.Sub(p.since) > joinLimit {
			delete(j.open, key)
			take(p.join())
		}
	}
}
