package browser

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// tab is one tab with cookies of its own. What it must never do is noted as it happens, and fails the test at its end: errors on the
// console (violations of the content policy among them), and requests that leave the host.
type tab struct {
	t     *testing.T
	world *world
	ctx   context.Context

	mu       sync.Mutex
	faults   []string
	accepted []string // parts of console errors that the test is about
	hosts    []string // where requests may go
	requests []string
}

// tab opens an empty tab.
func (w *world) tab(t *testing.T) *tab {
	t.Helper()
	deadline, cancel := context.WithTimeout(w.browser, 8*patience)
	ctx, done := chromedp.NewContext(deadline, chromedp.WithNewBrowserContext())
	b := &tab{t: t, world: w, ctx: ctx, hosts: []string{strings.TrimPrefix(w.base, "http://")}}
	if err := chromedp.Listen(ctx, b.heard); err != nil {
		t.Fatalf("open a tab: %v", err)
	}
	for _, enable := range []func() error{
		func() error { _, err := chromedp.Call(ctx, network.Enable, network.EnableParams{}); return err },
		func() error { _, err := chromedp.Call(ctx, log.Enable, struct{}{}); return err },
	} {
		if err := enable(); err != nil {
			t.Fatalf("watch the tab: %v", err)
		}
	}
	b.size(1280, 800)
	t.Cleanup(func() {
		done()
		cancel()
		b.judge()
	})
	return b
}

// heard notes what the page did. It runs on the tab's own goroutine.
func (b *tab) heard(event any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch e := event.(type) {
	case *runtime.EventExceptionThrown:
		b.faults = append(b.faults, "exception: "+e.ExceptionDetails.Text)
	case *runtime.EventConsoleAPICalled:
		if e.Type == "error" || e.Type == "warning" || e.Type == "assert" {
			b.faults = append(b.faults, fmt.Sprintf("console.%s", e.Type))
		}
	case *log.EventEntryAdded:
		if e.Entry.Level == "error" || e.Entry.Level == "warning" {
			b.faults = append(b.faults, fmt.Sprintf("%s %s: %s %s", e.Entry.Source, e.Entry.Level, e.Entry.Text, e.Entry.URL))
		}
	case *network.EventRequestWillBeSent:
		b.requests = append(b.requests, e.Request.URL)
	}
}

// accept says that a console error with this text is what the test is about.
func (b *tab) accept(text string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.accepted = append(b.accepted, text)
}

// alsoTo says that the test itself goes to another site.
func (b *tab) alsoTo(base string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.hosts = append(b.hosts, strings.TrimPrefix(base, "http://"))
}

func (b *tab) judge() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, r := range b.requests {
		if u, err := url.Parse(r); err != nil || u.Scheme != "data" && !slices.Contains(b.hosts, u.Host) {
			b.t.Errorf("a request leaves the host: %s", r)
		}
	}
	if len(b.requests) == 0 {
		b.t.Error("the tab's requests were not seen")
	}
faults:
	for _, f := range b.faults {
		for _, a := range b.accepted {
			if strings.Contains(f, a) {
				continue faults
			}
		}
		b.t.Errorf("on the console: %s", f)
	}
}

// do runs steps; their error ends the test.
func (b *tab) do(what string, steps ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	if err := chromedp.Do(b.ctx, steps...); err != nil {
		b.t.Fatalf("%s: %v", what, err)
	}
}

// open goes to a path of the daemon and waits until the page is there.
func (b *tab) open(path string) {
	b.t.Helper()
	b.do("open "+path, chromedp.Navigate(b.world.base+path))
}

// eval returns the value of a JavaScript expression; DevTools evaluate beside the page's content policy.
func eval[T any](b *tab, js string) T {
	b.t.Helper()
	v, err := chromedp.Run(b.ctx, chromedp.Evaluate[T](js, chromedp.EvalAwaitPromise))
	if err != nil {
		b.t.Fatalf("evaluate %.200s: %v", js, err)
	}
	return v
}

// wait waits until a JavaScript expression is true, over any number of navigations.
func (b *tab) wait(js string) {
	b.t.Helper()
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	look := time.NewTicker(20 * time.Millisecond)
	defer look.Stop()
	for {
		// While a page is being replaced there is nothing to evaluate in: that is an error, and no answer yet.
		if ok, err := chromedp.Run(b.ctx, chromedp.Evaluate[bool]("Boolean("+js+")")); err == nil && ok {
			return
		}
		select {
		case <-look.C:
		case <-deadline.C:
			b.keep("stuck")
			page, _ := chromedp.Run(b.ctx, chromedp.Evaluate[string](`location.href + "\n" + document.body.innerText`))
			b.t.Fatalf("it never held that %s; the page:\n%.3000s", js, page)
		}
	}
}

// shows waits until an element holds a text.
func (b *tab) shows(selector, text string) {
	b.t.Helper()
	b.wait(fmt.Sprintf(`[...document.querySelectorAll(%q)].some(e => e.textContent.includes(%q))`, selector, text))
}

// lacks waits until no such element holds a text.
func (b *tab) lacks(selector, text string) {
	b.t.Helper()
	b.wait(fmt.Sprintf(`![...document.querySelectorAll(%q)].some(e => e.textContent.includes(%q))`, selector, text))
}

// fill puts a value into a field as typing does.
func (b *tab) fill(selector, value string) {
	b.t.Helper()
	b.wait(fmt.Sprintf(`document.querySelector(%q)`, selector))
	eval[bool](b, fmt.Sprintf(`(e => { e.focus(); e.value = %q; e.dispatchEvent(new Event("input", {bubbles: true})); e.dispatchEvent(new Event("change", {bubbles: true})); return true })(document.querySelector(%q))`, value, selector))
}

// press clicks an element once it is there and enabled.
func (b *tab) press(selector string) {
	b.t.Helper()
	b.wait(fmt.Sprintf(`(e => e && !e.disabled)(document.querySelector(%q))`, selector))
	eval[bool](b, fmt.Sprintf(`document.querySelector(%q).click(), true`, selector))
}

// theme chooses what the page learns of the reader's wish: "light" or "dark".
func (b *tab) theme(name string) {
	b.t.Helper()
	if _, err := chromedp.Call(b.ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
		Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: name}, {Name: "prefers-reduced-motion", Value: "reduce"}}}); err != nil {
		b.t.Fatal(err)
	}
}

// size sets the window's inner size.
func (b *tab) size(width, height int64) {
	b.t.Helper()
	b.do("resize", chromedp.EmulateViewport(width, height))
}

// keep writes a picture of the whole page where pictures are asked for.
func (b *tab) keep(name string) {
	b.t.Helper()
	dir := screenshots()
	if dir == "" {
		return
	}
	png, err := chromedp.Run(b.ctx, chromedp.FullScreenshot(100))
	if err == nil {
		err = os.MkdirAll(dir, 0o755)
	}
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, name+".png"), png, 0o644)
	}
	if err != nil {
		b.t.Errorf("keep a picture of %s: %v", name, err)
	}
}
