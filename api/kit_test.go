package api

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"otpost/api/wire"
	"otpost/driver/sim"
	"otpost/gateway"
	"otpost/gateway/store"
	"otpost/otp"
)

var (
	soak   = flag.Int("soak", 1, "multiply the counts of long tests")
	update = flag.Bool("update", false, "write api/openapi.json anew")
)

// kit is a server over the store in memory, with a key for each scope.
type kit struct {
	*Server
	t      testing.TB
	kv     *store.Memory
	log    *logBook
	tokens map[Scope]string
}

// logBook is a log that may be read while it is written.
type logBook struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *logBook) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(b)
}

func (l *logBook) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

// Reset forgets what was logged so far.
func (l *logBook) Reset() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.buf.Reset()
}

// newKit builds the server's own layers; rules and queue are bare (their calls must not be made).
func newKit(t testing.TB, change ...func(*Config)) *kit {
	t.Helper()
	k := &kit{t: t, kv: store.NewMemory(), log: &logBook{}, tokens: map[Scope]string{}}
	cfg := Config{Rules: &otp.Service{}, Gateway: &gateway.Gateway{}, KV: k.kv, Secrets: k.kv.Secrets(), Version: "test", Network: sim.NewNetwork(sim.NetworkConfig{}),
		Log: slog.New(slog.NewJSONHandler(k.log, &slog.HandlerOptions{Level: slog.LevelDebug}))}
	for _, f := range change {
		f(&cfg)
	}
	s, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	k.Server = s
	for _, scope := range Scopes() {
		k.tokens[scope] = k.key(KeySpec{Name: string(scope), Scopes: []Scope{scope}})
	}
	return k
}

// key makes a key and returns its token.
func (k *kit) key(spec KeySpec) string {
	k.t.Helper()
	_, token, err := k.keys.Create(context.Background(), time.Now(), spec)
	if err != nil {
		k.t.Fatal(err)
	}
	return token
}

// reply is an answer, read.
type reply struct {
	*http.Response
	body []byte
}

func (r reply) problem(t testing.TB) wire.Problem {
	t.Helper()
	if ct := r.Header.Get("Content-Type"); ct != "application/problem+json" {
		t.Fatalf("status %d with content type %q, want a problem: %s", r.StatusCode, ct, r.body)
	}
	var p wire.Problem
	d := json.NewDecoder(bytes.NewReader(r.body))
	d.DisallowUnknownFields()
	if err := d.Decode(&p); err != nil {
		t.Fatalf("problem %s: %v", r.body, err)
	}
	if p.Status != r.StatusCode || p.Code == "" || p.Title == "" || p.Type != "/problems/"+p.Code ||
		r.Header.Get("Idempotency-Replayed") == "" && p.RequestID != r.Header.Get("X-Request-Id") {
		t.Fatalf("problem is not whole: %d %s", r.StatusCode, r.body)
	}
	return p
}

// do makes a request; header is "Name: value" lines.
func (k *kit) do(method, target, token, body string, header ...string) reply {
	k.t.Helper()
	var in io.Reader
	if body != "" {
		in = strings.NewReader(body)
	}
	r := httptest.NewRequest(method, target, in)
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	for _, h := range header {
		name, value, _ := strings.Cut(h, ": ")
		if value == "" {
			r.Header.Del(name)
		} else {
			r.Header.Set(name, value)
		}
	}
	return k.answer(r)
}

func (k *kit) answer(r *http.Request) reply {
	w := httptest.NewRecorder()
	k.Handler().ServeHTTP(w, r)
	return reply{w.Result(), w.Body.Bytes()}
}
