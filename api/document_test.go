package api

import (
	"encoding/json"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/danielgtaylor/huma/v2"
	"github.com/google/go-cmp/cmp"
)

// The committed document is what the code makes. After a change of the calls: go test ./api -update
func TestDocument(t *testing.T) {
	const file = "openapi.json"
	got, err := newKit(t, func(c *Config) { c.Version = "1" }).Document()
	if err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.WriteFile(file, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(strings.Split(string(want), "\n"), strings.Split(string(got), "\n")); d != "" {
		t.Errorf("openapi.json is not what the code makes; if the change is meant: go test ./api -update (-file +code)\n%s", d)
	}
}

// Every operation says what it is, who may make it, what it answers, and shows it.
func TestDocumentIsWhole(t *testing.T) {
	k := newKit(t)
	operations(k.OpenAPI(), func(method, path string, op *huma.Operation) {
		name := method + " " + path
		if op.Summary == "" || op.Description == "" || len(op.Tags) != 1 || len(op.Security) == 0 || op.OperationID == "" {
			t.Errorf("%s: summary, description, tag, security or id is missing", name)
		}
		if op.RequestBody != nil {
			if m := op.RequestBody.Content["application/json"]; m == nil || m.Schema == nil || m.Example == nil {
				t.Errorf("%s: the body has no example", name)
			}
		}
		for status, r := range op.Responses {
			for kind, m := range r.Content {
				if m.Schema == nil || m.Example == nil && len(m.Examples) == 0 {
					t.Errorf("%s: %s %s has no schema or no example", name, status, kind)
				}
				if status >= "400" && kind != "application/problem+json" {
					t.Errorf("%s: %s is %s", name, status, kind)
				}
			}
		}
		for _, p := range op.Parameters {
			if p.Description == "" {
				t.Errorf("%s: parameter %s has no description", name, p.Name)
			}
		}
	})
	for name, s := range k.OpenAPI().Components.Schemas.Map() {
		for member, p := range s.Properties {
			if p.Description == "" && p.Ref == "" && name != "Phone" { // Phone is the simulator's own type
				t.Errorf("schema %s: %s has no description", name, member)
			}
		}
		if s.AdditionalProperties != false && name != "Event" {
			t.Errorf("schema %s allows other members", name)
		}
	}
}

// The document is served to everybody, is 3.1, and every $ref in it leads somewhere.
func TestDocumentIsServed(t *testing.T) {
	k := newKit(t)
	r := k.do("GET", "/openapi.json", "", "")
	var doc struct {
		OpenAPI    string
		Components struct{ Schemas map[string]any }
	}
	if err := json.Unmarshal(r.body, &doc); err != nil || r.StatusCode != 200 || !strings.HasPrefix(doc.OpenAPI, "3.1") {
		t.Fatalf("%d %v: %.200s", r.StatusCode, err, r.body)
	}
	refs := regexp.MustCompile(`"\$ref":\s*"#/components/schemas/([^"]+)"`).FindAllStringSubmatch(string(r.body), -1)
	if len(refs) == 0 {
		t.Error("no references found")
	}
	for _, ref := range refs {
		if doc.Components.Schemas[ref[1]] == nil {
			t.Errorf("reference to %s leads nowhere", ref[1])
		}
	}
}

// What an answer of any kind carries.
func TestSecurityHeaders(t *testing.T) {
	k := newKit(t)
	for _, path := range []string{"/v1/modems", "/healthz", "/none", "/docs", "/problems", "/metrics"} {
		r := k.do("GET", path, "", "")
		for name, want := range map[string]string{"X-Content-Type-Options": "nosniff", "X-Frame-Options": "DENY", "Referrer-Policy": "no-referrer", "Cache-Control": "no-store"} {
			if got := r.Header.Get(name); got != want {
				t.Errorf("%s: %s is %q, want %q", path, name, got, want)
			}
		}
	}
}

func TestRequestID(t *testing.T) {
	k := newKit(t)
	made := regexp.MustCompile(`^req-[a-z2-7]{16}$`)
	for sent, kept := range map[string]bool{"8e03978e-40d5-43dd": true, "": false, "short": false, "has spaces in it": false, strings.Repeat("x", 65): false, `quote"quote"`: false} {
		r := k.do("GET", "/none", "", "", "X-Request-Id: "+sent)
		got := r.Header.Get("X-Request-Id")
		if kept && got != sent || !kept && !made.MatchString(got) {
			t.Errorf("sent %q, got %q", sent, got)
		}
		if !strings.Contains(k.log.String(), got) {
			t.Errorf("%q is not in the log", got)
		}
	}
}

// The HTTP metrics have closed labels, whatever is asked for.
func TestMetrics(t *testing.T) {
	k := newKit(t)
	for _, path := range []string{"/v1/accounts/canary-1/nothing", "/canary-2", "/v1/modems/canary-3"} {
		k.do("CANARY", path, k.tokens[ScopePortal], "")
		k.do("GET", path, k.tokens[ScopePortal], "")
	}
	got := string(k.do("GET", "/metrics", k.tokens[ScopeOps], "").body)
	if strings.Contains(strings.ToLower(got), "canary") {
		t.Error("a path or method of a request became a label")
	}
	for _, want := range []string{`otpost_http_requests_total{method="GET",route="/v1/modems/{name}",status="403"} 1`,
		`otpost_http_requests_total{method="other",route="unmatched",status="404"} 2`, `otpost_http_refused_total{reason="scope"} 1`,
		`otpost_build_info{goversion="`, `version="test"} 1`, `otpost_http_request_seconds_count{route="unmatched"}`} {
		if !strings.Contains(got, want) {
			t.Errorf("metrics lack %s\n%s", want, regexp.MustCompile(`(?m)^otpost_http_re.*total.*$`).FindAllString(got, -1))
		}
	}
}
