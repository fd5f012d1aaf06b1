package daemon

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"otpost/api"
	"otpost/cmd/otpost/config"
	"otpost/driver/sim"
)

// wait bounds how long a test waits for something that always comes.
const wait = 20 * time.Second

// instance is a whole daemon in this process, with a simulated modem, and all that it said.
type instance struct {
	t      testing.TB
	daemon *Daemon
	client *http.Client
	base   string
	token  string
	dir    string
	log    *transcript
	heard  *transcript // every answer of the API
	stop   func()
}

// transcript is a buffer that several goroutines write to.
type transcript struct {
	mu   sync.Mutex
	b    bytes.Buffer
	full bool // nothing more is kept
}

func (l *transcript) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.full {
		return len(p), nil
	}
	return l.b.Write(p)
}

// end has nothing more kept, where there is too much of it.
func (l *transcript) end() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.full = true
}

func (l *transcript) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// start runs a daemon on port 0; extra is YAML laid under the usual configuration.
func start(t testing.TB, dir, extra string) *instance {
	return startWith(t, dir, extra, slog.LevelDebug, nil)
}

// startWith logs from a level on, and runs beforeCommit before each synced commit.
func startWith(t testing.TB, dir, extra string, level slog.Level, beforeCommit func()) *instance {
	t.Helper()
	cfg, err := config.Parse("test", fmt.Appendf(nil, `listen: 127.0.0.1:0
socket: %s
data_dir: %s
countries: [GB]
log: {level: debug}
%s
`, filepath.Join(dir, "otpost.sock"), dir, extra), nil)
	if err != nil {
		t.Fatal(err)
	}
	in := &instance{t: t, dir: dir, log: &transcript{}, heard: &transcript{}}
	pool := &http.Transport{MaxConnsPerHost: poolSize, MaxIdleConnsPerHost: poolSize}
	in.client = &http.Client{Transport: pool}
	log := slog.New(slog.NewJSONHandler(in.log, &slog.HandlerOptions{Level: level}))
	ctx, cancel := context.WithCancel(context.Background())
	in.daemon, err = New(ctx, Options{Config: cfg, Log: log, Version: "test", BeforeCommit: beforeCommit})
	if err != nil {
		cancel()
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- in.daemon.Run(ctx) }()
	in.stop = sync.OnceFunc(func() {
		pool.CloseIdleConnections() // one that was opened and not used would be waited for
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("run: %v", err)
		}
		if err := in.daemon.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	t.Cleanup(in.stop)
	select {
	case <-in.daemon.Ready():
	case <-time.After(wait):
		t.Fatal("not ready")
	}
	_, in.token, err = in.daemon.Server().Keys().Create(ctx, time.Now(), api.KeySpec{Name: "test", Scopes: []api.Scope{api.ScopeAdmin}})
	if err != nil {
		t.Fatal(err)
	}
	in.base = "http://" + in.daemon.Addr().String()
	return in
}

// poolSize is how many connections a test keeps, as a portal would: fewer than one address may have.
const poolSize = 100

const oneModem = "modems: [{name: sim0, device: simulator}]"

// call makes a request and returns status and answer.
func (in *instance) call(method, path string, body any) (int, map[string]any) {
	in.t.Helper()
	req, err := http.NewRequestWithContext(context.Background(), method, in.base+path, nil)
	if err != nil {
		in.t.Fatal(err)
	}
	if body != nil {
		b, err := json.Marshal(body)
		if err != nil {
			in.t.Fatal(err)
		}
		req.Body, req.ContentLength = io.NopCloser(bytes.NewReader(b)), int64(len(b))
		req.Header.Set("Content-Type", "application/json")
	}
	req.Header.Set("Authorization", "Bearer "+in.token)
	resp, err := in.client.Do(req)
	if err != nil {
		in.t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(io.TeeReader(resp.Body, in.heard))
	if err != nil {
		in.t.Fatal(err)
	}
	var answer map[string]any
	if strings.Contains(resp.Header.Get("Content-Type"), "json") {
		if err := json.Unmarshal(b, &answer); err != nil {
			in.t.Fatalf("%s %s: %v in %s", method, path, err, b)
		}
	}
	return resp.StatusCode, answer
}

// must is call for an answer that has to have the status want.
func (in *instance) must(want int, method, path string, body any) map[string]any {
	in.t.Helper()
	status, answer := in.call(method, path, body)
	if status != want {
		in.t.Fatalf("%s %s: %d %v, want %d", method, path, status, answer, want)
	}
	return answer
}

// text waits for the next text on a phone after the one before.
func (in *instance) text(to string, after time.Time) sim.Message {
	in.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), wait)
	defer cancel()
	texts, err := in.daemon.Network().Wait(ctx, sim.Filter{To: to, After: after})
	if err != nil || len(texts) == 0 {
		in.t.Fatalf("no text on %s: %v", to, err)
	}
	return texts[0]
}

type body map[string]any

// enable turns SMS codes on for an account and returns the text that did it.
func (in *instance) enable(account, phone, pin string) sim.Message {
	in.t.Helper()
	path := "/v1/accounts/" + account
	in.must(204, "PUT", path+"/pin", body{"pin": pin})
	in.must(202, "POST", path+"/sms/enable", body{"phone": phone})
	text := in.text(phone, time.Time{})
	in.must(200, "POST", path+"/sms/enable/verify", body{"code": text.Code, "pin": pin})
	return text
}
