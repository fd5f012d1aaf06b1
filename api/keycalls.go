package api

import (
	"context"
	"errors"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"otpost/api/wire"
)

// KeyPath is the key in a path.
type KeyPath struct {
	ID string `path:"id" maxLength:"64" pattern:"^key_[a-z0-9]{1,60}$" patternDescription:"a key's id" doc:"The key's id." example:"key_01k9w3b5x8t2q4r6s7v9y0z1a2"`
}

func (s *Server) keyCalls() {
	register(s, call{id: "create-key", method: http.MethodPost, path: "/v1/keys", tag: "keys", status: http.StatusCreated, once: true,
		summary: "Make a key", about: "The token is shown in this answer only (and again for the same Idempotency-Key, without which nobody can read it).",
		example: map[string]any{"name": "portal production", "scopes": []string{"portal"}}, codes: []string{"invalid-phone"}, answer: wire.CreatedKey{Key: exampleKey(), Token: "otp_live_..."}}, s.createKey)
	register(s, call{id: "list-keys", method: http.MethodGet, path: "/v1/keys", tag: "keys",
		summary: "List the keys", answer: wire.Keys{Keys: []wire.Key{exampleKey()}}}, s.listKeys)
	register(s, call{id: "revoke-key", method: http.MethodDelete, path: "/v1/keys/{id}", tag: "keys",
		summary: "Revoke a key", about: "It stops working at once.", codes: []string{"not-found"}, answer: exampleKey()}, s.revokeKey)
	register(s, call{id: "rotate-key", method: http.MethodPost, path: "/v1/keys/{id}/rotate", tag: "keys", once: true,
		summary: "Give a key a new token", about: "The old token goes on working for the overlap. The new one is shown in this answer only.",
		codes: []string{"not-found"}, example: map[string]any{"overlap": "24h"}, answer: wire.CreatedKey{Key: exampleKey(), Token: "otp_live_..."}}, s.rotateKey)
	register(s, call{id: "get-caller", method: http.MethodGet, path: "/v1/caller", tag: "keys", anyone: true,
		summary: "Who am I", about: "Who the daemon takes the caller for, and what that one may do.",
		answer: wire.Caller{ID: exampleKey().ID, Scopes: []string{"ops"}, Version: "1.0.0"}}, s.caller)
}

func (s *Server) caller(ctx context.Context, _ *struct{}) (*answer[wire.Caller], error) {
	who := infoOf(ctx).who
	out := wire.Caller{ID: who.id, Scopes: make([]string, len(who.scopes)), Simulated: s.cfg.Network != nil, Version: s.cfg.Version}
	for i, scope := range who.scopes {
		out.Scopes[i] = string(scope)
	}
	return &answer[wire.Caller]{out}, nil
}

func (s *Server) createKey(ctx context.Context, in *struct{ Body wire.CreateKey }) (*answer[wire.CreatedKey], error) {
	spec := KeySpec{Name: in.Body.Name, Profile: in.Body.Profile, Recipients: in.Body.Recipients, PerMinute: in.Body.PerMinute}
	for _, scope := range in.Body.Scopes {
		spec.Scopes = append(spec.Scopes, Scope(scope))
	}
	if in.Body.ExpiresAt != nil {
		spec.Expires = in.Body.ExpiresAt.UTC()
	}
	for _, from := range in.Body.AllowFrom {
		prefix, err := parsePrefix(from)
		if err != nil {
			p := problem(codeInvalidRequest, "allow_from holds addresses and CIDR ranges")
			p.Errors = []wire.InvalidPart{{Location: "body.allow_from", Message: "expected an address or a CIDR range"}}
			return nil, p
		}
		spec.AllowFrom = append(spec.AllowFrom, prefix)
	}
	for i, r := range spec.Recipients {
		to, _, err := s.cfg.Rules.CheckPhone(string(r))
		if err != nil {
			return nil, err
		}
		spec.Recipients[i] = wire.Secret(to)
	}
	key, token, err := s.keys.Create(ctx, s.now(), spec)
	if err != nil {
		return nil, err
	}
	return &answer[wire.CreatedKey]{wire.CreatedKey{Key: keyOf(key), Token: token}}, nil
}

func (s *Server) listKeys(ctx context.Context, _ *struct{}) (*answer[wire.Keys], error) {
	keys, err := s.keys.List(ctx)
	if err != nil {
		return nil, err
	}
	out := wire.Keys{Keys: make([]wire.Key, len(keys))}
	for i, k := range keys {
		out.Keys[i] = keyOf(k)
	}
	return &answer[wire.Keys]{out}, nil
}

func (s *Server) revokeKey(ctx context.Context, in *KeyPath) (*answer[wire.Key], error) {
	key, err := s.keys.Revoke(ctx, s.now(), in.ID)
	if err != nil {
		return nil, keyError(err)
	}
	return &answer[wire.Key]{keyOf(key)}, nil
}

func (s *Server) rotateKey(ctx context.Context, in *struct {
	KeyPath
	Body wire.RotateKey
}) (*answer[wire.CreatedKey], error) {
	overlap := 24 * time.Hour
	if in.Body.Overlap != "" {
		d, err := time.ParseDuration(in.Body.Overlap)
		if err != nil {
			return nil, problem(codeInvalidRequest, "overlap is 0s to 720h")
		}
		overlap = d
	}
	key, token, err := s.keys.Rotate(ctx, s.now(), in.ID, overlap)
	if err != nil {
		return nil, keyError(err)
	}
	return &answer[wire.CreatedKey]{wire.CreatedKey{Key: keyOf(key), Token: token}}, nil
}

func keyError(err error) error {
	if errors.Is(err, ErrNoKey) {
		return problem(codeNotFound, "there is no such key")
	}
	return err
}

// parsePrefix takes "192.0.2.0/24" and "192.0.2.7".
func parsePrefix(s string) (netip.Prefix, error) {
	if !strings.Contains(s, "/") {
		a, err := netip.ParseAddr(s)
		if err != nil {
			return netip.Prefix{}, err
		}
		a = a.Unmap().WithZone("")
		return netip.PrefixFrom(a, a.BitLen()), nil
	}
	p, err := netip.ParsePrefix(s)
	return p.Masked(), err
}

func keyOf(k Key) wire.Key {
	out := wire.Key{ID: k.ID, Name: k.Name, Scopes: []string{}, Profile: k.Profile, PerMinute: k.PerMinute, CreatedAt: k.CreatedAt, ExpiresAt: k.ExpiresAt,
		RotatedAt: k.RotatedAt, LastUsedAt: k.LastUsedAt, RevokedAt: k.RevokedAt}
	for _, s := range k.Scopes {
		out.Scopes = append(out.Scopes, string(s))
	}
	for _, p := range k.AllowFrom {
		out.AllowFrom = append(out.AllowFrom, p.String())
	}
	for _, r := range k.Recipients {
		out.Recipients = append(out.Recipients, maskPhone(string(r)))
	}
	return out
}
