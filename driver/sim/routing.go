package sim

import (
	"encoding/hex"
	"fmt"
	"strings"
	"time"
)

// ackTime is how long a routed message waits for +CNMA before the modem stops routing (TS 27.005 3.4.1, the network's
// time-out of TS 24.011).
const ackTime = 15 * time.Second

// maxHeld bounds the lines that wait for the prompt to close or for +CNMI mode 0 to end.
const maxHeld = 200

// arrival is one SMS-DELIVER or SMS-STATUS-REPORT that the network has for this modem.
type arrival struct {
	report bool
	tp     []byte
	class  int // of a text; 4: none
}

// routing is what the network has for the modem, and where the modem puts it.
type routing struct {
	memories [3]string
	pending  []arrival  // waits for registration, for memory or for +CNMA
	held     [][]string // lines that wait for the prompt to close
	buffered [][]string // lines that wait because +CNMI's mode is 0
	awaiting bool       // +CNMA is due
	toldFull bool
	ackTimer int // counts routed messages: tells an old timer from the current one
}

// arrive takes one message from the network.
func (m *Modem) arrive(a arrival) {
	m.route.pending = append(m.route.pending, a)
	m.flushRouted()
}

// flushRouted says what waited and routes what is pending, as far as it goes.
func (m *Modem) flushRouted() {
	if m.at.edit != nil || m.booting {
		return
	}
	held := m.route.held
	m.route.held = nil
	for _, lines := range held {
		m.urc(lines...)
	}
	for len(m.route.pending) > 0 && m.registered() && m.routeOne(m.route.pending[0]) {
		m.route.pending = m.route.pending[1:]
	}
}

// routeOne routes one message by +CNMI; false means that it must wait.
func (m *Modem) routeOne(a arrival) bool {
	mt, ds := m.set.cnmi[1], m.set.cnmi[3]
	switch {
	case a.report && ds == 0:
		return true // TS 27.005 3.4.1: not routed, and not stored either
	case a.report && ds == 1:
		return m.direct("+CDS", a)
	case a.report:
		return m.keep(a, m.reports(), "+CDSI")
	case mt == 2 && a.class != 2, mt == 3 && a.class == 3:
		return m.direct("+CMT", a)
	case mt == 0:
		return m.keep(a, m.mem.boxes[m.route.memories[2]], "")
	}
	return m.keep(a, m.mem.boxes[m.route.memories[2]], "+CMTI")
}

// direct hands a message to the host at once; in phase 2+ the next waits until +CNMA, and all wait for a host that does
// not read.
func (m *Modem) direct(tag string, a arrival) bool {
	if m.route.awaiting || m.sess != nil && m.sess.out.unheard() {
		return false
	}
	m.notify(m.directLines(tag, a)...)
	if m.set.csms != 1 {
		return true
	}
	m.route.awaiting = true
	m.route.ackTimer++
	n := m.route.ackTimer
	m.after(ackTime, func() {
		if m.route.awaiting && m.route.ackTimer == n {
			m.route.awaiting = false
			m.set.cnmi[1], m.set.cnmi[3] = 0, 0
			m.route.pending = append([]arrival{a}, m.route.pending...)
			m.flushRouted()
		}
	})
	return true
}

func (m *Modem) directLines(tag string, a arrival) []string {
	if m.set.textMode {
		return m.textDirect(tag, a)
	}
	pdu := strings.ToUpper(hex.EncodeToString(withSMSC(m.sim.smsc, a.tp)))
	if a.report {
		return []string{fmt.Sprintf("%s: %d", tag, len(a.tp)), pdu}
	}
	return []string{fmt.Sprintf("%s: ,%d", tag, len(a.tp)), pdu}
}

// keep stores a message and tells where; a full memory leaves it with the network.
func (m *Modem) keep(a arrival, b *box, tag string) bool {
	if m.full(b) {
		if m.kind.MemoryFull != "" && !m.route.toldFull {
			m.route.toldFull = true
			m.urc(m.fill(m.kind.MemoryFull))
		}
		return false
	}
	m.route.toldFull = false
	index, _ := b.put(&stored{status: recUnread, pdu: withSMSC(m.sim.smsc, a.tp), report: a.report})
	if tag == "" {
		return true
	}
	name := m.route.memories[2]
	if a.report {
		name = b.name
		if m.kind.CDSIMemory != "" {
			name = m.kind.CDSIMemory
		}
	}
	m.notify(fmt.Sprintf(`%s: "%s",%d`, tag, name, index))
	return true
}

// notify says a line of +CNMI's, or keeps it while the mode is 0.
func (m *Modem) notify(lines ...string) {
	if m.set.cnmi[0] != 0 {
		m.urc(lines...)
		return
	}
	if len(m.route.buffered) < maxHeld {
		m.route.buffered = append(m.route.buffered, lines)
	}
}

// acknowledge is +CNMA.
func (m *Modem) acknowledge() reply {
	if m.set.csms != 1 || !m.route.awaiting {
		return fail(cms(340))
	}
	m.route.awaiting = false
	m.after(0, m.flushRouted)
	return reply{}
}
