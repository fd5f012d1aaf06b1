package sim

// cardState is what +CPIN? says.
type cardState string

const (
	cardReady   cardState = "READY"
	cardPIN     cardState = "SIM PIN"
	cardPUK     cardState = "SIM PUK"
	cardMissing cardState = ""
)

const (
	pinTries = 3
	pukTries = 10
	simPUK   = "12345678"
)

// card is the SIM.
type card struct {
	state cardState
	pin   string
	ask   bool // the PIN is asked at power-up (+CLCK "SC")
	tries int  // left for the PIN
	pukTo int  // left for the PUK
	smsc  string
}

func newCard(cfg Config) card {
	c := card{state: cardReady, pin: cfg.PIN, ask: cfg.PIN != "", tries: pinTries, pukTo: pukTries, smsc: "+99970000000"}
	if c.pin == "" {
		c.pin = "0000"
	}
	c.powerUp(cfg.NoSIM)
	return c
}

func (c *card) powerUp(missing bool) {
	switch {
	case missing:
		c.state = cardMissing
	case c.tries == 0:
		c.state = cardPUK
	case c.ask:
		c.state = cardPIN
	default:
		c.state = cardReady
	}
}

// tryPIN compares a PIN and counts the failure.
func (c *card) tryPIN(pin string) bool {
	if pin == c.pin {
		c.tries = pinTries
		return true
	}
	if c.tries--; c.tries <= 0 {
		c.tries, c.state = 0, cardPUK
	}
	return false
}

// unblock takes the PUK and a new PIN.
func (c *card) unblock(puk, pin string) bool {
	if puk != simPUK || !pinShape(pin) {
		c.pukTo--
		return false
	}
	c.pin, c.tries, c.pukTo, c.state = pin, pinTries, pukTries, cardReady
	return true
}

// pinShape is 4 to 8 digits (TS 11.11).
func pinShape(pin string) bool {
	for i := range len(pin) {
		if pin[i] < '0' || pin[i] > '9' {
			return false
		}
	}
	return len(pin) >= 4 && len(pin) <= 8
}

// cardState is the SIM's state as commands see it.
func (m *Modem) cardState() cardState {
	if m.faults.askPIN && m.sim.state == cardReady {
		return cardPIN
	}
	return m.sim.state
}

// radio is the modem's standing in the network.
type radio struct {
	fun    int // +CFUN
	stat   int // +CREG: 1 home, 5 roaming, 2 searching, 3 denied, 0 not
	rssi   int
	ber    int
	manual bool
}

func newRadio() radio { return radio{fun: 1, stat: 1, rssi: 21, ber: 99} }

// registered says whether texts can go out and come in.
func (m *Modem) registered() bool {
	return m.radio.fun == 1 && m.cardState() == cardReady && (m.radio.stat == 1 || m.radio.stat == 5) && !m.booting && !m.faults.offline
}

// stat is the registration as +CREG shows it.
func (m *Modem) stat() int {
	if m.radio.fun != 1 || m.cardState() != cardReady {
		return 0
	}
	if m.faults.offline {
		return 2
	}
	return m.radio.stat
}
