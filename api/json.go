package api

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
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
// nothing in front of us can have read another request than we do), invalid UTF-8 and deep nesting.
func strictJSON(data []byte, v any) error {
	if err := checkJSON(data); err != nil {
		return err
	}
	if err := json.Unmarshal(data, v); err != nil {
		return errFit
	}
	return nil
}

func checkJSON(data []byte) error {
	if !utf8.Valid(data) {
		return errUTF8
	}
	if !json.Valid(data) {
		return errJSON
	}
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	return checkValue(d, maxDepth)
}

// checkValue walks one value that is known to be well-formed.
func checkValue(d *json.Decoder, depth int) error {
	t, err := d.Token()
	if err != nil {
		return errJSON
	}
	open, ok := t.(json.Delim)
	if !ok {
		return nil
	}
	if depth == 0 {
		return errDepth
	}
	seen := map[string]bool{}
	for d.More() {
		if open == '{' {
			name, err := d.Token()
			if err != nil {
				return errJSON
			}
			if s, _ := name.(string); seen[s] {
				return errDuplicate
			} else {
				seen[s] = true
			}
		}
		if err := checkValue(d, depth-1); err != nil {
			return err
		}
	}
	_, err = d.Token() // the closing bracket
	return err
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
