package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"go.uber.org/goleak"

	"otpost/api/wire"
	"otpost/driver"
)

// fakeModems stands in for the drivers.
type fakeModems struct{}

func (fakeModems) Reset(context.Context, string) error { return nil }

func (fakeModems) Trace(string) ([]driver.TraceLine, error) {
	return []driver.TraceLine{{At: time.Now(), Direction: driver.ToModem}}, nil
}

func (fakeModems) USSD(_ context.Context, _, code string) (string, error) {
	if code == "*99#" {
		return "", errors.New("no answer from the network")
	}
	return "Your balance is 12.50", nil
}

// generator makes requests from the document: whole ones, and spoilt ones.
type generator struct {
	*rand.Rand
	doc *huma.OpenAPI
	ops []operation
	// ids seen in answers, so that later requests are about things that exist; but not those of the keys that ask
	known map[string][]string
	own   []string
}

type operation struct {
	method, path string
	op           *huma.Operation
}

func newGenerator(doc *huma.OpenAPI, seed uint64) *generator {
	g := &generator{Rand: rand.New(rand.NewPCG(seed, 1)), doc: doc, known: map[string][]string{"account": {"client-4711", "a"}, "name": {"modem1"}, "code": {"123456"}}}
	operations(doc, func(method, path string, op *huma.Operation) { g.ops = append(g.ops, operation{method, path, op}) })
	slices.SortFunc(g.ops, func(a, b operation) int { return strings.Compare(a.path+a.method, b.path+b.method) })
	return g
}

func (g *generator) one(n int) bool { return g.IntN(n) == 0 }

func pick[T any](g *generator, s []T) T { return s[g.IntN(len(s))] }

// What tends to break things.
var nasty = []string{"", " ", "0", "-1", "null", "\x00", "\r\nX: y", "☎", "../..", "%2e%2e", "'", `"`, "{}", "\u202e", "99999999999999999999",
	"+447400123456", "1e400", "\xff\xfe", "AT+CMGS", "\x1a", strings.Repeat("x", 3000), "2026-02-30T00:00:00Z", "true", "<script>"}

// value makes a value that fits the schema, mostly.
func (g *generator) value(s *huma.Schema, name string) any {
	if s.Ref != "" {
		s = g.doc.Components.Schemas.SchemaFromRef(s.Ref)
	}
	if seen := g.known[name]; len(seen) > 0 && s.Type == "string" && !g.one(3) {
		return pick(g, seen)
	}
	if len(s.Enum) > 0 {
		return pick(g, s.Enum)
	}
	if len(s.Examples) > 0 && !g.one(4) {
		return s.Examples[0]
	}
	switch s.Type {
	case "boolean":
		return g.one(2)
	case "integer", "number":
		if s.Minimum != nil && s.Maximum != nil {
			return int(*s.Minimum) + g.IntN(int(*s.Maximum-*s.Minimum)+1)
		}
		return g.IntN(1000)
	case "array":
		var out []any
		for range g.IntN(3) {
			out = append(out, g.value(s.Items, name))
		}
		return out
	case "object":
		out := map[string]any{}
		for member, p := range s.Properties {
			if slices.Contains(s.Required, member) || g.one(2) {
				out[member] = g.value(p, member)
			}
		}
		return out
	}
	return g.text(s)
}

func (g *generator) text(s *huma.Schema) string {
	if s.Format == "date-time" {
		return time.Now().Add(time.Duration(g.IntN(1000)-500) * time.Hour).UTC().Format(time.RFC3339)
	}
	return pick(g, []string{"login", "withdrawal", "10s", "30m", "123456", "739154", "en", "EUR", "1.50", "a", "portal", "+447400123456", "Hello"})
}

// spoil changes something in a value.
func (g *generator) spoil(v any) any {
	switch v := v.(type) {
	case map[string]any:
		names := make([]string, 0, len(v))
		for name := range v {
			names = append(names, name)
		}
		slices.Sort(names)
		if len(names) == 0 || g.one(4) {
			v[pick(g, nasty)] = g.junk()
			return v
		}
		name := pick(g, names)
		if g.one(3) {
			delete(v, name)
		} else {
			v[name] = g.spoil(v[name])
		}
		return v
	default:
		return g.junk()
	}
}

func (g *generator) junk() any {
	return pick(g, []any{nil, true, -1, 1e300, "", map[string]any{}, []any{}, []any{[]any{nil}}, pick(g, nasty), pick(g, nasty)})
}

