package api

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"strconv"
	"unicode/utf8"

	"github.com/danielgtaylor/huma/v2"
)

// maxDepth bounds how deep a body may nest; ours need 3.
const maxDepth = 16

// jsonError says what is wrong with a body without repeating any of it.
type jsonError string

func (e jsonError) Error() string { return string(e) }

const (
	errJSON      = jsonError("not valid JSON")
	errUTF8      = jsonError("not valid UTF-8")
	errDuplicate = jsonError("a member is given twice")
	errDepth     = jsonError("nested too deep")
	errFit       = jsonError("a value does not fit its type")
)

// strictJSON decodes exactly one JSON value. Beside what json.Unmarshal refuses, it refuses members given twice (so that
// nothing in front of us can have read another request than we do), invalid UTF-8 and deep nesting. What it refuses may have
// been decoded in part.
func strictJSON(data []byte, v any) error {
	if !utf8.Valid(data) {
		return errUTF8
	}
	// It looks first whether all of data is one value, so that what follows can rely on that.
	fit := json.Unmarshal(data, v)
	if _, malformed := fit.(*json.SyntaxError); malformed {
		return errJSON
	}
	if err := checkMembers(data); err != nil {
		return err
	}
	if fit != nil {
		return errFit
	}
	return nil
}

// checkMembers looks for deep nesting and for members given twice in a value that is well-formed.
func checkMembers(data []byte) error {
	var (
		opened, depth int
		open          [maxDepth]int // objects and arrays that are open, as numbered when opened
		seen          members
	)
	for at := 0; at < len(data); at++ {
		switch data[at] {
		case '{', '[':
			if depth == maxDepth {
				return errDepth
			}
			opened++
			open[depth] = opened
			depth++
		case '}', ']':
			depth--
		case '"':
			end := at + textEnd(data[at:])
			if isName(data[end:]) && !seen.add(open[depth-1], data[at:end]) {
				return errDuplicate
			}
			at = end - 1
		}
	}
	return nil
}

// textEnd is the length of the string that data begins with.
func textEnd(data []byte) int {
	at := 1
	for data[at] != '"' {
		if data[at] == '\\' {
			at++
		}
		at++
	}
	return at + 1
}

// isName says, from what follows a string, whether it is a member's name.
func isName(rest []byte) bool {
	for _, c := range rest {
		switch c {
		case ' ', '\t', '\r', '\n':
		default:
			return c == ':'
		}
	}
	return false
}

// members are the names seen in the objects of one value. Bodies of ours have few, and these take no memory of their own.
type members struct {
	n    int
	few  [16]member
	many map[string]bool // the others, by number of their object and name
}

type member struct {
	object int
	name   []byte
}

// add notes a name, as it is written with its quotes, and says whether it is the first of its object.
func (m *members) add(object int, quoted []byte) bool {
	name := quoted[1 : len(quoted)-1]
	if bytes.IndexByte(name, '\\') >= 0 {
		var plain string
		if json.Unmarshal(quoted, &plain) != nil {
			return false // it cannot be, in a value that is well-formed
		}
		name = []byte(plain)
	}
	for _, other := range m.few[:m.n] {
		if other.object == object && bytes.Equal(other.name, name) {
			return false
		}
	}
	if m.n < len(m.few) {
		m.few[m.n] = member{object, name}
		m.n++
		return true
	}
	if m.many == nil {
		m.many = map[string]bool{}
	}
	key := strconv.Itoa(object) + ":" + string(name)
	first := !m.many[key]
	m.many[key] = true
	return first
}

// jsonFormats are what huma reads and writes: application/json in, and application/anything+json out.
func jsonFormats() map[string]huma.Format {
	marshal := func(w io.Writer, v any) error {
		e := json.NewEncoder(w)
		e.SetEscapeHTML(false)
		return e.Encode(v)
	}
	return map[string]huma.Format{
		"application/json": {Marshal: marshal, Unmarshal: strictJSON},
		"json":             {Marshal: marshal, Unmarshal: func([]byte, any) error { return errors.Join(huma.ErrUnknownContentType) }},
	}
}
