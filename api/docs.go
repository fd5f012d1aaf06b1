package api

import (
	"html/template"
	"net/http"
	"strings"

	"github.com/gorilla/mux"
	"github.com/swaggest/swgui/v5emb"

	"otpost/api/docs"
)

// The pages work without a network and under a policy that allows nothing but our own files: no inline script, and inline
// styles only on the page of swagger-ui, whose components set some.
const (
	manualCSP = "default-src 'none'; style-src 'self'; img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

	swaggerCSP = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; connect-src 'self'; " +
		"base-uri 'none'; form-action 'self'; frame-ancestors 'none'"

	swaggerPage = `<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>HTTP API · Otpost</title>
<link rel="stylesheet" href="/docs/swagger-ui.css"><link rel="icon" type="image/png" href="/docs/favicon-32x32.png"></head>
<body><p><a href="/docs">The manual</a> · <a href="/problems">Problems</a> · <a href="/openapi.json">openapi.json</a></p>
<div id="swagger-ui"><noscript>This page needs JavaScript; the document itself is at <a href="/openapi.json">/openapi.json</a>.</noscript></div>
<script src="/docs/swagger-ui-bundle.js"></script><script src="/docs/start.js"></script></body></html>
`
	swaggerStart = `window.ui = SwaggerUIBundle({url: "/openapi.json", dom_id: "#swagger-ui", deepLinking: true, validatorUrl: null,
  presets: [SwaggerUIBundle.presets.apis], persistAuthorization: false, defaultModelsExpandDepth: 0});
`
)

// docsCalls serves the manual, the page about the calls and the pages about the problems. They hold no secrets and need no
// key.
func (s *Server) docsCalls() {
	manual := docs.New()
	css, _ := docs.File("manual.css") // embedded
	s.page("/docs/api", "text/html", swaggerCSP, swaggerPage)
	s.page("/docs/start.js", "text/javascript", swaggerCSP, swaggerStart)
	s.page("/docs/manual.css", "text/css", manualCSP, string(css))
	assets := v5emb.New("Otpost", "/openapi.json", "/docs/")
	s.get("/docs/{file:[a-z0-9-]+[.](?:css|js|png)}", "/docs/{file}", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "max-age=3600")
		assets.ServeHTTP(w, r)
	})
	s.get("/docs", "/docs", func(w http.ResponseWriter, r *http.Request) {
		f, err := manual.Contents()
		s.writeManual(w, r, manual, f, err)
	})
	s.get("/docs/", "/docs/", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "/docs", http.StatusMovedPermanently)
	})
	s.get("/docs/{part:[a-z]+}/{page:[A-Za-z-]+}", "/docs/{part}/{page}", func(w http.ResponseWriter, r *http.Request) { s.manualPage(w, r, manual) })
	s.get("/docs/{part:tutorial}/{file:[a-z]+[.][a-z]+}", "/docs/{part}/{file}", programFile)
	s.get("/docs/{part:howto/typescript}/{file:[a-z-]+[.][a-z]+}", "/docs/{part}/{file}", programFile)
	problems := func(w http.ResponseWriter, r *http.Request) { s.problemPages(w, r, manual) }
	s.get("/problems", "/problems", problems)
	s.get("/problems/{code}", "/problems/{code}", problems)
}

// get takes GET and HEAD of a path, under the name of a route, from anybody.
func (s *Server) get(path, route string, h http.HandlerFunc) {
	s.router.HandleFunc(path, s.public(route, h)).Methods(http.MethodGet, http.MethodHead)
}

// page serves one text that never changes.
func (s *Server) page(route, kind, policy, body string) {
	s.get(route, route, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Security-Policy", policy)
		w.Header().Set("Content-Type", kind+"; charset=utf-8")
		_, _ = w.Write([]byte(body)) // a client that is gone needs no answer
	})
}