// made is a request to make.
type made struct {
	operation
	target, body string
	header       http.Header
	spoilt       bool
}

func (g *generator) request(tokens []string) made {
	m := made{operation: pick(g, g.ops), header: http.Header{}, spoilt: g.one(2)}
	path, query := m.path, url.Values{}
	for _, p := range m.op.Parameters {
		v := fmt.Sprint(g.value(p.Schema, p.Name))
		if m.spoilt && g.one(4) {
			v = pick(g, nasty)
		}
		switch {
		case p.In == "path":
			path = strings.ReplaceAll(path, "{"+p.Name+"}", url.PathEscape(v))
		case p.In == "query" && g.one(2):
			query.Set(p.Name, v)
		case p.In == "header" && g.one(3):
			m.header.Set(p.Name, v)
		}
	}
	if m.op.RequestBody != nil {
		m.header.Set("Content-Type", "application/json")
		content := m.op.RequestBody.Content["application/json"]
		v := g.value(content.Schema, "")
		if m.spoilt {
			v = g.spoil(v)
		}
		b, _ := json.Marshal(v)
		m.body = string(b)
	}
	m.header.Set("Authorization", "Bearer "+pick(g, tokens))
	m.target = path
	if len(query) > 0 {
		m.target += "?" + query.Encode()
	}
	if m.spoilt {
		g.spoilRequest(&m)
	}
	return m
}

