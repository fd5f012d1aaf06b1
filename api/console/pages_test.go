package console_test

import (
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"otpost/api"
	"otpost/driver"
	"otpost/gateway"
	"otpost/gateway/store"
	"otpost/otp"
)

func prefixes(all ...string) (out []netip.Prefix) {
	for _, s := range all {
		out = append(out, netip.MustParsePrefix(s))
	}
	return out
}

var digits = regexp.MustCompile(`\b[0-9]{6}\b`)

// lived fills a world with what pages show: an account whose code came back, one that is blocked, a hostile text from
// outside, a message that waits. It returns the code that was sent.
func (w *world) lived() (code string) {
	t, ctx := w.t, w.t.Context()
	by := otp.Caller{Key: "k", ClientIP: "198.51.100.7"}
	check := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	check(w.rules.SetPIN(ctx, time.Now(), by, account, pin, ""))
	_, err := w.rules.Enable(ctx, time.Now(), by, account, otp.EnableRequest{Phone: phone})
	check(err)
	code = digits.FindString(w.text(0))
	_, err = w.rules.EnableVerify(ctx, time.Now(), by, account, otp.VerifyRequest{Code: code, PIN: pin})
	check(err)
	v, err := w.rules.Create(ctx, time.Now(), by, otp.CreateRequest{Account: account, Purpose: otp.Login})
	check(err)
	right := digits.FindString(w.text(1))
	for range 5 {
		_, _ = w.rules.Verify(ctx, time.Now(), by, v.ID, otp.VerifyRequest{Code: right[1:] + string('0'+(right[0]-'0'+1)%10)}) // refused, which is meant
	}
	check(w.queue.Inbound(ctx, "modem1", driver.Inbound{ICCID: "8944110068341234567", From: hostile, Text: hostile, Sent: time.Now(), At: time.Now()}))
	return code
}

// text waits for the n-th text that the modem sends.
func (w *world) text(n int) string {
	w.t.Helper()
	limit := time.After(30 * time.Second)
	for {
		all, came := w.modem.sent()
		if len(all) > n {
			return all[n]
		}
		select {
		case <-came:
		case <-limit:
			w.t.Fatalf("the modem has sent no text number %d", n)
		}
	}
}

// messageID is the id of the newest message.
func (w *world) messageID() string {
	ms, _, err := w.queue.Messages(w.t.Context(), gateway.Filter{Limit: 1})
	if err != nil || len(ms) == 0 {
		w.t.Fatalf("no message: %v", err)
	}
	return ms[0].ID
}

// every is each page that a simulated world has.
func (w *world) every() []string {
	return []string{"", "messages", "messages?status=failed&modem=modem1", "messages/" + w.messageID(), "modems", "modems/modem1", "modems/modem1?trace=1", "inbox",
		"accounts", "accounts/" + account, "limits", "webhooks", "webhooks/portal", "keys", "audit", "audit?to=2", "phones", "try", "sign-in"}
}

// Every page is whole, weighs little, carries the headers, escapes what is hostile, and holds no secret; the log holds none
// either.
func TestEveryPage(t *testing.T) {
	w := newWorld(t, store.NewMemory(), true).run()
	code := w.lived()
	b := w.signedIn(api.ScopeAdmin)
	weight := 0
	for _, asset := range []string{"console.css", "console.js", "icon.svg", "phones.css", "phones.js"} {
		p := b.get("assets/" + asset)
		p.wants(t, asset, 200)
		weight += len(p.text)
	}
	hostilePages := 0
	for _, path := range w.every() {
		p := b.get(path)
		if path == "sign-in" {
			p = w.browser().get(path)
		}
		p.wants(t, path, 200, "<!DOCTYPE html>", `<html lang="en"`, `<main id="main"`, "</html>", `href="#main"`)
		if n := weight + len(p.text); n > 150_000 {
			t.Errorf("%s weighs %d bytes with its assets", path, n)
		}
		for _, bad := range []string{"<script>alert", "<img src=x", "%!", "ZgotmplZ", " style=", "onclick", "javascript:", "<b>", "0001-01-01"} {
			if strings.Contains(p.text, bad) {
				t.Errorf("%s holds %q", path, bad)
			}
		}
		if strings.Contains(p.text, "&lt;script&gt;alert(1)") {
			hostilePages++
		}
		for name, secret := range map[string]string{"key": w.key[api.ScopeAdmin], "other key": w.key[api.ScopePortal], "cookie": b.cookies["otpost_console"], "code": code, "PIN": pin, "phone": phone} {
			if strings.Contains(p.text, secret) && !(path == "try" && name == "phone") {
				t.Errorf("%s shows the %s", path, name)
			}
		}
		for name, want := range map[string]string{"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff", "X-Frame-Options": "DENY",
			"Content-Type": "text/html; charset=utf-8", "Cross-Origin-Opener-Policy": "same-origin"} {
			if got := p.Header.Get(name); got != want {
				t.Errorf("%s: %s is %q, want %q", path, name, got, want)
			}
		}
		policy := p.Header.Get("Content-Security-Policy")
		if !strings.HasPrefix(policy, "default-src 'none'; script-src 'self'; style-src 'self';") || strings.Contains(policy, "unsafe") {
			t.Errorf("%s: policy %q", path, policy)
		}
	}
	if hostilePages < 4 { // overview, modems, a modem, inbox
		t.Errorf("hostile texts are shown on %d pages only", hostilePages)
	}
	b.get("nothing").wants(t, "no page", 404, "There is no such page")
	b.get("messages/msg_00000000000000000000000000").wants(t, "no message", 404)
	b.get("messages/%3Cscript%3E").wants(t, "no id", 400)
	b.get("webhooks/other").wants(t, "no webhook", 404)
	for name, secret := range map[string]string{"key": w.key[api.ScopeAdmin], "cookie": b.cookies["otpost_console"], "form token": b.csrf, "code": code, "phone": phone} {
		if strings.Contains(w.logged(), secret) {
			t.Errorf("the log holds the %s", name)
		}
	}
}

