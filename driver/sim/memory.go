package sim

import (
	"encoding/hex"
	"strings"
)

// The states of a stored message (TS 27.005 3.1).
const (
	recUnread = iota
	recRead
	stoUnsent
	stoSent
	anyStatus
)

// stored is one message in a memory: the PDU with its SMSC, as CMGR shows it.
type stored struct {
	status int
	pdu    []byte
	report bool
}

// tpduLen is the length that CMGR and CMGL tell: without the SMSC.
func (s *stored) tpduLen() int {
	if len(s.pdu) == 0 {
		return 0
	}
	return len(s.pdu) - 1 - int(s.pdu[0])
}

func (s *stored) hex() string { return strings.ToUpper(hex.EncodeToString(s.pdu)) }

// box is one memory.
type box struct {
	name  string
	base  int
	slots []*stored
}

func (b *box) used() int {
	n := 0
	for _, s := range b.slots {
		if s != nil {
			n++
		}
	}
	return n
}

// put stores at the first free index.
func (b *box) put(s *stored) (index int, ok bool) {
	for i, old := range b.slots {
		if old == nil {
			b.slots[i] = s
			return i + b.base, true
		}
	}
	return 0, false
}

func (b *box) get(index int) *stored {
	if i := index - b.base; i >= 0 && i < len(b.slots) {
		return b.slots[i]
	}
	return nil
}

func (b *box) has(index int) bool { return index >= b.base && index < b.base+len(b.slots) }

func (b *box) remove(index int) { b.slots[index-b.base] = nil }

// memory is all memories of a modem, by name.
type memory struct {
	boxes map[string]*box
}

func newMemory(kind *Personality) *memory {
	m := &memory{boxes: map[string]*box{}}
	for _, c := range kind.Memories {
		if c.Same != "" {
			m.boxes[c.Name] = m.boxes[c.Same]
			continue
		}
		m.boxes[c.Name] = &box{name: c.Name, base: c.Base, slots: make([]*stored, c.Size)}
	}
	return m
}

// reports is where status reports are stored: SR, or the memory for received messages on a modem without it.
func (m *Modem) reports() *box {
	if b := m.mem.boxes["SR"]; b != nil {
		return b
	}
	return m.mem.boxes[m.route.memories[2]]
}

// full says whether a memory takes no more, by itself or by a fault.
func (m *Modem) full(b *box) bool { return m.faults.storageFull || b.used() == len(b.slots) }

func (m *Modem) usage(b *box) (used, total int) {
	if m.faults.storageFull {
		return len(b.slots), len(b.slots)
	}
	return b.used(), len(b.slots)
}
