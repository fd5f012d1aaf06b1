package api

import (
	"context"
	"net/http"

	"otpost/api/wire"
	"otpost/otp"
)

// ChallengePath is the challenge in a path.
type ChallengePath struct {
	ID string `path:"id" maxLength:"64" pattern:"^[A-Za-z0-9_-]{1,64}$" patternDescription:"a challenge's id" doc:"The challenge's id." example:"chl_01k9w3b5x8t2q4r6s7v9y0z1a2"`
}

func (s *Server) challengeCalls() {
	const one = "/v1/challenges/{id}"
	portal := []Scope{ScopePortal}
	register(s, call{id: "create-challenge", method: http.MethodPost, path: "/v1/challenges", tag: "challenges", may: portal, status: http.StatusAccepted, once: true,
		summary: "Ask for a code", about: "For a login, a withdrawal (the PIN first, and the transaction that the code is bound to) or an operation of the configuration. A new challenge replaces the pending one of the same account and purpose.",
		codes:   append(sendCodes(), "not-found", "sms-not-enabled", "pin-not-set", "verification-failed", "pin-unavailable"),
		example: map[string]any{"account": "client-4711", "purpose": "login"}, answer: exampleChallenge("login")}, s.createChallenge)
	register(s, call{id: "verify-challenge", method: http.MethodPost, path: one + "/verify", tag: "challenges", may: portal, once: true,
		summary: "Answer a challenge", about: "A wrong answer is counted for the account and the phone, whatever the challenge.",
		codes: append(verifyCodes(), "not-found"), example: map[string]any{"code": "123456"}, answer: exampleChallenge("login")}, s.verifyChallenge)
	register(s, call{id: "get-challenge", method: http.MethodGet, path: one, tag: "challenges", may: portal,
		summary: "Look at a challenge", codes: []string{"not-found"}, answer: exampleChallenge("login")}, s.getChallenge)
	register(s, call{id: "resend-challenge", method: http.MethodPost, path: one + "/resend", tag: "challenges", may: portal, status: http.StatusAccepted, once: true,
		summary: "Send the code again", codes: append(sendCodes(), "not-found", "challenge-over", "resend-too-early"), answer: exampleChallenge("login")}, s.resendChallenge)
	register(s, call{id: "cancel-challenge", method: http.MethodDelete, path: one, tag: "challenges", may: portal, status: http.StatusNoContent,
		summary: "Cancel a challenge", about: "Its code is worth nothing from then on; a text that is still queued is not sent.",
		codes: []string{"not-found", "challenge-over"}}, s.cancelChallenge)
}

func (s *Server) createChallenge(ctx context.Context, in *struct{ Body wire.CreateChallenge }) (*answer[wire.Challenge], error) {
	ip, err := clientIP(in.Body.ClientIP)
	if err != nil {
		return nil, err
	}
	return challengeAnswer(s.cfg.Rules.Create(ctx, s.now(), by(ctx, ip), otp.CreateRequest{Account: in.Body.Account,
		Purpose: otp.Purpose(in.Body.Purpose), PIN: string(in.Body.PIN), Transaction: (*otp.Transaction)(in.Body.Transaction), Locale: in.Body.Locale}))
}

func (s *Server) getChallenge(ctx context.Context, in *ChallengePath) (*answer[wire.Challenge], error) {
	return challengeAnswer(s.cfg.Rules.Challenge(ctx, s.now(), in.ID))
}

func (s *Server) resendChallenge(ctx context.Context, in *ChallengePath) (*answer[wire.Challenge], error) {
	return challengeAnswer(s.cfg.Rules.Resend(ctx, s.now(), by(ctx, ""), in.ID))
}

func (s *Server) verifyChallenge(ctx context.Context, in *struct {
	ChallengePath
	Body wire.VerifyChallenge
}) (*answer[wire.Challenge], error) {
	return challengeAnswer(s.cfg.Rules.Verify(ctx, s.now(), by(ctx, ""), in.ID, otp.VerifyRequest{Code: string(in.Body.Code),
		PIN: string(in.Body.PIN), Transaction: (*otp.Transaction)(in.Body.Transaction), ClientSecret: string(in.Body.ClientSecret)}))
}

func (s *Server) cancelChallenge(ctx context.Context, in *ChallengePath) (*nothing, error) {
	return nil, s.cfg.Rules.Cancel(ctx, s.now(), by(ctx, ""), in.ID)
}

func challengeAnswer(v otp.ChallengeView, err error) (*answer[wire.Challenge], error) {
	if err != nil {
		return nil, err
	}
	return &answer[wire.Challenge]{wire.Challenge{ID: v.ID, Account: v.Account, Purpose: string(v.Purpose), Status: string(v.Status),
		Phone: v.Phone, CreatedAt: v.CreatedAt.UTC(), ExpiresAt: v.ExpiresAt.UTC(), ResendAfter: v.ResendAfter.UTC(), SendsLeft: v.SendsLeft,
		AttemptsLeft: v.AttemptsLeft, ClientSecret: v.ClientSecret,
		Message: wire.ChallengeMessage{ID: v.Message.ID, Status: string(v.Message.Status), Parts: v.Message.Parts}}}, nil
}
