package sim

import (
	"strings"
)

// Control characters of the line (ITU-T V.250 5.2, TS 27.005 3.5).
const (
	bs    = 8
	esc   = 27
	ctrlZ = 26
)

const (
	maxLine    = 2048 // longer command lines are answered ERROR
	maxEdit    = 4096 // and longer messages are cut
	maxBacklog = 64 << 10
)

// interpreter is where the modem stands in what the host is typing. The modem's mutex guards it.
type interpreter struct {
	state   lineState
	line    []byte
	over    bool   // the line is longer than a modem's buffer
	last    string // for A/
	edit    *edit  // a message is being typed
	running bool   // a command has not ended
	todo    []call // the rest of the command line
	broken  bool   // the line ended in a syntax error, after todo
	backlog []byte // typed while a command runs
	tail    []byte // for the tap: an answer's unfinished line
}

type lineState int

const (
	lineIdle lineState = iota
	lineA              // an A was seen
	lineBody           // after AT
)

// edit is a message being typed after the prompt.
type edit struct {
	data []byte
	done func(text string) reply // runs at Ctrl-Z
	text bool                    // text mode: a CR begins another line
}

// hangUp forgets what the user who left had typed; what runs goes on, as in a real modem.
func (i *interpreter) hangUp() {
	i.line, i.state, i.over, i.edit, i.backlog = nil, lineIdle, false, nil, nil
}

// feed takes bytes from the host.
func (m *Modem) feed(b []byte) {
	b = m.faults.intercept(m, b)
	if len(m.at.backlog)+len(b) > maxBacklog {
		return
	}
	m.at.backlog = append(m.at.backlog, b...)
	m.pump()
}

// pump works through what was typed, as far as no command is running.
func (m *Modem) pump() {
	for !m.at.running && len(m.at.backlog) > 0 {
		c := m.at.backlog[0]
		m.at.backlog = m.at.backlog[1:]
		if m.at.edit != nil {
			m.editByte(c)
		} else {
			m.lineByte(c)
		}
	}
}

// lineByte takes one character of a command line.
func (m *Modem) lineByte(c byte) {
	i := &m.at
	if m.echoing() {
		m.write([]byte{c})
	}
	switch {
	case c == m.set.s3:
		if i.state == lineBody {
			m.lineEnd()
		}
		i.state, i.line, i.over = lineIdle, nil, false
	case i.state == lineIdle && (c == 'A' || c == 'a'):
		i.state = lineA
	case i.state == lineA && (c == 'T' || c == 't'):
		i.state = lineBody
	case i.state == lineA && c == '/':
		i.state = lineIdle
		m.runLine(i.last)
	case i.state == lineA && c != 'A' && c != 'a':
		i.state = lineIdle
	case i.state != lineBody:
	case c == m.set.s5:
		i.line = i.line[:max(0, len(i.line)-1)]
	case c < ' ' || c == 0x7f: // V.250 5.2.2: other control characters are ignored
	case len(i.line) >= maxLine:
		i.over = true
	default:
		i.line = append(i.line, c)
	}
}

func (m *Modem) lineEnd() {
	body := string(m.at.line)
	m.tap(">>", "AT"+body)
	if m.at.over {
		m.final(resultError)
		return
	}
	m.at.last = body
	m.runLine(body)
}

// runLine runs a command line's body.
func (m *Modem) runLine(body string) {
	calls, ok := parseLine(body)
	m.at.todo, m.at.broken = calls, !ok
	m.runRest()
}

// runRest runs the commands of the line that are left; the first that fails ends it.
func (m *Modem) runRest() {
	for len(m.at.todo) > 0 {
		c := m.at.todo[0]
		m.at.todo = m.at.todo[1:]
		if !m.settle(m.run(&c)) {
			return
		}
	}
	if m.at.broken {
		m.at.broken = false
		m.final(resultError)
		return
	}
	m.final(resultOK)
}

// settle says what a command answered; it reports whether the line goes on.
func (m *Modem) settle(r reply) bool {
	m.inform(r.info...)
	switch {
	case r.edit != nil:
		m.at.edit = r.edit
		m.write([]byte(m.kind.Prompt))
		m.tapPrompt()
		return false
	case r.later:
		m.at.running = true
		return false
	case r.mute:
		m.at.todo, m.at.broken = nil, false
		return false
	case r.result != resultOK:
		m.at.todo, m.at.broken = nil, false
		m.final(r.result)
		return false
	}
	return true
}

// finish ends the running command with its answer and goes on with the line and with what was typed meanwhile.
func (m *Modem) finish(r reply) {
	if !m.at.running {
		return // the modem restarted under it
	}
	m.at.running = false
	if m.settle(r) {
		m.runRest()
	}
	m.flushRouted()
	m.pump()
}

// run executes one command.
func (m *Modem) run(c *call) reply {
	e := m.commands[c.name]
	if e == nil {
		return reply{result: m.kind.unknownResult()}
	}
	if r := m.blocked(e, c); r != resultOK {
		return reply{result: r}
	}
	f := e.exec
	switch c.op {
	case opTest:
		if e.tested != nil {
			return e.tested(m, c)
		}
		return m.testForm(e)
	case opRead:
		f = e.read
	case opSet:
		f = e.set
	}
	if f == nil {
		return reply{result: e.fail(errOperation)}
	}
	r := f(m, c)
	if e.quirk != nil {
		r = e.quirk(m, c, r)
	}
	return r
}

func (m *Modem) testForm(e *entry) reply {
	if e.test == nil {
		return reply{}
	}
	if s := e.test(m); s != "" {
		return info(e.name + ": " + s)
	}
	return reply{}
}

// editByte takes one character of a message being typed.
func (m *Modem) editByte(c byte) {
	e := m.at.edit
	switch {
	case m.faults.stuck:
		if c == ctrlZ || c == esc || c == m.set.s3 {
			m.write([]byte(m.kind.Prompt))
		}
	case c == esc:
		m.at.edit = nil
		m.tap(">>", "<ESC>")
		m.final(m.kind.escResult())
	case c == ctrlZ:
		if m.echoing() {
			m.write(e.data)
		}
		m.at.edit = nil
		m.tap(">>", strings.TrimSpace(string(e.data))+"<^Z>")
		if m.settle(e.done(string(e.data))) {
			m.runRest()
		}
	case c == bs && len(e.data) > 0:
		e.data = e.data[:len(e.data)-1]
	case len(e.data) >= maxEdit:
	case c == m.set.s3 && e.text:
		e.data = append(e.data, '\n')
		m.write([]byte(m.kind.Prompt)) // TS 27.005 3.5.1: the prompt again after each line
	default:
		e.data = append(e.data, c)
	}
}
