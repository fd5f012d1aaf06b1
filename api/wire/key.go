package wire

import "time"

// CreateKey is the body of POST /v1/keys.
type CreateKey struct {
	Name       string     `json:"name" minLength:"1" maxLength:"64" pattern:"^[A-Za-z0-9][A-Za-z0-9 ._@-]{0,63}$" patternDescription:"letters, digits, space and . _ @ -" doc:"What the key is for; need not be unique." example:"portal production"`
	Scopes     []string   `json:"scopes" minItems:"1" maxItems:"4" nullable:"false" enum:"portal,messages,ops,admin" doc:"What the key may do." example:"[\"portal\"]"`
	ExpiresAt  *time.Time `json:"expires_at,omitempty" doc:"When it stops working; absent: never."`
	AllowFrom  []string   `json:"allow_from,omitempty" maxItems:"32" nullable:"false" doc:"Addresses or CIDR ranges it may be used from; absent: any." example:"[\"192.0.2.0/24\"]"`
	PerMinute  int        `json:"per_minute,omitempty" minimum:"1" maximum:"1000000" doc:"Requests it may make in a minute; absent: the daemon's limit." example:"600"`
	Profile    string     `json:"profile,omitempty" enum:"generic,authentik,keycloak,zitadel,kratos,privacyidea,linotp,grafana,alertmanager" doc:"Whose request bodies POST /v1/messages takes from this key." example:"generic"`
	Recipients []Secret   `json:"recipients,omitempty" maxItems:"10" nullable:"false" doc:"Profiles grafana and alertmanager: who is told." example:"[\"+447700900123\"]"`
}

// RotateKey is the body of POST /v1/keys/{id}/rotate.
type RotateKey struct {
	Overlap string `json:"overlap,omitempty" maxLength:"8" pattern:"^(0s|[1-9][0-9]{0,5}[smh])$" patternDescription:"a duration such as 0s, 90s, 30m or 24h" doc:"How long the old token goes on working, up to 720h; 24h when absent." example:"24h"`
}

// Key is an API key without its token.
type Key struct {
	ID         string    `json:"id" doc:"The key's id." example:"key_01k9w3b5x8t2q4r6s7v9y0z1a2"`
	Name       string    `json:"name" doc:"What the key is for." example:"portal production"`
	Scopes     []string  `json:"scopes" nullable:"false" doc:"What the key may do." example:"[\"portal\"]"`
	PerMinute  int       `json:"per_minute,omitempty" doc:"Requests it may make in a minute; absent: the daemon's limit." example:"600"`
	Profile    string    `json:"profile,omitempty" doc:"Whose request bodies POST /v1/messages takes." example:"generic"`
	AllowFrom  []string  `json:"allow_from,omitempty" doc:"Where it may be used from; absent: anywhere." example:"[\"192.0.2.0/24\"]"`
	Recipients []string  `json:"recipients,omitempty" doc:"Who is told, masked." example:"[\"+44********23\"]"`
	CreatedAt  time.Time `json:"created_at" doc:"When it was made."`
	ExpiresAt  time.Time `json:"expires_at,omitzero" doc:"When it stops working."`
	RotatedAt  time.Time `json:"rotated_at,omitzero" doc:"When its token was last replaced."`
	LastUsedAt time.Time `json:"last_used_at,omitzero" doc:"When it was last used, to the minute."`
	RevokedAt  time.Time `json:"revoked_at,omitzero" doc:"When it was revoked."`
}

// CreatedKey is a new key, or a rotated one. The token is shown this once.
type CreatedKey struct {
	Key   Key    `json:"key" doc:"The key."`
	Token string `json:"token" doc:"The secret to send as a bearer token. It is not shown again." example:"otp_live_..."`
}

// Keys are all keys, newest first.
type Keys struct {
	Keys []Key `json:"keys" nullable:"false" doc:"All keys."`
}

// Caller is who made the call, as the daemon sees it.
type Caller struct {
	ID        string   `json:"id" doc:"The key's id, socket:<uid>, or cert:<name>." example:"key_01k9w3b5x8t2q4r6s7v9y0z1a2"`
	Scopes    []string `json:"scopes" nullable:"false" doc:"What the caller may do." example:"[\"ops\"]"`
	Simulated bool     `json:"simulated" doc:"Whether there are simulated modems, and the simulator's calls with them." example:"false"`
	Version   string   `json:"version" doc:"The daemon's version." example:"1.0.0"`
}
