package console

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
)

// exchange is one request to the public API and its answer, as a reader may see them: without the key, with PINs covered.
type exchange struct {
	Method, Path string
	Asked        []headerLine
	Body         string // JSON, indented; "" for none
	Status       int
	StatusText   string
	Answered     []headerLine
	Answer       string
}

// headerLine is one header field.
type headerLine struct{ Name, Value string }

// Failed says that the answer is a refusal.
func (e exchange) Failed() bool { return e.Status >= 400 }

// recorder is a transport that keeps the exchanges that go through it. It belongs to one goroutine.
type recorder struct {
	next http.RoundTripper
	seen []exchange // oldest first
}

// maxShown bounds what is kept of a body.
const maxShown = 16 << 10

// RoundTrip lets the request pass and notes both ways of it.
func (r *recorder) RoundTrip(req *http.Request) (*http.Response, error) {
	sent, err := peekBody(&req.Body)
	if err != nil {
		return nil, err
	}
	res, err := r.next.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	answer, err := peekBody(&res.Body)
	if err != nil {
		return nil, err
	}
	r.seen = append(r.seen, exchange{Method: req.Method, Path: req.URL.RequestURI(),
		Asked: headerLines(req.Header, "Authorization", "Content-Type", "Idempotency-Key"), Body: covered(sent),
		Status: res.StatusCode, StatusText: http.StatusText(res.StatusCode),
		Answered: headerLines(res.Header, "Content-Type", "Retry-After", "RateLimit"), Answer: covered(answer)})
	return res, nil
}

// headerLines are some fields of a header, in that order; a key is covered.
func headerLines(h http.Header, names ...string) []headerLine {
	var all []headerLine
	for _, name := range names {
		value := h.Get(name)
		if value != "" && name == "Authorization" {
			value = "Bearer otp_live_" + dots
		}
		if value != "" {
			all = append(all, headerLine{name, value})
		}
	}
	return all
}

// peekBody reads a whole body and puts it back.
func peekBody(body *io.ReadCloser) ([]byte, error) {
	if *body == nil || *body == http.NoBody {
		return nil, nil
	}
	b, err := io.ReadAll(*body)
	if err := errors.Join(err, (*body).Close()); err != nil {
		return nil, err
	}
	*body = io.NopCloser(bytes.NewReader(b))
	return b, nil
}

// dots stand for a PIN that was typed.
const dots = "••••"

// secretMember says whether no page shows a member of that name.
func secretMember(name string) bool {
	switch strings.ToLower(name) {
	case "pin", "current_pin", "client_secret":
		return true
	}
	return false
}

// covered is a JSON body for reading: indented, its members in their order, PINs as dots. What is no JSON is not shown.
func covered(body []byte) string {
	if len(body) == 0 {
		return ""
	}
	if len(body) > maxShown {
		return "…"
	}
	d := json.NewDecoder(bytes.NewReader(body))
	d.UseNumber()
	clean, err := cover(d)
	if err != nil || d.More() {
		return "…"
	}
	var out bytes.Buffer
	if err := json.Indent(&out, clean, "", "  "); err != nil {
		return "…"
	}
	return out.String()
}

// cover copies one JSON value, with the secret members' values replaced.
func cover(d *json.Decoder) ([]byte, error) {
	t, err := d.Token()
	if err != nil {
		return nil, err
	}
	open, ok := t.(json.Delim)
	if !ok {
		return encode(t)
	}
	out := []byte{byte(open)}
	for first := true; d.More(); first = false {
		if !first {
			out = append(out, ',')
		}
		if open == '{' {
			member, err := coverMember(d)
			if err != nil {
				return nil, err
			}
			out = append(out, member...)
			continue
		}
		item, err := cover(d)
		if err != nil {
			return nil, err
		}
		out = append(out, item...)
	}
	end, err := d.Token()
	if err != nil {
		return nil, err
	}
	return append(out, byte(end.(json.Delim))), nil // More said that the value ends here
}

func coverMember(d *json.Decoder) ([]byte, error) {
	name, err := d.Token()
	if err != nil {
		return nil, err
	}
	out, err := encode(name)
	if err != nil {
		return nil, err
	}
	value, err := cover(d)
	if err != nil {
		return nil, err
	}
	if n, _ := name.(string); secretMember(n) {
		value = []byte(`"` + dots + `"`)
	}
	return append(append(out, ':'), value...), nil
}

// encode writes a token without escaping what only HTML would mind: the template escapes.
func encode(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSpace(b.Bytes()), nil
}
