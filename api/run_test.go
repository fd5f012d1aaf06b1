package api

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"otpost/api/client"
)

// serve runs the kit's server on a TCP port of loopback and a unix socket until the test ends.
func (k *kit) serve(t testing.TB) (address, socket string) {
	t.Helper()
	socket = filepath.Join(t.TempDir(), "s")
	tcp, unix := must(net.Listen("tcp", "127.0.0.1:0")), must(net.Listen("unix", socket))
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- k.Run(ctx, tcp, unix) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("run: %v", err)
		}
	})
	return tcp.Addr().String(), socket
}

func TestServe(t *testing.T) {
	t.Cleanup(func() { goleak.VerifyNone(t, goleak.IgnoreCurrent()) })
	k := newKit(t)
	address, socket := k.serve(t)
	ctx := context.Background()
	local := must(client.New(client.Options{Socket: socket}))
	t.Cleanup(local.Close)
	if _, err := local.Keys(ctx); err != nil {
		t.Errorf("keys over the socket: %v", err)
	}
	remote := must(client.New(client.Options{Address: address, Key: k.tokens[ScopeOps]}))
	t.Cleanup(remote.Close)
	_, err := remote.Keys(ctx)
	if p, ok := errors.AsType[*client.Problem](err); !ok || p.Code != "forbidden" || p.RequestID == "" {
		t.Errorf("keys with an ops key: %v", err)
	}
	if h, err := remote.Health(ctx); err != nil || h.Status != "ok" || h.Version != "test" {
		t.Errorf("health: %+v, %v", h, err)
	}
}

// What does not arrive in time is cut off, and no more is read of a header than is allowed.
func TestSlowAndLargeRequests(t *testing.T) {
	k := newKit(t, func(c *Config) {
		c.Limits = Limits{ReadHeader: 100 * time.Millisecond, Read: 200 * time.Millisecond, Idle: 100 * time.Millisecond}
	})
	address, _ := k.serve(t)
	auth := "Authorization: Bearer " + k.tokens[ScopePortal] + "\r\n"
	tests := []struct {
		name, send string
		want       string // beginning of the answer; "" for none
	}{
		{"nothing", "", ""},
		{"half a header", "GET /healthz HTTP/1.1\r\nHost: x\r\n", ""},
		{"half a body", "POST /v1/accounts/a/sms/enable HTTP/1.1\r\nHost: x\r\n" + auth + "Content-Type: application/json\r\nContent-Length: 100\r\n\r\n{", "HTTP/1.1 408 "},
		{"half a body of a stranger", "POST /v1/accounts/a/sms/enable HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{", "HTTP/1.1 401 "},
		{"large header", "GET /healthz HTTP/1.1\r\nHost: x\r\nX: " + strings.Repeat("x", 32<<10) + "\r\n\r\n", "HTTP/1.1 431 "},
		{"large body, announced", "POST /v1/accounts/a/sms/enable HTTP/1.1\r\nHost: x\r\n" + auth + "Content-Type: application/json\r\nContent-Length: 1000000\r\n\r\n" + strings.Repeat("x", 100<<10), "HTTP/1.1 413 "},
		{"idle", "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 200 "},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := must(net.Dial("tcp", address))
			defer c.Close()
			if err := c.SetDeadline(time.Now().Add(5 * time.Second)); err != nil {
				t.Fatal(err)
			}
			if _, err := io.WriteString(c, tt.send); err != nil && tt.name != "large body, announced" {
				t.Fatal(err)
			}
			got, err := io.ReadAll(bufio.NewReader(c))
			if errors.Is(err, context.DeadlineExceeded) {
				t.Fatal("the connection was still open after 5 s")
			}
			if !strings.HasPrefix(string(got), tt.want) || tt.want == "" && len(got) > 0 && !strings.HasPrefix(string(got), "HTTP/1.1 408") {
				t.Errorf("got %.200q, want %q", got, tt.want)
			}
		})
	}
}

// On the way out a stream ends, a request in flight is answered, and what hangs is cut after the bound.
func TestDrain(t *testing.T) {
	k := newKit(t, func(c *Config) { c.Limits = Limits{Drain: 300 * time.Millisecond} })
	entered, release := make(chan struct{}), make(chan struct{})
	k.router.HandleFunc("/slow", func(w http.ResponseWriter, r *http.Request) {
		entered <- struct{}{}
		<-release
		_, _ = io.WriteString(w, "done")
	})
	k.router.HandleFunc("/stuck", func(w http.ResponseWriter, r *http.Request) {
		entered <- struct{}{}
		<-r.Context().Done()
	})
	tcp := must(net.Listen("tcp", "127.0.0.1:0"))
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- k.Run(ctx, tcp) }()
	get := func(path string) <-chan string {
		out := make(chan string, 1)
		go func() {
			res, err := http.Get("http://" + tcp.Addr().String() + path)
			if err != nil {
				out <- "cut"
				return
			}
			defer res.Body.Close()
			b, _ := io.ReadAll(res.Body)
			out <- string(b)
		}()
		return out
	}
	slow := get("/slow")
	<-entered
	stuck := get("/stuck")
	<-entered
	start := time.Now()
	cancel()
	<-k.drain.Done()
	close(release)
	if got := <-slow; got != "done" {
		t.Errorf("the request in flight got %q", got)
	}
	if got := <-stuck; got != "cut" {
		t.Errorf("the stuck request got %q", got)
	}
	if err := <-done; err != nil {
		t.Errorf("run: %v", err)
	}
	if took := time.Since(start); took > 3*time.Second {
		t.Errorf("draining took %v", took)
	}
}
