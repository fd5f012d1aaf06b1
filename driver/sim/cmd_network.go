package sim

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// number is a command that holds one number: read and set form, and the values that it takes.
func number(name, test string, lo, hi int, field func(*Modem) *int) entry {
	return entry{
		name: name, test: constant(test),
		read: func(m *Modem, _ *call) reply { return info(fmt.Sprintf("%s: %d", name, *field(m))) },
		set: func(m *Modem, c *call) reply {
			v, ok := c.num(0, lo, lo, hi)
			if !ok || len(c.args) > 1 {
				return fail(cme(50))
			}
			*field(m) = v
			return reply{}
		},
	}
}

// cardCommands are about the SIM and its locks.
func cardCommands() []entry {
	return []entry{
		{name: "+CPIN", read: readPIN, set: setPIN},
		{name: "+CLCK", test: constant(`("SC")`), set: lock},
		{name: "+CPWD", test: constant(`("SC",8)`), set: changePIN},
		{name: "+CPINR", exec: pinTriesLeft, test: nil},
	}
}

func readPIN(m *Modem, _ *call) reply {
	switch {
	case m.sim.state == cardMissing:
		return fail(cme(10))
	case m.booting:
		return fail(cme(14))
	}
	return info("+CPIN: " + string(m.cardState()))
}

func setPIN(m *Modem, c *call) reply {
	pin, next := c.str(0, ""), c.str(1, "")
	switch m.cardState() {
	case cardMissing:
		return fail(cme(10))
	case cardPIN:
		if len(c.args) != 1 || !pinShape(pin) {
			return fail(cme(50))
		}
		if !m.sim.tryPIN(pin) {
			return fail(cme(16))
		}
		m.unlocked()
		return reply{}
	case cardPUK:
		if len(c.args) != 2 {
			return fail(cme(12))
		}
		if !m.sim.unblock(pin, next) {
			return fail(cme(16))
		}
		m.unlocked()
		return reply{}
	}
	return fail(cme(3))
}

// unlocked lets the modem go to the network.
func (m *Modem) unlocked() {
	m.sim.state = cardReady
	m.faults.askPIN = false
	m.after(0, func() {
		m.announce()
		m.flushRouted()
	})
}

// lock is +CLCK for the SIM's PIN.
func lock(m *Modem, c *call) reply {
	mode, ok := c.num(1, 0, 0, 2)
	if !ok || len(c.args) < 2 || c.str(0, "") != "SC" {
		return fail(cme(50))
	}
	if m.sim.state == cardMissing {
		return fail(cme(10))
	}
	if mode == 2 {
		return info(fmt.Sprintf("+CLCK: %d", map[bool]int{true: 1}[m.sim.ask]))
	}
	if m.sim.state == cardPUK {
		return fail(cme(12))
	}
	if !m.sim.tryPIN(c.str(2, "")) {
		return fail(cme(16))
	}
	m.sim.ask = mode == 1
	return reply{}
}

func changePIN(m *Modem, c *call) reply {
	if len(c.args) != 3 || c.str(0, "") != "SC" || !pinShape(c.str(2, "")) {
		return fail(cme(50))
	}
	if m.sim.state == cardPUK || !m.sim.tryPIN(c.str(1, "")) {
		return fail(cme(16))
	}
	m.sim.pin = c.str(2, "")
	return reply{}
}

func pinTriesLeft(m *Modem, _ *call) reply {
	return info(fmt.Sprintf("+CPINR: SIM PIN,%d,%d", m.sim.tries, pinTries),
		fmt.Sprintf("+CPINR: SIM PUK,%d,%d", m.sim.pukTo, pukTries))
}

