package driver

import (
	"regexp"
	"strconv"
	"strings"
	"time"
)

// maxEvents caps the queue between filter and loop; a modem that floods beyond it loses its oldest hints, not the daemon
// its memory.
const maxEvents = 2048

// bootGrace is how long a submit still waits for its result after a line that usually means a restart.
const bootGrace = 10 * time.Second

type eventKind int

const (
	evPDU          eventKind = iota // +CDS or +CMT with its PDU
	evStored                        // +CMTI: a text is in storage
	evStoredReport                  // +CDSI: a report is in storage
	evRegistration                  // +CREG and kin
	evUSSD                          // +CUSD
	evBoot                          // the modem restarted, surely
	evReady                         // a line that modems print while they start: late news, or a restart
	evSIM                           // the SIM went away or wants something
	evFull                          // message storage is full
	evStrayPrompt                   // a prompt that nobody awaits
	evLate                          // a final, or +CMGS, of a command that was given up
	evRing                          // somebody calls
)

// event is a result code that came unasked.
type event struct {
	kind eventKind
	text string
	pdu  string // secret
}

var (
	echoLine = regexp.MustCompile(`^(AT$|AT[+^&$*#%]|AT[EVZQHSX][0-9]*$)`)
	urcLine  = regexp.MustCompile(`^[+^*$%#&][A-Za-z0-9_]+ *(:|$)`)
	errorTag = regexp.MustCompile(`^\+(CM[ES]) ERROR *:? *(.*)$`)
	bootLine = regexp.MustCompile(`^(RDY|\^SYSSTART.*|\*ATREADY.*|\*EMRDY.*|MODEM:STARTUP|\+STARTUP|POWERED DOWN|NORMAL POWER DOWN|UNDER-VOLTAGE.*|OVER-VOLTAGE.*|\^SHUTDOWN)$`)
	soonLine = regexp.MustCompile(`^(Call Ready|SMS Ready|SMS DONE|PB DONE|\+CPIN: ?"?READY"?|\+CFUN: 1|\+PBREADY|\+QIND: SMS DONE)$`)
	fullLine = regexp.MustCompile(`^([\^%+]SMMEMFULL|\+SMS FULL|\^SMSFULL)`)
)

// push queues an event; the oldest goes when there are too many.
func (f *filter) push(e event) {
	if len(f.events) >= maxEvents {
		f.events = f.events[1:]
		f.dropped++
	}
	f.events = append(f.events, e)
	f.wake()
}

func (f *filter) wake() {
	select {
	case f.notify <- struct{}{}:
	default:
	}
}

// urc files a result code that came unasked; it reports whether the line was one.
func (f *filter) urc(l string) bool {
	name, rest, _ := strings.Cut(l, ":")
	switch strings.TrimSpace(name) {
	case "+CDS", "+CMT", "+CBM":
		f.header, f.skipped = strings.TrimSpace(name), 0
	case "+CMTI":
		f.push(event{kind: evStored, text: rest})
	case "+CDSI":
		f.push(event{kind: evStoredReport, text: rest})
	case "+CREG", "+CGREG", "+CEREG":
		f.push(event{kind: evRegistration, text: l})
	case "+CUSD":
		if strings.Count(l, `"`)%2 == 1 {
			f.quoted = l
		} else {
			f.push(event{kind: evUSSD, text: l})
		}
	case "RING", "+CRING":
		f.lastRing = time.Now()
		f.push(event{kind: evRing})
	default:
		return f.condition(l)
	}
	return true
}

// condition files what a line says about the modem's own state.
func (f *filter) condition(l string) bool {
	switch {
	case bootLine.MatchString(l):
		f.push(event{kind: evBoot})
		f.breakOff(f.ex, CodeReset)
	case soonLine.MatchString(l):
		f.push(event{kind: evReady})
		f.suspect()
	case strings.HasPrefix(l, "+CPIN:"), strings.HasPrefix(l, "+SIM"):
		f.push(event{kind: evSIM})
	case fullLine.MatchString(l):
		f.push(event{kind: evFull})
	case urcLine.MatchString(l): // news of no interest
	default:
		return false
	}
	return true
}

// suspect gives a submit in flight a short while for its result after a start-up line.
func (f *filter) suspect() {
	ex := f.ex
	if ex == nil || ex.submitted.IsZero() {
		return
	}
	time.AfterFunc(bootGrace, func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		if f.ex == ex {
			ex.broken = CodeReset
			f.ex = nil
			close(ex.done)
		}
	})
}

// normalise recognises a final result in the forms that modems give it (quirks Q17 to Q19). While a message is submitted
// only the forms that cannot be anything else count, because a false refusal means a second send.
func (f *filter) normalise(l string) (string, bool) {
	if strings.HasPrefix(l, "+CM") {
		if m := errorTag.FindStringSubmatch(l); m != nil {
			return "+" + m[1] + " ERROR: " + m[2], true
		}
	}
	switch l {
	case "OK":
		return "OK", true
	case "ERROR", "COMMAND NOT SUPPORT", "COMMAND NOT SUPPORTED", "TOO MANY PARAMETERS", "INVALID COMMAND LINE",
		"NOT FOND ^,NOT CUSTOM AT":
		return "ERROR", true
	}
	if strings.HasPrefix(l, "ERROR:") || strings.HasPrefix(l, "MODEM ERROR") {
		return "ERROR", true
	}
	if f.ex == nil || f.ex.sms {
		return "", false
	}
	switch l {
	case "NA", "NO CARRIER", "NO DIALTONE", "NO ANSWER", "BUSY":
		ringing := l != "NA" && time.Since(f.lastRing) < time.Minute // a caller hung up
		return "ERROR", !ringing
	case "0", "4":
		if f.ex.cmd == "" || f.ex.cmd == "Z" || f.ex.cmd == "E0" || f.ex.cmd == "V1" { // before V1 took effect
			return map[string]string{"0": "OK", "4": "ERROR"}[l], true
		}
	}
	return "", false
}

// storedAt reads `"SM",3` of +CMTI and +CDSI; index -1 when it cannot be told (quirk Q32).
func storedAt(rest string) (mem string, index int) {
	mem, number, _ := strings.Cut(rest, ",")
	n, err := strconv.Atoi(strings.TrimSpace(number))
	if err != nil || n < 0 {
		n = -1
	}
	return strings.Trim(mem, ` "`), n
}
