package sim

import (
	"time"
)

// effects are the faults that are at work in a modem. Its mutex guards them.
type effects struct {
	active map[string]Fault // by id

	silent, garbage, echo, loopback, stuck bool
	askPIN, storageFull, cutting, offline  bool
	pause                                  time.Duration // before each byte
	rest                                   [][]byte      // kept back by partial-line
}

// begin puts a fault to work; it ends after d, or stays for 0.
func (m *Modem) begin(f Fault, d time.Duration) {
	if m.faults.active == nil {
		m.faults.active = map[string]Fault{}
	}
	if _, on := m.faults.active[f.ID]; on {
		return
	}
	m.log.Info("a simulated fault begins", "kind", string(f.Kind), "fault", f.ID)
	m.faults.active[f.ID] = f
	m.faults.recount(m)
	if d > 0 {
		m.after(d, func() { m.end(f.ID) })
	}
	switch f.Kind {
	case URCFlood:
		m.flood(f.ID, 0)
	case Garbage:
		m.noise(f.ID)
	case BootLoop:
		m.reboot(f.ID)
	case LostPort:
		m.unplug(f.ID)
	case NoSignal, AskPIN:
		m.announce()
	}
}

// end takes a fault away.
func (m *Modem) end(id string) {
	f, on := m.faults.active[id]
	if !on {
		return
	}
	m.log.Info("a simulated fault ends", "kind", string(f.Kind), "fault", id)
	delete(m.faults.active, id)
	m.faults.recount(m)
	switch f.Kind {
	case LostPort:
		m.replug()
	case PartialLine:
		rest := m.faults.rest
		m.faults.rest = nil
		for _, b := range rest {
			m.write(b)
		}
	case NoSignal, AskPIN:
		m.announce()
	}
	m.flushRouted()
	m.pump()
}

// recount derives the switches from the faults at work.
func (e *effects) recount(m *Modem) {
	on := map[Kind]bool{}
	e.pause = 0
	for _, f := range e.active {
		on[f.Kind] = true
		if f.Kind == SlowBytes {
			e.pause = max(e.pause, f.Delay)
		}
	}
	e.silent, e.garbage, e.echo, e.loopback = on[Silence], on[Garbage], on[Echo], on[Loopback]
	e.stuck, e.askPIN, e.storageFull = on[StuckPrompt], on[AskPIN], on[StorageFull]
	e.cutting, e.offline = on[PartialLine], on[NoSignal]
	if m.sess != nil {
		m.sess.out.slow(e.pause)
	}
}

// intercept is what the interpreter gets of what the host typed.
func (e *effects) intercept(m *Modem, b []byte) []byte {
	switch {
	case e.silent, m.deaf:
		return nil
	case e.loopback:
		m.write(b)
		return nil
	}
	return b
}

// distort is what the host gets of what the modem says.
func (e *effects) distort(m *Modem, b []byte) []byte {
	data := append([]byte(nil), b...)
	switch {
	case e.silent:
		return nil
	case e.cutting && len(e.rest) == 0:
		half := (len(data) + 1) / 2
		e.rest = append(e.rest, data[half:])
		data = data[:half]
	case e.cutting:
		if len(e.rest) < maxHeld {
			e.rest = append(e.rest, data)
		}
		return nil
	case e.garbage:
		m.junk(data)
	}
	return data
}

// junk fills b with what a wrong baud rate makes of an answer: mostly bytes above ASCII, no line that means anything.
func (m *Modem) junk(b []byte) {
	for i := range b {
		switch n := m.rng.IntN(20); n {
		case 0:
			b[i] = '\r'
		case 1:
			b[i] = 0
		default:
			b[i] = byte(0x80 + m.rng.IntN(0x80))
		}
	}
}

// The paces of what goes on by itself.
const (
	floodPace  = 20 * time.Millisecond
	noisePace  = 100 * time.Millisecond
	rebootPace = 3 * time.Second
)

func (m *Modem) flood(id string, i int) {
	if _, on := m.faults.active[id]; !on || len(m.kind.Flood) == 0 {
		return
	}
	m.urc(m.fill(m.kind.Flood[i%len(m.kind.Flood)]))
	m.after(floodPace, func() { m.flood(id, i+1) })
}

func (m *Modem) noise(id string) {
	if _, on := m.faults.active[id]; !on {
		return
	}
	m.write(make([]byte, 10+m.rng.IntN(30))) // distort makes junk of it
	m.after(noisePace, func() { m.noise(id) })
}

func (m *Modem) reboot(id string) {
	if _, on := m.faults.active[id]; !on {
		return
	}
	m.boot(0)
	m.after(rebootPace, func() { m.reboot(id) })
}

// strike lets the fault that is due at this point of a send happen; struck means that it made the answer.
func (m *Modem) strike(p Point, to string) (r reply, struck bool) {
	f := m.net.due(m.cfg.Name, to, p)
	if f == nil {
		return reply{}, false
	}
	return m.happen(*f, p)
}

// happen is a fault at a point before the network has the message.
func (m *Modem) happen(f Fault, p Point) (r reply, struck bool) {
	lasts := f.For
	if lasts == 0 {
		lasts = strikeTime
	}
	switch f.Kind {
	case CMSError:
		return fail(cms(f.Cause)), true
	case PlainError:
		return fail(resultError), true
	case LostResult:
		return reply{mute: true}, true
	case BareOK:
		return reply{}, true
	case LateResult:
		boot := m.boots
		m.after(f.Delay, func() {
			if m.boots == boot {
				m.finish(fail(cms(332)))
			}
		})
		return reply{later: true}, true
	case StuckPrompt:
		m.begin(f, lasts)
		return reply{edit: &edit{done: func(string) reply { return fail(cms(500)) }}}, true
	case AskPIN:
		m.begin(f, lasts)
		return fail(cms(311)), true
	case Silence, BootLoop, LostPort:
		m.begin(f, lasts)
		return reply{mute: true}, true
	}
	m.begin(f, lasts)
	return reply{}, false
}

// strikeAccepted is a fault after the network has the message.
func (m *Modem) strikeAccepted(answer reply, to string) (r reply, struck bool) {
	if f := m.net.due(m.cfg.Name, to, MidLine); f != nil {
		return m.halve(answer, *f)
	}
	f := m.net.due(m.cfg.Name, to, AfterAccept)
	if f == nil {
		return reply{}, false
	}
	switch f.Kind {
	case WrongReference:
		m.ref += 100
		return info("+CMGS:" + m.gap() + "255"), true
	case LateResult:
		boot := m.boots
		m.after(f.Delay, func() {
			if m.boots == boot {
				m.finish(answer)
			}
		})
		return reply{later: true}, true
	}
	return m.happen(*f, AfterAccept)
}

// halve says half of the answer's line, and then the fault happens.
func (m *Modem) halve(answer reply, f Fault) (r reply, struck bool) {
	if f.Kind == PartialLine && f.For > 0 { // it does the halving itself
		m.begin(f, f.For)
		return answer, true
	}
	line := m.lineBreak() + answer.info[len(answer.info)-1]
	m.write([]byte(line[:len(line)/2]))
	if f.Kind != PartialLine {
		if r, struck = m.happen(f, MidLine); struck {
			return r, true
		}
	}
	return reply{mute: true}, true
}
