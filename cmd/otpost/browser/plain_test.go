package browser

import (
	"bufio"
	"context"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"otpost/api"
)

// visitor reads pages and sends forms as a browser without script does; it needs no browser.
type visitor struct {
	world *world
	http  *http.Client
	page  string // the last one
}

// visit signs in with a key.
func (w *world) visit(token string) *visitor {
	w.t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		w.t.Fatal(err)
	}
	v := &visitor{world: w, http: &http.Client{Jar: jar}}
	w.t.Cleanup(v.http.CloseIdleConnections)
	v.send(200, "sign-in", url.Values{"key": {token}})
	return v
}

var tokenField = regexp.MustCompile(`name="csrf" value="([^"]+)"`)

// nameless is a text that the catalogue does not have.
var nameless = regexp.MustCompile(`>\s*(?:phones|try|faults?|point|challenge|identity|nav|unit)\.[a-z_-]+\s*<`)

// open reads a page of the console.
func (v *visitor) open(want int, path string) string {
	v.world.t.Helper()
	req, err := http.NewRequest(http.MethodGet, v.world.base+"/console/"+path, nil)
	if err != nil {
		v.world.t.Fatal(err)
	}
	return v.do(want, req)
}

// send sends a form with the token that the last page gave, and follows where it leads.
func (v *visitor) send(want int, path string, form url.Values) string {
	v.world.t.Helper()
	if m := tokenField.FindStringSubmatch(v.page); m != nil {
		form.Set("csrf", m[1])
	}
	req, err := http.NewRequest(http.MethodPost, v.world.base+"/console/"+path, strings.NewReader(form.Encode()))
	if err != nil {
		v.world.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return v.do(want, req)
}

func (v *visitor) do(want int, req *http.Request) string {
	v.world.t.Helper()
	res, err := v.http.Do(req)
	if err != nil {
		v.world.t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != want {
		v.world.t.Fatalf("%s %s: %d (%v), want %d: %s", req.Method, req.URL.Path, res.StatusCode, err, want, b)
	}
	if policy := res.Header.Get("Content-Security-Policy"); !strings.HasPrefix(policy, "default-src 'none'; script-src 'self'; style-src 'self'") {
		v.world.t.Errorf("%s has the policy %q", req.URL.Path, policy)
	}
	v.page = string(b)
	if name := nameless.FindString(v.page); name != "" {
		v.world.t.Errorf("%s shows the name of a text in place of the text: %s", req.URL.Path, name)
	}
	return v.page
}

func (v *visitor) mustShow(texts ...string) {
	v.world.t.Helper()
	for _, text := range texts {
		if !strings.Contains(v.page, text) {
			v.world.t.Errorf("the page does not show %q:\n%s", text, v.page)
		}
	}
}

// The pages about the simulation, by plain HTTP: what was typed wrongly, hostile texts, and who may do what.
func TestSimulationPages(t *testing.T) {
	w := newDaemon(t)
	const phone, pin = "+447700900171", "739154"
	v := w.visit(w.token)

	v.open(200, "try")
	v.send(200, "try/pin", url.Values{"pin": {"1234"}})
	v.mustShow("weak-pin", "note bad")
	v.send(200, "try/account", url.Values{"account": {"no/such account"}})
	v.mustShow("no/such account", "not set")
	v.send(200, "try/account", url.Values{"account": {"plain-1"}})
	v.send(200, "try/pin", url.Values{"pin": {pin}})
	v.mustShow("204 No Content", "Bearer otp_live_••••", "••••")
	v.send(200, "try/enable", url.Values{"phone": {"<b>tel:12"}})
	v.mustShow("invalid-phone", "&lt;b&gt;tel:12")
	v.send(200, "try/enable", url.Values{"phone": {phone}, "once": {"the-same-form"}})
	v.send(200, "try/enable", url.Values{"phone": {phone}, "once": {"the-same-form"}})
	if n := len(w.call(200, "GET", "/v1/messages", nil)["messages"].([]any)); n != 1 {
		t.Errorf("a form that was sent twice sent %d messages", n)
	}
	code := w.text(phone, 0).Code
	v.open(200, "try")
	v.mustShow(code, "good until")
	v.send(200, "try/enable/verify", url.Values{"code": {code}, "pin": {pin}})
	v.mustShow("Grade 1")
	if strings.Contains(v.page, pin) || strings.Contains(v.page, w.token) {
		t.Error("the page holds the PIN or the key")
	}

	v.send(200, "phones/text", url.Values{"number": {phone}, "text": {`"><script src=//x></script>`}})
	v.mustShow("The phone has sent its text")
	v.send(200, "phones/text", url.Values{"number": {""}, "text": {"x"}})
	v.mustShow("note bad")
	v.send(200, "phones/faults", url.Values{"kind": {"cms"}, "cause": {"38"}, "for": {"90"}})
	v.mustShow("<code>38</code>", "Switch off")
	v.send(200, "phones/faults", url.Values{"kind": {"nonsense"}})
	v.mustShow("note bad")
	v.send(200, "phones/faults/end", url.Values{"id": {"long-gone"}})
	v.send(200, "phones/faults/end", url.Values{})
	v.mustShow("Nothing goes wrong now")
	v.open(200, "phones?number="+url.QueryEscape(phone))
	v.mustShow(code)
	v.send(200, "phones/empty", url.Values{"number": {phone}})
	v.mustShow("No phone was texted yet")
	v.open(400, "phones?number="+url.QueryEscape("<i>"))

	ops := w.visit(w.key(api.ScopeOps))
	ops.open(200, "try")
	ops.mustShow("scopes ops and portal")
	ops.send(200, "try/pin", url.Values{"pin": {pin}})
	ops.mustShow("note bad")
	ops.open(200, "phones?number="+url.QueryEscape(phone))
}

// A page is told of a text on a phone, whatever became of the send.
func TestLiveTellsOfTexts(t *testing.T) {
	w := newDaemon(t)
	v := w.visit(w.token)
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, w.base+"/console/live", nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := v.http.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	lines := bufio.NewScanner(res.Body)
	told := func(line string) {
		t.Helper()
		for lines.Scan() {
			if lines.Text() == line {
				return
			}
		}
		t.Fatalf("the stream ended before %q: %v", line, lines.Err())
	}
	told("event: tick")
	w.call(202, "POST", "/v1/messages", body{"to": "+447700900172", "text": "hello"})
	told("data: simulator.text")
}
