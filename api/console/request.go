package console

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/url"
	"strconv"

	"otpost/api/client"
	"otpost/api/wire"
)

// request is one request to a page, with the session it belongs to. It belongs to its goroutine.
type request struct {
	*http.Request
	console *Console
	w       http.ResponseWriter
	session *session // nil before the sign-in
	api     *client.Client
	route   route
	status  int // of the answer; 0: 200
}

// liveHeader marks what script asks for, which is not a person's doing and keeps no session alive.
const liveHeader = "Otpost-Live"

func (q *request) live() bool { return q.Header.Get(liveHeader) != "" }

// open serves a page that needs no session.
func (c *Console) open(serve func(*request) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		q := &request{Request: r, console: c, w: w}
		q.session = q.visitor()
		q.settle(serve(q))
	}
}

// signedIn serves a page to those who have signed in and may see it.
func (c *Console) signedIn(ro route) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		q := &request{Request: r, console: c, w: w, route: ro}
		q.settle(q.serveSignedIn())
	}
}

func (q *request) serveSignedIn() error {
	if q.session = q.visitor(); q.session == nil {
		if err := q.signInUnasked(); err != nil {
			return err
		}
	}
	if q.session == nil {
		return q.toSignIn()
	}
	if !q.live() {
		q.session.touch(q.console.now())
	}
	api, err := q.client(q.session.key)
	if err != nil {
		return err
	}
	q.api = api
	if q.Method != http.MethodGet && q.Method != http.MethodHead && q.session.forged(q.PostFormValue("csrf")) {
		return q.sorry(http.StatusForbidden, "problem.forged")
	}
	if q.route.nav != "" && !permits(q.session.who.Scopes, q.route.may) {
		return q.sorry(http.StatusForbidden, "problem.scope")
	}
	return q.route.serve(q)
}

// visitor is the session that the request's cookie names, or nil.
func (q *request) visitor() *session {
	c, err := q.Cookie(cookieName)
	if err != nil {
		return nil
	}
	return q.console.sessions.find(q.console.now(), c.Value)
}

// toSignIn asks for a key and comes back here afterwards.
func (q *request) toSignIn() error {
	to := Base + "sign-in"
	if q.Method == http.MethodGet && q.URL.Path != Base {
		to += "?" + url.Values{"next": {q.URL.RequestURI()}}.Encode()
	}
	return q.redirect(to)
}

// client calls the API with a key, on behalf of the request.
func (q *request) client(key wire.Secret) (*client.Client, error) {
	return client.New(client.Options{Address: "http://console", Key: string(key), UserAgent: "otpost-console",
		Transport: inside{api: q.console.cfg.API, outer: q.Request, w: q.w}})
}

// may says whether the visitor has one of the scopes, or admin.
func (q *request) may(scopes ...string) bool {
	return q.session != nil && permits(q.session.who.Scopes, scopes)
}

// once names the request by the form it came from, so that a form sent twice is done once.
func (q *request) once() context.Context {
	if name := q.PostFormValue("once"); name != "" {
		return client.WithIdempotencyKey(q.Context(), name)
	}
	return q.Context()
}

// redirect goes to another page.
func (q *request) redirect(to string) error {
	http.Redirect(q.w, q.Request, to, http.StatusSeeOther)
	return nil
}

// done ends a change: it goes to a page that then says what came of it, in the text named key or in the API's words.
func (q *request) done(err error, to, key string, args ...any) error {
	n := note{Good: true, Text: q.console.words.text(key, args...)}
	if err != nil {
		p, ok := errors.AsType[*client.Problem](err)
		if !ok || p.Status == http.StatusUnauthorized {
			return err
		}
		n = note{Text: q.console.words.problem(p)}
	}
	q.session.tell(n)
	return q.redirect(to)
}

// settle answers with what went wrong, if anything did.
func (q *request) settle(err error) {
	if err == nil {
		return
	}
	p, ok := errors.AsType[*client.Problem](err)
	switch {
	case ok && p.Status == http.StatusUnauthorized && q.session != nil:
		q.console.sessions.end(q.session) // the key is good no more
		http.SetCookie(q.w, cookie(q.Request, ""))
		err = q.redirect(Base + "sign-in")
	case ok:
		q.status = p.Status
		err = q.show("problem", p.Title, problemPage{Text: q.console.words.problem(p), Request: p.RequestID})
	case q.Context().Err() != nil:
		return // nobody waits for the answer
	default:
		q.console.cfg.Log.LogAttrs(q.Context(), slog.LevelError, "page failed", slog.String("page", q.route.path), slog.Any("error", err),
			slog.String("request_id", q.w.Header().Get("X-Request-Id")))
		err = q.sorry(http.StatusInternalServerError, "problem.internal")
	}
	if err != nil {
		http.Error(q.w, http.StatusText(http.StatusInternalServerError), http.StatusInternalServerError)
	}
}

// problemPage says what went wrong.
type problemPage struct{ Text, Request string }

// sorry answers with a page of one sentence.
func (q *request) sorry(status int, key string) error {
	q.status = status
	words := q.console.words
	return q.show("problem", words.text("problem.title"), problemPage{Text: words.text(key), Request: q.w.Header().Get("X-Request-Id")})
}

// missing answers for paths that are no page's.
func (q *request) missing() error { return q.sorry(http.StatusNotFound, "problem.missing") }

// number reads a whole number of the form, or returns what else there is to be.
func (q *request) number(name string, otherwise int) int {
	n, err := strconv.Atoi(q.FormValue(name))
	if err != nil {
		return otherwise
	}
	return n
}

func (q *request) digits(n int) string { return strconv.Itoa(n) }
