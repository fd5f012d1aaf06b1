package api

import (
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humamux"

	"otpost/api/wire"
)

// Scope is what a caller may do. Admin may do everything.
type Scope string

// The scopes.
const (
	ScopePortal   Scope = "portal"   // accounts and challenges
	ScopeMessages Scope = "messages" // plain texts and the inbox
	ScopeOps      Scope = "ops"      // modems, events, metrics
	ScopeAdmin    Scope = "admin"    // everything, and keys
)

// Scopes are all scopes.
func Scopes() []Scope { return []Scope{ScopePortal, ScopeMessages, ScopeOps, ScopeAdmin} }

// access is who may make a call: whoever has one of the scopes; with none listed, anybody who is known.
type access struct {
	scopes   []Scope
	loopback bool // and anybody on this machine
}

// principal is a caller that was let in.
type principal struct {
	id         string // key id, "socket:<uid>", "cert:<name>" or "loopback"
	scopes     []Scope
	profile    string
	recipients []wire.Secret
	perMinute  int // requests; 0: the daemon's limit
}

func (p principal) may(a access) bool {
	if slices.Contains(p.scopes, ScopeAdmin) || len(a.scopes) == 0 && len(p.scopes) > 0 {
		return true
	}
	return slices.ContainsFunc(p.scopes, func(s Scope) bool { return slices.Contains(a.scopes, s) })
}

// admission lets a call in or answers 401, 403 or 429. It runs before the body is read.
func (s *Server) admission(ctx huma.Context, next func(huma.Context)) {
	r, w := humamux.Unwrap(ctx)
	infoOf(r.Context()).route = ctx.Operation().Path
	rule, ok := ctx.Operation().Metadata[accessKey].(access)
	if !ok {
		rule = access{scopes: []Scope{ScopeAdmin}} // a call that forgot to say is closed, not open
	}
	if s.letIn(w, r, rule) {
		next(ctx)
	}
}

// guard is admission for handlers beside huma.
func (s *Server) guard(route string, rule access, next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		infoOf(r.Context()).route = route
		if s.letIn(w, r, rule) {
			next(w, r)
		}
	}
}

func (s *Server) letIn(w http.ResponseWriter, r *http.Request, rule access) bool {
	who, p := s.identify(r, rule)
	if p == nil && !who.may(rule) && !(rule.loopback && who.id == loopbackID) {
		s.metrics.refused.WithLabelValues("scope").Inc()
		p = problem(codeForbidden, "this call needs the scope "+scopeNames(rule.scopes))
	}
	infoOf(r.Context()).who = who
	if p == nil {
		p = s.withinQuota(w, who)
	}
	if p == nil {
		letInOn(r.Context(), who.id != loopbackID)
		return true
	}
	if p.Code == codeRateLimited && p.Limit == "wrong-keys" {
		w.Header().Set("Connection", "close")
	}
	if p.Status == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", `Bearer realm="otpost"`)
	}
	writeProblem(w, r, p)
	return false
}

const loopbackID = "loopback"

// identify finds out who calls: by key where one is given, else by the socket's peer, else by certificate, else, for
// calls that allow it, by being on this machine.
func (s *Server) identify(r *http.Request, rule access) (principal, *wire.Problem) {
	source := sourceOf(r)
	if auth := r.Header.Values("Authorization"); len(auth) > 0 {
		return s.byKey(r, auth, source)
	}
	if peer, ok := peerOf(r.Context()); ok {
		if who, ok := s.byPeer(peer); ok {
			return who, nil
		}
	}
	if who, ok := s.byCertificate(r); ok {
		return who, nil
	}
	if rule.loopback && source.IsLoopback() && !forwarded(r) {
		return principal{id: loopbackID}, nil
	}
	s.metrics.refused.WithLabelValues("no_key").Inc()
	return principal{}, problem(codeUnauthenticated, "send the header Authorization: Bearer <key>")
}

// byKey checks the one bearer token.
func (s *Server) byKey(r *http.Request, auth []string, source netip.Addr) (principal, *wire.Problem) {
	refuse := func(reason string, p *wire.Problem) (principal, *wire.Problem) {
		s.metrics.refused.WithLabelValues(reason).Inc()
		if late := s.penalty(r, source); late != nil {
			return principal{}, late
		}
		return principal{}, p
	}
	token, ok := bearerOf(r, auth[0])
	if len(auth) > 1 || !ok {
		return refuse("unknown_key", problem(codeUnauthenticated, "send one header Authorization: Bearer <key>"))
	}
	key, err := s.keys.Authenticate(r.Context(), s.now(), token, source)
	switch err {
	case nil:
		return key, nil
	case errKeyAddress:
		return refuse("address", problem(codeForbidden, "the key may not be used from this address"))
	case errKeyExpired:
		return refuse("expired", problem(codeUnauthenticated, "the key has expired"))
	case errKeyUnknown:
		return refuse("unknown_key", problem(codeUnauthenticated, "the key is not known"))
	}
	return principal{}, s.problemOf(r.Context(), err)
}

// penalty counts a wrong key and answers 429 once there were too many from its source.
func (s *Server) penalty(r *http.Request, source netip.Addr) *wire.Problem {
	wait, fresh := s.penalties.wrong(s.now(), source)
	if wait == 0 {
		return nil
	}
	if fresh {
		s.log.LogAttrs(r.Context(), slog.LevelWarn, "too many wrong keys", requestAttrs(r.Context(),
			slog.String("source", sourceRange(source).String()), slog.Duration("penalty", wait))...)
	}
	p := after(problem(codeRateLimited, "too many wrong keys came from this address"), wait)
	p.Limit = "wrong-keys"
	return p
}

// byPeer gives the daemon's own user and root everything; others get what the configuration says.
func (s *Server) byPeer(p peer) (principal, bool) {
	scopes := s.cfg.SocketScopes[p.uid]
	if p.uid == 0 || p.uid == p.own {
		scopes = []Scope{ScopeAdmin}
	}
	return principal{id: "socket:" + p.name(), scopes: scopes}, len(scopes) > 0
}

// byCertificate gives a verified client certificate the scopes of its name.
func (s *Server) byCertificate(r *http.Request) (principal, bool) {
	if r.TLS == nil || len(r.TLS.VerifiedChains) == 0 {
		return principal{}, false
	}
	leaf := r.TLS.VerifiedChains[0][0]
	for _, name := range append([]string{leaf.Subject.CommonName}, leaf.DNSNames...) {
		if scopes := s.cfg.CertificateScopes[name]; name != "" && len(scopes) > 0 {
			return principal{id: "cert:" + name, scopes: scopes}, true
		}
	}
	return principal{}, false
}

// sourceOf is the address that a request comes from, or the zero Addr (unix sockets, in-process).
func sourceOf(r *http.Request) netip.Addr {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{}
	}
	a, err := netip.ParseAddr(host)
	if err != nil {
		return netip.Addr{}
	}
	return a.Unmap().WithZone("")
}

// forwarded tells a request that a proxy on this machine passed on: its caller is not on this machine.
func forwarded(r *http.Request) bool {
	for _, h := range []string{"Forwarded", "X-Forwarded-For", "X-Real-Ip", "Via"} {
		if r.Header.Get(h) != "" {
			return true
		}
	}
	return false
}

func scopeNames(scopes []Scope) string {
	names := make([]string, len(scopes))
	for i, s := range scopes {
		names[i] = string(s)
	}
	return strings.Join(names, " or ")
}
