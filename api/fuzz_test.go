package api

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"
	"unicode/utf8"

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

// FuzzStrictJSON: what is accepted has no member twice, and is read the same whoever reads it. The verdict is that of a slow
// reader which takes encoding/json's word for everything.
func FuzzStrictJSON(f *testing.F) {
	for _, seed := range []string{`{"a":1}`, `{"a":1,"a":2}`, `{"a":{"b":1,"b":2}}`, `{"a":1,"\u0061":2}`, `[1,{"a":[]}]`, `{"a":1}{}`, `nul`, `"\ud800"`, `1e999`,
		`{"a\\":1, "a\\" :2}`, `{"\"":{},"\u0022"` + "\t\n" + `:[{}]}`, `{"\ud800":1,"\udfff":2}`, `["a",":",{"b":":"}]`, `{"a":1,"a":2,}`, strings.Repeat("[", 17) + `"` + strings.Repeat("]", 17),
		manyMembers(40), manyMembers(12) + `,` + manyMembers(12), `[` + manyMembers(12) + `,` + manyMembers(12) + `]`, strings.Replace(manyMembers(40), `"m39"`, `"m\u0033"`, 1), strings.Replace(manyMembers(40), `"m39"`, `"m\u003338"`, 1)} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var v any
		err := strictJSON(data, &v)
		if want := slowVerdict(data, new(any)); err != want {
			t.Fatalf("%q: %v, want %v", data, err, want)
		}
		if got, want := strictJSON(data, new(wire.CreateChallenge)), slowVerdict(data, new(wire.CreateChallenge)); got != want {
			t.Fatalf("%q as a body: %v, want %v", data, got, want)
		}
		if err != nil {
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

// manyMembers is an object of n members.
func manyMembers(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, `,"m%d":[%d]`, i, i)
	}
	return "{" + strings.TrimPrefix(b.String(), ",") + "}"
}

// slowVerdict is what strictJSON has to find, by encoding/json's own reading of each token.
func slowVerdict(data []byte, v any) error {
	if !utf8.Valid(data) {
		return errUTF8
	}
	if !json.Valid(data) {
		return errJSON
	}
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	if err := slowWalk(d, maxDepth); err != nil {
		return err
	}
	if json.Unmarshal(data, v) != nil {
		return errFit
	}
	return nil
}

func slowWalk(d *json.Decoder, depth int) error {
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
	seen := map[json.Token]bool{}
	for d.More() {
		if open == '{' {
			name, err := d.Token()
			if err != nil {
				return errJSON
			}
			if seen[name] {
				return errDuplicate
			}
			seen[name] = true
		}
		if err := slowWalk(d, depth-1); err != nil {
			return err
		}
	}
	_, err = d.Token() // the closing bracket
	return err
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
		{"many members", manyMembers(100), nil},
		{"twice among many", strings.Replace(manyMembers(100), `"m99"`, `"m98"`, 1), errDuplicate},
		{"the last as the first", strings.Replace(manyMembers(100), `"m99"`, `"m0"`, 1), errDuplicate},
		{"the same names in many objects", `[` + manyMembers(15) + `,` + manyMembers(15) + `,` + manyMembers(15) + `]`, nil},
		{"a broken end behind a name twice", `{"a":1,"a":2`, errJSON},
		{"a name twice behind a number that is none", `{"a":1e999,"b":1,"b":2}`, errDuplicate},
		{"quotes and colons in texts", `{"a\\":"\":","a":"b\\","b":":"}`, nil},
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
