package otp

import (
	"context"
	"io"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"otpost/gateway"
	"otpost/gateway/store"
	"otpost/gateway/store/keys"
)

// Config is what a Service works with.
type Config struct {
	KV       store.KV
	Secrets  *store.Secrets
	Keys     *keys.Ring
	Outbox   Outbox
	Policy   Policy
	Random   io.Reader // crypto/rand.Reader outside tests
	Log      *slog.Logger
	Registry prometheus.Registerer
}

// Policy is the configurable part of the rules; DefaultPolicy has the defaults of DESIGN 4.
type Policy struct{}

// Service applies the rules. It is safe for concurrent use.
type Service struct{ cfg Config }

// EnableRequest asks to turn SMS codes on.
type EnableRequest struct{ Phone, Locale string }

// CreateRequest asks for a challenge to confirm a login, a withdrawal or another operation.
type CreateRequest struct {
	Account     string
	Purpose     Purpose
	PIN         string
	Transaction *Transaction
	Locale      string
}

// VerifyRequest answers a challenge.
type VerifyRequest struct {
	Code         string
	PIN          string
	Transaction  *Transaction
	ClientSecret string
}

func New(cfg Config) (*Service, error) { return &Service{cfg}, nil }

func (s *Service) Account(ctx context.Context, now time.Time, account string) (AccountView, error) {
	panic("not yet")
}
func (s *Service) SetPIN(ctx context.Context, now time.Time, by Caller, account, pin, current string) error {
	panic("not yet")
}
func (s *Service) SetGrade(ctx context.Context, now time.Time, by Caller, account string, grade int) (AccountView, error) {
	panic("not yet")
}
func (s *Service) Unlock(ctx context.Context, now time.Time, by Caller, account string) (AccountView, error) {
	panic("not yet")
}
func (s *Service) Erase(ctx context.Context, now time.Time, by Caller, account string) error {
	panic("not yet")
}
func (s *Service) Enable(ctx context.Context, now time.Time, by Caller, account string, r EnableRequest) (ChallengeView, error) {
	panic("not yet")
}
func (s *Service) EnableVerify(ctx context.Context, now time.Time, by Caller, account string, r VerifyRequest) (AccountView, error) {
	panic("not yet")
}
func (s *Service) Disable(ctx context.Context, now time.Time, by Caller, account, locale string) (ChallengeView, error) {
	panic("not yet")
}
func (s *Service) DisableVerify(ctx context.Context, now time.Time, by Caller, account string, r VerifyRequest) (AccountView, error) {
	panic("not yet")
}
func (s *Service) Create(ctx context.Context, now time.Time, by Caller, r CreateRequest) (ChallengeView, error) {
	panic("not yet")
}
func (s *Service) Challenge(ctx context.Context, now time.Time, id string) (ChallengeView, error) {
	panic("not yet")
}
func (s *Service) Resend(ctx context.Context, now time.Time, by Caller, id string) (ChallengeView, error) {
	panic("not yet")
}
func (s *Service) Verify(ctx context.Context, now time.Time, by Caller, id string, r VerifyRequest) (ChallengeView, error) {
	panic("not yet")
}
func (s *Service) Cancel(ctx context.Context, now time.Time, by Caller, id string) error {
	panic("not yet")
}

// Render is the gateway.Renderer for code messages.
func (s *Service) Render(tx store.Txn, now time.Time, m gateway.Message) (string, error) {
	panic("not yet")
}

// CheckPhone normalises a number for a plain text and applies the country and number-type rules (not the account limits).
// It returns the E.164 form and its country.
func (s *Service) CheckPhone(phone string) (e164, country string, err error) {
	panic("not yet")
}
