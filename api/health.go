package api

import (
	"context"
	"log/slog"
	"net/http"
	"reflect"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"

	"otpost/api/wire"
)

func typeOf[T any]() reflect.Type { return reflect.TypeFor[T]() }

func (s *Server) healthCalls() {
	register(s, call{id: "healthz", method: http.MethodGet, path: "/healthz", tag: "health", anyone: true, loopback: true,
		summary: "Is the process alive", about: "200 as long as requests are answered.", answer: wire.Health{Status: "ok", Version: "1.0.0"}}, s.healthz)
	register(s, call{id: "readyz", method: http.MethodGet, path: "/readyz", tag: "health", anyone: true, loopback: true,
		summary: "Can it do its work", about: "503 while the daemon starts or stops, or something it needs is not ready; the detail says what.",
		answer: wire.Health{Status: "ok", Version: "1.0.0"}}, s.readyz)
	metrics := promhttp.HandlerFor(s.cfg.Registry, promhttp.HandlerOpts{ErrorHandling: promhttp.HTTPErrorOnError, EnableOpenMetrics: true,
		ErrorLog: slog.NewLogLogger(s.log.Handler(), slog.LevelError)})
	s.router.HandleFunc("/metrics", s.guard("/metrics", access{scopes: []Scope{ScopeOps, ScopeAdmin}, loopback: true}, metrics.ServeHTTP)).Methods(http.MethodGet)
}

func (s *Server) healthz(context.Context, *struct{}) (*answer[wire.Health], error) {
	return &answer[wire.Health]{wire.Health{Status: "ok", Version: s.cfg.Version}}, nil
}

func (s *Server) readyz(ctx context.Context, in *struct{}) (*answer[wire.Health], error) {
	if s.drain.Err() != nil {
		return nil, after(problem(codeUnavailable, "the daemon is stopping"), time.Second)
	}
	if s.cfg.Ready != nil {
		if err := s.cfg.Ready(); err != nil {
			return nil, after(problem(codeUnavailable, err.Error()), time.Second)
		}
	}
	return s.healthz(ctx, in)
}
