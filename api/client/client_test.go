package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"otpost/api/wire"
)

func TestNew(t *testing.T) {
	for _, o := range []Options{{}, {Address: "ftp://x"}, {Address: "http://"}, {Address: "http://[::1"}} {
		if _, err := New(o); err == nil {
			t.Errorf("%+v passes", o)
		}
	}
	for _, o := range []Options{{Address: "127.0.0.1:8475"}, {Address: "https://otpost.example"}, {Socket: "/run/otpost/otpost.sock"}} {
		if _, err := New(o); err != nil {
			t.Errorf("%+v: %v", o, err)
		}
	}
}

// What comes back for the answers that a server, a proxy or a broken line can give.
func TestAnswers(t *testing.T) {
	tests := []struct {
		name, kind, body string
		status           int
		code             string // of the problem; "" for another error; "ok" for none
	}{
		{"success", "application/json", `{"account":"a"}`, 200, "ok"},
		{"problem", "application/problem+json; charset=utf-8", `{"code":"blocked","status":429,"retry_after":9}`, 429, "blocked"},
		{"a proxy's page", "text/html", `<h1>Bad Gateway</h1>`, 502, "unexpected-answer"},
		{"a problem without a code", "application/problem+json", `{}`, 400, "unexpected-answer"},
		{"redirect", "text/html", ``, 302, "unexpected-answer"},
		{"not JSON", "application/json", `{`, 200, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Content-Type", tt.kind)
				w.WriteHeader(tt.status)
				_, _ = fmt.Fprint(w, tt.body)
			}))
			defer s.Close()
			c, err := New(Options{Address: s.URL, Key: "k"})
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			_, err = c.Account(t.Context(), "a")
			p, isProblem := errors.AsType[*Problem](err)
			switch {
			case tt.code == "ok" && err != nil, tt.code == "" && (err == nil || isProblem):
				t.Errorf("got %v", err)
			case tt.code != "ok" && tt.code != "" && (!isProblem || p.Code != tt.code || p.Status != tt.status):
				t.Errorf("got %v, want %s", err, tt.code)
			}
		})
	}
}

// What goes out: the key, the path with its parts escaped, the idempotency key on a POST only.
func TestRequests(t *testing.T) {
	var got *http.Request
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got = r
		_, _ = fmt.Fprint(w, `{}`)
	}))
	defer s.Close()
	c, err := New(Options{Address: s.URL, Key: "secret", UserAgent: "test"})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	ctx := WithIdempotencyKey(t.Context(), "one")
	if _, err := c.UnlockAccount(ctx, "a/b?c"); err != nil {
		t.Fatal(err)
	}
	if got.URL.EscapedPath() != "/v1/accounts/a%2Fb%3Fc/unlock" || got.Header.Get("Authorization") != "Bearer secret" ||
		got.Header.Get("Idempotency-Key") != "one" || got.Header.Get("User-Agent") != "test" {
		t.Errorf("%s %v", got.URL.EscapedPath(), got.Header)
	}
	if _, err := c.Account(ctx, "a"); err != nil || got.Header.Get("Idempotency-Key") != "" {
		t.Errorf("a GET: %v %v", err, got.Header)
	}
}

// A secret goes over the wire as it is, and nowhere else.
func TestSecrets(t *testing.T) {
	in := wire.EnableVerify{Code: "482915", PIN: "739154"}
	b, err := json.Marshal(in)
	if err != nil || string(b) != `{"code":"482915","pin":"739154"}` {
		t.Errorf("%s, %v", b, err)
	}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q"} {
		if s := fmt.Sprintf(verb, in); strings.Contains(s, "482915") || strings.Contains(s, "739154") {
			t.Errorf("%s prints %s", verb, s)
		}
	}
}

func Example() {
	ctx := context.Background()
	c, err := New(Options{Address: "http://127.0.0.1:8475", Key: "otp_live_..."})
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
	// One name for this request, so that it can be repeated after a broken connection.
	once := WithIdempotencyKey(ctx, "8e03978e-40d5-43dd-bc93-6894a57f9324")
	challenge, err := c.EnableSMS(once, "client-4711", wire.Enable{Phone: "+447700900123"})
	if p, ok := errors.AsType[*Problem](err); ok {
		log.Fatalf("refused: %s, try again in %d s", p.Code, p.RetryAfter)
	}
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("a code is on its way to", challenge.Phone)
}
