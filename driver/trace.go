package driver

import (
	"fmt"
	"regexp"
	"strings"
	"sync"
	"time"
	"unicode/utf8"
)

// traceLines is how much of the latest exchange a modem remembers: minutes of polling, or a few dozen sends.
const (
	traceLines  = 400
	traceLength = 200 // of a line, in bytes
)

// TraceLine is one line of the AT exchange. What it holds is redacted when it is made, and cannot be set otherwise.
type TraceLine struct {
	At        time.Time
	Direction Direction
	line      string
}

// String returns the line as it may be shown: no PDU, text, PIN, USSD or full number.
func (l TraceLine) String() string { return l.line }

// Lines by whose beginning it is known what they are: commands, answers with a name, results, prompts.
var traceable = regexp.MustCompile(`^(AT$|AT[+^*#%$&!]|AT[A-Z][0-9]*$|[+^*#%$&!][A-Z][A-Z0-9_]+ *([:=?]|ERROR|$)|OK$|ERROR$|>$|RING$|RDY$|READY$|BUSY$|NO CARRIER$|Call Ready$|SMS Ready$|<PDU, [0-9]+ octets>$)`)

// newTraceLine takes out what is secret, and all of a line of which it is not known what it is.
func newTraceLine(at time.Time, d Direction, s string) TraceLine {
	l := redact(s)
	if !plain(l) && !traceable.MatchString(l) {
		l = fmt.Sprintf("<%d characters>", utf8.RuneCountInString(s))
	}
	if len(l) > traceLength {
		l = l[:traceLength] + "…"
	}
	return TraceLine{at, d, l}
}

// plain says of the commonest lines, at less cost, that they are traceable: commands, OK, the prompt, and answers with a name.
func plain(l string) bool {
	if l == "OK" || l == ">" || strings.HasPrefix(l, "AT+") {
		return true
	}
	if len(l) < 2 || l[0] != '+' || l[1] < 'A' || l[1] > 'Z' {
		return false
	}
	name, _, ok := strings.Cut(l[2:], ":")
	return ok && name != "" && !strings.ContainsFunc(name, func(r rune) bool { return (r < 'A' || r > 'Z') && (r < '0' || r > '9') })
}

// trace remembers the latest lines. It is safe for concurrent use.
type trace struct {
	mu    sync.Mutex
	lines [traceLines]TraceLine // a ring; under mu
	n     int                   // lines ever
}

func (t *trace) add(d Direction, s string) {
	l := newTraceLine(time.Now(), d, s)
	t.mu.Lock()
	defer t.mu.Unlock()
	t.lines[t.n%traceLines] = l
	t.n++
}

// all returns the lines, oldest first.
func (t *trace) all() []TraceLine {
	t.mu.Lock()
	defer t.mu.Unlock()
	first := max(0, t.n-traceLines)
	out := make([]TraceLine, 0, t.n-first)
	for i := first; i < t.n; i++ {
		out = append(out, t.lines[i%traceLines])
	}
	return out
}

// remember has what goes over the line kept, beside telling Trace of it.
func (c Config) remember(t *trace) Config {
	tell := c.Trace
	c.Trace = func(d Direction, s string) {
		t.add(d, s)
		if tell != nil {
			tell(d, s)
		}
	}
	return c
}

// Trace returns the latest lines of the AT exchange, oldest first, redacted.
func (m *Modem) Trace() []TraceLine { return m.trace.all() }
