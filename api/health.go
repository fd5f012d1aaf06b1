package api

import (
	"context"
	"log/slog"
	"net/http"
	"reflect"

	"github.com/prometheus/client_golang/prometheus/promhttp"

	"otpost/api/wire"
)

func typeOf[T any]() reflect.Type { return reflect.TypeFor[T]() }

type healthAnswer struct {
	Status int
	Body   wire.Health
}

func (s *Server) healthCalls() {
	register(s, call{id: "healthz", method: http.MethodGet, path: "/healthz", tag: "health", anyone: true, loopback: true,
		summary: "Is the process alive", about: "200 as long as requests are answered.", answer: wire.Health{Status: "ok", Version: "1.0.0"}}, s.healthz)
	register(s, call{id: "readyz", method: http.MethodGet, path: "/readyz", tag: "health", anyone: true, loopback: true,
		summary: "Can it do its work", about: "503 (with the same body) while the store or the queue is not ready.",
		answer: wire.Health{Status: "ok", Version: "1.0.0", Checks: []wire.Check{{Name: "daemon", OK: true}}}}, s.readyz)
	metrics := promhttp.HandlerFor(s.cfg.Registry, promhttp.HandlerOpts{ErrorHandling: promhttp.HTTPErrorOnError, EnableOpenMetrics: true,
		ErrorLog: slog.NewLogLogger(s.log.Handler(), slog.LevelError)})
	s.router.HandleFunc("/metrics", s.guard("/metrics", access{scopes: []Scope{ScopeOps, ScopeAdmin}, loopback: true}, metrics.ServeHTTP)).Methods(http.MethodGet)
}

func (s *Server) healthz(context.Context, *struct{}) (*healthAnswer, error) {
	return &healthAnswer{http.StatusOK, wire.Health{Status: "ok", Version: s.cfg.Version}}, nil
}

func (s *Server) readyz(context.Context, *struct{}) (*healthAnswer, error) {
	out := &healthAnswer{http.StatusOK, wire.Health{Status: "ok", Version: s.cfg.Version, Checks: []wire.Check{{Name: "daemon", OK: true}}}}
	err := s.drain.Err()
	if err == nil && s.cfg.Ready != nil {
		err = s.cfg.Ready()
	}
	if err != nil {
		out.Status, out.Body.Status = http.StatusServiceUnavailable, "unready"
		out.Body.Checks[0] = wire.Check{Name: "daemon", Error: err.Error()}
	}
	return out, nil
}
