package browser

import "testing"

func TestConsole(t *testing.T) {
	w := newWorld(t)
	b := w.tab(t)
	b.theme("dark")
	b.open("/problems")
	b.shows("h1", "Problems")
	b.accessible("problems")
	b.size(320, 640)
	b.keep("problems")
}
