package otp

import (
	"slices"
	"time"
)

// fineQuota is the largest quota of which every send is kept; above it, sends are kept in 48 heaps per window.
const fineQuota = 64

// window is the memory of one limit: its sends, oldest first. It never lets more than the quota through in any span of
// its length: a heap of sends counts until the youngest of them has left.
type window []hit

// hit is one send, or a heap of them. ID tells a limit of different things apart from a limit of sends.
type hit struct {
	At time.Time `json:"at"`
	N  int       `json:"n"`
	ID string    `json:"id,omitempty"`
}

// settle drops what has left the window. A hit in the future means that the clock was set back: it counts from now on.
func (w window) settle(now time.Time, span time.Duration) window {
	kept := make(window, 0, len(w)+1)
	for _, h := range w {
		if h.At.After(now) {
			h.At = now
		}
		if now.Sub(h.At) < span {
			kept = append(kept, h)
		}
	}
	return kept
}

func (w window) count() (n int) {
	for _, h := range w {
		n += h.N
	}
	return n
}

func (w window) has(id string) bool {
	return slices.ContainsFunc(w, func(h hit) bool { return h.ID == id })
}

// reset returns how long until the window holds less than it does, zero when it is empty. w is settled.
func (w window) reset(now time.Time, span time.Duration) time.Duration {
	if len(w) == 0 {
		return 0
	}
	return span - now.Sub(w[0].At)
}

// retry returns how long until there is room for one more under quota. w is settled.
func (w window) retry(now time.Time, span time.Duration, quota int) time.Duration {
	over := w.count() - quota + 1
	for _, h := range w {
		if over <= 0 {
			break
		}
		if over -= h.N; over <= 0 {
			return span - now.Sub(h.At)
		}
	}
	return 0
}

// add notes one send.
func (w window) add(now time.Time, span time.Duration, quota int, id string) window {
	if last := len(w) - 1; quota > fineQuota && last >= 0 && w[last].At.Truncate(span/48).Equal(now.Truncate(span/48)) {
		w[last].At, w[last].N = now, w[last].N+1
		return w
	}
	return append(w, hit{At: now, N: 1, ID: id})
}

// limit is one quota as it applies to one send.
type limit struct {
	name  string
	key   string // of its window in the store
	quota int
	span  time.Duration
	id    string // counted once per id; empty: each send counts
}

// state tells where l stands with w, which is settled.
func (l limit) state(w window, now time.Time) LimitState {
	return LimitState{
		Name: l.name, Quota: l.quota, Window: l.span,
		Remaining: max(0, l.quota-w.count()), Reset: w.reset(now, l.span),
	}
}

// admits tells whether one more send fits.
func (l limit) admits(w window) bool { return l.id != "" && w.has(l.id) || w.count() < l.quota }

// refusal is the answer when it does not.
func (l limit) refusal(w window, now time.Time) *Error {
	e := refuse(RateLimited, "no more than %d in %v (%s)", l.quota, l.span, l.name)
	e.Limit, e.RateLimit, e.RetryAfter = l.name, l.state(w, now), w.retry(now, l.span, l.quota)
	return e
}
