package console_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"otpost/api"
	"otpost/gateway/store"
)

// Nobody sees a page without a key, wrong and unfit keys are refused, a good one gives a cookie that holds for the console
// only, and its owner comes to the page that was asked for.
func TestSignIn(t *testing.T) {
	w := newWorld(t, store.NewMemory(), false).run()
	b := w.browser()
	b.get("").to(t, "the first page", "/console/sign-in")
	b.get("messages?status=failed").to(t, "a page", "/console/sign-in?next=%2Fconsole%2Fmessages%3Fstatus%3Dfailed")
	b.post("modems/modem1/pause", nil).to(t, "a form", "/console/sign-in")
	b.get("sign-in").wants(t, "the form", 200, `name="key"`, "otpost key create")
	b.post("sign-in", url.Values{"key": {" "}}).wants(t, "no key", 422, "Paste a key first")
	p := b.post("sign-in", url.Values{"key": {"otp_live_wrong"}})
	p.wants(t, "a wrong key", 401, "not accepted", `role="alert"`)
	if strings.Contains(p.text, "otp_live_wrong") {
		t.Error("the page repeats the key")
	}
	for _, s := range []api.Scope{api.ScopePortal, api.ScopeMessages} {
		b.post("sign-in", url.Values{"key": {w.key[s]}}).wants(t, "a key of "+string(s), 403, "ops or admin")
	}
	if len(b.cookies) != 0 {
		t.Errorf("cookies without a sign-in: %v", b.cookies)
	}
	p = b.post("sign-in", url.Values{"key": {"  " + w.key[api.ScopeOps] + "\n"}, "next": {"/console/messages?status=failed"}})
	p.to(t, "a good key", "/console/messages?status=failed")
	c := p.Cookies()[0]
	if !c.HttpOnly || c.SameSite != http.SameSiteStrictMode || c.Path != "/console/" || c.Secure || c.MaxAge != 12*3600 || len(c.Value) < 40 {
		t.Errorf("cookie: %+v", c)
	}
	b.get("messages?status=failed").wants(t, "the page", 200, `aria-current="page">Messages`)
	b.get("sign-in").to(t, "sign-in once more", "/console/")
	old := b.cookies["otpost_console"]
	b.get("")
	b.press("sign-out", nil).to(t, "sign-out", "/console/sign-in")
	b.cookies["otpost_console"] = old
	b.get("").to(t, "after sign-out, with the old cookie", "/console/sign-in")
	for _, next := range []string{"https://evil.example/", "//evil.example", "/v1/modems", "/console/../v1", "/console//evil.example", `/console/\evil`} {
		w.browser().post("sign-in", url.Values{"key": {w.key[api.ScopeOps]}, "next": {next}}).to(t, "next "+next, "/console/")
	}
}

