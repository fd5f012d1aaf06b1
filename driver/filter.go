package driver

import (
	"io"
	"slices"
	"strings"
	"sync"
	"time"
)

const (
	escape = 0x1b
	ctrlZ  = 0x1a
)

// filter sits between the port and `at` and cleans the byte stream: cut into lines (scanner); echo dropped; result
// codes that nobody asked for taken out and queued in order; odd finals normalised; one prompt, and only when one is
// awaited; a final that belongs to an older command never passed on as the answer to a newer one.
//
// Read is called by at's reader, Write by its command loop, the rest by the modem's loop.
type filter struct {
	port   io.ReadWriter
	tap    func(dir Direction, line string)
	notify chan struct{} // capacity 1: there are events
	chunk  int           // bytes written at once; 0: all
	gap    time.Duration

	mu        sync.Mutex
	ex        *exchange // in flight
	last      *exchange // the newest, also when it is over
	owed      int       // finals of commands that were given up
	unsettled bool      // a submit was given up, on this port or before it was opened again
	astray    bool      // a final came that nothing owed: answers may be out of step
	muted     bool      // ESC is kept from the modem
	swallow   bool      // the next final ends a late +CMGS
	events    []event
	dropped   int // events beyond maxEvents, and
	noise     int // lines that mean nothing: both since they were asked for last
	lastByte  time.Time
	lastRing  time.Time
	header    string // +CDS, +CMT or +CBM that waits for its PDU
	skipped   int    // lines between that header and its PDU
	quoted    string // +CUSD whose text goes on in the next line
	lines     scanner

	// Owned by the reader.
	raw [1024]byte
	out []byte
	err error
}

// Direction says who wrote a traced line.
type Direction string

// The directions of a traced line.
const (
	ToModem   Direction = "to-modem"
	FromModem Direction = "from-modem"
)

func newFilter(p io.ReadWriter, tap func(Direction, string)) *filter {
	if tap == nil {
		tap = func(Direction, string) {}
	}
	return &filter{port: p, tap: tap, notify: make(chan struct{}, 1), lastByte: time.Now()}
}

// Read hands cleaned lines to at.
func (f *filter) Read(b []byte) (int, error) {
	for len(f.out) == 0 {
		if f.err != nil {
			return 0, f.err
		}
		n, err := f.port.Read(f.raw[:])
		f.feed(f.raw[:n])
		if err != nil {
			f.fail(err)
		}
	}
	n := copy(b, f.out)
	f.out = f.out[n:]
	return n, nil
}

func (f *filter) feed(p []byte) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(p) > 0 {
		f.lastByte = time.Now()
	}
	for _, c := range p {
		switch text, asked := f.lines.octet(c, f.asks); {
		case asked:
			f.prompt()
		case text != "":
			f.tap(FromModem, text)
			f.line(text)
		}
	}
}

// fail ends what is in flight because the port is gone.
func (f *filter) fail(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.err = err
	f.breakOff(f.ex, CodeHangup)
}

// asks says whether a '>' behind so much of a line is a prompt: at the start, or right behind the command's echo.
func (f *filter) asks(before string) bool {
	return f.quoted == "" && (before == "" || f.ex != nil && f.ex.sms && before == "AT"+f.ex.cmd)
}

// prompt passes the one prompt that is awaited on to at. Any other is reported: the modem sits in its editor and every
// command that follows would become part of a message.
func (f *filter) prompt() {
	switch {
	case f.ex != nil && f.ex.sms && !f.ex.prompted:
		f.ex.prompted = true
		f.tap(FromModem, ">")
		f.out = append(f.out, "> "...)
	case f.ex == nil || !f.ex.sms:
		f.push(event{kind: evStrayPrompt})
	}
}

