// Package doctor looks at a machine on which Otpost runs or shall run, and says what is wrong with it: what, why it matters,
// and the command that mends it. It changes nothing and never tries a SIM's PIN.
package doctor

import (
	"context"
	"time"

	"otpost/api/wire"
	"otpost/cmd/otpost/config"
	"otpost/driver"
)

// Level says how bad a finding is.
type Level string

// The levels.
const (
	Good  Level = "good"  // looked at and found right
	Watch Level = "watch" // works, but will bite one day
	Mend  Level = "mend"  // must be mended
)

// Finding is one thing that was looked at. It holds no secret and no number of a phone.
type Finding struct {
	Check string `json:"check"`          // what was looked at: "key_file", "modem sim800", …
	Level Level  `json:"level"`          // good, watch or mend
	What  string `json:"what"`           // what was found
	Why   string `json:"why,omitempty"`  // why it matters
	Mend  string `json:"mend,omitempty"` // the command or the step that mends it
}

// Daemon is what a running daemon is asked. Both calls return an error while there is none.
type Daemon interface {
	// Ready says whether it can do its work.
	Ready(ctx context.Context) (*wire.Health, error)
	// Modems lists its modems.
	Modems(ctx context.Context) (*wire.Modems, error)
}

// System is the machine. Host returns the real one; tests put in others.
type System struct {
	Config     config.Config
	ConfigPath string
	KeyFile    string
	Daemon     Daemon // nil: none was found

	Now     func() time.Time
	Proc    string                                                    // where proc is mounted
	Free    func(dir string) (int64, error)                           // bytes that an ordinary user may still write
	Synced  func() (bool, error)                                      // whether the clock is kept by something
	Access  func(path string) error                                   // whether we may read and write a device
	Holders func(device string) []driver.Holder                       // who else has it open
	Probe   func(ctx context.Context, m config.Modem) (Probed, error) // ask the modem itself; only while no daemon runs
}

// Probed is what a modem says itself.
type Probed struct {
	driver.Status
	SMSService string // the answer to +CGSMS?, "" when it does not say
}

// Examine looks at everything in turn. Only ctx bounds it: asking a modem may take half a minute.
func Examine(ctx context.Context, s System) []Finding {
	e := &examination{System: s}
	e.files()
	e.disk()
	e.clock()
	e.exposure()
	running := e.daemon(ctx)
	e.grabbers()
	for _, m := range s.Config.Modems {
		e.modem(ctx, m, running)
	}
	return e.findings
}

// Sick says whether anything must be mended.
func Sick(all []Finding) bool {
	for _, f := range all {
		if f.Level == Mend {
			return true
		}
	}
	return false
}

// examination gathers findings.
type examination struct {
	System
	findings []Finding
}

func (e *examination) good(check, what string) {
	e.findings = append(e.findings, Finding{Check: check, Level: Good, What: what})
}

func (e *examination) watch(check, what, why, mend string) {
	e.findings = append(e.findings, Finding{check, Watch, what, why, mend})
}

func (e *examination) mend(check, what, why, mend string) {
	e.findings = append(e.findings, Finding{check, Mend, what, why, mend})
}
