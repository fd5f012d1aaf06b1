package api

import (
	"bytes"
	"context"
	"crypto/rand"
	"log/slog"
	"maps"
	"net/http"
	"regexp"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"otpost/api/wire"
	"otpost/otp"
)

// requestInfo is what is known of a request so far. It belongs to the request's goroutine.
type requestInfo struct {
	id     string
	route  string    // the route's template; "unmatched" for none
	who    principal // empty until admitted
	body   []byte    // once read
	again  readBody  // reads body
	answer recorder  // what the answer is written to

	others []wire.Secret // who else gets the text, by a key's profile
}

// readBody is a request's body that was read already.
type readBody struct{ bytes.Reader }

// Close implements io.Closer.
func (*readBody) Close() error { return nil }

type requestKey struct{}

// infoOf returns the request's info, or nil outside a request.
func infoOf(ctx context.Context) *requestInfo {
	i, _ := ctx.Value(requestKey{}).(*requestInfo)
	return i
}

// by is on whose behalf a call comes, for limits and the audit trail.
func by(ctx context.Context, clientIP string) otp.Caller {
	i := infoOf(ctx)
	return otp.Caller{Key: i.who.id, ClientIP: clientIP, Request: i.id}
}

func requestAttrs(ctx context.Context, more ...slog.Attr) []slog.Attr {
	i := infoOf(ctx)
	if i == nil {
		return more
	}
	return slices.Concat([]slog.Attr{slog.String("request_id", i.id), slog.String("route", i.route), slog.String("caller", i.who.id)}, more)
}

// A correlation id that is taken over from the caller: long enough to be one, nothing that could break a log line.
var saneID = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_.-]{7,63}$`)

// traceParent is the header field of W3C Trace Context, version 00; the id of the trace is its first group.
var traceParent = regexp.MustCompile(`^00-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}$`)

func requestID(r *http.Request) string {
	if id := r.Header.Get("X-Request-Id"); saneID.MatchString(id) {
		return id
	}
	if m := traceParent.FindStringSubmatch(r.Header.Get("Traceparent")); m != nil && strings.Trim(m[1], "0") != "" {
		return m[1]
	}
	const alphabet = "abcdefghijklmnopqrstuvwxyz234567"
	id := [...]byte{'r', 'e', 'q', '-', 19: 0}
	_, _ = rand.Read(id[4:]) // it never fails
	for i, c := range id[4:] {
		id[4+i] = alphabet[c%32]
	}
	return string(id[:])
}

// recorder notes status and size of an answer. Flush, deadlines and the like go through Unwrap.
type recorder struct {
	http.ResponseWriter
	status int
	bytes  int64
}

func (w *recorder) WriteHeader(status int) {
	if w.status == 0 {
		w.status = status
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *recorder) Write(b []byte) (int, error) {
	if w.status == 0 {
		w.status = http.StatusOK
	}
	n, err := w.ResponseWriter.Write(b)
	w.bytes += int64(n)
	return n, err
}

// Unwrap lets http.ResponseController reach the connection.
func (w *recorder) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// outermost wraps every request: id, header fields, recovery, the log line and the metrics.
func (s *Server) outermost(next http.Handler) http.Handler {
	csrf := http.NewCrossOriginProtection()
	fixed := secureHeaders()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer answeredOn(r.Context())
		start := s.now()
		info := &requestInfo{id: requestID(r), route: "unmatched", answer: recorder{ResponseWriter: w}}
		rec := &info.answer
		r = r.WithContext(context.WithValue(r.Context(), requestKey{}, info))
		maps.Copy(rec.Header(), fixed)
		rec.Header()["X-Request-Id"] = []string{info.id}
		if r.TLS != nil {
			rec.Header().Set("Strict-Transport-Security", "max-age=31536000")
		}
		defer func() { s.finish(r, info, start, recover()) }()
		if err := csrf.Check(r); err != nil {
			writeProblem(rec, r, problem(codeForbidden, "requests from other sites' pages are refused"))
			return
		}
		next.ServeHTTP(rec, r)
	})
}

func (s *Server) finish(r *http.Request, info *requestInfo, start time.Time, panicked any) {
	rec := &info.answer
	if panicked == http.ErrAbortHandler {
		panic(panicked)
	}
	if panicked != nil {
		// The value may hold what a caller sent; its type and the stack do not.
		s.log.LogAttrs(r.Context(), slog.LevelError, "request panicked", requestAttrs(r.Context(),
			slog.String("type", typeName(panicked)), slog.String("stack", string(debug.Stack())))...)
		if rec.status == 0 {
			writeProblem(rec, r, problem(codeInternal, "the daemon's log says why, under this request's id"))
		}
	}
	cut := panicked != nil && rec.status < http.StatusInternalServerError // half an answer went out as a success
	if rec.status == 0 {
		rec.status = http.StatusOK
	}
	took := s.now().Sub(start)
	s.metrics.answered(info.route, r.Method, rec.status, took)
	level := slog.LevelInfo
	if !strings.HasPrefix(info.route, "/v1/") && rec.status < 400 {
		level = slog.LevelDebug // scrapes and probes
	}
	if s.log.Enabled(r.Context(), level) {
		s.log.LogAttrs(r.Context(), level, "request", requestAttrs(r.Context(), slog.String("method", knownMethod(r.Method)),
			slog.Int("status", rec.status), slog.Int64("bytes", rec.bytes), slog.Duration("took", took))...)
	}
	if cut {
		panic(http.ErrAbortHandler) // the caller must not take it for whole
	}
}

// secureHeaders are on every answer, which all share the values. Pages for browsers loosen the policy for themselves.
func secureHeaders() http.Header {
	return http.Header{
		"X-Content-Type-Options":       {"nosniff"},
		"X-Frame-Options":              {"DENY"},
		"Referrer-Policy":              {"no-referrer"},
		"Cache-Control":                {"no-store"},
		"Content-Security-Policy":      {"default-src 'none'; frame-ancestors 'none'"},
		"Cross-Origin-Resource-Policy": {"same-origin"},
	}
}
