package browser

import "testing"

// The manual's kinds of page: contents, a page with programs, one with wide tables, and the problems.
func (w *world) manualPages(t *testing.T) {
	b := w.tab(t)
	for _, path := range []string{"/docs", "/docs/tutorial/portal", "/docs/explanation/mended", "/docs/reference/configuration", "/problems", "/problems/rate-limited"} {
		b.open(path)
		b.presentable(path)
	}
	b.open("/docs")
	b.press(`main a[href="/docs/howto/tls"]`)
	b.shows("h1", "TLS")
	b.shows("#contents [aria-current]", "TLS")
}
