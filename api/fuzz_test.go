package api

import (
	"encoding/json"
	"net/http/httptest"
	"strings"
	"testing"

	"otpost/api/wire"
)

// FuzzBody sends any body to the calls that take one: never a 5xx or a panic, every refusal a whole problem, and what was
// sent is not repeated.
func FuzzBody(f *testing.F) {
	k := newRealKit(f)
	targets := []string{"PUT /v1/accounts/a/pin", "PUT /v1/accounts/a/grade", "POST /v1/accounts/a/sms/enable", "POST /v1/accounts/a/sms/enable/verify",
		"POST /v1/accounts/a/sms/disable", "POST /v1/challenges", "POST /v1/challenges/chl_1/verify", "POST /v1/messages", "POST /v1/keys"}
	for i := range targets {
		for _, seed := range []string{`{"phone":"+447400123456","locale":"en"}`, `{"code":"123 456","pin":"739154"}`, `{"account":"a","purpose":"withdrawal","pin":"739154","transaction":{"amount":"1.50","currency":"EUR","payee":"x"}}`,
			`{"to":"+447400123456","text":"Hello","ttl":"30m","priority":"high"}`, `{"name":"n","scopes":["portal"],"allow_from":["192.0.2.0/24"]}`, `{"grade":2}`, `{"a":1,"a":2}`, `[`, "\xff", ``} {
			f.Add(i, seed, "application/json")
		}
		f.Add(i, "to=%2B447400123456&text=Hello", "application/x-www-form-urlencoded")
	}
	f.Fuzz(func(t *testing.T, target int, body, kind string) {
		if target < 0 || target >= len(targets) || len(body) > maxBody {
			return
		}
		method, path, _ := strings.Cut(targets[target], " ")
		r := httptest.NewRequest(method, path, strings.NewReader(body))
		r.Header.Set("Authorization", "Bearer "+k.tokens[ScopeAdmin])
		r.Header["Content-Type"] = []string{kind}
		w := httptest.NewRecorder()
		k.Handler().ServeHTTP(w, r)
		if w.Code < 400 {
			return
		}
		p := reply{w.Result(), w.Body.Bytes()}.problem(t)
		if p.Status >= 500 && p.Code != codeNoCapacity {
			t.Fatalf("%s %s %q: %d %s", method, path, body, w.Code, w.Body)
		}
		k.log.Reset()
	})
}

// FuzzStrictJSON: what is accepted has no member twice, and is read the same whoever reads it.
func FuzzStrictJSON(f *testing.F) {
	for _, seed := range []string{`{"a":1}`, `{"a":1,"a":2}`, `{"a":{"b":1,"b":2}}`, `{"a":1,"\u0061":2}`, `[1,{"a":[]}]`, `{"a":1}{}`, `nul`, `"\ud800"`, `1e999`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var v any
		if err := strictJSON(data, &v); err != nil {
			if _, ours := err.(jsonError); !ours {
				t.Fatalf("%q: %v is not one of our errors", data, err)
			}
			return
		}
		first, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		var again any
		if err := strictJSON(first, &again); err != nil {
			t.Fatalf("%q was accepted, but not as written anew, %q: %v", data, first, err)
		}
		if third, err := json.Marshal(again); err != nil || string(third) != string(first) {
			t.Fatalf("%q is read as %q and then as %q", data, first, third)
		}
	})
}

func TestStrictJSON(t *testing.T) {
	tests := []struct {
		name, in string
		want     error
	}{
		{"object", `{"phone":"1"}`, nil},
		{"escaped name twice", `{"a":1,"\u0061":2}`, errDuplicate},
		{"twice within", `{"a":[{"b":1,"b":2}]}`, errDuplicate},
		{"the same name in different objects", `{"a":{"a":{"a":1}}}`, nil},
		{"trailing", `{} {}`, errJSON},
		{"trailing comma", `{"a":1,}`, errJSON},
		{"not UTF-8", "{\"a\":\"\xff\"}", errUTF8},
		{"deepest", strings.Repeat("[", maxDepth) + strings.Repeat("]", maxDepth), nil},
		{"too deep", strings.Repeat("[", maxDepth+1) + strings.Repeat("]", maxDepth+1), errDepth},
		{"empty", ``, errJSON},
		{"no number", `1e999`, errFit},
	}
	for _, tt := range tests {
		var v any
		if got := strictJSON([]byte(tt.in), &v); got != tt.want {
			t.Errorf("%s: %v, want %v", tt.name, got, tt.want)
		}
	}
	var b wire.SetGrade
	if err := strictJSON([]byte(`{"grade":1.5}`), &b); err != errFit {
		t.Errorf("a grade of 1.5: %v", err)
	}
}
