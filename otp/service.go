package otp

import (
	"errors"
	"fmt"
	"io"
	"log/slog"

	"github.com/prometheus/client_golang/prometheus"

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
	PIN      PINChecker // only in pin.mode portal
	Random   io.Reader  // crypto/rand.Reader outside tests
	Log      *slog.Logger
	Registry prometheus.Registerer
}

// Service applies the rules. It is safe for concurrent use.
type Service struct {
	cfg     Config
	policy  Policy
	texts   *texts
	pins    *pinHasher
	metrics *metrics
	codeKey func(id string) ([]byte, error)

	compared func() // tests count comparisons of codes
}

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

// New returns a service. The policy is checked whole; the configuration is wrong if it is.
func New(cfg Config) (*Service, error) {
	policy := cfg.Policy.clone()
	if err := policy.Validate(); err != nil {
		return nil, fmt.Errorf("policy: %w", err)
	}
	texts, err := newTexts(policy)
	if err != nil {
		return nil, fmt.Errorf("policy: %w", err)
	}
	if policy.PIN.Mode == PINPortal && cfg.PIN == nil {
		return nil, errors.New("policy: pin.mode portal needs pin.portal, the address to ask")
	}
	codeKey, err := codeKeys(cfg.Keys)
	if err != nil {
		return nil, fmt.Errorf("key for codes: %w", err)
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	return &Service{
		cfg: cfg, policy: policy, texts: texts, codeKey: codeKey,
		pins:    newPINHasher(cfg.Secrets.Key("pin"), policy.PIN),
		metrics: newMetrics(cfg.Registry),
	}, nil
}

// CheckPhone normalises a number for a plain text and applies the country and number-type rules (not the account limits).
// It returns the E.164 form and its country.
func (s *Service) CheckPhone(number string) (e164, country string, err error) {
	ph, err := s.policy.parsePhone(number)
	return ph.E164, ph.Country, err
}

// TextReports returns how each text comes out at its longest values, or what is wrong with the texts.
func (p Policy) TextReports() ([]TextReport, error) {
	t, err := newTexts(p)
	if err != nil {
		return nil, err
	}
	return t.report(p), nil
}
