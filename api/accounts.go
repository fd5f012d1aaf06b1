package api

import (
	"context"
	"math"
	"net/http"
	"net/netip"
	"time"

	"otpost/api/wire"
	"otpost/otp"
)

// AccountPath is the account in a path. Types embedded in inputs are exported because huma looks at no others.
type AccountPath struct {
	Account string `path:"account" maxLength:"128" pattern:"^[A-Za-z0-9][A-Za-z0-9._:@-]{0,127}$" patternDescription:"an account id" doc:"The portal's own id of the account." example:"client-4711"`
}

type withBody[T any] struct {
	AccountPath
	Body T
}

type answer[T any] struct{ Body T }

type nothing struct{}

func (s *Server) accountCalls() {
	const base = "/v1/accounts/{account}"
	portal := []Scope{ScopePortal}
	register(s, call{id: "get-account", method: http.MethodGet, path: base, tag: "accounts", may: portal,
		summary: "Look at an account", codes: []string{"not-found"}, answer: exampleAccount()}, s.getAccount)
	register(s, call{id: "list-identities", method: http.MethodGet, path: base + "/identities", tag: "accounts", may: portal,
		summary: "List an account's ways to get codes", about: "Each with its state, its masked target, since when, and when it was last used.",
		codes:  []string{"not-found"},
		answer: wire.IdentityList{Identities: []wire.IdentityStatus{{Type: "sms", Identity: exampleAccount().Identities.SMS}}}}, s.listIdentities)
	register(s, call{id: "list-failures", method: http.MethodGet, path: base + "/failures", tag: "accounts", may: portal,
		summary: "See why an account is blocked", about: "Where the counters of wrong answers stand that judge the account's answers.",
		codes:  []string{"not-found"},
		answer: wire.FailureCounters{Counters: []wire.FailureCounter{{Of: "account", Failures: 3, Left: 2, LastAt: exampleTime(0)}}}}, s.listFailures)
	register(s, call{id: "set-pin", method: http.MethodPut, path: base + "/pin", tag: "accounts", may: portal, status: http.StatusNoContent,
		summary: "Set or change the PIN", about: "The first PIN makes the account. To change it, `current_pin` is needed and counted like any answer.",
		codes: []string{"weak-pin", "verification-failed", "blocked"}, example: map[string]any{"pin": "739154"}}, s.setPIN)
	register(s, call{id: "set-grade", method: http.MethodPut, path: base + "/grade", tag: "accounts", may: portal,
		summary: "Set the grade", codes: []string{"not-found"}, example: map[string]any{"grade": 2}, answer: exampleAccount()}, s.setGrade)
	register(s, call{id: "erase-account", method: http.MethodDelete, path: base, tag: "accounts", may: portal, status: http.StatusNoContent,
		summary: "Erase an account", about: "Removes its phone, PIN, challenges and messages. The audit trail keeps a pseudonym.",
		codes: []string{"not-found"}}, s.eraseAccount)
	register(s, call{id: "unlock-account", method: http.MethodPost, path: base + "/unlock", tag: "accounts", once: true,
		summary: "Lift a block", about: "Clears the failure counters of the account and of its phone.",
		codes: []string{"not-found"}, answer: exampleAccount()}, s.unlock)
	register(s, call{id: "enable-sms", method: http.MethodPost, path: base + "/sms/enable", tag: "accounts", may: portal, status: http.StatusAccepted, once: true,
		summary: "Turn SMS codes on: send a code", about: "Settings → Authentication Methods → SMS → Enable → Send. Needs a PIN set beforehand.",
		codes: append(sendCodes(), "sms-already-enabled", "pin-not-set", "invalid-phone"), example: map[string]any{"phone": "+447700900123"}, answer: exampleChallenge("sms.enable")}, s.enable)
	register(s, call{id: "verify-enable-sms", method: http.MethodPost, path: base + "/sms/enable/verify", tag: "accounts", may: portal, once: true,
		summary: "Turn SMS codes on: verify", about: "Judges code and PIN together; which was wrong is not said. On success the grade becomes 1 if it was 0.",
		codes: append(verifyCodes(), "not-found", "pin-not-set", "sms-already-enabled"), example: map[string]any{"code": "123456", "pin": "739154"}, answer: exampleAccount()}, s.enableVerify)
	register(s, call{id: "disable-sms", method: http.MethodPost, path: base + "/sms/disable", tag: "accounts", may: portal, status: http.StatusAccepted, once: true,
		summary: "Turn SMS codes off: send a code", codes: append(sendCodes(), "not-found", "sms-not-enabled"), example: map[string]any{}, answer: exampleChallenge("sms.disable")}, s.disable)
	register(s, call{id: "verify-disable-sms", method: http.MethodPost, path: base + "/sms/disable/verify", tag: "accounts", may: portal, once: true,
		summary: "Turn SMS codes off: verify", codes: append(verifyCodes(), "not-found", "sms-not-enabled"), example: map[string]any{"code": "123456"}, answer: exampleAccount()}, s.disableVerify)
}

func (s *Server) listIdentities(ctx context.Context, in *AccountPath) (*answer[wire.IdentityList], error) {
	all, err := s.cfg.Rules.Identities(ctx, s.now(), in.Account)
	if err != nil {
		return nil, err
	}
	out := wire.IdentityList{Identities: []wire.IdentityStatus{}}
	for _, v := range all {
		out.Identities = append(out.Identities, wire.IdentityStatus{Type: v.Type, Identity: identityOf(v)})
	}
	return &answer[wire.IdentityList]{out}, nil
}