// networkCommands are about the modem's standing in the network.
func networkCommands() []entry {
	return []entry{
		registration("+CREG", func(s *settings) *int { return &s.creg }),
		registration("+CGREG", func(s *settings) *int { return &s.cgreg }),
		registration("+CEREG", func(s *settings) *int { return &s.cereg }),
		{name: "+COPS", read: readOperator, set: setOperator, tested: scan},
		{name: "+CSQ", exec: signal, test: constant("(0-31,99),(0-7,99)")},
		{name: "+CESQ", exec: func(m *Modem, _ *call) reply {
			return info("+CESQ: 99,99,255,255,20,55")
		}, test: constant("(0-63,99),(0-7,99),(0-96,255),(0-49,255),(0-34,255),(0-97,255)")},
		{name: "+CFUN", read: readFun, set: setFun, test: constant("(0,1,4),(0,1)")},
		{
			name: "+CGATT", read: func(m *Modem, _ *call) reply {
				return info(fmt.Sprintf("+CGATT: %d", map[bool]int{true: 1}[m.registered()]))
			},
			set: noForm, test: constant("(0,1)"),
		},
		{name: "+CMEE", test: constant("(0-2)"), read: func(m *Modem, _ *call) reply {
			return info(fmt.Sprintf("+CMEE: %d", m.set.cmee))
		}, set: setCMEE},
		{name: "+CUSD", test: constant("(0-2)"), read: readUSSD, set: setUSSD},
		{name: "+CNUM", exec: ownNumber, card: true},
	}
}

func setCMEE(m *Modem, c *call) reply {
	v, ok := c.num(0, 0, 0, 2)
	if !ok {
		return fail(resultError)
	}
	m.set.cmee = v
	return reply{}
}

func registration(name string, field func(*settings) *int) entry {
	return entry{
		name: name, test: constant("(0-2)"),
		read: func(m *Modem, _ *call) reply {
			n := *field(&m.set)
			line := fmt.Sprintf("%s:%s%d,%d", name, m.gap(), n, m.stat())
			return info(line + m.cell(name, n))
		},
		set: func(m *Modem, c *call) reply {
			v, ok := c.num(0, 0, 0, 2)
			if !ok || len(c.args) > 1 {
				return fail(cme(50))
			}
			*field(&m.set) = v
			return reply{}
		},
	}
}

func (m *Modem) gap() string {
	if m.kind.Spaceless {
		return ""
	}
	return " "
}

// cell is the place that registration commands add with <n>=2.
func (m *Modem) cell(name string, n int) string {
	if s := m.stat(); n != 2 || s != 1 && s != 5 {
		return ""
	}
	if name == "+CREG" && m.kind.Access == 0 {
		return `,"00C3","0F1A"`
	}
	return fmt.Sprintf(`,"00C3","01A2D003",%d`, m.kind.Access)
}

// announce tells of a changed registration, where it was asked for.
func (m *Modem) announce() {
	for _, r := range []struct {
		name string
		n    int
	}{{"+CREG", m.set.creg}, {"+CGREG", m.set.cgreg}, {"+CEREG", m.set.cereg}} {
		if r.n > 0 {
			m.urc(fmt.Sprintf("%s: %d%s", r.name, m.stat(), m.cell(r.name, r.n)))
		}
	}
}

// SetRegistration changes the modem's registration: 1 home, 5 roaming, 2 searching, 3 denied, 0 none (TS 27.007 7.2).
func (m *Modem) SetRegistration(stat int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.radio.stat = stat
	m.announce()
	m.flushRouted()
}

// SetSignal changes what +CSQ says: 0 to 31, or 99.
func (m *Modem) SetSignal(rssi int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.radio.rssi = rssi
}

// SetCredit changes how many texts the SIM can pay for; a negative number is no limit.
func (m *Modem) SetCredit(texts int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.credit = texts
}

func readOperator(m *Modem, _ *call) reply {
	mode := map[bool]int{true: 1}[m.radio.manual]
	if s := m.stat(); s != 1 && s != 5 {
		return info(fmt.Sprintf("+COPS:%s%d", m.gap(), mode))
	}
	name := m.net.cfg.Operator
	if m.set.copsFormat == 2 {
		name = m.net.cfg.PLMN
	}
	line := fmt.Sprintf(`+COPS:%s%d,%d,"%s"`, m.gap(), mode, m.set.copsFormat, name)
	if m.kind.Access > 0 {
		line += "," + strconv.Itoa(m.kind.Access)
	}
	return info(line)
}

