package console_test

import (
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"otpost/api"
	"otpost/gateway/store"
)

// What a key may not do is neither offered nor done.
func TestScopes(t *testing.T) {
	w := newWorld(t, store.NewMemory(), false).run()
	w.lived()
	b := w.signedIn(api.ScopeOps)
	p := b.get("")
	for _, name := range []string{"Keys", "Audit", "Accounts", "Inbox", "Phones", "Try it"} {
		if strings.Contains(p.text, ">"+name+"</a>") {
			t.Errorf("the menu offers %s", name)
		}
	}
	for _, path := range []string{"keys", "audit", "inbox", "accounts", "accounts/" + account} {
		b.get(path).wants(t, path, 403, "does not have the scope")
	}
	for _, path := range []string{"phones", "try"} {
		b.get(path).wants(t, path+" without a simulation", 404)
	}
	before := len(must(w.api.Keys().List(t.Context())))
	for _, path := range []string{"keys", "accounts/" + account + "/unlock", "webhooks/portal/replay", "webhooks/portal/test", "audit/check"} {
		b.press(path, url.Values{"name": {"mine"}, "scope": {"admin"}}).wants(t, "post to "+path, 403)
	}
	if after := len(must(w.api.Keys().List(t.Context()))); after != before {
		t.Error("a key was made without the scope for it")
	}
	if p := b.get("webhooks/portal"); strings.Contains(p.text, "<form method=\"post\" action=\"/console/webhooks") {
		t.Error("the webhook's page offers what the key may not do")
	}
}

// A new key's token is in the answer that made it and nowhere else; a revoked key works no more.
func TestKeys(t *testing.T) {
	w := newWorld(t, store.NewMemory(), false).run()
	b := w.signedIn(api.ScopeAdmin)
	token := regexp.MustCompile(`otp_live_[A-Za-z0-9]+`)
	p := b.press("keys", url.Values{"name": {"portal two"}, "scope": {"portal", "ops"}, "days": {"30"}, "allow_from": {"198.51.100.0/24, 192.0.2.1"}, "per_minute": {"60"}})
	p.wants(t, "making a key", 200, "It is not shown again")
	made := token.FindString(p.text)
	use := func() int { return w.browser().post("sign-in", url.Values{"key": {made}}).StatusCode }
	if use() != http.StatusSeeOther {
		t.Fatalf("the new key %q does not work", made)
	}
	list := b.get("keys")
	list.wants(t, "the keys", 200, "portal two", "198.51.100.0/24", "active")
	if token.MatchString(list.text) || strings.Contains(p.text, "data-live-from") {
		t.Error("a token is shown again, or its page asks to be read again")
	}
	id := regexp.MustCompile(`portal two<br><span[^>]*>(key_[a-z0-9]+)`).FindStringSubmatch(list.text)[1]
	p = b.press("keys/"+id+"/rotate", url.Values{"overlap": {"0s"}})
	p.wants(t, "rotating it", 200, "The new token")
	if use() != http.StatusUnauthorized {
		t.Error("the old token works on")
	}
	made = token.FindString(p.text)
	b.press("keys/"+id+"/revoke", nil).to(t, "revoking it", "/console/keys")
	b.get("keys").wants(t, "the keys", 200, "The key portal two is revoked.", "revoked</span>")
	if use() != http.StatusUnauthorized {
		t.Error("the revoked key works on")
	}
	b.press("keys", url.Values{"name": {"no scope"}}).to(t, "a key without a scope", "/console/keys")
	b.get("keys").wants(t, "why not", 200, `role="alert"`)
	if strings.Contains(w.logged(), made) {
		t.Error("the log holds the token")
	}
}

