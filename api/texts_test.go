package api

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"otpost/api/wire"
	"otpost/gateway/store"
	"otpost/gateway/store/storetest"
)

// A key's texts are limited by phone and by key, durably; what was refused was not counted, admins have no limits, and
// neither have alerts to a key's own recipients.
func TestTextLimits(t *testing.T) {
	for { // again if it fell into two of the clock's hours
		hour := time.Now().Unix() / 3600
		faults := textLimits(t)
		if time.Now().Unix()/3600 == hour {
			for _, f := range faults {
				t.Error(f)
			}
			return
		}
	}
}

// textLimits walks through the limits over HTTP, and returns what was wrong.
func textLimits(t *testing.T) (faults []string) {
	fault := func(format string, args ...any) { faults = append(faults, fmt.Sprintf(format, args...)) }
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
					fault("%s: %d %s", s.name, r.StatusCode, r.body)
				}
				continue
			}
			if p := r.problem(t); p.Code != "rate-limited" || p.Limit != s.limit || p.RetryAfter < 1 || p.RetryAfter > 86400 {
				fault("%s: %+v", s.name, p)
			}
		}
	}
	check(0, 5)
	cfg := k.cfg
	cfg.Registry = nil
	k.Server = must(New(cfg)) // a restart forgets nothing
	check(5, len(steps))

	alerts := k.key(KeySpec{Name: "alerts", Scopes: []Scope{ScopeMessages}, Profile: "alertmanager", Recipients: []wire.Secret{"+447400123401"}})
	if r := k.answer(recorded(t, "alertmanager.http", alerts)); r.StatusCode != 202 {
		fault("an alert: %d %s", r.StatusCode, r.body)
	}
	return faults
}

// The limits begin anew with the clock's hour and day, and a clock that was set back renews nothing.
func TestTextLimitsByTheClock(t *testing.T) {
	k := newKit(t)
	noon := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	steps := []struct {
		at    time.Duration // after noon
		limit string        // "": accepted
		retry int           // seconds
	}{
		{0, "", 0},
		{59 * time.Minute, "", 0},
		{time.Hour - time.Second, "phone-hour", 1},
		{-3 * time.Hour, "phone-hour", 4 * 3600}, // the clock was set back
		{-13 * time.Hour, "phone-hour", 14 * 3600},
		{time.Hour, "", 0},
		{2 * time.Hour, "phone-day", 10 * 3600},
		{12*time.Hour - time.Second, "phone-day", 1},
		{12 * time.Hour, "", 0},
	}
	for _, s := range steps {
		err := k.cfg.KV.Update(context.Background(), func(tx store.Txn) error {
			return k.countText(tx, noon.Add(s.at), "phone", "phone", 2, 3)
		})
		p := new(wire.Problem)
		switch {
		case s.limit == "" && err != nil, s.limit != "" && (!errors.As(err, &p) || p.Limit != s.limit || p.RetryAfter != s.retry):
			t.Errorf("at noon and %v: %+v, want %q and %d s", s.at, err, s.limit, s.retry)
		}
	}
}

// What does not open of one phone's texts is a full count of that phone; of a key's texts, it begins anew.
func TestRottenTextCounts(t *testing.T) {
	k := newKit(t)
	ctx := context.Background()
	rotting := storetest.Rotting{KV: k.cfg.KV}
	noon := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	for subject, want := range map[string]string{"phone": "phone-hour", "key": ""} {
		hour := map[string]int{"phone": 2, "key": -1}[subject]
		count := func() error {
			return rotting.Update(ctx, func(tx store.Txn) error { return k.countText(tx, noon, subject, subject, hour, 3) })
		}
		if err := count(); err != nil {
			t.Fatal(err)
		}
		if err := rotting.Rot(ctx, "api/texts/"+k.cfg.Secrets.Pseudonym("api/texts", subject)); err != nil {
			t.Fatal(err)
		}
		p := new(wire.Problem)
		if err := count(); want == "" && err != nil || want != "" && (!errors.As(err, &p) || p.Limit != want) {
			t.Errorf("%s: %v, want %q", subject, err, want)
		}
	}
}

// A key for texts cannot take a client's code out of the queue.
func TestCodesAreNotCanceledAsTexts(t *testing.T) {
	k := newRealKit(t)
	k.enrolled(t, "client-4711", mobile)
	k.settle(t)
	ms, _, err := k.queue.Messages(t.Context(), filterAll)
	if err != nil || len(ms) != 1 {
		t.Fatalf("%d messages, %v", len(ms), err)
	}
	for scope, want := range map[Scope]string{ScopeMessages: "forbidden", ScopeAdmin: "too-late"} {
		if p := k.do("DELETE", "/v1/messages/"+ms[0].ID, k.tokens[scope], "").problem(t); p.Code != want {
			t.Errorf("with the scope %s: %s, want %s", scope, p.Code, want)
		}
	}
}
