package driver

import (
	"regexp"
	"strconv"
	"sync"
)

// PINMemory remembers on which SIMs a PIN was tried and not accepted, across restarts: a SIM is never locked by a wrong
// PIN in a file. A SIM is an ICCID, or "imei:…" of its modem when it tells none. Mark comes before the attempt and returns
// only once it is durable; Clear follows one that succeeded. All may be called from several modems at once.
type PINMemory interface {
	Tried(sim string) (bool, error)
	Mark(sim string) error
	Clear(sim string) error
}

// forgetful is a PINMemory for the life of the process.
type forgetful struct {
	mu    sync.Mutex
	tried map[string]bool
}

var _ PINMemory = (*forgetful)(nil)

func (m *forgetful) Tried(sim string) (bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.tried[sim], nil
}

func (m *forgetful) Mark(sim string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.tried[sim] = true
	return nil
}

func (m *forgetful) Clear(sim string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.tried, sim)
	return nil
}

var (
	pinNamed  = regexp.MustCompile(`^(?:\+CPINR|\+QPINC): *"?(?:SIM PIN|SC)"? *, *([0-9]+)`)
	pinHuawei = regexp.MustCompile(`^\^CPIN: *"?SIM PIN"? *,(?: *[0-9]* *,){2} *([0-9]+)`) // state, times, PUK, PIN, PUK2, PIN2
	pinPlain  = regexp.MustCompile(`^(?:\+SPIC|#PCT): *([0-9]+)`)
)

// attempts reads how many PIN attempts are left out of a modem's answer; -1: it does not tell.
func attempts(lines []string) int {
	for _, l := range lines {
		for _, re := range []*regexp.Regexp{pinNamed, pinHuawei, pinPlain} {
			if m := re.FindStringSubmatch(l); m != nil {
				if n, err := strconv.Atoi(m[1]); err == nil {
					return n
				}
			}
		}
	}
	return -1
}