func (g *generator) spoilRequest(m *made) {
	switch g.IntN(12) {
	case 0:
		m.method = pick(g, []string{"GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS", "TRACE", "BREW"})
	case 1:
		m.header.Set("Content-Type", pick(g, []string{"text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "application/cbor", ";", "+", "application/json; charset=utf-16"}))
	case 2:
		m.header.Set("Authorization", pick(g, []string{"", "Bearer", "Bearer ", "Basic YTpi", "Bearer otp_live_" + strings.Repeat("0", 38)}))
	case 3:
		m.header.Set("Accept", pick(g, []string{"text/html", "application/cbor", "*/*;q=0", "application/problem+json", ";;"}))
	case 4:
		if n := len(m.body); n > 0 {
			at := g.IntN(n)
			m.body = m.body[:at] + string(rune(g.IntN(256))) + m.body[at:]
		}
	case 5:
		if n := len(m.body); n > 0 {
			m.body = m.body[:g.IntN(n)]
		}
	case 6:
		m.body += pick(g, nasty)
	case 7:
		m.target += "/" + url.PathEscape(pick(g, nasty))
	case 8:
		m.header.Set("Idempotency-Key", pick(g, nasty))
	}
}

// learn keeps ids out of an answer.
func (g *generator) learn(body []byte) {
	var v struct {
		ID      string
		Account string
		Key     struct{ ID string }
	}
	if json.Unmarshal(body, &v) != nil {
		return
	}
	for _, id := range []string{v.ID, v.Key.ID} {
		if id != "" && !slices.Contains(g.own, id) {
			g.known["id"] = append(g.known["id"], id)
			if n := len(g.known["id"]); n > 20 {
				g.known["id"] = g.known["id"][n-20:]
			}
		}
	}
}

// Requests made from the document, whole and spoilt: no 5xx, no panic, every refusal a problem that fits the document and
// is among those it names for the call, every success what the document says. -soak=20 makes a hundred thousand of them,
// each five thousand against a daemon of their own, so that lists stay as short as they are in life.
func TestGeneratedRequests(t *testing.T) {
	t.Cleanup(func() { goleak.VerifyNone(t, goleak.IgnoreCurrent()) })
	counts := map[int]int{}
	for range *soak {
		seed := uint64(time.Now().UnixNano())
		t.Run(strconv.FormatUint(seed, 10), func(t *testing.T) { generatedRequests(t, seed, 5000, counts) })
	}
	t.Logf("answers by status: %v", counts)
	if counts[200] < 100 || counts[202] < 5 || counts[400] < 100 || counts[403] < 20 {
		t.Errorf("the requests are too tame or too wild: %v", counts)
	}
}

func generatedRequests(t *testing.T, seed uint64, n int, counts map[int]int) {
	k := newRealKit(t, func(c *Config) { c.Modems = fakeModems{} })
	g := newGenerator(k.OpenAPI(), seed)
	for _, key := range must(k.keys.List(t.Context())) {
		g.own = append(g.own, key.ID)
	}
	var tokens []string
	for _, scope := range Scopes() {
		tokens = append(tokens, k.tokens[scope], k.tokens[ScopeAdmin])
	}
	for i := range n {
		m := g.request(tokens)
		r, err := newRequest(m)
		if err != nil {
			continue // not a request that a server could read
		}
		w := httptest.NewRecorder()
		if !served(k.Handler(), w, r) {
			continue
		}
		counts[w.Code]++
		if strings.HasSuffix(m.path, "/pause") { // or nothing could be sent any more
			if err := k.queue.Resume(context.Background(), "modem1"); err != nil {
				t.Fatal(err)
			}
		}
		cut := r.Context().Err() != nil && w.Code == http.StatusServiceUnavailable
		if complaint := g.judge(m, w); complaint != "" && !cut {
			t.Fatalf("request %d: %s\n%s %q\n%v\n%.500q\ngot %d %v\n%.2000s", i, complaint, m.method, m.target, m.header, m.body, w.Code, w.Header(), w.Body)
		}
		g.learn(w.Body.Bytes())
		if i%500 == 0 {
			k.log.Reset()
		}
	}
}

// served makes the request; false says that the answer was cut off because its reader had gone, as it should be then.
func served(h http.Handler, w http.ResponseWriter, r *http.Request) (whole bool) {
	defer func() {
		if what := recover(); what != nil {
			if what != http.ErrAbortHandler || r.Context().Err() == nil {
				panic(what)
			}
			whole = false
		}
	}()
	h.ServeHTTP(w, r)
	return true
}

// newRequest makes the request; streams and long polls are cut short by their context.
func newRequest(m made) (r *http.Request, err error) {
	defer func() {
		if recover() != nil {
			err = errors.New("httptest cannot make it")
		}
	}()
	r = httptest.NewRequest(m.method, m.target, strings.NewReader(m.body))
	r.Header = m.header
	if strings.HasPrefix(m.path, "/v1/events") || strings.HasPrefix(m.path, "/v1/simulator/messages") {
		ctx, cancel := context.WithTimeout(r.Context(), 2*time.Millisecond)
		context.AfterFunc(ctx, cancel)
		r = r.WithContext(ctx)
	}
	return r, nil
}

// judge says what is wrong with an answer.
func (g *generator) judge(m made, w *httptest.ResponseRecorder) string {
	kind, _, _ := strings.Cut(w.Header().Get("Content-Type"), ";")
	switch {
	case w.Code >= 500 && w.Code != http.StatusBadGateway:
		return "a 5xx"
	case w.Code >= 400 && m.method == "HEAD":
		return ""
	case w.Code >= 400 && kind != "application/problem+json":
		return "a refusal that is no problem"
	case w.Code >= 400:
		if complaint := g.fits(w.Body.Bytes(), &huma.Schema{Ref: "#/components/schemas/Problem"}); complaint != "" || m.spoilt {
			return complaint // a spoilt request may have become another call's, or nobody's
		}
		return named(m.op, w)
	case m.method != m.operation.method, w.Code == http.StatusNoContent, kind == "text/event-stream", kind == backupType, w.Code == http.StatusOK && m.spoilt:
		return ""
	}
	res := m.op.Responses[fmt.Sprint(w.Code)]
	if res == nil || res.Content["application/json"] == nil {
		return "a status that the document does not have"
	}
	return g.fits(w.Body.Bytes(), res.Content["application/json"].Schema)
}

// named says whether a problem is one that the document names for the call.
func named(op *huma.Operation, w *httptest.ResponseRecorder) string {
	var p wire.Problem
	if err := json.Unmarshal(w.Body.Bytes(), &p); err != nil {
		return err.Error()
	}
	res := op.Responses[strconv.Itoa(w.Code)]
	if res == nil || res.Content["application/problem+json"].Examples[p.Code] == nil {
		return "a problem that the document does not name for the call"
	}
	return ""
}

func (g *generator) fits(body []byte, s *huma.Schema) string {
	var v any
	if err := json.Unmarshal(body, &v); err != nil {
		return "an answer that is not JSON: " + err.Error()
	}
	res := &huma.ValidateResult{}
	huma.Validate(g.doc.Components.Schemas, s, huma.NewPathBuffer(nil, 0), huma.ModeReadFromServer, v, res)
	if len(res.Errors) > 0 {
		return fmt.Sprintf("an answer that does not fit the document: %v", res.Errors)
	}
	return ""
}
