// Package console is Otpost's web console: pages for operators, made on the server, served by the daemon at /console/.
//
// Rules of the package:
//
//   - The console has no way of its own into the daemon. Every page reads and changes through the public API, called
//     in-process with the key of whoever signed in (see request.api), so scopes, limits, idempotency and the audit trail
//     apply as to anybody else. What a page lacks becomes a call of the API first.
//   - Pages read and forms work without script. Script only keeps regions marked data-live true, by reading the page again
//     when the daemon tells of an event.
//   - Nothing of a page is inline: no script, no style, no style attribute; the policy forbids it.
//   - No word stands in a template or in Go: texts are in texts/<language>/*.yaml and reach pages through t, tn and label.
//   - What the API does not tell, no page shows: no texts sent to real phones, no full numbers, no tokens but a new one.
//
// How to add a page:
//
//  1. page_<name>.go holds its handlers, func(q *request) error. A handler that shows calls q.show; one that changes ends
//     with q.done, which goes back to a page with a word of success, or with what the API refused. An error that is
//     returned becomes a page of its own; a 401 of the API ends the session.
//  2. templates/<name>.html defines "main" and gets a frame: the handler's value is .Data. Each form by POST holds
//     {{template "csrf" $}}. A region that is to stay true has an id and data-live. Parts to share are in parts.html.
//  3. texts/en/<name>.yaml holds its texts, as <name>: {title: …}.
//  4. A line for each path in routes, one in menu, both in routes.go. Tests render every page of routes.
package console

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"time"
)

// Base is the path below which the console is served.
const Base = "/console/"

// Config is what a Console works with. API and Log are required.
type Config struct {
	API       http.Handler // the daemon's API, called in-process
	Log       *slog.Logger
	Simulated bool // the modems are simulated: there are phones to look at
}

// Console answers requests below Base. It is safe for concurrent use.
type Console struct {
	cfg      Config
	mux      *http.ServeMux
	pages    pages
	words    *catalogue
	assets   assets
	origin   *http.CrossOriginProtection
	sessions sessions

	mu  sync.Mutex
	key string // whoever comes from this machine is signed in with it; empty: nobody. Under mu
}

// New builds a console; it starts nothing.
func New(cfg Config) (*Console, error) {
	if cfg.API == nil || cfg.Log == nil {
		return nil, errors.New("console: API and Log are required")
	}
	c := &Console{cfg: cfg, mux: http.NewServeMux(), origin: http.NewCrossOriginProtection(), sessions: newSessions()}
	var err error
	if c.words, err = loadCatalogue("en"); err != nil {
		return nil, fmt.Errorf("console: %w", err)
	}
	if c.assets, err = loadAssets(); err != nil {
		return nil, fmt.Errorf("console: %w", err)
	}
	if c.pages, err = c.parse(); err != nil {
		return nil, fmt.Errorf("console: %w", err)
	}
	c.handle()
	return c, nil
}

// SignIn lets everybody on this machine in with key, unasked: for the demo, whose modems are simulated. It may be called
// at any time.
func (c *Console) SignIn(key string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.key = key
}

func (c *Console) unasked() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.key
}

// handle registers the routes.
func (c *Console) handle() {
	c.mux.HandleFunc("GET "+Base+"assets/{file}", c.assets.serve)
	c.mux.HandleFunc("GET "+Base+"sign-in", c.open(c.signInPage))
	c.mux.HandleFunc("POST "+Base+"sign-in", c.open(c.signIn))
	c.mux.HandleFunc("POST "+Base+"theme", c.open(c.setTheme))
	c.mux.HandleFunc("GET "+Base+"live", c.live)
	for _, r := range routes() {
		if r.simulated && !c.cfg.Simulated {
			continue
		}
		c.mux.HandleFunc(r.method+" "+Base+r.path, c.signedIn(r))
	}
	c.mux.HandleFunc(Base, c.signedIn(route{nav: "", serve: (*request).missing}))
}

// policy allows our own files and nothing else.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
	"form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

// maxForm bounds a form's body.
const maxForm = 64 << 10

// ServeHTTP implements http.Handler.
func (c *Console) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Content-Security-Policy", policy)
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "DENY")
	h.Set("Referrer-Policy", "same-origin") // forms are told from other sites' by it in browsers without Sec-Fetch-Site
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Permissions-Policy", "camera=(), geolocation=(), microphone=(), payment=()")
	if err := c.origin.Check(r); err != nil {
		http.Error(w, c.words.text("problem.cross_origin"), http.StatusForbidden)
		return
	}
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	c.mux.ServeHTTP(w, r)
}

// now is the one place where pages get their time from.
func (c *Console) now() time.Time { return time.Now() }
