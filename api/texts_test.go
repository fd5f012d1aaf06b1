package api

import (
	"fmt"
	"testing"

	"otpost/api/wire"
)

// A key's texts are limited by phone and by key, durably; what was refused was not counted, admins have no limits, and
// neither have alerts to a key's own recipients.
func TestTextLimits(t *testing.T) {
	limits := func(c *Config) { c.Texts = TextLimits{PhoneHour: 2, PhoneDay: 100, KeyDay: 4} }
	k := newRealKit(t, limits)
	text := func(token, to string) reply {
		return k.do("POST", "/v1/messages", token, fmt.Sprintf(`{"to":%q,"text":"Hello"}`, to))
	}
	messages, another := k.tokens[ScopeMessages], k.key(KeySpec{Name: "another", Scopes: []Scope{ScopeMessages}})
	steps := []struct {
		name, token, to string
		limit           string // "": accepted
	}{
		{"first", messages, "+447400123401", ""},
		{"second", messages, "+447400123401", ""},
		{"third to one phone", messages, "+447400123401", "text-phone-hour"},
		{"the same phone, another key", another, "+447400123401", "text-phone-hour"},
		{"the same phone, an admin", k.tokens[ScopeAdmin], "+447400123401", ""},
		{"third of the key", messages, "+447400123402", ""},
		{"fourth of the key", messages, "+447400123403", ""},
		{"fifth of the key", messages, "+447400123404", "text-key-day"},
		{"another key", another, "+447400123404", ""},
	}
	check := func(from, to int) {
		for _, s := range steps[from:to] {
			r := text(s.token, s.to)
			if s.limit == "" {
				if r.StatusCode != 202 {
					t.Errorf("%s: %d %s", s.name, r.StatusCode, r.body)
				}
				continue
			}
			if p := r.problem(t); p.Code != "rate-limited" || p.Limit != s.limit || p.RetryAfter < 1 || p.RetryAfter > 86400 {
				t.Errorf("%s: %+v", s.name, p)
			}
		}
	}
	check(0, 5)
	cfg := k.cfg
	cfg.Registry = nil
	k.Server = must(New(cfg)) // a restart forgets nothing
	check(5, len(steps))

	alerts := k.key(KeySpec{Name: "alerts", Scopes: []Scope{ScopeMessages}, Profile: "alertmanager", Recipients: []wire.Secret{"+447400123401"}})
	kind, body := recorded(t, "alertmanager.http")
	if r := k.do("POST", "/v1/messages", alerts, body, "Content-Type: "+kind); r.StatusCode != 202 {
		t.Errorf("an alert: %d %s", r.StatusCode, r.body)
	}
}
