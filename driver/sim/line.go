package sim

import (
	"strconv"
	"strings"
)

// op is the form of a command (ITU-T V.250 5.4).
type op int

const (
	opExec op = iota // AT+X, ATE0
	opRead           // AT+X?
	opTest           // AT+X=?
	opSet            // AT+X=1,2
)

// call is one command of a command line.
type call struct {
	name string // upper case: "+CMGS", "E", "&F", "S3"
	op   op
	args []arg
	raw  string // what followed the name
}

// arg is one parameter; an omitted one is empty and not quoted.
type arg struct {
	text   string
	quoted bool
}

func (a arg) omitted() bool { return a.text == "" && !a.quoted }

// str is the i-th parameter's text, and fallback when it is omitted.
func (c *call) str(i int, fallback string) string {
	if i >= len(c.args) || c.args[i].omitted() {
		return fallback
	}
	return c.args[i].text
}

// num is the i-th parameter as a number from lo to hi, and fallback when it is omitted.
func (c *call) num(i, fallback, lo, hi int) (int, bool) {
	if i >= len(c.args) || c.args[i].omitted() {
		return fallback, true
	}
	n, err := strconv.Atoi(strings.TrimSpace(c.args[i].text))
	if err != nil || c.args[i].quoted || n < lo || n > hi {
		return 0, false
	}
	return n, true
}

// parseLine cuts the body of a command line (after "AT") into its commands; ok is false on a syntax error, with the
// commands before it.
func parseLine(body string) (calls []call, ok bool) {
	for rest := strings.TrimLeft(body, " "); rest != ""; rest = strings.TrimLeft(rest, " ") {
		var c call
		var good bool
		switch ch := rest[0]; {
		case ch == ';': // an empty command between semicolons
			rest = rest[1:]
			continue
		case strings.IndexByte("+^*#$%!", ch) >= 0:
			c, rest, good = parseExtended(rest)
		default:
			c, rest, good = parseBasic(rest)
		}
		if !good {
			return calls, false
		}
		calls = append(calls, c)
	}
	return calls, true
}

// parseExtended reads one extended command, up to the semicolon that ends it.
func parseExtended(s string) (call, string, bool) {
	end := 1
	for end < len(s) && nameByte(s[end]) {
		end++
	}
	if end == 1 {
		return call{}, "", false
	}
	c := call{name: strings.ToUpper(s[:end])}
	stop := unquoted(s[end:], ';')
	raw, rest := s[end:], ""
	if stop >= 0 {
		raw, rest = s[end:end+stop], s[end+stop+1:]
	}
	raw = strings.TrimSpace(raw)
	c.raw = raw
	switch {
	case raw == "":
		c.op = opExec
	case raw == "?":
		c.op = opRead
	case raw == "=?":
		c.op = opTest
	case raw[0] == '=':
		c.op = opSet
		var ok bool
		if c.args, ok = parseArgs(raw[1:]); !ok {
			return c, "", false
		}
	default:
		return c, "", false
	}
	return c, rest, true
}

func nameByte(b byte) bool {
	return b >= 'A' && b <= 'Z' || b >= 'a' && b <= 'z' || b >= '0' && b <= '9' || strings.IndexByte("!%-./:_", b) >= 0
}

// unquoted is the place of the first b outside of quotes, or -1.
func unquoted(s string, b byte) int {
	quoted := false
	for i := range len(s) {
		switch {
		case s[i] == '"':
			quoted = !quoted
		case s[i] == b && !quoted:
			return i
		}
	}
	return -1
}

func parseArgs(s string) ([]arg, bool) {
	var args []arg
	for {
		end := unquoted(s, ',')
		field := s
		if end >= 0 {
			field = s[:end]
		}
		a, ok := parseArg(strings.TrimSpace(field))
		if !ok {
			return nil, false
		}
		args = append(args, a)
		if end < 0 {
			return args, true
		}
		s = s[end+1:]
	}
}

func parseArg(field string) (arg, bool) {
	if !strings.Contains(field, `"`) {
		return arg{text: field}, true
	}
	if len(field) < 2 || field[0] != '"' || field[len(field)-1] != '"' || strings.Count(field, `"`) != 2 {
		return arg{}, false
	}
	return arg{text: field[1 : len(field)-1], quoted: true}, true
}

// parseBasic reads one basic command: a letter or & and a letter, then a number; S-parameters; D with the rest.
func parseBasic(s string) (call, string, bool) {
	n := 1
	if s[0] == '&' {
		n = 2
	}
	if len(s) < n || !letter(s[n-1]) {
		return call{}, "", false
	}
	c := call{name: strings.ToUpper(s[:n])}
	s = s[n:]
	if c.name == "D" {
		c.raw = s
		return c, "", true
	}
	digits := 0
	for digits < len(s) && s[digits] >= '0' && s[digits] <= '9' {
		digits++
	}
	c.raw, s = s[:digits], s[digits:]
	if c.name != "S" {
		return c, s, true
	}
	return parseRegister(c, s)
}

func letter(b byte) bool { return b >= 'A' && b <= 'Z' || b >= 'a' && b <= 'z' }

// parseRegister reads what follows S<n>: ? or =<value>.
func parseRegister(c call, s string) (call, string, bool) {
	c.name += c.raw
	switch {
	case c.raw == "":
		return c, "", false
	case strings.HasPrefix(s, "?"):
		c.op, c.raw = opRead, ""
		return c, s[1:], true
	case strings.HasPrefix(s, "="):
		digits := 1
		for digits < len(s) && s[digits] >= '0' && s[digits] <= '9' {
			digits++
		}
		c.op, c.args = opSet, []arg{{text: s[1:digits]}}
		return c, s[digits:], digits > 1
	}
	return c, "", false
}
