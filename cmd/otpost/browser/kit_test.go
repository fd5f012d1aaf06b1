// Package browser holds the tests that use the console as people do: in Debian's Chromium, over HTTP, against a whole daemon with a
// simulated modem. They need chromium and npm (for axe-core); without them they skip and say so, under CI=true they fail.
//
// With OTPOST_SCREENSHOTS=<folder> every page is kept there as a picture: light, dark, and 320 pixels wide.
package browser

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"otpost/api"
	"otpost/cmd/otpost/config"
	"otpost/cmd/otpost/daemon"
	"otpost/driver/sim"
)

// patience is how long a test waits for something that always comes: a browser on a busy machine may be slow.
const patience = 60 * time.Second

// need returns the path of a program, or skips; under CI=true a program that is missing is a failure.
func need(t *testing.T, program string) string {
	t.Helper()
	path, err := exec.LookPath(program)
	switch {
	case err == nil:
		return path
	case os.Getenv("CI") == "true":
		t.Fatalf("%s is missing", program)
	}
	t.Skipf("%s is missing", program)
	return ""
}

// world is a daemon in this process and a browser beside it.
type world struct {
	t       *testing.T
	daemon  *daemon.Daemon
	base    string
	token   string
	log     *transcript
	browser context.Context
	axe     string // the source of axe-core
}

// transcript is a log that may be read while it is written.
type transcript struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *transcript) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *transcript) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// newWorld starts both; they end with the test, the browser first.
func newWorld(t *testing.T) *world {
	t.Helper()
	chromium, axe := need(t, "chromium"), axeSource(t)
	w := newDaemon(t)
	w.axe = axe
	w.launch(chromium)
	return w
}

// newDaemon starts the daemon alone.
func newDaemon(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, log: &transcript{}}
	w.serve()
	return w
}

func (w *world) serve() {
	t, dir := w.t, w.t.TempDir()
	secret := filepath.Join(dir, "hook.secret")
	if err := os.WriteFile(secret, []byte("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwMfKQ9r8GKYq="), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg, err := config.Parse("test", fmt.Appendf(nil, `listen: 127.0.0.1:0
socket: %s
data_dir: %s
countries: [GB]
modems: [{name: sim0, device: simulator, simulator: {report_delay: 50ms}}]
webhooks: [{name: portal, url: "http://127.0.0.1:9/hook", allow_private: true, secret_file: %q}] # nobody listens there
`, filepath.Join(dir, "otpost.sock"), dir, secret), nil)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	w.daemon, err = daemon.New(ctx, daemon.Options{Config: cfg, Log: slog.New(slog.NewTextHandler(w.log, nil)), Version: "test"})
	if err != nil {
		cancel()
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- w.daemon.Run(ctx) }()
	t.Cleanup(func() {
		http.DefaultClient.CloseIdleConnections()
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("run: %v", err)
		}
		if err := w.daemon.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	select {
	case <-w.daemon.Ready():
	case <-time.After(patience):
		t.Fatal("the daemon is not ready")
	}
	w.base = "http://" + w.daemon.Addr().String()
	w.token = w.key(api.ScopeAdmin)
}

// key makes an API key and returns its token.
func (w *world) key(scopes ...api.Scope) string {
	w.t.Helper()
	_, token, err := w.daemon.Server().Keys().Create(context.Background(), time.Now(), api.KeySpec{Name: "test", Scopes: scopes})
	if err != nil {
		w.t.Fatal(err)
	}
	return token
}

func (w *world) launch(chromium string) {
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(chromium), chromedp.NoSandbox, chromedp.DisableGPU,
		chromedp.Flag("headless", "new"), chromedp.Flag("lang", "en"), chromedp.UserDataDir(w.t.TempDir()))
	allocator, stop := chromedp.NewExecAllocator(context.Background(), options...)
	browser, cancel := chromedp.NewContext(allocator)
	w.browser = browser
	w.t.Cleanup(func() {
		closing, done := context.WithTimeout(browser, patience)
		if err := chromedp.Cancel(closing); err != nil {
			w.t.Logf("close the browser: %v", err)
		}
		done()
		cancel()
		stop()
	})
	if err := chromedp.Do(browser); err != nil {
		w.t.Fatalf("start chromium: %v", err)
	}
}

type body map[string]any

// call makes a request to the public API with an admin's key; the answer must have the status want.
func (w *world) call(want int, method, path string, in body) map[string]any {
	w.t.Helper()
	var content io.Reader
	if in != nil {
		b, err := json.Marshal(in)
		if err != nil {
			w.t.Fatal(err)
		}
		content = bytes.NewReader(b)
	}
	req, err := http.NewRequest(method, w.base+path, content)
	if err != nil {
		w.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Authorization", "Bearer "+w.token)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		w.t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != want {
		w.t.Fatalf("%s %s: %d %s (%v), want %d", method, path, res.StatusCode, b, err, want)
	}
	var answer map[string]any
	if len(b) > 0 {
		if err := json.Unmarshal(b, &answer); err != nil {
			w.t.Fatalf("%s %s: %v in %s", method, path, err, b)
		}
	}
	return answer
}

// text waits for the newest text on a phone.
func (w *world) text(to string, afterID uint64) sim.Message {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	texts, err := w.daemon.Network().Wait(ctx, sim.Filter{To: to, AfterID: afterID})
	if err != nil || len(texts) == 0 {
		w.t.Fatalf("no text on %s: %v", to, err)
	}
	return texts[0]
}

// screenshots is the folder for pictures, or "".
func screenshots() string { return strings.TrimSpace(os.Getenv("OTPOST_SCREENSHOTS")) }