// Over TLS, by ourselves or by a proxy before us, the cookie is never sent in plain.
func TestSecureCookie(t *testing.T) {
	w := newWorld(t, store.NewMemory(), false).run()
	p := w.browser().post("sign-in", url.Values{"key": {w.key[api.ScopeOps]}}, "X-Forwarded-Proto: https")
	if c := p.Cookies()[0]; !c.Secure {
		t.Errorf("behind a proxy with TLS: %+v", c)
	}
	r := httptest.NewRequest(http.MethodPost, "https://otpost.example/console/sign-in", strings.NewReader(url.Values{"key": {w.key[api.ScopeOps]}}.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if c := w.browser().do(r).Cookies()[0]; !c.Secure {
		t.Errorf("with TLS: %+v", c)
	}
}

// Wrong keys at the sign-in count against the peer as those at the API do, and the other way round.
func TestPenalties(t *testing.T) {
	w := newWorld(t, store.NewMemory(), false).run()
	b := w.browser()
	for range 5 {
		b.post("sign-in", url.Values{"key": {"otp_live_wrong"}}).wants(t, "a wrong key", 401)
		r := httptest.NewRequest(http.MethodGet, "/v1/modems", nil)
		r.Header.Set("Authorization", "Bearer otp_live_wrong")
		b.do(r).wants(t, "a wrong key at the API", 401)
	}
	p := b.post("sign-in", url.Values{"key": {"otp_live_wrong"}})
	p.wants(t, "one too many", 429, "Too many wrong keys")
	if p.Header.Get("Retry-After") != "60" {
		t.Errorf("Retry-After is %q", p.Header.Get("Retry-After"))
	}
	other := w.browser()
	other.peer = "198.51.100.8:1"
	other.post("sign-in", url.Values{"key": {"otp_live_wrong"}}).wants(t, "a neighbour", 401)
	b.post("sign-in", url.Values{"key": {w.key[api.ScopeOps]}}).to(t, "a good key in the penalty", "/console/")
}

// A key that may be used from one place only is refused from another.
func TestKeyAddress(t *testing.T) {
	w := newWorld(t, store.NewMemory(), false).run()
	_, key, err := w.api.Keys().Create(t.Context(), time.Now(), api.KeySpec{Name: "here", Scopes: []api.Scope{api.ScopeOps}, AllowFrom: prefixes("192.0.2.0/24")})
	if err != nil {
		t.Fatal(err)
	}
	b := w.browser()
	b.post("sign-in", url.Values{"key": {key}}).wants(t, "from elsewhere", 403, "not allowed from here")
	b.peer = "192.0.2.9:1"
	b.post("sign-in", url.Values{"key": {key}}).to(t, "from there", "/console/")
	b.peer = "198.51.100.7:1"
	b.get("modems").wants(t, "the cookie from elsewhere", 403, "may not be used from this address")
}

// A form counts only with the token of its session and from our own pages.
func TestForgery(t *testing.T) {
	w := newWorld(t, store.NewMemory(), false).run()
	b, other := w.signedIn(api.ScopeOps), w.signedIn(api.ScopeOps)
	if b.csrf == other.csrf || b.csrf == "" {
		t.Fatalf("tokens: %q, %q", b.csrf, other.csrf)
	}
	pause := "modems/modem1/pause"
	b.post(pause, nil).wants(t, "no token", 403, "came from somewhere else")
	b.post(pause, url.Values{"csrf": {other.csrf}}).wants(t, "another's token", 403)
	b.post(pause+"?csrf="+b.csrf, nil).wants(t, "the token in the address", 403)
	good := url.Values{"csrf": {b.csrf}}
	b.post(pause, good, "Sec-Fetch-Site: cross-site").wants(t, "from another site", 403)
	b.post(pause, good, "Origin: https://evil.example").wants(t, "from another origin", 403)
	b.post("sign-in", url.Values{"key": {w.key[api.ScopeOps]}}, "Sec-Fetch-Site: cross-site").wants(t, "signing in from another site", 403)
	b.post("sign-out", nil).wants(t, "signing out without a token", 403)
	if m, _ := w.queue.Modems(t.Context()); m[0].Paused {
		t.Fatal("a forged form paused the modem")
	}
	b.post(pause, good, "Sec-Fetch-Site: same-origin", "Origin: http://otpost.example:8475").to(t, "our own form", "/console/modems/modem1")
	b.get("modems/modem1").wants(t, "the modem", 200, "Modem modem1 is paused.", `role="status"`)
	if p := b.get("modems/modem1"); strings.Contains(p.text, "Modem modem1 is paused.") {
		t.Error("the word about the pause is shown twice")
	}
	if m, _ := w.queue.Modems(t.Context()); !m[0].Paused {
		t.Error("the modem is not paused")
	}
}

// A revoked key ends its session with the next request.
func TestRevokedKey(t *testing.T) {
	w := newWorld(t, store.NewMemory(), false).run()
	b := w.signedIn(api.ScopeOps)
	for _, k := range must(w.api.Keys().List(t.Context())) {
		if k.Name == "ops" {
			must(w.api.Keys().Revoke(t.Context(), time.Now(), k.ID))
		}
	}
	old := b.cookies["otpost_console"]
	b.get("modems").to(t, "after the key was revoked", "/console/sign-in")
	if len(b.cookies) != 0 {
		t.Errorf("the cookie stays: %v", b.cookies)
	}
	b.cookies["otpost_console"] = old
	b.get("").to(t, "with the old cookie", "/console/sign-in")
}

// In the demo whoever is on this machine and asks for it by a name of its own is signed in, and nobody else.
func TestUnasked(t *testing.T) {
	w := newWorld(t, store.NewMemory(), true).run()
	here := func() *browser {
		b := w.browser()
		b.peer, b.host = "127.0.0.1:4711", "127.0.0.1:8475"
		return b
	}
	here().get("").to(t, "outside the demo", "/console/sign-in")
	w.api.Console().SignIn(w.key[api.ScopeAdmin])
	for _, host := range []string{"127.0.0.1:8475", "localhost:8475", "[::1]:8475", "localhost"} {
		b := here()
		b.host = host
		b.get("keys").wants(t, "asked for as "+host, 200, "demo")
	}
	for name, change := range map[string]func(*browser){
		"from away":           func(b *browser) { b.peer = "192.0.2.1:1" },
		"by a name elsewhere": func(b *browser) { b.host = "evil.example:8475" },
		"by a sly name":       func(b *browser) { b.host = "127.0.0.1.evil.example" },
		"by no address":       func(b *browser) { b.peer = "@" },
	} {
		b := here()
		change(b)
		b.get("").to(t, name, "/console/sign-in")
		if len(b.cookies) > 0 {
			t.Errorf("%s: got a cookie", name)
		}
	}
	for _, h := range []string{"X-Forwarded-For: 192.0.2.1", "Forwarded: for=192.0.2.1", "Via: 1.1 proxy", "Otpost-Live: 1"} {
		here().get("", h).to(t, "with "+h, "/console/sign-in")
	}
	here().post("modems/modem1/pause", nil).to(t, "a form without a session", "/console/sign-in")
}
