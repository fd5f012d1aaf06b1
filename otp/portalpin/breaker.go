package portalpin

import (
	"sync"
	"time"
)

const (
	tripAfter = 5 // questions in a row without an answer
	firstRest = 5 * time.Second
	maxRest   = 2 * time.Minute
)

// breaker stops asking after failures in a row, and after a rest lets one question through to see. Each rest in a row is
// twice as long.
type breaker struct {
	mu      sync.Mutex // owns what follows
	failed  int
	rest    time.Duration // zero: closed
	until   time.Time
	probing bool
}

// admit tells whether a question may be asked. The caller then reports, or releases.
func (b *breaker) admit(now time.Time) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.rest == 0 {
		return true
	}
	if now.Before(b.until) || b.probing {
		return false
	}
	b.probing = true
	return true
}

// release ends a question that came to nothing.
func (b *breaker) release() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.probing = false
}

// report ends a question.
func (b *breaker) report(now time.Time, answered bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.probing = false
	if answered {
		b.failed, b.rest = 0, 0
		return
	}
	if b.failed++; b.failed < tripAfter {
		return
	}
	if b.rest == 0 {
		b.rest = firstRest
	} else if !now.Before(b.until) { // a late failure of before the rest does not lengthen it
		b.rest = min(2*b.rest, maxRest)
	} else {
		return
	}
	b.until = now.Add(b.rest)
}