// line files one line: the body of a header, echo, final, answer, or a result code that came unasked.
func (f *filter) line(l string) {
	switch {
	case f.header != "" && f.body(l):
	case f.quoted != "" && f.unquote(l):
	case f.echo(&l):
	case f.final(l):
	case f.answer(l):
	case f.urc(l):
	case f.ex != nil && !f.ex.sms && !strings.HasPrefix(l, ">"):
		f.info(l)
	default:
		f.noise++
	}
}

// body takes the PDU behind +CDS, +CMT or +CBM. Up to three other lines may come in between (a flood); then the header is
// dropped (libraries.md B 6).
func (f *filter) body(l string) bool {
	if isHexPDU(l) {
		switch f.header {
		case "+CDS", "+CMT":
			f.push(event{kind: evPDU, text: f.header, pdu: l})
		}
		f.header = ""
		return true
	}
	if f.skipped++; f.skipped > 3 {
		f.header = ""
		f.noise++
	}
	return false
}

// unquote joins a USSD text that spans lines; it may contain what looks like a final.
func (f *filter) unquote(l string) bool {
	f.quoted += "\n" + l
	if strings.Count(f.quoted, `"`)%2 == 0 || len(f.quoted) > 1024 {
		f.push(event{kind: evUSSD, text: f.quoted})
		f.quoted = ""
	}
	return true
}

// echo drops the command's and the PDU's echo, however often it comes, and cuts it off a line that goes on.
func (f *filter) echo(l *string) bool {
	if f.ex != nil {
		if f.ex.pdu != "" {
			*l = strings.TrimSpace(strings.TrimPrefix(*l, f.ex.pdu))
		}
		if *l == "" || *l == "AT"+f.ex.cmd || f.ex.sms && isHexPDU(*l) {
			return true
		}
	}
	return strings.HasPrefix(*l, "AT") && echoLine.MatchString(*l)
}

// final files a final result. It is late when nothing is in flight, or when older ones are owed and our own answer has
// not come yet.
func (f *filter) final(l string) bool {
	final, ok := f.normalise(l)
	if !ok {
		return false
	}
	ex := f.ex
	if ex == nil || f.swallow || ex.strict && len(ex.info) == 0 || f.unsettled && ex.foreign(final) {
		f.astray = f.astray || f.owed == 0 && !f.swallow
		f.owed = max(0, f.owed-1)
		if ex != nil {
			ex.held++
		}
		f.push(event{kind: evLate, text: final})
		f.swallow = false
		return true
	}
	ex.final = final
	f.ex = nil
	close(ex.done)
	f.emit(final)
	return true
}

// answer files a line of the command in flight. A +CMGS before our own Ctrl-Z is an older message's.
func (f *filter) answer(l string) bool {
	name, _, ok := strings.Cut(l, ":")
	if !ok {
		return false
	}
	if strings.EqualFold(strings.TrimSpace(name), "+CMGS") && (f.ex == nil || !f.ex.sms || f.ex.submitted.IsZero()) {
		f.push(event{kind: evLate, text: l})
		f.swallow = f.ex != nil
		return true
	}
	if f.ex == nil || !f.ex.answeredBy(name) {
		return false
	}
	f.info(l)
	return true
}

func (f *filter) info(l string) {
	if len(f.ex.info) < 512 {
		f.ex.info = append(f.ex.info, l)
	}
	f.emit(l)
}

func (f *filter) emit(l string) { f.out = append(append(f.out, l...), '\r', '\n') }

// breakOff ends an exchange that no final can end any more, and lets at return.
func (f *filter) breakOff(ex *exchange, why string) {
	if ex == nil || f.ex != ex {
		return
	}
	ex.broken = why
	f.ex = nil
	close(ex.done)
	f.emit("ERROR")
}

