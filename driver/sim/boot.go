package sim

import (
	"time"
)

// bootTime is how long a modem needs after power-up at least.
const bootTime = 500 * time.Millisecond

// boot restarts the modem: what was running is forgotten, the settings are those of power-up, the boot lines come, and
// at their end it is registered.
func (m *Modem) boot(extra time.Duration) {
	m.boots++
	m.booting, m.deaf = true, true
	m.at = interpreter{last: m.at.last}
	m.route.awaiting, m.route.held, m.route.buffered = false, nil, nil
	m.reset()
	m.sim.powerUp(m.cfg.NoSIM)
	m.radio.fun, m.radio.stat = 1, 2
	boot, at := m.boots, extra
	for _, l := range m.kind.Boot {
		at += l.After
		m.after(at, func() {
			if m.boots == boot {
				m.bootLine(l.Text)
			}
		})
	}
	m.after(max(at, bootTime), func() {
		if m.boots == boot {
			m.booted()
		}
	})
}

// bootLine is said while everything else waits; from the first on the modem listens.
func (m *Modem) bootLine(text string) {
	m.deaf = false
	if text == "+CPIN: READY" && m.cardState() != cardReady {
		if m.cardState() == cardMissing {
			return
		}
		text = "+CPIN: " + string(m.cardState())
	}
	end := m.lineBreak()
	m.write([]byte(end + m.fill(text) + end))
}

func (m *Modem) booted() {
	m.booting, m.deaf = false, false
	m.radio.stat = 1
	m.announce()
	m.flushRouted()
}

// unplug pulls the modem out of its port until replug.
func (m *Modem) unplug(string) {
	if m.back != nil {
		return
	}
	m.back = make(chan struct{})
	m.boots++
	m.at = interpreter{}
	if m.sess != nil {
		m.sess.unplug()
		m.sess = nil
	}
	if m.tty != nil {
		m.tty.hangUp()
	}
}

// replug puts it back: powered up anew, on a new terminal under the same link.
func (m *Modem) replug() {
	if m.back == nil {
		return
	}
	if m.tty != nil {
		if err := m.tty.replug(); err != nil {
			m.log.Error("a simulated modem does not come back, trying again", "error", err)
			m.after(time.Second, m.replug)
			return
		}
	}
	close(m.back)
	m.back = nil
	m.boot(0)
}

// chatter starts the lines that the personality says again and again.
func (m *Modem) chatter() {
	for _, l := range m.kind.Chatter {
		m.repeat(l)
	}
}

func (m *Modem) repeat(l Line) {
	m.after(max(l.After, time.Second), func() {
		if m.sess != nil && m.registered() && m.set.values["quiet"] != "0" {
			m.urc(m.fill(l.Text))
		}
		m.repeat(l)
	})
}
