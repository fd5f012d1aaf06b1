package console_test

import (
	"bufio"
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"otpost/api"
	"otpost/driver"
	"otpost/gateway/store"
)

// follow opens the stream that pages are kept true by, and returns its lines.
func follow(t *testing.T, base string, b *browser) (*http.Response, *bufio.Scanner) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	t.Cleanup(cancel)
	r := must(http.NewRequestWithContext(ctx, http.MethodGet, base+"/console/live", nil))
	for name, value := range b.cookies {
		r.AddCookie(&http.Cookie{Name: name, Value: value})
	}
	res := must(http.DefaultClient.Do(r))
	t.Cleanup(func() { _ = res.Body.Close() })
	return res, bufio.NewScanner(res.Body)
}

// The stream tells what kind of thing happened and nothing else, and ends when its session does.
func TestLive(t *testing.T) {
	w := newWorld(t, store.NewMemory(), false).run()
	server := httptest.NewServer(w.api.Handler())
	t.Cleanup(server.Close)
	if res, _ := follow(t, server.URL, w.browser()); res.StatusCode != http.StatusUnauthorized {
		t.Errorf("without a session: %d", res.StatusCode)
	}
	b := w.signedIn(api.ScopeOps)
	res, lines := follow(t, server.URL, b)
	if res.StatusCode != http.StatusOK || res.Header.Get("Content-Type") != "text/event-stream" || res.Header.Get("Cache-Control") != "no-store" {
		t.Fatalf("%d %v", res.StatusCode, res.Header)
	}
	if !lines.Scan() || lines.Text() != "event: tick" {
		t.Fatalf("the stream begins with %q", lines.Text())
	}
	// The stream may begin a moment later than its answer, so the event comes again until it is seen.
	stop := make(chan struct{})
	done := make(chan struct{})
	go func() {
		defer close(done)
		for i := 0; ; i++ {
			text := driver.Inbound{ICCID: "1", From: "+447400123456", Text: "secret" + strings.Repeat("!", i), Sent: time.Now(), At: time.Now()}
			if w.queue.Inbound(t.Context(), "modem1", text) != nil {
				return
			}
			select {
			case <-stop:
				return
			case <-time.After(50 * time.Millisecond):
			}
		}
	}()
	var got []string
	for lines.Scan() {
		if got = append(got, lines.Text()); lines.Text() == "data: inbox.received" {
			break
		}
	}
	close(stop)
	<-done
	all := strings.Join(got, "\n")
	if !strings.Contains(all, "event: change\ndata: inbox.received") {
		t.Fatalf("the stream tells %q: %v", all, lines.Err())
	}
	for _, bad := range []string{"secret", "7400", "in_", "evt_", "modem1"} {
		if strings.Contains(all, bad) {
			t.Errorf("the stream holds %q", bad)
		}
	}
	b.press("sign-out", nil).to(t, "sign-out", "/console/sign-in")
	for lines.Scan() { // until the stream ends, or the request's deadline fails it
	}
	if err := lines.Err(); err != nil {
		t.Errorf("the stream did not end with its session: %v", err)
	}
}

// Reading a page again by script keeps no session alive and takes no word meant for a person.
func TestLiveReading(t *testing.T) {
	w := newWorld(t, store.NewMemory(), false).run()
	b := w.signedIn(api.ScopeOps)
	b.press("modems/modem1/pause", nil)
	if p := b.get("modems/modem1", "Otpost-Live: 1"); strings.Contains(p.text, "Modem modem1 is paused.") || p.StatusCode != 200 {
		t.Errorf("a reading by script: %d, and takes the word", p.StatusCode)
	}
	b.get("modems/modem1").wants(t, "a person", 200, "Modem modem1 is paused.")
}
