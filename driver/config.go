package driver

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Config says which modem to drive and how. Name and Handler are needed, and Device or IMEI (or Open); the rest has
// defaults.
type Config struct {
	Name   string
	Device string // path of the AT port; empty: found by IMEI
	IMEI   string // the modem is used wherever it appears; empty: whatever is at Device
	Baud   int    // 115200

	SIMPIN string    // tried once per SIM; empty: never
	PINs   PINMemory // remembers tried SIMs; nil: for the life of the process only

	Handler  Handler
	Log      *slog.Logger
	Registry prometheus.Registerer

	Classes map[string]Class // overrides of error classes: "cms-27": "recipient"

	LateWindow    time.Duration // how long a verdict waits behind Ctrl-Z; 5 minutes
	PromptTimeout time.Duration // how long a prompt is awaited; 10 seconds
	StopGrace     time.Duration // how long a hand-over in flight delays a stop; 10 seconds
	Poll          time.Duration // between looks at registration and signal; 10 seconds
	Sweep         time.Duration // between looks at the message storage; 1 minute
	Scan          time.Duration // between looks for IMEI on other ports, which disturbs what else is plugged in; 5 seconds

	WriteChunk int           // for modems that lose bytes: pause behind each chunk …
	WriteGap   time.Duration // … for this long (quirk Q09)

	ResetHook []string // command and arguments run as the last step of recovery, without a shell
	HookLimit time.Duration
	USBReset  bool // take the modem off the USB bus and back on, through sysfs, before the hook

	// Open replaces the serial port, for tests and simulations; Device is then only a name.
	Open func(ctx context.Context) (io.ReadWriteCloser, error)
	// Candidates lists the ports among which a modem is looked for by its IMEI; nil: Ports. Those of other modems belong to
	// it, for two modems may swap names.
	Candidates func() []string
	// Trace sees every line of the AT exchange, redacted; nil: nobody does.
	Trace func(Direction, string)
	// Sysfs is where sysfs is mounted; empty: /sys.
	Sysfs string
}

// withDefaults checks the configuration and fills in what was left out.
func (c Config) withDefaults() (Config, error) {
	switch {
	case c.Name == "":
		return c, errors.New("modem without a name")
	case c.Handler == nil:
		return c, fmt.Errorf("modem %s: no handler", c.Name)
	case c.Device == "" && c.IMEI == "" && c.Open == nil:
		return c, fmt.Errorf("modem %s: neither device nor imei; otpost modem probe lists what is there", c.Name)
	case c.IMEI != "" && !imeiPattern.MatchString(c.IMEI):
		return c, fmt.Errorf("modem %s: imei %q: want 14 to 16 digits", c.Name, c.IMEI)
	case c.SIMPIN != "" && !pinPattern.MatchString(c.SIMPIN):
		return c, fmt.Errorf("modem %s: the SIM PIN must be 4 to 8 digits", c.Name)
	}
	c.Baud = cmp.Or(c.Baud, 115200)
	c.LateWindow = cmp.Or(c.LateWindow, 5*time.Minute)
	c.PromptTimeout = cmp.Or(c.PromptTimeout, 10*time.Second)
	c.StopGrace = cmp.Or(c.StopGrace, 10*time.Second)
	c.Poll = cmp.Or(c.Poll, 10*time.Second)
	c.Sweep = cmp.Or(c.Sweep, time.Minute)
	c.Scan = cmp.Or(c.Scan, 5*time.Second)
	c.HookLimit = cmp.Or(c.HookLimit, 30*time.Second)
	c.Sysfs = cmp.Or(c.Sysfs, "/sys")
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.PINs == nil {
		c.PINs = &forgetful{tried: map[string]bool{}}
	}
	if c.Candidates == nil {
		c.Candidates = func() []string { return Ports() }
	}
	return c, nil
}

var (
	imeiPattern = regexp.MustCompile(`^[0-9]{14,16}$`)
	pinPattern  = regexp.MustCompile(`^[0-9]{4,8}$`)
	longDigits  = regexp.MustCompile(`[0-9]{7,}`)
	longHex     = regexp.MustCompile(`[0-9A-Fa-f]{14,}`)
	pinCommand  = regexp.MustCompile(`(?i)(\+C(?:PIN|PWD|LCK) *=).*`) // wherever it stands: an echo loses its beginning
	cusdLine    = regexp.MustCompile(`(?i)([+#^]CUSD *[:=] *[0-9]*).*`)
)

// tap wraps Trace so that no PDU, text, PIN or full number reaches it.
func (c Config) tap() func(Direction, string) {
	if c.Trace == nil {
		return nil
	}
	return func(d Direction, s string) { c.Trace(d, redact(s)) }
}

// redact takes what is secret out of a line: PDUs, PINs, USSD, and all but the ends of long numbers. Every line of the exchange
// goes through it, and few have any of that, so each expression is only asked where it can match.
func redact(s string) string {
	switch {
	case isHexPDU(s):
		return "<PDU, " + strconv.Itoa(len(s)/2) + " octets>"
	case strings.Contains(s, "=") && strings.ContainsAny(s, "pPlL") && pinCommand.MatchString(s):
		s = pinCommand.ReplaceAllString(s, "${1}…")
	case strings.ContainsAny(s, "uU") && cusdLine.MatchString(s):
		s = cusdLine.ReplaceAllString(s, "${1}…")
	}
	if !longRun(s) {
		return s
	}
	s = longHex.ReplaceAllStringFunc(s, func(h string) string { // a PDU in a line, or a text or number in UCS-2
		if strings.ContainsAny(h, "abcdefABCDEF") {
			return fmt.Sprintf("<%d octets>", len(h)/2)
		}
		return h
	})
	return longDigits.ReplaceAllStringFunc(s, func(d string) string { return "…" + d[len(d)-2:] })
}

// longRun says whether there are as many hexadecimal digits in a row as longDigits asks for.
func longRun(s string) bool {
	n := 0
	for i := range len(s) {
		if n++; !isHex(s[i]) {
			n = 0
		}
		if n == 7 {
			return true
		}
	}
	return false
}

func isHex(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'A' && c <= 'F' || c >= 'a' && c <= 'f'
}
