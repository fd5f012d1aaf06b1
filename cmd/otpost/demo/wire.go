package demo

import (
	"context"
	"strings"
	"sync"
)

// Wire keeps the first submit that goes over the simulated modem's line: from AT+CMGS to the final result. Its Tap may be
// called from any goroutine.
type Wire struct {
	mu    sync.Mutex
	lines []string
	whole bool
	done  chan struct{}
}

// NewWire returns a wire that has seen nothing.
func NewWire() *Wire { return &Wire{done: make(chan struct{})} }

// wireWidth is how much of a line the story shows.
const wireWidth = 88

// Tap is the modem's sim.Tap.
func (w *Wire) Tap(dir, line string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.whole || len(w.lines) == 0 && !strings.Contains(line, "AT+CMGS=") {
		return
	}
	w.lines = append(w.lines, dir+" "+shorten(line))
	if line == "OK" || strings.Contains(line, "ERROR") {
		w.whole = true
		close(w.done)
	}
}

// Submit waits for the final result of the first submit and returns the exchange.
func (w *Wire) Submit(ctx context.Context) ([]string, error) {
	select {
	case <-w.done:
		return w.lines, nil // whole: Tap writes it no more
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func shorten(line string) string {
	if r := []rune(line); len(r) > wireWidth {
		return string(r[:wireWidth-1]) + "…"
	}
	return line
}
