package driver

import "strings"

// maxLine caps a line; what is longer is thrown away to its end (libraries.md B 12).
const maxLine = 4096

// scanner cuts what a modem says into lines and prompts, byte by byte, so that it makes no difference how the bytes came.
// What a line means it does not know.
type scanner struct {
	buf      []byte
	overlong bool // the line is thrown away
	spaces   bool // those behind a prompt belong to it
}

// octet takes one byte and returns the line that it ends, if that is not empty, or that it is a prompt: a '>' of which asks
// says so, given what stands before it. Line ends are CR, LF, and the echo of Ctrl-Z; other control bytes are line noise.
func (s *scanner) octet(c byte, asks func(before string) bool) (line string, prompt bool) {
	switch {
	case c == '\r' || c == '\n' || c == ctrlZ:
		return s.end(), false
	case c == '>' && !s.overlong && asks(strings.TrimSpace(string(s.buf))):
		s.buf, s.spaces = s.buf[:0], true
		return "", true
	case c == ' ' && s.spaces:
	case c < ' ' || c == 0x7f:
	case s.overlong:
	case len(s.buf) == maxLine:
		s.buf, s.overlong = s.buf[:0], true
	default:
		s.spaces = false
		s.buf = append(s.buf, c)
	}
	return "", false
}

func (s *scanner) end() string {
	text := strings.TrimSpace(string(s.buf))
	s.buf, s.overlong, s.spaces = s.buf[:0], false, false
	return text
}