func setOperator(m *Modem, c *call) reply {
	mode, ok := c.num(0, 0, 0, 4)
	format, ok2 := c.num(1, m.set.copsFormat, 0, 2)
	if !ok || !ok2 {
		return fail(cme(50))
	}
	m.set.copsFormat = format
	name := c.str(2, m.net.cfg.PLMN)
	switch {
	case mode == 3:
	case mode == 2:
		m.radio.stat = 0
		m.announce()
	case mode == 1 && !slices.Contains([]string{m.net.cfg.PLMN, m.net.cfg.Operator}, name):
		return fail(cme(30))
	default:
		m.radio.manual = mode == 1
		if m.radio.stat == 0 {
			m.radio.stat = 1
			m.announce()
		}
		m.flushRouted()
	}
	return reply{}
}

// scanTime is how long a search for networks takes.
const scanTime = 3 * time.Second

// scan is AT+COPS=?.
func scan(m *Modem, _ *call) reply {
	boot := m.boots
	m.after(scanTime, func() {
		if m.boots == boot {
			m.finish(info(fmt.Sprintf(`+COPS: (2,"%s","%s","%s",%d),,(0-4),(0-2)`,
				m.net.cfg.Operator, m.net.cfg.Operator, m.net.cfg.PLMN, m.kind.Access)))
		}
	})
	return reply{later: true}
}

func signal(m *Modem, _ *call) reply {
	if m.radio.fun != 1 {
		return info("+CSQ:" + m.gap() + "99,99")
	}
	return info(fmt.Sprintf("+CSQ:%s%d,%d", m.gap(), m.radio.rssi, m.radio.ber))
}

func readFun(m *Modem, _ *call) reply { return info(fmt.Sprintf("+CFUN: %d", m.radio.fun)) }

// setFun is +CFUN=<fun>[,<rst>]: with <rst> the modem restarts.
func setFun(m *Modem, c *call) reply {
	fun, ok := c.num(0, 1, 0, 4)
	rst, ok2 := c.num(1, 0, 0, 1)
	if !ok || !ok2 || fun == 2 || fun == 3 {
		return fail(cme(50))
	}
	old := m.radio.fun
	m.radio.fun = fun
	switch {
	case rst == 1:
		m.after(0, func() { m.boot(0) })
	case old != fun:
		m.after(0, m.announce)
		m.after(0, m.flushRouted)
	}
	return reply{}
}

func readUSSD(m *Modem, _ *call) reply { return info("+CUSD: 1") }

func setUSSD(m *Modem, c *call) reply {
	mode, ok := c.num(0, 0, 0, 2)
	if !ok {
		return fail(cme(50))
	}
	code := c.str(1, "")
	if mode == 2 || code == "" {
		return reply{}
	}
	if strings.Trim(code, "0123456789*#") != "" {
		b, ok := fromUCS2(code)
		if !ok {
			return fail(cme(50))
		}
		code = b
	}
	return m.ussd(code)
}

// ussdTime is how long the network thinks about a service code.
const ussdTime = 200 * time.Millisecond

// ussd answers a service code: OK at once, the text soon after.
func (m *Modem) ussd(code string) reply {
	if !m.registered() {
		return fail(cme(30))
	}
	text, ok := m.net.cfg.USSD[code]
	switch {
	case ok:
	case code == "*100#" && m.credit < 0:
		text = "Balance: no limit"
	case code == "*100#":
		text = fmt.Sprintf("Balance: %d texts", m.credit)
	default:
		m.after(ussdTime, func() { m.urc("+CUSD: 4") })
		return reply{}
	}
	m.after(ussdTime, func() {
		if m.set.charset == "UCS2" {
			m.urc(fmt.Sprintf(`+CUSD: 0,"%s",72`, toUCS2(text)))
			return
		}
		m.urc(fmt.Sprintf(`+CUSD: 0,"%s",15`, text))
	})
	return reply{}
}

func ownNumber(m *Modem, _ *call) reply {
	return info(fmt.Sprintf(`+CNUM: "","%s",%d`, m.toHost(m.id.number), toa(m.id.number)))
}

// toa is the type of address octet of a number (TS 24.008 10.5.4.7).
func toa(number string) int {
	if strings.HasPrefix(number, "+") {
		return 145
	}
	return 129
}