// Write passes on what at writes and notes what it means. ESC is swallowed once Ctrl-Z went out: it could cancel nothing,
// and modems take it for the next command's first byte.
func (f *filter) Write(b []byte) (int, error) {
	ex, pass := f.outgoing(b)
	if !pass {
		return len(b), nil
	}
	if d, ok := f.port.(interface{ SetWriteDeadline(time.Time) error }); ok {
		if err := d.SetWriteDeadline(time.Now().Add(writeLimit)); err != nil {
			return 0, err
		}
	}
	n, err := f.paced(b)
	if err != nil && n < len(b) && ex != nil {
		f.mu.Lock()
		ex.submitted = time.Time{} // the Ctrl-Z at the end never left
		f.mu.Unlock()
	}
	return n, err
}

// paced writes in chunks with pauses for modems that lose bytes otherwise (quirk Q09).
func (f *filter) paced(b []byte) (written int, err error) {
	size := f.chunk
	if size <= 0 {
		size = len(b)
	}
	for part := range slices.Chunk(b, max(1, size)) {
		if written > 0 {
			time.Sleep(f.gap)
		}
		n, err := f.port.Write(part)
		written += n
		if err != nil {
			return written, err
		}
	}
	return written, nil
}

func (f *filter) outgoing(b []byte) (*exchange, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case len(b) > 0 && b[0] == escape:
		return nil, !f.muted && (f.ex == nil || f.ex.submitted.IsZero())
	case len(b) > 0 && b[len(b)-1] == ctrlZ && f.ex != nil:
		f.ex.submitted = time.Now()
		f.ex.pdu = string(b[:len(b)-1])
		f.tap(ToModem, f.ex.pdu)
		return f.ex, true
	}
	cmd := strings.TrimPrefix(strings.TrimRight(string(b), "\r\n"), "AT")
	f.tap(ToModem, "AT"+cmd)
	name := cmd
	if i := strings.IndexAny(cmd, "=?"); i >= 0 {
		name = cmd[:i]
	}
	f.ex = &exchange{cmd: cmd, name: name, sms: name == "+CMGS", strict: f.owed > 0, done: make(chan struct{})}
	f.last, f.quoted = f.ex, ""
	return nil, true
}

// sent says when Ctrl-Z of ex went out; zero: it did not.
func (f *filter) sent(ex *exchange) time.Time {
	f.mu.Lock()
	defer f.mu.Unlock()
	return ex.submitted
}

// lost says whether a final came that nothing owed, since it was asked last.
func (f *filter) lost() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	astray := f.astray
	f.astray = false
	return astray
}

// owing sets how many finals are still to come.
func (f *filter) owing(n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.owed, f.swallow = n, false
}

// mute keeps ESC from the modem, or no longer.
func (f *filter) mute(on bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.muted = on
}

// losses returns how many lines meant nothing and how many events were dropped, since it was asked last.
func (f *filter) losses() (noise, dropped int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	noise, dropped = f.noise, f.dropped
	f.noise, f.dropped = 0, 0
	return noise, dropped
}

// take returns the queued events in order.
func (f *filter) take() []event {
	f.mu.Lock()
	defer f.mu.Unlock()
	e := f.events
	f.events = nil
	return e
}

// takePDUs returns the texts and reports among the events, in order, and leaves the rest.
func (f *filter) takePDUs() []event {
	f.mu.Lock()
	defer f.mu.Unlock()
	var pdus, rest []event
	for _, e := range f.events {
		if e.kind == evPDU {
			pdus = append(pdus, e)
		} else {
			rest = append(rest, e)
		}
	}
	f.events = rest
	return pdus
}

// aboutModem tells whether there is an event that is not about a text or a report.
func (f *filter) aboutModem() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.ContainsFunc(f.events, func(e event) bool { return e.kind != evPDU && e.kind != evStored && e.kind != evStoredReport })
}

// remind says again that there are events, if there are.
func (f *filter) remind() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.events) > 0 {
		f.wake()
	}
}

// quietFor says how long the modem has been silent.
func (f *filter) quietFor() time.Duration {
	f.mu.Lock()
	defer f.mu.Unlock()
	return time.Since(f.lastByte)
}