// programFile serves a program of the manual as it is, for curl -O.
func programFile(w http.ResponseWriter, r *http.Request) {
	b, ok := docs.File(mux.Vars(r)["part"] + "/" + mux.Vars(r)["file"])
	if !ok {
		writeProblem(w, r, problem(codeNotFound, "there is no such file"))
		return
	}
	w.Header().Set("Content-Security-Policy", manualCSP)
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, _ = w.Write(b) // a client that is gone needs no answer
}

// manualPage serves a page as HTML, or as it is written to who asks for that.
func (s *Server) manualPage(w http.ResponseWriter, r *http.Request, manual *docs.Manual) {
	name := mux.Vars(r)["part"] + "/" + mux.Vars(r)["page"]
	f, ok, err := manual.Page(name)
	if !ok {
		writeProblem(w, r, problem(codeNotFound, "there is no such page"))
		return
	}
	w.Header().Set("Vary", "Accept")
	if wantsMarkdown(r) {
		b, _ := docs.Markdown(name) // it is there: the manual has it
		w.Header().Set("Content-Security-Policy", manualCSP)
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		_, _ = w.Write(b) // a client that is gone needs no answer
		return
	}
	s.writeManual(w, r, manual, f, err)
}

func wantsMarkdown(r *http.Request) bool {
	accept := r.Header.Get("Accept")
	text := strings.Contains(accept, "text/plain") || strings.Contains(accept, "text/markdown")
	return r.URL.Query().Get("format") == "md" || text && !strings.Contains(accept, "text/html")
}

func (s *Server) writeManual(w http.ResponseWriter, r *http.Request, manual *docs.Manual, f docs.Frame, err error) {
	if err != nil {
		writeProblem(w, r, s.problemOf(r.Context(), err))
		return
	}
	w.Header().Set("Content-Security-Policy", manualCSP)
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	if err := manual.Write(w, f); err != nil {
		s.log.Warn("page not written", "error", err)
	}
}

var problemTemplate = template.Must(template.New("problems").Parse(`{{with .One}}<h1>{{.Title}}</h1>
<dl><dt>Code</dt><dd><code>{{.Code}}</code></dd><dt>Status</dt><dd>{{.Status}}</dd><dt>When it happens</dt><dd>{{.Means}}</dd><dt>What to do</dt><dd>{{.Remedy}}</dd></dl>
<p><a href="/problems">All problems</a> · <a href="/docs/api">The calls</a></p>
{{else}}<h1>Problems</h1><p>Errors are <code>application/problem+json</code> (RFC 9457). The <code>code</code> is stable, and <code>type</code> is the path of its page here.</p>
<div class="wide" tabindex="0"><table><thead><tr><th>Code</th><th>Status</th><th>Title</th></tr></thead><tbody>{{range .All}}
<tr><td><a href="/problems/{{.Code}}"><code>{{.Code}}</code></a></td><td>{{.Status}}</td><td>{{.Title}}</td></tr>{{end}}
</tbody></table></div>{{end}}`))

// problemPages explains one kind of problem, or lists them.
func (s *Server) problemPages(w http.ResponseWriter, r *http.Request, manual *docs.Manual) {
	type entry struct {
		Code, Title, Means, Remedy string
		Status                     int
	}
	var page struct {
		One *entry
		All []entry
	}
	title := "Problems"
	want := mux.Vars(r)["code"]
	for _, k := range kinds {
		e := entry{k.code, k.title, k.means, k.remedy, k.status}
		page.All = append(page.All, e)
		if k.code == want {
			page.One, title = &e, k.code
		}
	}
	if want != "" && page.One == nil {
		writeProblem(w, r, problem(codeNotFound, "there is no such kind of problem"))
		return
	}
	var body strings.Builder
	err := problemTemplate.Execute(&body, page)
	s.writeManual(w, r, manual, docs.Frame{Title: title, Path: "/problems", Body: template.HTML(body.String())}, err) // made by html/template
}
