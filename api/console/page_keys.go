package console

import (
	"strings"
	"time"

	"otpost/api/wire"
)

// keysPage is all keys and the form for a new one.
type keysPage struct {
	Keys     []wire.Key
	Own      string // the visitor's
	Scopes   []string
	Profiles []string
	Lives    []string // days
	Overlaps []string
}

func keys(q *request) error {
	all, err := q.api.Keys(q.Context())
	if err != nil {
		return err
	}
	return q.show("keys", q.console.words.text("keys.title"), keysPage{Keys: all.Keys, Own: q.session.who.ID,
		Scopes:   []string{scopePortal, scopeMessages, scopeOps, scopeAdmin},
		Profiles: []string{"generic", "authentik", "keycloak", "zitadel", "kratos", "privacyidea", "linotp", "grafana", "alertmanager"},
		Lives:    []string{"30", "90", "365"}, Overlaps: []string{"24h", "1h", "168h", "0s"}})
}

// createKey shows the new token in its answer and nowhere else.
func createKey(q *request) error {
	in := wire.CreateKey{Name: strings.TrimSpace(q.PostFormValue("name")), Scopes: q.PostForm["scope"], Profile: q.PostFormValue("profile"),
		AllowFrom: fields(q.PostFormValue("allow_from")), PerMinute: q.number("per_minute", 0)}
	if days := q.number("days", 0); days > 0 {
		at := q.console.now().Add(time.Duration(days) * 24 * time.Hour).UTC().Truncate(time.Second)
		in.ExpiresAt = &at
	}
	for _, to := range fields(q.PostFormValue("recipients")) {
		in.Recipients = append(in.Recipients, wire.Secret(to))
	}
	if in.Scopes == nil {
		in.Scopes = []string{}
	}
	made, err := q.api.CreateKey(q.Context(), in)
	if err != nil {
		return q.done(err, Base+"keys", "keys.title")
	}
	return q.show("key", q.console.words.text("keys.made"), made)
}

// rotateKey shows the new token in its answer and nowhere else.
func rotateKey(q *request) error {
	made, err := q.api.RotateKey(q.Context(), q.PathValue("id"), q.PostFormValue("overlap"))
	if err != nil {
		return q.done(err, Base+"keys", "keys.title")
	}
	return q.show("key", q.console.words.text("keys.rotated"), made)
}

func revokeKey(q *request) error {
	k, err := q.api.RevokeKey(q.Context(), q.PathValue("id"))
	name := ""
	if k != nil {
		name = k.Name
	}
	return q.done(err, Base+"keys", "keys.revoked", name)
}

// fields are the words of a list, apart by spaces, commas or lines.
func fields(s string) []string {
	return strings.FieldsFunc(s, func(r rune) bool { return r == ',' || r == ' ' || r == '\n' || r == '\r' || r == ';' })
}

// keyState tells whether a key works.
func (c *catalogue) keyState(now time.Time, k wire.Key) badge {
	state := "active"
	switch {
	case !k.RevokedAt.IsZero():
		state = "revoked"
	case !k.ExpiresAt.IsZero() && !k.ExpiresAt.After(now):
		state = "expired"
	case !k.ExpiresAt.IsZero() && k.ExpiresAt.Sub(now) < 14*24*time.Hour:
		state = "expiring"
	}
	return badge{tone("key", state), c.text("key." + state)}
}