func (s *Server) listFailures(ctx context.Context, in *AccountPath) (*answer[wire.FailureCounters], error) {
	all, err := s.cfg.Rules.Failures(ctx, s.now(), in.Account)
	if err != nil {
		return nil, err
	}
	seconds := func(d time.Duration) int { return int(math.Ceil(d.Seconds())) }
	out := wire.FailureCounters{Counters: []wire.FailureCounter{}}
	for _, f := range all {
		out.Counters = append(out.Counters, wire.FailureCounter{Of: f.Of, Failures: f.Row, Left: f.Left, BlockedFor: seconds(f.Blocked),
			Strangers: seconds(f.Strangers), Locked: f.Locked, LastAt: f.Last.UTC()})
	}
	return &answer[wire.FailureCounters]{out}, nil
}

func identityOf(v otp.IdentityView) wire.Identity {
	return wire.Identity{Status: v.Status, Phone: v.Phone, EnabledAt: v.EnabledAt.UTC(), LastUsedAt: v.LastUsed.UTC()}
}

// sendCodes are the problems of calls that send a code.
func sendCodes() []string {
	return []string{"country-not-allowed", "number-not-allowed", "rate-limited", "blocked", "no-capacity", "no-modem", "storage-low"}
}

// verifyCodes are the problems of calls that take an answer.
func verifyCodes() []string {
	return []string{"verification-failed", "challenge-over", "blocked", "pin-unavailable"}
}

func (s *Server) getAccount(ctx context.Context, in *AccountPath) (*answer[wire.Account], error) {
	return accountAnswer(s.cfg.Rules.Account(ctx, s.now(), in.Account))
}

func (s *Server) setPIN(ctx context.Context, in *withBody[wire.SetPIN]) (*nothing, error) {
	err := s.cfg.Rules.SetPIN(ctx, s.now(), by(ctx, ""), in.Account, string(in.Body.PIN), string(in.Body.CurrentPIN))
	return nil, err
}

func (s *Server) setGrade(ctx context.Context, in *withBody[wire.SetGrade]) (*answer[wire.Account], error) {
	return accountAnswer(s.cfg.Rules.SetGrade(ctx, s.now(), by(ctx, ""), in.Account, in.Body.Grade))
}

func (s *Server) eraseAccount(ctx context.Context, in *AccountPath) (*nothing, error) {
	return nil, s.cfg.Rules.Erase(ctx, s.now(), by(ctx, ""), in.Account)
}

func (s *Server) unlock(ctx context.Context, in *AccountPath) (*answer[wire.Account], error) {
	return accountAnswer(s.cfg.Rules.Unlock(ctx, s.now(), by(ctx, ""), in.Account))
}

func (s *Server) enable(ctx context.Context, in *withBody[wire.Enable]) (*answer[wire.Challenge], error) {
	ip, err := clientIP(in.Body.ClientIP)
	if err != nil {
		return nil, err
	}
	return challengeAnswer(s.cfg.Rules.Enable(ctx, s.now(), by(ctx, ip), in.Account,
		otp.EnableRequest{Phone: string(in.Body.Phone), Locale: in.Body.Locale}))
}

func (s *Server) enableVerify(ctx context.Context, in *withBody[wire.EnableVerify]) (*answer[wire.Account], error) {
	return accountAnswer(s.cfg.Rules.EnableVerify(ctx, s.now(), by(ctx, ""), in.Account,
		otp.VerifyRequest{Code: string(in.Body.Code), PIN: string(in.Body.PIN)}))
}

func (s *Server) disable(ctx context.Context, in *struct {
	AccountPath
	Body *wire.Disable // there is nothing in it that must be said
}) (*answer[wire.Challenge], error) {
	if in.Body == nil {
		in.Body = &wire.Disable{}
	}
	ip, err := clientIP(in.Body.ClientIP)
	if err != nil {
		return nil, err
	}
	return challengeAnswer(s.cfg.Rules.Disable(ctx, s.now(), by(ctx, ip), in.Account, in.Body.Locale))
}

func (s *Server) disableVerify(ctx context.Context, in *withBody[wire.DisableVerify]) (*answer[wire.Account], error) {
	return accountAnswer(s.cfg.Rules.DisableVerify(ctx, s.now(), by(ctx, ""), in.Account, otp.VerifyRequest{Code: string(in.Body.Code)}))
}

// clientIP checks and normalises the end user's address.
func clientIP(s string) (string, error) {
	if s == "" {
		return "", nil
	}
	a, err := netip.ParseAddr(s)
	if err != nil {
		p := problem(codeInvalidRequest, "client_ip is not an IP address")
		p.Errors = []wire.InvalidPart{{Location: "body.client_ip", Message: "expected an IPv4 or IPv6 address"}}
		return "", p
	}
	return a.Unmap().WithZone("").String(), nil
}

func accountAnswer(v otp.AccountView, err error) (*answer[wire.Account], error) {
	if err != nil {
		return nil, err
	}
	return &answer[wire.Account]{wire.Account{Account: v.Account, Grade: v.Grade, PINSet: v.PINSet, CreatedAt: v.CreatedAt.UTC(), UpdatedAt: v.UpdatedAt.UTC(),
		Identities: wire.Identities{SMS: identityOf(v.SMS)}}}, nil
}
