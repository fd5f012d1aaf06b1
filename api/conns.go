package api

import (
	"context"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
)

// conns caps the connections of one listener, in all and by source. At a cap one goes on which nobody who was let in has a
// request with its handler (what a stranger asks for, be it a slow form or a page, protects nothing): first of sources that
// have shown no key, then of those on which none was shown yet; of these one of the source that has most, and of these the
// one that has been without a request for longest. So strangers, however many, push out each other and not those who were
// let in, and whoever opens connections only to hold them loses them to those who use theirs. For the cap by source the
// choice is among that source's. Where all are in use, the new one goes. It is safe for concurrent use.
type conns struct {
	net.Listener
	total, perSource int
	dropped          func(limit string)
	count            func(delta float64)

	mu   sync.Mutex
	open map[*conn]struct{} // under mu
	of   map[netip.Prefix]tally
	next uint64 // age of the next connection
}

// tally counts the connections of one source, and those of them on which a caller was let in.
type tally struct{ open, known int }

// conn is one connection. Its age is renewed when a request on it ends.
type conn struct {
	net.Conn
	of     *conns
	source netip.Prefix
	age    atomic.Uint64
	busy   atomic.Bool // a request that was let in is with its handler
	known  bool        // a caller was let in on it; under of.mu
}

func newConns(l net.Listener, limits Limits, m *metrics) *conns {
	kind := "tcp"
	perSource := limits.PerPeer
	if l.Addr().Network() == "unix" {
		kind, perSource = "unix", limits.Conns // all peers of a socket are one source
	}
	return &conns{Listener: l, total: limits.Conns, perSource: perSource, open: map[*conn]struct{}{}, of: map[netip.Prefix]tally{},
		dropped: func(limit string) { m.dropped.WithLabelValues(limit).Inc() },
		count:   func(delta float64) { m.conns.WithLabelValues(kind).Add(delta) }}
}

// Accept implements net.Listener.
func (l *conns) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if kept, ok := l.admit(c); ok {
			return kept, nil
		}
		_ = c.Close() // it was never used
	}
}

func (l *conns) admit(c net.Conn) (*conn, bool) {
	n := &conn{Conn: c, of: l}
	if a, err := netip.ParseAddrPort(c.RemoteAddr().String()); err == nil {
		n.source = sourceRange(a.Addr().Unmap().WithZone(""))
	}
	l.mu.Lock()
	var victim *conn
	limit := ""
	switch {
	case l.of[n.source].open >= l.perSource:
		limit = "source"
		victim = l.victim(func(c *conn) bool { return c.source == n.source })
	case len(l.open) >= l.total:
		limit = "total"
		victim = l.victim(func(*conn) bool { return true })
	}
	fits := limit == "" || victim != nil
	if fits {
		if victim != nil {
			l.forget(victim) // first, that never more are counted than may be
		}
		l.next++
		n.age.Store(l.next)
		l.open[n] = struct{}{}
		l.tally(n.source, 1, 0)
		l.count(1)
	}
	l.mu.Unlock()
	if limit != "" {
		l.dropped(limit)
	}
	if victim != nil {
		_ = victim.Close() // its reader learns it from the error
	}
	return n, fits
}

// victim returns the connection that is to go, of those that fit. The caller holds mu.
func (l *conns) victim(fits func(*conn) bool) *conn {
	var first *conn
	for c := range l.open {
		if !c.busy.Load() && fits(c) && (first == nil || l.before(c, first)) {
			first = c
		}
	}
	return first
}

// before says whether a goes rather than b.
func (l *conns) before(a, b *conn) bool {
	if ra, rb := l.standing(a), l.standing(b); ra != rb {
		return ra < rb
	}
	if na, nb := l.of[a.source].open, l.of[b.source].open; na != nb {
		return na > nb
	}
	return a.age.Load() < b.age.Load()
}

func (l *conns) standing(c *conn) int {
	switch {
	case c.known:
		return 2
	case l.of[c.source].known > 0:
		return 1
	}
	return 0
}

// tally adds to what is counted of a source. The caller holds mu.
func (l *conns) tally(source netip.Prefix, open, known int) {
	t := l.of[source]
	if t.open, t.known = t.open+open, t.known+known; t.open == 0 {
		delete(l.of, source)
		return
	}
	l.of[source] = t
}

// forget takes a connection out of what is counted, once. The caller holds mu.
func (l *conns) forget(c *conn) {
	if _, open := l.open[c]; !open {
		return
	}
	delete(l.open, c)
	known := 0
	if c.known {
		known = -1
	}
	l.tally(c.source, -1, known)
	l.count(-1)
}

// Close implements net.Conn.
func (c *conn) Close() error {
	c.of.mu.Lock()
	c.of.forget(c)
	c.of.mu.Unlock()
	return c.Conn.Close()
}

// NetConn gives access to the connection below, as tls.Conn does.
func (c *conn) NetConn() net.Conn { return c.Conn }

// rest marks the connection as having no request with its handler.
func (c *conn) rest() {
	c.of.mu.Lock()
	c.of.next++
	c.age.Store(c.of.next)
	c.of.mu.Unlock()
	c.busy.Store(false)
}

type connKey struct{}

// markConn is the server's ConnContext: it notes the connection, and who is at its other end if that can be known.
func markConn(ctx context.Context, c net.Conn) context.Context {
	for {
		if own, ok := c.(*conn); ok {
			ctx = context.WithValue(ctx, connKey{}, own)
		}
		below, ok := c.(interface{ NetConn() net.Conn })
		if !ok {
			return markPeer(ctx, c)
		}
		c = below.NetConn()
	}
}

type outsideKey struct{}

// ofPage notes the connection of a page's request for a call that the page makes in this process: whoever is let in there
// is let in on that connection.
func ofPage(ctx context.Context) context.Context {
	return context.WithValue(ctx, outsideKey{}, ctx.Value(connKey{}))
}

// letInOn marks the connection of a request as busy until the request is answered, and, for a caller who is known, as one of
// somebody known.
func letInOn(ctx context.Context, known bool) {
	c, ok := ctx.Value(connKey{}).(*conn)
	if !ok {
		c, ok = ctx.Value(outsideKey{}).(*conn)
	}
	if !ok {
		return
	}
	c.busy.Store(true)
	c.of.mu.Lock()
	defer c.of.mu.Unlock()
	if _, open := c.of.open[c]; known && open && !c.known {
		c.known = true
		c.of.tally(c.source, 0, 1)
	}
}

// answeredOn marks the connection of a request as one without, once it is answered.
func answeredOn(ctx context.Context) {
	if c, ok := ctx.Value(connKey{}).(*conn); ok {
		c.rest()
	}
}
