package sim

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
	"unicode"
)

// result ends a command line.
type result struct {
	kind string // "" is OK, "ERROR", "CME", "CMS", or a whole line of a personality's own
	code int
}

var (
	resultOK    = result{}
	resultError = result{kind: "ERROR"}
)

func cme(code int) result { return result{kind: "CME", code: code} }
func cms(code int) result { return result{kind: "CMS", code: code} }

// reply is what a command answers: lines, and how it ended.
type reply struct {
	info   []string
	result result
	edit   *edit // show the prompt and take a message
	later  bool  // it has not ended: finish will say
	mute   bool  // it ends without any result code
}

func info(lines ...string) reply { return reply{info: lines} }
func fail(r result) reply        { return reply{result: r} }

// numeric are the result codes under ATV0 (V.250 table 1).
func (r result) numeric() string {
	switch r.kind {
	case "":
		return "0"
	case "NO CARRIER":
		return "3"
	}
	return "4"
}

func (r result) line(cmee int) string {
	switch {
	case r.kind == "":
		return "OK"
	case r.kind == "CMS" && cmee == 2:
		return "+CMS ERROR: " + cmsText(r.code)
	case r.kind == "CMS":
		return "+CMS ERROR: " + strconv.Itoa(r.code)
	case r.kind == "CME" && cmee == 0:
		return "ERROR"
	case r.kind == "CME" && cmee == 2:
		return "+CME ERROR: " + cmeText(r.code)
	case r.kind == "CME":
		return "+CME ERROR: " + strconv.Itoa(r.code)
	}
	return r.kind
}

// inform writes an answer's lines.
func (m *Modem) inform(lines ...string) {
	if len(lines) == 0 {
		return
	}
	end := m.lineBreak()
	text := strings.Join(lines, end) + end
	if m.set.verbose {
		text = end + text
	}
	m.write([]byte(text))
}

// final writes a result code and closes the line.
func (m *Modem) final(r result) {
	switch {
	case m.set.quiet:
	case m.set.verbose:
		end := m.lineBreak()
		m.write([]byte(end + r.line(m.set.cmee) + end))
	case r.kind == "CME" && m.set.cmee > 0 || r.kind == "CMS":
		m.write([]byte(r.line(m.set.cmee) + m.lineBreak()))
	default:
		m.write([]byte(r.numeric() + string(rune(m.set.s3))))
	}
}

// urc writes an unsolicited result code. While a message is being typed it waits; when nobody reads it is dropped.
func (m *Modem) urc(lines ...string) {
	if m.at.edit != nil || m.booting {
		m.route.held = append(m.route.held, lines)
		return
	}
	if m.sess != nil && m.sess.out.unheard() {
		return
	}
	end := m.lineBreak()
	m.write([]byte(end + strings.Join(lines, end) + end))
}

func (m *Modem) lineBreak() string { return string([]byte{m.set.s3, m.set.s4}) }

// write says bytes to whoever has the port open, through the faults that are at work.
func (m *Modem) write(b []byte) {
	if m.sess == nil {
		return
	}
	if b = m.faults.distort(m, b); len(b) > 0 {
		m.tapOut(b)
		m.sess.out.put(b)
	}
}

func (m *Modem) tap(dir, line string) {
	if m.cfg.Tap != nil {
		m.cfg.Tap(dir, line)
	}
}

func (m *Modem) tapPrompt() {
	m.at.tail = nil
	m.tap("<<", ">")
}

// tapOut shows whole lines of what the modem says; the prompt and echoed characters are not lines.
func (m *Modem) tapOut(b []byte) {
	if m.cfg.Tap == nil {
		return
	}
	m.at.tail = append(m.at.tail, b...)
	for {
		n := bytes.IndexAny(m.at.tail, "\r\n")
		if n < 0 {
			return
		}
		line := strings.TrimFunc(string(m.at.tail[:n]), func(r rune) bool { return !unicode.IsPrint(r) || r == ' ' })
		m.at.tail = m.at.tail[n+1:]
		if line != "" && !strings.HasPrefix(strings.ToUpper(line), "AT") {
			m.tap("<<", line)
		}
	}
}

// cmeText and cmsText are the verbose causes of +CMEE=2 (TS 27.007 9.2, TS 27.005 3.2.5).
func cmeText(code int) string {
	text, ok := map[int]string{
		3: "operation not allowed", 4: "operation not supported", 10: "SIM not inserted", 11: "SIM PIN required",
		12: "SIM PUK required", 13: "SIM failure", 14: "SIM busy", 16: "incorrect password", 20: "memory full",
		21: "invalid index", 30: "no network service", 50: "incorrect parameters", 100: "unknown",
	}[code]
	if !ok {
		return fmt.Sprintf("unknown error %d", code)
	}
	return text
}

func cmsText(code int) string {
	text, ok := map[int]string{
		1: "Unassigned (unallocated) number", 8: "Operator determined barring", 10: "Call barred",
		21: "Short message transfer rejected", 27: "Destination out of service", 28: "Unidentified subscriber",
		29: "Facility rejected", 30: "Unknown subscriber", 38: "Network out of order", 41: "Temporary failure",
		42: "Congestion", 47: "Resources unavailable, unspecified", 50: "Requested facility not subscribed",
		69: "Requested facility not implemented", 96: "Invalid mandatory information", 197: "SM rejected-duplicate SM",
		300: "ME failure", 301: "SMS service of ME reserved", 302: "operation not allowed", 303: "operation not supported",
		304: "invalid PDU mode parameter", 305: "invalid text mode parameter", 310: "SIM not inserted",
		311: "SIM PIN required", 313: "SIM failure", 314: "SIM busy", 316: "SIM PUK required",
		320: "memory failure", 321: "invalid memory index", 322: "memory full", 330: "SMSC address unknown",
		331: "no network service", 332: "network timeout", 340: "NO +CNMA ACK EXPECTED",
	}[code]
	if !ok {
		return "Unknown error"
	}
	return text
}
