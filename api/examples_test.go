package api

import (
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
	"testing"

	"github.com/danielgtaylor/huma/v2"
)

// Every example in the document is one: it fits its schema, and each call is understood with the example it shows.
func TestExamples(t *testing.T) {
	k := newRealKit(t, func(c *Config) { c.Modems = fakeModems{} })
	g := newGenerator(k.OpenAPI(), 1)
	check := func(name string, m *huma.MediaType) {
		for _, e := range m.Examples {
			if e.Ref != "" {
				e = k.OpenAPI().Components.Examples[strings.TrimPrefix(e.Ref, "#/components/examples/")]
			}
			if complaint := g.fits(must(json.Marshal(e.Value)), m.Schema); complaint != "" {
				t.Errorf("%s: %s", name, complaint)
			}
		}
		if m.Example != nil {
			if complaint := g.fits(must(json.Marshal(m.Example)), m.Schema); complaint != "" {
				t.Errorf("%s: %s", name, complaint)
			}
		}
	}
	ran := 0
	operations(k.OpenAPI(), func(method, path string, op *huma.Operation) {
		for status, r := range op.Responses {
			for kind, m := range r.Content {
				check(method+" "+path+" "+status+" "+kind, m)
			}
		}
		target, body := exampleOf(path, op)
		r := k.do(method, target, k.tokens[ScopeAdmin], body)
		if r.StatusCode == 400 || r.StatusCode == 405 || r.StatusCode == 413 || r.StatusCode == 415 || r.StatusCode >= 500 {
			t.Errorf("%s %s with its example %s: %d %s", method, target, body, r.StatusCode, r.body)
		}
		ran++
	})
	if ran < 40 {
		t.Errorf("%d examples ran", ran)
	}
}

// exampleOf is the request that the document shows for a call: its path and query filled in from the parameters' examples.
// What would hold the answer is asked for no longer than it is there.
func exampleOf(path string, op *huma.Operation) (target, body string) {
	query := url.Values{}
	for _, p := range op.Parameters {
		if p.Schema == nil || len(p.Schema.Examples) == 0 {
			continue
		}
		example := fmt.Sprint(p.Schema.Examples[0])
		switch p.In {
		case "path":
			path = strings.ReplaceAll(path, "{"+p.Name+"}", example)
		case "query":
			query.Set(p.Name, example)
		}
	}
	if query.Has("wait") {
		query.Set("wait", "1ms")
	}
	if strings.HasSuffix(path, "/events") {
		query.Set("follow", "false")
	}
	if op.RequestBody != nil {
		body = string(must(json.Marshal(op.RequestBody.Content["application/json"].Example)))
	}
	if len(query) > 0 {
		path += "?" + query.Encode()
	}
	return path, body
}
