// Package api is Otpost's HTTP front: routes on gorilla/mux through huma, keys and scopes, problem+json, OpenAPI, the
// metrics endpoint and a server that faces strangers. It decides who may call what and how the answers look; the rules
// of codes are otp's and the queue is gateway's.
//
// Rules of the package:
//
//   - One set of Go types (api/wire) makes the checks, the answers and the OpenAPI document.
//   - Every answer of 400 or more is application/problem+json; one function maps errors to problems (see problem.go).
//   - Nothing a caller sent is repeated in an error or a log line but names of members and the id of the request.
//   - Requests without the right scope change nothing; bodies are read only after the caller is known.
package api

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/netip"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/gorilla/mux"
	"github.com/prometheus/client_golang/prometheus"

	"otpost/api/console"
	"otpost/driver"
	"otpost/driver/sim"
	"otpost/gateway"
	"otpost/gateway/store"
	"otpost/otp"
)

// ModemControl reaches into the modems by name, past the queue. Names are checked by the caller. Reset and USSD may take
// minutes and end with ctx.
type ModemControl interface {
	// Reset takes the modem through its recovery.
	Reset(ctx context.Context, name string) error
	// USSD dials code and returns the network's text.
	USSD(ctx context.Context, name, code string) (string, error)
	// Trace returns the latest lines of the AT exchange, oldest first.
	Trace(name string) ([]driver.TraceLine, error)
}

// Config is what a Server works with. Rules, Gateway, KV, Secrets and Log are required.
type Config struct {
	Rules      *otp.Service
	Gateway    *gateway.Gateway
	KV         store.KV
	Secrets    *store.Secrets
	Log        *slog.Logger
	Registry   *prometheus.Registry // nil: a new one
	Modems     ModemControl         // nil: reset, ussd and trace answer 503
	Network    *sim.Network         // the simulated phones; nil unless the modems are simulated
	MasterKeys MasterKeys           // nil: none are told of
	Ready      func() error         // nil: always ready; the error's text is shown to callers
	Version    string
	Random     io.Reader  // nil: crypto/rand.Reader
	Texts      TextLimits // zero fields: the defaults
	Limits     Limits     // zero fields: the defaults

	TLS               *tls.Config        // for the TCP listeners, as NewTLS makes it; nil: plain HTTP, for loopback only (see CheckListen)
	Insecure          bool               // plain HTTP to other addresses than loopback too; Run warns
	SocketScopes      map[uint32][]Scope // what other users than root and the daemon's own may do over a unix socket, by uid
	CertificateScopes map[string][]Scope // what a verified client certificate may do, by its common name or a DNS name
}

// Server answers HTTP requests. It is safe for concurrent use.
type Server struct {
	cfg       Config
	log       *slog.Logger
	keys      *Keys
	metrics   *metrics
	console   *console.Console
	api       huma.API
	router    *mux.Router
	handler   http.Handler
	quotas    quotas
	penalties penalties

	boot  string          // names this run of the daemon
	drain context.Context // done once long answers should end
	stop  context.CancelFunc
}

// New builds a server; it starts nothing and listens nowhere.
func New(cfg Config) (*Server, error) {
	if cfg.Rules == nil || cfg.Gateway == nil || cfg.KV == nil || cfg.Secrets == nil || cfg.Log == nil {
		return nil, errors.New("api: Rules, Gateway, KV, Secrets and Log are required")
	}
	if cfg.Registry == nil {
		cfg.Registry = prometheus.NewRegistry()
	}
	cfg.Limits = cfg.Limits.withDefaults()
	cfg.Texts = cfg.Texts.withDefaults()
	cfg.Version = cmp.Or(cfg.Version, "dev")
	keys, err := NewKeys(KeysConfig{KV: cfg.KV, Secrets: cfg.Secrets, Random: cfg.Random, Log: cfg.Log})
	if err != nil {
		return nil, err
	}
	s := &Server{cfg: cfg, log: cfg.Log, keys: keys, boot: rand.Text(),
		quotas: quotas{windows: map[string]*window{}}, penalties: penalties{sources: map[netip.Prefix]*culprit{}}}
	s.drain, s.stop = context.WithCancel(context.Background())
	if s.metrics, err = newMetrics(cfg.Registry, cfg.Version); err != nil {
		return nil, fmt.Errorf("register metrics: %w", err)
	}
	s.routes()
	if err := s.mountConsole(); err != nil {
		return nil, err
	}
	return s, nil
}

// Handler answers requests without a server's limits on connections; tests use it in-process.
func (s *Server) Handler() http.Handler { return s.handler }

// Keys gives access to the API keys, for the daemon to make the first one.
func (s *Server) Keys() *Keys { return s.keys }

// OpenAPI returns the document that describes the calls.
func (s *Server) OpenAPI() *huma.OpenAPI { return s.api.OpenAPI() }

func (s *Server) routes() {
	s.router = mux.NewRouter().SkipClean(true)
	s.api = newHuma(s.router, s.cfg.Version)
	s.api.UseMiddleware(s.admission, s.body, s.idempotent, s.compat)
	s.challengeCalls() // first, as mux tries one route after the other, and these are called most
	s.accountCalls()
	s.messageCalls()
	s.overviewCall()
	s.modemCalls()
	s.eventCalls()
	s.webhookCalls()
	s.keyCalls()
	s.masterKeyCalls()
	s.adminCalls()
	s.simulatorCalls()
	s.healthCalls()
	s.documentCalls()
	s.docsCalls()
	s.router.NotFoundHandler = http.HandlerFunc(s.notFound)
	s.router.MethodNotAllowedHandler = http.HandlerFunc(s.methodNotAllowed)
	s.handler = s.outermost(s.router)
}

// simulatorCalls show codes in clear, so they exist only where the modems are simulated.
func (s *Server) simulatorCalls() {
	if s.cfg.Network == nil {
		return
	}
	patient := huma.NewGroup(s.api)
	patient.UseMiddleware(func(ctx huma.Context, next func(huma.Context)) {
		extendDeadlines(ctx.Context(), maxSimulatorWait)
		next(ctx)
	})
	registerSimulator(patient, s.cfg.Network, s.drain)
}

// now is the one place where requests get their time from.
func (s *Server) now() time.Time { return time.Now() }
