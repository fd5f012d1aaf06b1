package demo

import (
	"strings"
	"sync"
)

// Wire keeps what went over the simulated modem's line between Start and Stop. Its Tap may be called from any goroutine.
type Wire struct {
	mu    sync.Mutex
	on    bool
	lines []string
}

// wireMost bounds the lines kept, and wireWidth their length: the story shows an exchange, not a trace.
const wireMost, wireWidth = 64, 96

// Tap is the modem's sim.Tap.
func (w *Wire) Tap(dir, line string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.on && len(w.lines) < wireMost {
		w.lines = append(w.lines, dir+" "+line)
	}
}

// Start begins to keep lines.
func (w *Wire) Start() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.on, w.lines = true, nil
}

// Stop ends it and returns the part of the exchange that submits a message: from AT+CMGS to the final result.
func (w *Wire) Stop() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.on = false
	var kept []string
	for _, line := range w.lines {
		if len(kept) == 0 && !strings.Contains(line, "AT+CMGS=") {
			continue
		}
		kept = append(kept, shorten(line))
		if strings.HasSuffix(line, " OK") || strings.Contains(line, "ERROR") {
			break
		}
	}
	return kept
}

func shorten(line string) string {
	if r := []rune(line); len(r) > wireWidth {
		return string(r[:wireWidth-1]) + "…"
	}
	return line
}
