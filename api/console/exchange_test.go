package console

import (
	"encoding/json"
	"io"
	"net/http"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestCovered(t *testing.T) {
	for _, c := range []struct{ name, in, want string }{
		{"nothing", "", ""},
		{"a PIN", `{"pin":"739154","code":"123456"}`, "{\n  \"pin\": \"••••\",\n  \"code\": \"123456\"\n}"},
		{"a PIN that is no string", `{"a":[{"current_pin":{"x":[7391]}}]}`, "{\n  \"a\": [\n    {\n      \"current_pin\": \"••••\"\n    }\n  ]\n}"},
		{"a name in disguise", `{"\u0070in":"739154"}`, "{\n  \"pin\": \"••••\"\n}"},
		{"a name in capitals", `{"PIN":"739154","Client_Secret":"x"}`, "{\n  \"PIN\": \"••••\",\n  \"Client_Secret\": \"••••\"\n}"},
		{"order, numbers and markup stay", `{"z":1.50,"a":"<b>&","n":null,"e":[],"o":{}}`, "{\n  \"z\": 1.50,\n  \"a\": \"<b>&\",\n  \"n\": null,\n  \"e\": [],\n  \"o\": {}\n}"},
		{"no JSON", `pin=739154`, "…"},
		{"half a body", `{"pin":"7391`, "…"},
		{"more than one value", `{} {"pin":"739154"}`, "…"},
		{"too much", `"` + strings.Repeat("x", maxShown) + `"`, "…"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if diff := cmp.Diff(c.want, covered([]byte(c.in))); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

// Whatever the body: no PIN in it is shown, and what is shown is JSON that says the same otherwise.
func FuzzCovered(f *testing.F) {
	for _, s := range []string{`{"pin":"739154"}`, `[1,{"a":{"pin":5}},"pin"]`, `{"pin":"1","pin":"2"}`, `{"a":"\ud800"}`, `{} {}`, `[`, `1e999`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, body string) {
		shown := covered([]byte(body))
		if shown == "" || shown == "…" {
			return
		}
		var was, is any
		if err := json.Unmarshal([]byte(body), &was); err != nil {
			t.Skip("more than the decoder's own grammar takes")
		}
		if err := json.Unmarshal([]byte(shown), &is); err != nil {
			t.Fatalf("%q is shown as %q: %v", body, shown, err)
		}
		if !reflect.DeepEqual(uncover(was), is) {
			t.Fatalf("%q is shown as %q", body, shown)
		}
	})
}

// uncover replaces what covered should, on decoded values.
func uncover(v any) any {
	switch v := v.(type) {
	case []any:
		for i := range v {
			v[i] = uncover(v[i])
		}
	case map[string]any:
		for name := range v {
			v[name] = uncover(v[name])
			if secretMember(name) {
				v[name] = dots
			}
		}
	}
	return v
}

type answering func(*http.Request) (*http.Response, error)

func (f answering) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// A recorded call reaches the API whole and its answer the caller, and neither key nor PIN is kept.
func TestRecorder(t *testing.T) {
	rec := &recorder{next: answering(func(r *http.Request) (*http.Response, error) {
		b, err := io.ReadAll(r.Body)
		if err != nil || string(b) != `{"pin":"739154"}` || r.Header.Get("Authorization") != "Bearer otp_live_secret" {
			t.Errorf("the API gets %q, %v", b, err)
		}
		return &http.Response{StatusCode: 422, Header: http.Header{"Content-Type": {"application/problem+json"}, "Retry-After": {"30"}},
			Body: io.NopCloser(strings.NewReader(`{"code":"weak-pin"}`))}, nil
	})}
	req, err := http.NewRequest(http.MethodPut, "http://x/v1/accounts/a/pin?q=1", strings.NewReader(`{"pin":"739154"}`))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer otp_live_secret")
	res, err := rec.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	if b, err := io.ReadAll(res.Body); err != nil || string(b) != `{"code":"weak-pin"}` {
		t.Errorf("the caller gets %q, %v", b, err)
	}
	want := []exchange{{Method: "PUT", Path: "/v1/accounts/a/pin?q=1", Asked: []headerLine{{"Authorization", "Bearer otp_live_••••"}},
		Body: "{\n  \"pin\": \"••••\"\n}", Status: 422, StatusText: "Unprocessable Entity",
		Answered: []headerLine{{"Content-Type", "application/problem+json"}, {"Retry-After", "30"}}, Answer: "{\n  \"code\": \"weak-pin\"\n}"}}
	if diff := cmp.Diff(want, rec.seen); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if !rec.seen[0].Failed() {
		t.Error("a refusal does not show as one")
	}
}
