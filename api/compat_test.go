package api

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"otpost/api/wire"
)

// What each system posts, as its source makes it (testdata/compat: where that is, the header fields that matter, an empty
// line, the body), to a key with its profile: the right text reaches the right phones.
func TestProfiles(t *testing.T) {
	const to, second = "+447400123456", "+447400123457"
	tests := []struct {
		file, profile, text string
		phones              []string
	}{
		{"authentik.http", "authentik", "Use this code to authenticate in authentik: 482915", []string{to}},
		{"authentik-basic.http", "authentik", "Use this code to authenticate in authentik: 482915", []string{to}},
		{"keycloak.http", "keycloak", "Your SMS code is 482915 and is valid for 5 minutes.", []string{to}},
		{"keycloak-form.http", "keycloak", "Your SMS code is 482915 and is valid for 5 minutes.", []string{to}},
		{"zitadel.http", "zitadel", "482915 is your one-time password for portal.example.", []string{to}},
		{"kratos.http", "kratos", "Your login code is: 482915", []string{to}},
		{"privacyidea.http", "privacyidea", "Your OTP is 482915", []string{to}},
		{"privacyidea-json.http", "privacyidea", "Your OTP is 482915", []string{to}},
		{"linotp-rest.http", "linotp", "Your code is 482915", []string{to}},
		{"linotp-http.http", "linotp", "Your code is 482915", []string{to}},
		{"generic-number.http", "generic", "482915", []string{to}},
		{"grafana.http", "grafana", "[FIRING:2] High memory usage The system has high memory usage", []string{to, second}},
		{"alertmanager.http", "alertmanager", "[FIRING:1] OtpostModemDown critical rack1:9100 modem sim800 is down", []string{to, second}},
	}
	k := newRealKit(t)
	for _, tt := range tests {
		t.Run(tt.file, func(t *testing.T) {
			spec := KeySpec{Name: tt.profile, Scopes: []Scope{ScopeMessages}, Profile: tt.profile}
			if len(tt.phones) > 1 {
				spec.Recipients = []wire.Secret{to, second}
			}
			token := k.key(spec)
			r := recorded(t, tt.file, token)
			before := map[string]int{}
			for _, p := range tt.phones {
				before[p] = k.phone.count(p)
			}
			if got := k.answer(r); got.StatusCode != http.StatusAccepted {
				t.Fatalf("%d %s", got.StatusCode, got.body)
			}
			for _, p := range tt.phones {
				if got := k.phone.text(t, p, before[p]); !strings.HasPrefix(got, tt.text) {
					t.Errorf("%s got %q, want %q", p, got, tt.text)
				}
			}
		})
	}
}

// recorded makes a request of testdata/compat.
func recorded(t testing.TB, file, token string) *http.Request {
	t.Helper()
	head, body, _ := strings.Cut(string(must(os.ReadFile(filepath.Join("testdata", "compat", file)))), "\n\n")
	r := httptest.NewRequest("POST", "/v1/messages", strings.NewReader(strings.TrimSuffix(body, "\n")))
	for line := range strings.SplitSeq(head, "\n") {
		if strings.HasPrefix(line, "#") {
			continue
		}
		name, value, _ := strings.Cut(strings.ReplaceAll(line, "{token}", token), ": ")
		r.Header.Set(name, value)
		if pair, ok := strings.CutPrefix(value, "Basic "); ok {
			user, password, _ := strings.Cut(pair, ":")
			r.SetBasicAuth(user, password)
		}
	}
	return r
}

func TestProfilesRefuse(t *testing.T) {
	k := newRealKit(t)
	key := k.key(KeySpec{Name: "n", Scopes: []Scope{ScopeMessages}, Profile: "generic"})
	alerts := k.key(KeySpec{Name: "n", Scopes: []Scope{ScopeMessages}, Profile: "alertmanager", Recipients: []wire.Secret{"+447400123456"}})
	const form = "application/x-www-form-urlencoded"
	tests := []struct {
		name, token, kind, body string
		status                  int
	}{
		{"no recipient", key, "application/json", `{"text":"x"}`, 400},
		{"no text", key, form, `to=%2B447400123456`, 400},
		{"two recipients", key, "application/json", `{"to":"+447400123456","phone":"+447400123457","text":"x"}`, 400},
		{"field twice", key, form, `to=%2B447400123456&to=%2B447400123457&text=x`, 400},
		{"a list", key, "application/json", `{"to":["+447400123456"],"text":"x"}`, 400},
		{"half a number", key, "application/json", `{"to":1.5,"text":"x"}`, 400},
		{"bad escape", key, form, `to=%zz`, 400},
		{"member twice", key, "application/json", `{"to":"+447400123456","text":"x","text":"y"}`, 400},
		{"letters", key, "application/json", `{"to":"letters","text":"x"}`, 422},
		{"other country", key, "application/json", `{"to":"+33612345678","text":"x"}`, 403},
		{"long", key, "application/json", `{"to":"+447400123456","text":"` + strings.Repeat("x", 1601) + `"}`, 400},
		{"multipart", key, "multipart/form-data; boundary=x", "--x--", 415},
		{"no alert", alerts, "application/json", `{"to":"+447400123456","text":"x"}`, 400},
		{"form from a key without a profile", k.tokens[ScopeMessages], form, `to=%2B447400123456&text=x`, 415},
	}
	for _, tt := range tests {
		p := k.do("POST", "/v1/messages", tt.token, tt.body, "Content-Type: "+tt.kind).problem(t)
		if p.Status != tt.status {
			t.Errorf("%s: %d %+v, want %d", tt.name, p.Status, p, tt.status)
		}
	}
	if n := k.messages(t); n != 0 {
		t.Errorf("%d messages came of refused requests", n)
	}
	for name, spec := range map[string]KeySpec{
		"unknown profile":           {Profile: "twilio"},
		"alerts without recipients": {Profile: "grafana"},
		"recipients without alerts": {Profile: "generic", Recipients: []wire.Secret{"+447400123456"}},
	} {
		spec.Name, spec.Scopes = "n", []Scope{ScopeMessages}
		if checkProfile(spec) == nil {
			t.Errorf("%s passes", name)
		}
	}
}

// The key as the password of basic authentication is as good as a bearer token.
func TestBasicAuthentication(t *testing.T) {
	k := newKit(t)
	ask := func(password string) int {
		r := mustRequest("GET", "/v1/keys")
		r.SetBasicAuth("whoever", password)
		return k.answer(r).StatusCode
	}
	if got := ask(k.tokens[ScopeAdmin]); got != 200 {
		t.Errorf("with a key: %d", got)
	}
	if got := ask("otp_live_x"); got != 401 {
		t.Errorf("with a wrong key: %d", got)
	}
}
