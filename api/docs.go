package api

import (
	"crypto/sha256"
	"encoding/base64"
	"html/template"
	"net/http"

	"github.com/gorilla/mux"
	"github.com/swaggest/swgui/v5emb"

	"otpost/api/docs/howto"
	"otpost/api/docs/runbook"
)

// The pages work without a network and under a policy that allows nothing but our own files: no inline script, and of
// inline styles only ours (by hash) and, on the page of swagger-ui, those that its components set.
const (
	docsCSP = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; connect-src 'self'; " +
		"base-uri 'none'; form-action 'self'; frame-ancestors 'none'"

	docsPage = `<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>Otpost HTTP API</title>
<link rel="stylesheet" href="/docs/swagger-ui.css"><link rel="icon" type="image/png" href="/docs/favicon-32x32.png"></head>
<body><div id="swagger-ui"><noscript>This page needs JavaScript; the document itself is at <a href="/openapi.json">/openapi.json</a>.</noscript></div>
<script src="/docs/swagger-ui-bundle.js"></script><script src="/docs/start.js"></script></body></html>
`
	docsStart = `window.ui = SwaggerUIBundle({url: "/openapi.json", dom_id: "#swagger-ui", deepLinking: true, validatorUrl: null,
  presets: [SwaggerUIBundle.presets.apis], persistAuthorization: false, defaultModelsExpandDepth: 0});
`
	pageStyle = `body{font:1rem/1.5 system-ui,sans-serif;max-width:44rem;margin:2rem auto;padding:0 1rem;color:#1b1f24;background:#fff}` +
		`code{font-family:ui-monospace,monospace}h1{font-size:1.5rem}dt{font-weight:600;margin-top:1rem}dd{margin:0}` +
		`@media(prefers-color-scheme:dark){body{color:#e6e8ea;background:#15181c}a{color:#8ab4f8}}`
)

// docsCalls serves the page about the calls and the pages about the problems. They hold no secrets and need no key.
func (s *Server) docsCalls() {
	page := func(route, kind, body string) {
		s.router.HandleFunc(route, s.public(route, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Security-Policy", docsCSP)
			w.Header().Set("Content-Type", kind+"; charset=utf-8")
			_, _ = w.Write([]byte(body)) // a client that is gone needs no answer
		})).Methods(http.MethodGet, http.MethodHead)
	}
	page("/docs", "text/html", docsPage)
	page("/docs/start.js", "text/javascript", docsStart)
	assets := v5emb.New("Otpost", "/openapi.json", "/docs/")
	s.router.HandleFunc("/docs/{file:[a-z0-9-]+[.](?:css|js|png)}", s.public("/docs/{file}", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "max-age=3600")
		assets.ServeHTTP(w, r)
	})).Methods(http.MethodGet, http.MethodHead)
	s.markdownPages("/docs/runbook/{page}", runbook.Page)
	s.markdownPages("/docs/howto/{page}", howto.Page)
	s.router.HandleFunc("/problems", s.public("/problems", s.problemPages)).Methods(http.MethodGet, http.MethodHead)
	s.router.HandleFunc("/problems/{code}", s.public("/problems/{code}", s.problemPages)).Methods(http.MethodGet, http.MethodHead)
}

// markdownPages serves pages as they are written, which browsers show as text.
func (s *Server) markdownPages(route string, page func(name string) ([]byte, bool)) {
	s.router.HandleFunc(route, s.public(route, func(w http.ResponseWriter, r *http.Request) {
		b, ok := page(mux.Vars(r)["page"])
		if !ok {
			writeProblem(w, r, problem(codeNotFound, "there is no such page"))
			return
		}
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		_, _ = w.Write(b) // a client that is gone needs no answer
	})).Methods(http.MethodGet, http.MethodHead)
}

var problemTemplate = template.Must(template.New("problems").Parse(`<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>{{with .One}}{{.Code}}{{else}}Problems{{end}} · Otpost</title><style>{{.Style}}</style></head>
<body>{{with .One}}<h1>{{.Title}}</h1>
<dl><dt>Code</dt><dd><code>{{.Code}}</code></dd><dt>Status</dt><dd>{{.Status}}</dd><dt>When it happens</dt><dd>{{.Means}}</dd><dt>What to do</dt><dd>{{.Remedy}}</dd></dl>
<p><a href="/problems">All problems</a> · <a href="/docs">The calls</a></p>
{{else}}<h1>Problems</h1><p>What an error answer's <code>code</code> means.</p><ul>{{range .All}}<li><a href="/problems/{{.Code}}"><code>{{.Code}}</code></a> ({{.Status}}): {{.Title}}</li>
{{end}}</ul>{{end}}</body></html>
`))

// problemPages explains one kind of problem, or lists them.
func (s *Server) problemPages(w http.ResponseWriter, r *http.Request) {
	type entry struct {
		Code, Title, Means, Remedy string
		Status                     int
	}
	var page struct {
		Style template.CSS
		One   *entry
		All   []entry
	}
	page.Style = pageStyle
	want := mux.Vars(r)["code"]
	for _, k := range kinds() {
		e := entry{k.code, k.title, k.means, k.remedy, k.status}
		page.All = append(page.All, e)
		if k.code == want {
			page.One = &e
		}
	}
	if want != "" && page.One == nil {
		writeProblem(w, r, problem(codeNotFound, "there is no such kind of problem"))
		return
	}
	sum := sha256.Sum256([]byte(pageStyle))
	w.Header().Set("Content-Security-Policy", "default-src 'none'; style-src 'sha256-"+base64.StdEncoding.EncodeToString(sum[:])+"'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	if err := problemTemplate.Execute(w, page); err != nil {
		s.log.Warn("page not written", "error", err)
	}
}
