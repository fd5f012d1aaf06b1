package browser

import (
	"fmt"
	"strings"
	"testing"
)

// The console as people use it, in a browser. One daemon and one browser serve all the stories, each in a tab with cookies of its own.
func TestConsole(t *testing.T) {
	w := newWorld(t)
	for _, story := range []struct {
		name string
		tell func(*world, *testing.T)
	}{
		{"SignIn", (*world).signInStory},
		{"TryIt", (*world).tryItStory},
		{"Phones", (*world).phonesStory},
		{"Faults", (*world).faultsStory},
		{"Timeline", (*world).timelineStory},
		{"ForgedForms", (*world).forgedForms},
		{"Keyboard", (*world).keyboardStory},
		{"WithoutScript", (*world).withoutScript},
		{"EveryPage", (*world).everyPage},
		{"Manual", (*world).manualPages},
	} {
		t.Run(story.name, func(t *testing.T) {
			here := *w
			here.t = t
			story.tell(&here, t)
		})
	}
}

// signIn opens a tab and signs in with a key.
func (w *world) signIn(t *testing.T, token string) *tab {
	t.Helper()
	b := w.tab(t)
	b.open("/console/")
	b.fill("#key", token)
	b.press("main form button.main")
	b.shows("h1", "Overview")
	return b
}

// A wrong key is refused, a right one lets in, and whoever has signed out is asked again.
func (w *world) signInStory(t *testing.T) {
	b := w.tab(t)
	b.open("/console/phones")
	b.shows("h1", "Sign in")
	b.accept("status of 401")
	b.fill("#key", "otp_live_wrong")
	b.press("main form button.main")
	b.shows("[role=alert]", "not accepted")
	b.fill("#key", w.token)
	b.press("main form button.main")
	b.shows("h1", "Phones")
	b.press(`form[action="/console/sign-out"] button`)
	b.shows("h1", "Sign in")
	b.open("/console/")
	b.shows("h1", "Sign in")
}

// The portal's Settings → Authentication Methods → SMS, and a withdrawal, with a client's phone beside them.
func (w *world) tryItStory(t *testing.T) {
	b := w.signIn(t, w.token)
	const pin, phone = "739154", "+447700900161"
	b.press(`nav a[href="/console/try"]`)
	b.shows("#grade", "Grade 0")
	b.fill("#new-pin", pin)
	b.press(`form[action="/console/try/pin"] button`)
	b.shows("#exchanges", "/pin")
	b.shows("#account-now", "set")
	b.fill("#phone", phone)
	b.press("#send-enable")
	b.shows("#exchanges", "202 Accepted")
	code := b.code("#handset")
	if got := w.text(phone, 0).Code; got != code {
		t.Fatalf("the page shows the code %s, the phone got %s", code, got)
	}
	b.keep("try-code-sent")
	b.fill("#enable-code", other(code))
	b.fill("#enable-pin", pin)
	b.press("#verify-enable")
	b.shows("#exchanges", "verification-failed")
	b.fill("#enable-code", code)
	b.fill("#enable-pin", pin)
	b.press("#verify-enable")
	b.shows("#grade", "Grade 1")
	b.shows("#sms-now", "on")
	b.neverShows(pin)

	b.fill("#withdrawal-pin", pin)
	b.press("#send-withdrawal")
	b.shows("#withdrawal", "Verify")
	b.wait(fmt.Sprintf(`document.querySelector("#handset code").textContent !== %q`, code))
	b.shows("#handset .said", "IE29AIBK93115212345678")
	code = b.code("#handset")
	b.keep("try-withdrawal")
	b.fill("#withdrawal-code", code)
	b.fill("#amount", "9250.00")
	b.press("#verify-withdrawal")
	b.shows("#exchanges", "verification-failed")
	b.fill("#withdrawal-code", code)
	b.fill("#amount", "250.00")
	b.press("#verify-withdrawal")
	b.shows("#withdrawal", "confirmed")

	b.size(320, 700)
	b.keep("try-withdrawn-320")
	b.size(1280, 800)
	b.press("#send-disable")
	b.wait(fmt.Sprintf(`document.querySelector("#handset code").textContent !== %q`, code))
	b.fill("#disable-code", b.code("#handset"))
	b.press("#verify-disable")
	b.shows("#sms-now", "off")
	b.shows("#grade", "Grade 1")
	b.neverShows(pin)
	b.neverShows(w.token)
	if n := eval[int](b, `document.querySelectorAll("#exchanges .exchange").length`); n != 9 {
		t.Errorf("%d exchanges are shown, want 9: the PIN, and twice two and three of the codes", n)
	}
}

