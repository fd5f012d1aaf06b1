package api

import (
	"errors"
	"net/http"
	"runtime"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics are the counts of this package; label sets are closed (routes are templates, methods and statuses known ones).
type metrics struct {
	requests *prometheus.CounterVec
	seconds  *prometheus.HistogramVec
	refused  *prometheus.CounterVec
	conns    *prometheus.GaugeVec
	dropped  *prometheus.CounterVec
}

func newMetrics(reg prometheus.Registerer, version string) (*metrics, error) {
	m := &metrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "otpost_http_requests_total",
			Help: "HTTP requests answered, by route template, method and status."}, []string{"route", "method", "status"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "otpost_http_request_seconds",
			Help:    "Seconds from a request's first byte read to its answer, by route template; streams are left out.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10}, NativeHistogramBucketFactor: 1.1,
			NativeHistogramMaxBucketNumber: 100, NativeHistogramMinResetDuration: time.Hour}, []string{"route"}),
		refused: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "otpost_http_refused_total",
			Help: "Requests refused before they were looked at: no key, unknown key, expired, address, scope, penalty, limit."}, []string{"reason"}),
		conns: prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "otpost_http_connections",
			Help: "Open connections, by kind of listener."}, []string{"listener"}),
		dropped: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "otpost_http_connections_dropped_total",
			Help: "Connections closed at once because a cap was reached."}, []string{"cap"}),
	}
	info := prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "otpost_build_info",
		Help: "Always 1; its labels tell the build."}, []string{"version", "goversion"})
	info.WithLabelValues(version, runtime.Version()).Set(1)
	var errs []error
	for _, c := range []prometheus.Collector{m.requests, m.seconds, m.refused, m.conns, m.dropped, info} {
		errs = append(errs, reg.Register(c))
	}
	return m, errors.Join(errs...)
}

// answered counts one request.
func (m *metrics) answered(route, method string, status int, took time.Duration) {
	m.requests.WithLabelValues(route, knownMethod(method), strconv.Itoa(status)).Inc()
	if route != eventsRoute {
		m.seconds.WithLabelValues(route).Observe(took.Seconds())
	}
}

func knownMethod(m string) string {
	switch m {
	case http.MethodGet, http.MethodPost, http.MethodPut, http.MethodDelete, http.MethodHead, http.MethodOptions, http.MethodPatch:
		return m
	}
	return "other"
}