// The message's page tells its whole way.
func TestTimeline(t *testing.T) {
	w := newWorld(t, store.NewMemory(), false).run()
	w.lived()
	b := w.signedIn(api.ScopeOps)
	ms, _, err := w.queue.Messages(t.Context(), gateway.Filter{})
	if err != nil || len(ms) != 2 {
		t.Fatalf("%d messages: %v", len(ms), err)
	}
	b.get("messages/"+ms[1].ID).wants(t, "the verified one", 200, "Accepted", "Turning on and off", "Handed to a modem", "modem1, SIM …4567",
		"Taken by the network", "Waits for the phone to confirm it", "Verified, its code came back", masked)
	b.get("messages/"+ms[0].ID).wants(t, "the other", 200, "Logins", "Its code has not come back")
	report := driver.Report{ICCID: "8944110068341234567", Reference: 7, Recipient: phone, Sent: time.Now(), At: time.Now()}
	for range 2 {
		if err := w.queue.Report(t.Context(), "modem1", report); err != nil {
			t.Fatal(err)
		}
	}
	b.get("").wants(t, "the overview", 200, "Delivered", "of 2 codes")
	b.get("messages?status=delivered").wants(t, "delivered ones", 200, "/console/messages/msg_", masked)
}

// A phone is looked for by its number in full, which then stands in no address; an id leads to its message.
func TestSearch(t *testing.T) {
	w := newWorld(t, store.NewMemory(), false).run()
	w.lived()
	b := w.signedIn(api.ScopeOps)
	p := b.press("messages/find", url.Values{"what": {"+44 7400 123456"}, "status": {"sent"}})
	to := p.Header.Get("Location")
	if p.StatusCode != http.StatusSeeOther || !strings.HasPrefix(to, "/console/messages?recipient=rcp_") || !strings.Contains(to, "status=sent") || strings.Contains(to, "7400") {
		t.Fatalf("found at %q: %d", to, p.StatusCode)
	}
	b.get(strings.TrimPrefix(to, "/console/")).wants(t, "what was found", 200, "Messages to "+masked, "Show all messages")
	id := w.messageID()
	b.press("messages/find", url.Values{"what": {id}}).to(t, "an id", "/console/messages/"+id)
	b.press("messages/find", url.Values{"what": {"letters"}}).to(t, "no phone", "/console/messages")
	b.get("messages").wants(t, "why not", 200, `role="alert"`)
}

// Lists go on by cursor, with the filter kept.
func TestPaging(t *testing.T) {
	w := newWorld(t, store.NewMemory(), false)
	w.fill(120)
	b := w.signedIn(api.ScopeOps)
	seen, path := map[string]bool{}, "messages?status=queued"
	for pages := 0; path != ""; pages++ {
		if pages == 3 {
			t.Fatal("more than three pages")
		}
		p := b.get(path)
		p.wants(t, path, 200)
		for _, m := range regexp.MustCompile(`/console/messages/(msg_[0-9a-z]+)"`).FindAllStringSubmatch(p.text, -1) {
			seen[m[1]] = true
		}
		path = ""
		if m := regexp.MustCompile(`href="/console/(messages\?[^"]+)" rel="next"`).FindStringSubmatch(p.text); m != nil {
			if path = strings.ReplaceAll(m[1], "&amp;", "&"); !strings.Contains(path, "status=queued") {
				t.Errorf("the next page is %s", path)
			}
		}
	}
	if len(seen) != 120 {
		t.Errorf("%d of 120 messages were seen", len(seen))
	}
}

// fill puts n texts into the queue, which does not run.
func (w *world) fill(n int) {
	w.t.Helper()
	now := time.Now()
	for done := 0; done < n; {
		batch := min(500, n-done)
		err := w.kv.Update(w.t.Context(), func(tx store.Txn) error {
			for i := range batch {
				_, err := w.queue.Enqueue(tx, now, gateway.Draft{To: fmt.Sprintf("+4474%08d", done+i), Country: "GB", Kind: gateway.KindText, Lane: gateway.LaneText, Text: "x", NotAfter: now.Add(72 * time.Hour)})
				if err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			w.t.Fatal(err)
		}
		done += batch
	}
}
