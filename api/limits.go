package api

import (
	"math"
	"net/http"
	"net/netip"
	"strconv"
	"sync"
	"time"

	"otpost/api/wire"
)

// maxSources bounds what is remembered of callers; the one seen longest ago goes first.
const maxSources = 4096

// quotaWindow is the window of the limit of requests per caller.
const quotaWindow = time.Minute

// quotas count the requests of each caller in windows of a minute. They guard the daemon, not money: the limits that do
// are durable and in otp. It is safe for concurrent use.
type quotas struct {
	mu      sync.Mutex
	windows map[string]*window // by caller; under mu
}

type window struct {
	began time.Time
	used  int
}

// take counts one request of who and returns what is left of its limit, and when the window ends.
func (q *quotas) take(now time.Time, who string, limit int) (left int, reset time.Duration) {
	q.mu.Lock()
	defer q.mu.Unlock()
	w := q.windows[who]
	if w == nil || now.Sub(w.began) >= quotaWindow {
		if w == nil {
			evict(q.windows, func(w *window) time.Time { return w.began })
		}
		w = &window{began: now}
		q.windows[who] = w
	}
	w.used++
	return limit - w.used, w.began.Add(quotaWindow).Sub(now)
}

// evict makes room for one more in a map by dropping the oldest.
func evict[K comparable, V any](m map[K]V, at func(V) time.Time) {
	if len(m) < maxSources {
		return
	}
	var (
		oldest K
		first  time.Time
		found  bool
	)
	for k, v := range m {
		if t := at(v); !found || t.Before(first) {
			oldest, first, found = k, t, true
		}
	}
	delete(m, oldest)
}

// withinQuota counts a request and says in the header fields of draft-ietf-httpapi-ratelimit-headers what is left.
func (s *Server) withinQuota(w http.ResponseWriter, who principal) *wire.Problem {
	limit := s.cfg.Limits.PerMinute
	if who.perMinute > 0 {
		limit = who.perMinute
	}
	left, reset := s.quotas.take(s.now(), who.id, limit)
	seconds := int(math.Ceil(reset.Seconds()))
	// Under the names as net/http would write them, which it need not work out then.
	w.Header()["Ratelimit-Policy"] = []string{`"requests";q=` + strconv.Itoa(limit) + `;w=` + strconv.Itoa(int(quotaWindow.Seconds()))}
	w.Header()["Ratelimit"] = []string{`"requests";r=` + strconv.Itoa(max(left, 0)) + `;t=` + strconv.Itoa(seconds)}
	if left >= 0 {
		return nil
	}
	s.metrics.refused.WithLabelValues("quota").Inc()
	p := after(problem(codeRateLimited, "this caller has made too many requests in the last minute"), reset)
	p.Limit = "requests"
	return p
}

// Penalties for wrong keys: after badKeys of them from one source within badWindow, further ones are told to come back
// later, each time for longer. A good key from the same source is let in all the same, so nobody can be locked out by a
// neighbour; what is held back is guessing (hopeless with 190 bits) and the noise of a forgotten client.
const (
	badKeys        = 10
	badWindow      = 10 * time.Minute
	firstPenalty   = time.Minute
	longestPenalty = time.Hour
)

// penalties is safe for concurrent use.
type penalties struct {
	mu      sync.Mutex
	sources map[netip.Prefix]*culprit // under mu
}

type culprit struct {
	first, last time.Time // of the wrong keys counted
	bad         int
	until       time.Time // of its penalty
	times       int       // penalties so far
}

// wrong counts a wrong key and returns for how long the source is to stay away (0: not yet), and whether that is new.
func (p *penalties) wrong(now time.Time, from netip.Addr) (wait time.Duration, fresh bool) {
	source := sourceRange(from)
	p.mu.Lock()
	defer p.mu.Unlock()
	c := p.sources[source]
	if c == nil || now.Sub(c.last) > longestPenalty+badWindow {
		if c == nil {
			evict(p.sources, func(c *culprit) time.Time { return c.last })
		}
		c = &culprit{first: now}
		p.sources[source] = c
	}
	if now.Sub(c.first) > badWindow {
		c.first, c.bad = now, 0
	}
	c.last = now
	c.bad++
	if now.Before(c.until) {
		return c.until.Sub(now), false
	}
	if c.bad <= badKeys {
		return 0, false
	}
	wait = min(firstPenalty<<min(c.times, 10), longestPenalty)
	c.times++
	c.bad, c.first, c.until = 0, now, now.Add(wait)
	return wait, true
}

// sourceRange is what counts as one source: an IPv4 address, a /64 of IPv6, and all of what has no address.
func sourceRange(a netip.Addr) netip.Prefix {
	bits := a.BitLen()
	if a.Is6() {
		bits = 64
	}
	p, err := a.Prefix(bits)
	if err != nil {
		return netip.Prefix{}
	}
	return p
}
