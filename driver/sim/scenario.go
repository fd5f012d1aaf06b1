package sim

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"time"

	"go.yaml.in/yaml/v3"
)

// Scenario is a script of what happens to a network: steps, each some time after the start.
type Scenario struct {
	Name  string `yaml:"name"`
	Seed  uint64 `yaml:"seed"` // of what is left to chance in it; 0: the network's
	Steps []Step `yaml:"steps"`
}

// Step is one thing that happens; exactly one of its members beside At is given.
type Step struct {
	At     time.Duration `yaml:"at"`     // after the scenario's start
	Fault  *Fault        `yaml:"fault"`  // is ordered
	Remove string        `yaml:"remove"` // the fault of that id ends
	Text   *TextStep     `yaml:"text"`   // a phone sends a text
	Modem  *ModemStep    `yaml:"modem"`  // a modem's standing changes
}

// TextStep is a text from a phone to a modem.
type TextStep struct {
	From string `yaml:"from"`
	To   string `yaml:"to"` // a modem's name or number; empty: the only one
	Text string `yaml:"text"`
}

// ModemStep changes what is given of a modem; Name may be left out when there is only one.
type ModemStep struct {
	Name         string `yaml:"name"`
	Registration *int   `yaml:"registration"`
	Signal       *int   `yaml:"signal"`
	Credit       *int   `yaml:"credit"`
}

// LoadScenario reads a scenario file; an error names the line and the key.
func LoadScenario(path string) (*Scenario, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("scenario: %w", err)
	}
	s, err := ParseScenario(b)
	if err != nil {
		return nil, fmt.Errorf("scenario %s: %w", path, err)
	}
	return s, nil
}

// ParseScenario reads a scenario strictly: an unknown key, a fault that makes no sense or a step that does nothing is an
// error that names the line.
func ParseScenario(b []byte) (*Scenario, error) {
	s := &Scenario{}
	dec := yaml.NewDecoder(bytes.NewReader(b))
	dec.KnownFields(true)
	if err := dec.Decode(s); err != nil && !errors.Is(err, io.EOF) {
		return nil, err //nolint:wrapcheck // it names the line and the key; the caller names the file
	}
	if len(s.Steps) == 0 {
		return nil, errors.New("steps: want at least one")
	}
	lines := stepLines(b)
	for i := range s.Steps {
		if err := s.Steps[i].check(); err != nil {
			return nil, fmt.Errorf("line %d: step %d: %w", lines[i], i+1, err)
		}
	}
	return s, nil
}

// stepLines are the lines on which the steps begin.
func stepLines(b []byte) map[int]int {
	var doc struct {
		Steps []yaml.Node `yaml:"steps"`
	}
	lines := map[int]int{}
	if yaml.Unmarshal(b, &doc) == nil {
		for i, n := range doc.Steps {
			lines[i] = n.Line
		}
	}
	return lines
}

func (s *Step) check() error {
	given := 0
	for _, is := range []bool{s.Fault != nil, s.Remove != "", s.Text != nil, s.Modem != nil} {
		if is {
			given++
		}
	}
	switch {
	case given != 1:
		return errors.New("want exactly one of fault, remove, text and modem")
	case s.At < 0:
		return errors.New("at is not negative")
	case s.Text != nil && (s.Text.From == "" || s.Text.Text == ""):
		return errors.New("text: want from and text")
	case s.Modem != nil && s.Modem.Registration == nil && s.Modem.Signal == nil && s.Modem.Credit == nil:
		return errors.New("modem: want registration, signal or credit")
	case s.Fault == nil:
		return nil
	}
	_, err := s.Fault.complete()
	return err
}

// Play plays a scenario to its end, or until ctx ends (nil). A step that fails ends it: its error names the step.
func (n *Network) Play(ctx context.Context, s *Scenario) error {
	if s.Seed != 0 {
		n.mu.Lock()
		n.faults.seed(s.Seed)
		n.mu.Unlock()
	}
	start := time.Now()
	for i, step := range inOrder(s.Steps) {
		t := time.NewTimer(time.Until(start.Add(step.At)))
		select {
		case <-ctx.Done():
			t.Stop()
			return nil
		case <-t.C:
		}
		if err := n.play(step); err != nil {
			return fmt.Errorf("scenario %s: step %d: %w", s.Name, i+1, err)
		}
	}
	return nil
}

// inOrder sorts steps by time, keeping the file's order among those of one moment.
func inOrder(steps []Step) []Step {
	out := slices.Clone(steps)
	slices.SortStableFunc(out, func(a, b Step) int { return cmp.Compare(a.At, b.At) })
	return out
}

func (n *Network) play(s Step) error {
	switch {
	case s.Fault != nil:
		_, err := n.AddFault(*s.Fault)
		return err
	case s.Remove != "":
		if err := n.RemoveFault(s.Remove); !errors.Is(err, ErrNoFault) {
			return err
		}
		return nil // it was over by itself
	case s.Text != nil:
		return n.Text(s.Text.From, s.Text.To, s.Text.Text)
	}
	m := n.find(s.Modem.Name)
	if m == nil {
		return ErrNoModem
	}
	if v := s.Modem.Registration; v != nil {
		m.SetRegistration(*v)
	}
	if v := s.Modem.Signal; v != nil {
		m.SetSignal(*v)
	}
	if v := s.Modem.Credit; v != nil {
		m.SetCredit(*v)
	}
	return nil
}
