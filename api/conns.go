package api

import (
	"context"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
)

// conns caps the connections of one listener, in all and by source. At a cap the connection goes that has been without a
// request for longest (of the same source, for the cap by source): whoever opens connections only to hold them loses
// them to those who use theirs. Where all are in use, the new one goes. It is safe for concurrent use.
type conns struct {
	net.Listener
	total, perSource int
	dropped          func(limit string)
	count            func(delta float64)

	mu   sync.Mutex
	open map[*conn]struct{} // under mu
	of   map[netip.Prefix]int
	next uint64 // age of the next connection
}

// conn is one connection. Its age is renewed when a request on it ends.
type conn struct {
	net.Conn
	of     *conns
	source netip.Prefix
	age    atomic.Uint64
	busy   atomic.Bool // a request is with its handler
	closed sync.Once
}

func newConns(l net.Listener, limits Limits, m *metrics) *conns {
	kind := "tcp"
	perSource := limits.PerPeer
	if l.Addr().Network() == "unix" {
		kind, perSource = "unix", limits.Conns // all peers of a socket are one source
	}
	return &conns{Listener: l, total: limits.Conns, perSource: perSource, open: map[*conn]struct{}{}, of: map[netip.Prefix]int{},
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
	case l.of[n.source] >= l.perSource:
		limit = "source"
		victim = l.idlest(func(c *conn) bool { return c.source == n.source })
	case len(l.open) >= l.total:
		limit = "total"
		victim = l.idlest(func(*conn) bool { return true })
	}
	fits := limit == "" || victim != nil
	if fits {
		l.next++
		n.age.Store(l.next)
		l.open[n] = struct{}{}
		l.of[n.source]++
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

// idlest returns the connection that fits and has been without a request for longest. The caller holds mu.
func (l *conns) idlest(fits func(*conn) bool) *conn {
	var oldest *conn
	for c := range l.open {
		if !c.busy.Load() && fits(c) && (oldest == nil || c.age.Load() < oldest.age.Load()) {
			oldest = c
		}
	}
	return oldest
}

// Close implements net.Conn.
func (c *conn) Close() error {
	c.closed.Do(func() {
		c.of.mu.Lock()
		defer c.of.mu.Unlock()
		delete(c.of.open, c)
		if c.of.of[c.source]--; c.of.of[c.source] == 0 {
			delete(c.of.of, c.source)
		}
		c.of.count(-1)
	})
	return c.Conn.Close()
}

// NetConn gives access to the connection below, as tls.Conn does.
func (c *conn) NetConn() net.Conn { return c.Conn }

// use marks the connection as having a request with its handler, until the function that it returns is called.
func (c *conn) use() (done func()) {
	c.busy.Store(true)
	return func() {
		c.of.mu.Lock()
		c.of.next++
		c.age.Store(c.of.next)
		c.of.mu.Unlock()
		c.busy.Store(false)
	}
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

// inUse marks the connection of a request as busy while the request is answered.
func inUse(ctx context.Context) (done func()) {
	if c, ok := ctx.Value(connKey{}).(*conn); ok {
		return c.use()
	}
	return func() {}
}
