package browser

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// A form without the session's token, and one that another site's page sends, are refused and change nothing.
func (w *world) forgedForms(t *testing.T) {
	b := w.signIn(t, w.token)
	const phone = "+447700900164"
	b.open("/console/phones")
	b.accept("status of 403")
	eval[bool](b, `document.querySelector("form[action='/console/phones/text'] [name=csrf]").value = "forged", true`)
	b.fill("#number", phone)
	b.fill("#text", "forged")
	b.press(`form[action="/console/phones/text"] button`)
	b.shows("main", "The form was too old or came from somewhere else")

	other := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) {
		rw.Header().Set("Content-Type", "text/html")
		_, _ = fmt.Fprintf(rw, `<link rel=icon href="data:,"><form method=post action="%s/console/phones/text"><input name=number value="%s"><input name=text value=forged><button>send</button></form>`, w.base, phone)
	}))
	defer other.Close()
	b.alsoTo(other.URL)
	b.do("open the other site", chromedp.Navigate(other.URL))
	b.press("button")
	b.shows("body", "equests from other sites")
	inbox := w.call(200, "GET", "/v1/inbox", nil)
	if strings.Contains(fmt.Sprint(inbox), phone) {
		t.Error("a forged form was obeyed")
	}
}

// The keyboard alone leads past the menu, to a phone, and through a form.
func (w *world) keyboardStory(t *testing.T) {
	b := w.signIn(t, w.token)
	const phone = "+447700900165"
	w.call(202, "POST", "/v1/messages", body{"to": phone, "text": "hello"})
	w.text(phone, 0)
	b.open("/console/phones")
	b.key(kb.Tab)
	b.wait(`document.activeElement.matches("a.skip")`)
	b.key(kb.Enter)
	b.wait(`document.activeElement.id === "main"`)
	for range 60 { // more stops than the page has
		b.key(kb.Tab)
		if eval[bool](b, `document.activeElement.matches(".phone[href*='900165']")`) {
			break
		}
	}
	if !eval[bool](b, `getComputedStyle(document.activeElement).outlineStyle !== "none"`) {
		t.Error("the focus cannot be seen")
	}
	b.key(kb.Enter)
	b.shows("#thread .said", "hello")
	for range 60 {
		b.key(kb.Tab)
		if eval[bool](b, `document.activeElement.id === "text"`) {
			break
		}
	}
	b.key("typed")
	b.key(kb.Tab)
	b.key(kb.Enter)
	b.shows("#thread .mine", "typed")
}

// key presses keys as a keyboard does.
func (b *tab) key(keys string) {
	b.t.Helper()
	b.do("press a key", chromedp.KeyEvent(keys))
}

// Without script every page reads and every form works: a code is sent, found on the phone after a reload, and verified.
func (w *world) withoutScript(t *testing.T) {
	b := w.tab(t)
	if _, err := chromedp.Call(b.ctx, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true}); err != nil {
		t.Fatal(err)
	}
	b.open("/console/try")
	b.fill("#key", w.token)
	b.press("main form button.main")
	b.shows("h1", "Try it")
	if eval[bool](b, `document.documentElement.classList.contains("script")`) {
		t.Fatal("script ran")
	}
	const pin, phone = "739154", "+447700900166"
	b.fill("#new-pin", pin)
	b.press(`form[action="/console/try/pin"] button`)
	b.fill("#phone", phone)
	b.press("#send-enable")
	b.shows("#exchanges", "202 Accepted")
	code := w.text(phone, 0).Code
	b.press("#handset .noscript a")
	b.shows("#handset", code)
	b.shows("#handset .life", "good until")
	b.fill("#enable-code", code)
	b.fill("#enable-pin", pin)
	b.press("#verify-enable")
	b.shows("#grade", "Grade 1")
	for _, path := range b.menu() {
		b.open(path)
		b.wait(`document.querySelector("main h1")?.textContent && document.querySelector("main h1 ~ *")`)
	}
}

// menu are the addresses of the pages in the menu.
func (b *tab) menu() []string {
	b.t.Helper()
	return eval[[]string](b, `[...document.querySelectorAll("nav.menu a")].map(a => a.pathname)`)
}

// Every page, in both themes: no serious or critical finding of axe-core, nothing wider than a screen of 1024, 768 or 320 pixels, and what every
// tab is judged by at its end.
func (w *world) everyPage(t *testing.T) {
	b := w.signIn(t, w.token)
	pages := append(b.menu(), "/console/phones?number=%2B447700900162", "/console/modems/sim0", "/console/accounts/client-1", "/console/webhooks/portal",
		"/console/nowhere")
	b.accept("status of 404")
	w.call(204, "PUT", "/v1/accounts/client-1/pin", body{"pin": "739154"})
	w.call(202, "POST", "/v1/accounts/client-1/sms/enable", body{"phone": "+447700900168"})
	message := w.call(200, "GET", "/v1/messages", nil)["messages"].([]any)[0].(map[string]any)["id"].(string)
	pages = append(pages, "/console/messages/"+message)
	for _, path := range pages {
		b.open(path)
		b.presentable(path)
	}
	out := w.tab(t)
	out.open("/console/")
	out.presentable("/console/sign-in")
}

// maxWeight is what a page may weigh with all that it loads.
const maxWeight = 150_000

// presentable looks at one page in both themes and on a narrow screen, and weighs it.
func (b *tab) presentable(path string) {
	b.t.Helper()
	weight := eval[int](b, `[...performance.getEntriesByType("navigation"), ...performance.getEntriesByType("resource")].reduce((sum, e) => sum + e.decodedBodySize, 0)`)
	if weight == 0 || weight > maxWeight {
		b.t.Errorf("%s weighs %d bytes, at most %d are allowed", path, weight, maxWeight)
	}
	name := strings.NewReplacer("/", "-", "?", "-", "=", "-", "%2B", "").Replace(strings.Trim(strings.TrimPrefix(path, "/console"), "/"))
	if name == "" {
		name = "overview"
	}
	if strings.HasPrefix(name, "messages-") {
		name = "message"
	}
	for theme, rules := range map[string]string{"light": allRules, "dark": colourRules} {
		b.theme(theme)
		b.accessible(path+" in "+theme, rules)
		b.keep(name + "-" + theme)
	}
	for _, width := range []int64{1024, 768, 320} {
		b.size(width, 700)
		if wide := eval[int64](b, `document.scrollingElement.scrollWidth`); wide > width {
			b.t.Errorf("%s is %d pixels wide on a screen of %d", path, wide, width)
			b.keep(fmt.Sprint(name, "-wide-", width))
		}
	}
	b.keep(name + "-320")
	b.size(1280, 800)
}
