package console

import (
	"errors"
	"net"
	"net/http"
	"net/netip"
	"strings"

	"otpost/api/client"
	"otpost/api/wire"
)

// signInForm is what the page shows.
type signInForm struct {
	Next   string
	Wrong  string // why it was refused
	Locked bool   // a key is not looked at for a while
}

func (c *Console) signInPage(q *request) error {
	if q.session != nil {
		return q.redirect(Base)
	}
	return q.show("signin", c.words.text("signin.title"), signInForm{Next: local(q.FormValue("next"))})
}

// signIn checks a key by a call of the API, which counts a wrong one against the peer.
func (c *Console) signIn(q *request) error {
	next := local(q.FormValue("next"))
	key := wire.Secret(strings.TrimSpace(q.PostFormValue("key")))
	if key == "" {
		return q.refuseSignIn(http.StatusUnprocessableEntity, signInForm{Next: next, Wrong: c.words.text("signin.empty")})
	}
	api, err := q.client(key)
	if err != nil {
		return err
	}
	who, err := api.Caller(q.Context())
	if p, ok := errors.AsType[*client.Problem](err); ok {
		form := signInForm{Next: next, Wrong: c.words.text("signin.refused"), Locked: p.Status == http.StatusTooManyRequests}
		if form.Locked {
			form.Wrong = c.words.text("signin.locked", c.words.seconds(p.RetryAfter))
			q.w.Header().Set("Retry-After", q.digits(p.RetryAfter))
		}
		return q.refuseSignIn(p.Status, form)
	}
	if err != nil {
		return err
	}
	if !permits(who.Scopes, []string{scopeOps}) {
		return q.refuseSignIn(http.StatusForbidden, signInForm{Next: next, Wrong: c.words.text("signin.scope")})
	}
	if q.session != nil {
		c.sessions.end(q.session)
	}
	q.begin(key, *who, false)
	return q.redirect(next)
}

func (q *request) refuseSignIn(status int, form signInForm) error {
	q.status = status
	return q.show("signin", q.console.words.text("signin.title"), form)
}

// begin starts a session and gives its cookie.
func (q *request) begin(key wire.Secret, who wire.Caller, demo bool) {
	s, value := q.console.sessions.start(q.console.now(), key, who, demo)
	q.session = s
	http.SetCookie(q.w, cookie(q.Request, value))
}

// signOut ends the session.
func signOut(q *request) error {
	q.console.sessions.end(q.session)
	http.SetCookie(q.w, cookie(q.Request, ""))
	return q.redirect(Base + "sign-in")
}

// signInUnasked starts a session for somebody on this machine, where that is allowed. The host that is asked for must be
// this machine too: a page of another site cannot get here under a name of its own that leads to 127.0.0.1.
func (q *request) signInUnasked() error {
	key := wire.Secret(q.console.unasked())
	if key == "" || q.Method != http.MethodGet || q.live() || !fromHere(q.Request) {
		return nil
	}
	api, err := q.client(key)
	if err != nil {
		return err
	}
	who, err := api.Caller(q.Context())
	if err != nil {
		return err
	}
	q.begin(key, *who, true)
	return nil
}

// fromHere says whether a request comes from this machine and was meant for it.
func fromHere(r *http.Request) bool {
	for _, h := range []string{"Forwarded", "X-Forwarded-For", "X-Real-Ip", "Via"} {
		if r.Header.Get(h) != "" {
			return false
		}
	}
	return loopback(r.RemoteAddr) && (loopback(r.Host) || hostOnly(r.Host) == "localhost")
}

func loopback(hostport string) bool {
	ip, err := netip.ParseAddr(hostOnly(hostport))
	return err == nil && ip.Unmap().WithZone("").IsLoopback()
}

func hostOnly(hostport string) string {
	if host, _, err := net.SplitHostPort(hostport); err == nil {
		return host
	}
	return strings.Trim(hostport, "[]")
}

// local makes sure that a path is one of the console's pages.
func local(path string) string {
	if !strings.HasPrefix(path, Base) || strings.ContainsAny(path, "\\\r\n") || strings.Contains(path, "//") || strings.Contains(path, "..") {
		return Base
	}
	return path
}

// setTheme keeps the choice of colours in a cookie. It changes nothing else, so it needs no session.
func (c *Console) setTheme(q *request) error {
	theme := themeOf(q.PostFormValue("theme"))
	http.SetCookie(q.w, &http.Cookie{Name: themeCookie, Value: theme, Path: Base, HttpOnly: true, SameSite: http.SameSiteStrictMode,
		Secure: secure(q.Request), MaxAge: 365 * 24 * 3600})
	return q.redirect(local(q.PostFormValue("next")))
}

const themeCookie = "otpost_theme"

// themeOf returns one of the themes; auto is as the browser likes it.
func themeOf(s string) string {
	if s == "light" || s == "dark" {
		return s
	}
	return "auto"
}

// themeAfter is the theme that the button in the frame leads to.
func themeAfter(theme string) string {
	switch theme {
	case "auto":
		return "dark"
	case "dark":
		return "light"
	}
	return "auto"
}
