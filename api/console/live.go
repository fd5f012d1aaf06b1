package console

import (
	"bytes"
	"context"
	"net/http"
	"net/url"
	"sync"
	"time"
)

// live tells the page's script that something has happened, and what kind of thing: no more. It is the API's stream of
// events with everything else taken out. The page is then read again, so what it shows went through the API as before.
func (c *Console) live(w http.ResponseWriter, r *http.Request) {
	q := &request{Request: r, console: c, w: w}
	s := q.visitor()
	if s == nil {
		http.Error(w, c.words.text("problem.session"), http.StatusUnauthorized)
		return
	}
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	defer context.AfterFunc(s.ctx, cancel)() // signing out, expiry and a revoked key end the stream
	ask := &http.Request{Method: http.MethodGet, URL: &url.URL{Scheme: "http", Host: "console", Path: "/v1/events"}, Proto: "HTTP/1.1", ProtoMajor: 1,
		ProtoMinor: 1, Header: http.Header{"Authorization": {"Bearer " + string(s.key)}}, Body: http.NoBody}
	out := &narrator{w: w, rc: http.NewResponseController(w), header: http.Header{}}
	if c.cfg.Simulated {
		watched := make(chan struct{})
		go func() {
			defer close(watched)
			c.watchPhones(ctx, s, r, out)
		}()
		defer func() {
			cancel()
			<-watched
		}()
	}
	c.cfg.API.ServeHTTP(out, inside{outer: r, w: w}.dress(ask.WithContext(ctx)))
	if out.status == http.StatusUnauthorized {
		c.sessions.end(s)
	}
}

// narrator passes on the kinds of events of a stream, and its heartbeats as ticks. The API writes each whole, in one go.
type narrator struct {
	header http.Header
	status int // of the API's goroutine

	mu   sync.Mutex
	w    http.ResponseWriter // under mu
	rc   *http.ResponseController
	open bool // the stream has begun; under mu
}

// Header implements http.ResponseWriter.
func (n *narrator) Header() http.Header { return n.header }

// WriteHeader implements http.ResponseWriter.
func (n *narrator) WriteHeader(status int) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.status, n.open = status, status == http.StatusOK
	if status == http.StatusOK {
		n.w.Header().Set("Content-Type", "text/event-stream")
		n.w.Header().Set("X-Accel-Buffering", "no")
	}
	n.w.WriteHeader(status)
}

// Write implements http.ResponseWriter.
func (n *narrator) Write(b []byte) (int, error) {
	if n.status != http.StatusOK {
		return len(b), nil // the status says it all
	}
	out := "event: tick\ndata:\n\n"
	for line := range bytes.Lines(b) {
		if kind, ok := bytes.CutPrefix(line, []byte("event: ")); ok {
			out = changed(string(bytes.TrimSpace(kind)))
			break
		}
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if _, err := n.w.Write([]byte(out)); err != nil {
		return 0, err
	}
	return len(b), nil
}

// tellWithin is how long a reader may take for a word.
const tellWithin = 15 * time.Second

// changed tells that something of a kind has happened.
func changed(kind string) string { return "event: change\ndata: " + kind + "\n\n" }

// tell says that something has happened that is no event of the API's. Before the stream has begun nobody needs to be told:
// a page reads itself again at its beginning.
func (n *narrator) tell(kind string) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if !n.open {
		return nil
	}
	_ = n.rc.SetWriteDeadline(time.Now().Add(tellWithin)) // a connection without deadlines needs no more time
	if _, err := n.w.Write([]byte(changed(kind))); err != nil {
		return err
	}
	return n.rc.Flush()
}

// FlushError is for http.ResponseController.
func (n *narrator) FlushError() error {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.rc.Flush()
}

// SetReadDeadline is for http.ResponseController.
func (n *narrator) SetReadDeadline(t time.Time) error { return n.rc.SetReadDeadline(t) }

// SetWriteDeadline is for http.ResponseController.
func (n *narrator) SetWriteDeadline(t time.Time) error { return n.rc.SetWriteDeadline(t) }
