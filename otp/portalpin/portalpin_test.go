package portalpin

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
	"go.uber.org/goleak"
)

var secret = []byte("the secret of these tests, no other")

// transport answers without a network, so that fake time works.
type transport func(*http.Request) (*http.Response, error)

func (f transport) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func answer(status int, body string) transport {
	return func(*http.Request) (*http.Response, error) {
		return &http.Response{StatusCode: status, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(body))}, nil
	}
}

func newChecker(t *testing.T, rt http.RoundTripper) *Checker {
	t.Helper()
	c, err := New(Config{URL: "https://portal.example/pin?token=hush", Secret: secret, Random: rand.Reader, Transport: rt})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestAsksASignedQuestion(t *testing.T) {
	defer goleak.VerifyNone(t)
	hook, err := standardwebhooks.NewWebhookRaw(secret)
	if err != nil {
		t.Fatal(err)
	}
	portal := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil || hook.Verify(body, r.Header) != nil || r.Method != http.MethodPost {
			http.Error(w, "not from Otpost", http.StatusUnauthorized)
			return
		}
		var q question
		if err := json.Unmarshal(body, &q); err != nil || q.Type != "pin.check" || q.Data.Account != "alice" {
			http.Error(w, "what", http.StatusBadRequest)
			return
		}
		_ = json.NewEncoder(w).Encode(map[string]bool{"valid": q.Data.PIN == "739264"}) // the client sees a cut answer
	}))
	defer portal.Close()
	tr := &http.Transport{}
	defer tr.CloseIdleConnections()
	c, err := New(Config{URL: portal.URL, Secret: secret, Random: rand.Reader, Transport: tr})
	if err != nil {
		t.Fatal(err)
	}
	for pin, want := range map[string]bool{"739264": true, "739265": false} {
		if got, err := c.CheckPIN(context.Background(), "alice", pin); err != nil || got != want {
			t.Errorf("PIN %s: %v, %v; want %v", pin, got, err, want)
		}
	}
	wrongSecret, err := New(Config{URL: portal.URL, Secret: append([]byte("x"), secret...), Random: rand.Reader, Transport: tr})
	if err != nil {
		t.Fatal(err)
	}
	if ok, err := wrongSecret.CheckPIN(context.Background(), "alice", "739264"); ok || err == nil {
		t.Errorf("with another secret: %v, %v", ok, err)
	}
}

func TestFailsClosed(t *testing.T) {
	tests := map[string]transport{
		"500 with a yes":    answer(500, `{"valid":true}`),
		"201 with a yes":    answer(201, `{"valid":true}`),
		"redirect":          answer(302, `{"valid":true}`),
		"no answer":         answer(200, `{}`),
		"null":              answer(200, `{"valid":null}`),
		"a string":          answer(200, `{"valid":"true"}`),
		"a number":          answer(200, `{"valid":1}`),
		"trailing":          answer(200, `{"valid":true}{"valid":false}`),
		"html":              answer(200, `<html>`),
		"empty":             answer(200, ``),
		"endless":           answer(200, `{"valid":true,"x":"`+strings.Repeat("x", 1<<20)+`"}`),
		"connection broken": func(*http.Request) (*http.Response, error) { return nil, errors.New("broken") },
	}
	for name, rt := range tests {
		t.Run(name, func(t *testing.T) {
			ok, err := newChecker(t, rt).CheckPIN(context.Background(), "alice", "739264")
			if ok || err == nil {
				t.Fatalf("got %v, %v", ok, err)
			}
			for _, hidden := range []string{"739264", "hush"} {
				if strings.Contains(err.Error(), hidden) {
					t.Errorf("error shows %q: %v", hidden, err)
				}
			}
		})
	}
}

func TestTimesOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newChecker(t, transport(func(r *http.Request) (*http.Response, error) {
			<-r.Context().Done()
			return nil, r.Context().Err()
		}))
		began := time.Now()
		ok, err := c.CheckPIN(context.Background(), "alice", "739264")
		if ok || err == nil || time.Since(began) != defaultTimeout {
			t.Errorf("got %v, %v after %v", ok, err, time.Since(began))
		}
	})
}

func TestBreaker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var asked atomic.Int64
		var healthy atomic.Bool
		c := newChecker(t, transport(func(r *http.Request) (*http.Response, error) {
			asked.Add(1)
			if healthy.Load() {
				return answer(200, `{"valid":true}`)(r)
			}
			return nil, errors.New("broken")
		}))
		check := func() error {
			_, err := c.CheckPIN(context.Background(), "alice", "739264")
			return err
		}
		for range tripAfter {
			if err := check(); errors.Is(err, ErrOpen) {
				t.Fatal("open too early")
			}
		}
		for rest := firstRest; rest <= maxRest; rest *= 2 { // 5 s, 10 s, … each ended by one question
			before := asked.Load()
			time.Sleep(rest - time.Nanosecond)
			if err := check(); !errors.Is(err, ErrOpen) {
				t.Fatalf("after %v less an instant: %v", rest, err)
			}
			time.Sleep(time.Nanosecond)
			if err := check(); errors.Is(err, ErrOpen) || asked.Load() != before+1 {
				t.Fatalf("after %v: %v, asked %d times", rest, err, asked.Load()-before)
			}
		}
		healthy.Store(true)
		time.Sleep(maxRest)
		for range 10 {
			if err := check(); err != nil {
				t.Fatal(err)
			}
		}
	})
}

func TestOnlyOneProbes(t *testing.T) {
	var b breaker
	now := time.Now()
	for range tripAfter {
		b.report(now, false)
	}
	now = now.Add(firstRest)
	if !b.admit(now) || b.admit(now) {
		t.Error("want one probe")
	}
	b.release()
	if !b.admit(now) {
		t.Error("a probe that came to nothing keeps others out")
	}
}

func TestNewRefuses(t *testing.T) {
	for _, c := range []Config{
		{URL: "http://portal.example/pin", Secret: secret},
		{URL: "ftp://127.0.0.1/pin", Secret: secret},
		{URL: "https://user:pw@portal.example/pin", Secret: secret},
		{URL: "portal.example", Secret: secret},
		{URL: "https://portal.example/pin", Secret: secret[:23]},
	} {
		if _, err := New(c); err == nil {
			t.Errorf("%s with %d bytes was taken", c.URL, len(c.Secret))
		}
	}
	for _, u := range []string{"http://localhost:8080/pin", "http://[::1]/pin", "https://portal.example/pin"} {
		if _, err := New(Config{URL: u, Secret: secret}); err != nil {
			t.Errorf("%s: %v", u, err)
		}
	}
}
