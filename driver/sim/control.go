package sim

import (
	"fmt"
	"slices"
	"time"
)

// FaultState is a fault in the list, and how far it got.
type FaultState struct {
	Fault
	Hits   int       // sends that it struck
	Left   int       // sends that it will strike; -1: no limit
	Until  time.Time // zero: no end
	Active bool      // begun and not over
}

// AddFault orders a fault and returns it with its id and defaults; one with the same id is replaced.
func (n *Network) AddFault(f Fault) (FaultState, error) {
	f, err := f.complete()
	if err != nil {
		return FaultState{}, err
	}
	if f.Modem != "" && n.Modem(f.Modem) == nil {
		return FaultState{}, fmt.Errorf("%w: no modem is called %q", ErrBadFault, f.Modem)
	}
	if f.ID != "" {
		_ = n.RemoveFault(f.ID) // it may be new
	}
	a, now := n.arm(f)
	if a.At == Now {
		n.spread(a.Fault)
	}
	return a.state(now), nil
}

func (n *Network) arm(f Fault) (armed, time.Time) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if f.ID == "" {
		n.faults.next++
		f.ID = fmt.Sprintf("fault-%d", n.faults.next)
	}
	now := time.Now()
	a := &armed{Fault: f, from: now.Add(f.After), left: -1}
	if f.Sends > 0 {
		a.left = f.Sends
	}
	if f.For > 0 && (f.At == Now || f.Sends == 0) {
		a.until = a.from.Add(f.For)
	}
	n.faults.list = slices.DeleteFunc(n.faults.list, func(old *armed) bool { return old.over(now) })
	n.faults.list = append(n.faults.list, a)
	return *a, now
}

// over says that a fault will never strike again.
func (a *armed) over(now time.Time) bool {
	return a.left == 0 || !a.until.IsZero() && !now.Before(a.until)
}

func (a *armed) state(now time.Time) FaultState {
	return FaultState{Fault: a.Fault, Hits: a.hits, Left: a.left, Until: a.until, Active: a.live(now)}
}

// spread begins a fault in the modems that it is for.
func (n *Network) spread(f Fault) {
	for _, m := range n.Modems() {
		if f.Modem != "" && f.Modem != m.cfg.Name {
			continue
		}
		m.mu.Lock()
		if f.After > 0 {
			m.after(f.After, func() {
				if n.ordered(f.ID) {
					m.begin(f, f.For)
				}
			})
		} else {
			m.begin(f, f.For)
		}
		m.mu.Unlock()
	}
}

func (n *Network) ordered(id string) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.ContainsFunc(n.faults.list, func(a *armed) bool { return a.ID == id })
}

// RemoveFault ends a fault: what it began in a modem is over too.
func (n *Network) RemoveFault(id string) error {
	n.mu.Lock()
	before := len(n.faults.list)
	n.faults.list = slices.DeleteFunc(n.faults.list, func(a *armed) bool { return a.ID == id })
	found := len(n.faults.list) < before
	n.mu.Unlock()
	for _, m := range n.Modems() {
		m.mu.Lock()
		m.end(id)
		m.mu.Unlock()
	}
	if !found {
		return fmt.Errorf("%w: %q", ErrNoFault, id)
	}
	return nil
}

// ClearFaults ends all faults.
func (n *Network) ClearFaults() {
	for _, f := range n.Faults() {
		_ = n.RemoveFault(f.ID) // one that is gone by now is what is wanted
	}
	for _, m := range n.Modems() {
		m.mu.Lock()
		for id := range m.faults.active {
			m.end(id)
		}
		m.mu.Unlock()
	}
}

// Faults are those that were ordered and are not over, oldest first.
func (n *Network) Faults() []FaultState {
	n.mu.Lock()
	defer n.mu.Unlock()
	out, now := []FaultState{}, time.Now()
	for _, a := range n.faults.list {
		if !a.over(now) {
			out = append(out, a.state(now))
		}
	}
	return out
}

// due is the fault that strikes a send at this point, if any.
func (n *Network) due(modem, to string, p Point) *Fault {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.faults.find(modem, to, []Point{p}, !n.cfg.NoMagic, time.Now())
}

// ModemState is a snapshot of a modem.
type ModemState struct {
	Personality  string
	Plugged      bool
	Registration int // as +CREG has it
	Signal       int // as +CSQ has it
	Credit       int // -1: no limit
}

// State is the modem's state now.
func (m *Modem) State() ModemState {
	m.mu.Lock()
	defer m.mu.Unlock()
	return ModemState{
		Personality: m.kind.Name, Plugged: m.back == nil && !m.closed, Registration: m.stat(), Signal: m.radio.rssi, Credit: m.credit,
	}
}