// A blocked account is found by its exact id, and unlocked.
func TestAccounts(t *testing.T) {
	w := newWorld(t, store.NewMemory(), false).run()
	w.lived()
	b := w.signedIn(api.ScopeAdmin)
	b.press("accounts/find", url.Values{"account": {"client-4712"}}).to(t, "another id", "/console/accounts")
	b.get("accounts").wants(t, "no such account", 200, "There is no account with this id.")
	b.press("accounts/find", url.Values{"account": {" " + account + " "}}).to(t, "the id", "/console/accounts/"+account)
	b.get("accounts/"+account).wants(t, "the account", 200, masked, "blocked</span>", "15 minutes", "codes on the phone")
	b.press("accounts/"+account+"/unlock", nil).to(t, "unlock", "/console/accounts/"+account)
	if p := b.get("accounts/" + account); strings.Contains(p.text, "blocked</span>") || !strings.Contains(p.text, "The blocks are lifted.") {
		t.Errorf("after the unlock: %s", p.text)
	}
	b.get("audit").wants(t, "the trail", 200, "account.unlock", "failures_account: 5")
	b.press("audit/check", nil).to(t, "the check", "/console/audit")
	b.get("audit").wants(t, "the check", 200, "The trail is whole")
}

// A modem is paused, used again, reset, and dialled; the answer to a code is shown escaped, the exchange when asked for.
func TestModems(t *testing.T) {
	w := newWorld(t, store.NewMemory(), false).run()
	b := w.signedIn(api.ScopeOps)
	b.get("").wants(t, "the overview", 200, "Nothing needs attention", "-71 dBm, strong")
	b.press("modems/modem1/pause", nil).to(t, "pause", "/console/modems/modem1")
	b.get("").wants(t, "the overview", 200, "Modem modem1 is paused", "No modem can send", `href="/docs/runbook/OtpostNoModem"`)
	b.press("modems/modem1/resume", nil).to(t, "resume", "/console/modems/modem1")
	b.press("modems/modem1/reset", nil).to(t, "reset", "/console/modems/modem1")
	b.get("modems/modem1").wants(t, "the words", 200, "is used again", "went through its recovery", "no prompt")
	b.press("modems/modem1/ussd", url.Values{"code": {"*100#"}}).wants(t, "the answer", 200, "The network&#39;s answer", "&lt;script&gt;alert(1)")
	b.press("modems/modem1/ussd", url.Values{"code": {"x; AT"}}).to(t, "no code", "/console/modems/modem1")
	b.get("modems/modem1").wants(t, "why not", 200, `role="alert"`)
	if p := b.get("modems/modem1"); strings.Contains(p.text, `id="trace"`) {
		t.Error("the exchange is shown unasked")
	}
	b.get("modems/modem1?trace=1").wants(t, "the exchange", 200, `id="trace"`)
	b.press("modems/other/pause", nil).to(t, "another modem", "/console/modems/other")
	b.get("modems/other").wants(t, "another modem", 404)
}

// Events are posted again once, however often the form is sent.
func TestWebhooks(t *testing.T) {
	w := newWorld(t, store.NewMemory(), false).run()
	w.lived()
	b := w.signedIn(api.ScopeAdmin)
	form := url.Values{"since": {time.Now().Add(-time.Hour).UTC().Format(time.RFC3339)}, "once": {"a-form-sent-twice"}}
	b.press("webhooks/portal/replay", form).to(t, "replay", "/console/webhooks/portal")
	p := b.get("webhooks/portal")
	said := regexp.MustCompile(`([0-9]+) events will be posted again`).FindString(p.text)
	if said == "" || strings.HasPrefix(said, "0 ") {
		t.Fatalf("the page says %q: %s", said, p.text)
	}
	b.press("webhooks/portal/replay", form).to(t, "the form again", "/console/webhooks/portal")
	b.get("webhooks/portal").wants(t, "the same answer", 200, said)
	b.press("webhooks/portal/replay", url.Values{"since": {"yesterday"}}).to(t, "no time", "/console/webhooks/portal")
	b.get("webhooks/portal").wants(t, "why not", 200, "Choose a time to go back")
	b.press("webhooks/portal/enable", nil).to(t, "enable", "/console/webhooks/portal")
}

// The theme is kept in a cookie, and nothing else is taken for one.
func TestTheme(t *testing.T) {
	w := newWorld(t, store.NewMemory(), false).run()
	b := w.browser()
	b.post("theme", url.Values{"theme": {"dark"}, "next": {"/console/sign-in"}}).to(t, "dark", "/console/sign-in")
	b.get("sign-in").wants(t, "dark", 200, `data-theme="dark"`)
	b.post("theme", url.Values{"theme": {`"><script>`}, "next": {"https://evil.example"}}).to(t, "no theme", "/console/")
	b.get("sign-in").wants(t, "no theme", 200, `data-theme="auto"`)
}