// code waits for a code in an element and returns it.
func (b *tab) code(within string) string {
	b.t.Helper()
	b.wait(fmt.Sprintf(`/^[0-9]{6}$/.test(document.querySelector("%s code[id^=code]")?.textContent)`, within))
	return eval[string](b, fmt.Sprintf(`document.querySelector("%s code[id^=code]").textContent`, within))
}

// neverShows fails when a text is anywhere in the page, its hidden parts and fields included.
func (b *tab) neverShows(secret string) {
	b.t.Helper()
	if strings.Contains(eval[string](b, `document.documentElement.outerHTML`), secret) {
		b.t.Errorf("the page holds what it must not show")
	}
}

// other is a code of the same length that is not code.
func other(code string) string { return string('0'+(code[0]-'0'+1)%10) + code[1:] }

// A text that arrives shows by itself: in the list as unread, in its thread with its code and what is left of its life.
func (w *world) phonesStory(t *testing.T) {
	b := w.signIn(t, w.token)
	const phone, hostile = "+447700900162", `<img src=x onerror="document.title='taken'"><b id=planted>`
	b.press(`nav a[href="/console/phones"]`)
	b.shows("h1", "Phones")
	w.call(202, "POST", "/v1/messages", body{"to": phone, "text": hostile})
	b.shows(".phone", phone)
	b.wait(`[...document.querySelectorAll(".phone")].find(e => e.textContent.includes("` + phone + `")).querySelector(".unread").textContent.startsWith("1")`)
	b.press(`.phone[href*="900162"]`)
	b.shows("#thread .said", hostile)
	b.wait(`!document.querySelector(".phone[aria-current] .unread")`)
	if eval[bool](b, `document.getElementById("planted") !== null || document.title === "taken"`) {
		t.Error("a text became a part of the page")
	}
	w.call(204, "PUT", "/v1/accounts/phones-1/pin", body{"pin": "739154"})
	w.call(202, "POST", "/v1/accounts/phones-1/sms/enable", body{"phone": phone})
	if got, want := b.code("#thread"), w.text(phone, 0).Code; got != want {
		t.Errorf("the thread shows the code %s, the phone got %s", got, want)
	}
	b.wait(`/^4:[0-9]{2} left$/.test(document.querySelector("#thread .life").textContent)`)
	b.fill("#text", "STOP <i>now</i>")
	b.press(".reply button")
	b.shows("#thread .mine .said", "STOP <i>now</i>")
	b.lacks(".note", "is not")
}

// A fault that is switched on shows as on, strikes a send, and is gone once it has struck as often as it should.
func (w *world) faultsStory(t *testing.T) {
	b := w.signIn(t, w.token)
	b.open("/console/phones")
	b.shows("#faults-on", "Nothing goes wrong now")
	b.fill("#kind", "failed-report")
	b.fill("#sends", "2")
	b.press(`form[action="/console/phones/faults"] button.main`)
	b.shows("#faults-on tbody", "Reported as not delivered")
	b.shows("#faults-on .badge", "on")
	w.call(202, "POST", "/v1/messages", body{"to": "+447700900163", "text": "one"})
	b.shows("#faults-on [data-label=Struck]", "1")
	b.shows("#faults-on [data-label=Ends]", "1 more send")
	b.keep("phones-fault")
	b.size(320, 700)
	b.keep("phones-fault-320")
	b.size(1280, 800)
	b.press(`form[action="/console/phones/faults/end"] button`)
	b.shows("#faults-on", "Nothing goes wrong now")
}

// A message's page shows its way while it goes: to the phone and back for a code that is typed in, and how it ends for a text that
// the network gives up.
func (w *world) timelineStory(t *testing.T) {
	b := w.signIn(t, w.token)
	const account, phone, pin = "timeline-1", "+447700900167", "739154"
	w.call(204, "PUT", "/v1/accounts/"+account+"/pin", body{"pin": pin})
	challenge := w.call(202, "POST", "/v1/accounts/"+account+"/sms/enable", body{"phone": phone})
	b.open("/console/messages/" + challenge["message"].(map[string]any)["id"].(string))
	for _, step := range []string{"Accepted", "Handed to a modem", "Sent", "Delivered to the phone"} {
		b.shows(".timeline li", step)
	}
	code := w.text(phone, 0).Code
	b.neverShows(code)
	b.neverShows(phone)
	w.call(200, "POST", "/v1/accounts/"+account+"/sms/enable/verify", body{"code": code, "pin": pin})
	b.shows(".timeline li", "Verified")
	b.keep("message-verified")

	lost := w.call(202, "POST", "/v1/messages", body{"to": "+447700998003", "text": "nobody gets this"})["id"].(string)
	b.open("/console/messages/" + lost)
	b.shows(".head .badge.bad", "undelivered")
	b.lacks("main", "nobody gets this")
	b.keep("message-undelivered")
}
