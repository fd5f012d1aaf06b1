package bench

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"
)

// caller makes requests to one server over kept connections. It writes and reads them itself: the load shares the
// processors with what it measures, and net/http's client, with its two goroutines a connection, takes as much of them as
// the yardstick's server.
type caller struct {
	addr, token string

	mu   sync.Mutex
	free []*conn
}

// conn is a connection that nobody else uses at the time.
type conn struct {
	net.Conn
	in   *bufio.Reader
	used time.Time
}

const (
	callPatience = time.Minute
	connIdle     = 30 * time.Second // below what servers wait for the next request
)

func newCaller(base, token string) *caller {
	return &caller{addr: strings.TrimPrefix(base, "http://"), token: token}
}

type body map[string]any

// call makes a request that must be answered with a status below 300, and decodes the answer into out.
func (c *caller) call(ctx context.Context, method, path string, in, out any) error {
	request, err := c.request(method, path, in)
	if err != nil {
		return err
	}
	cn, err := c.take(ctx)
	if err != nil {
		return err
	}
	status, answer, err := cn.exchange(request)
	if err != nil {
		_ = cn.Close() // the exchange's error says it
		return fmt.Errorf("%s %s: %w", method, path, err)
	}
	c.give(cn)
	if status >= 300 {
		return fmt.Errorf("%s %s: %d %s", method, path, status, answer)
	}
	if out == nil {
		return nil
	}
	return json.Unmarshal(answer, out)
}

func (c *caller) request(method, path string, in any) ([]byte, error) {
	var content []byte
	if in != nil {
		var err error
		if content, err = json.Marshal(in); err != nil {
			return nil, err
		}
	}
	b := make([]byte, 0, 256+len(content))
	b = fmt.Appendf(b, "%s %s HTTP/1.1\r\nHost: %s\r\n", method, path, c.addr)
	if c.token != "" {
		b = fmt.Appendf(b, "Authorization: Bearer %s\r\n", c.token)
	}
	if in != nil {
		b = fmt.Appendf(b, "Content-Type: application/json\r\nContent-Length: %d\r\n", len(content))
	}
	return append(append(b, "\r\n"...), content...), nil
}

// take returns the connection that was used last, unless the server may have closed it by now.
func (c *caller) take(ctx context.Context) (*conn, error) {
	c.mu.Lock()
	var cn *conn
	if n := len(c.free); n > 0 {
		cn, c.free = c.free[n-1], c.free[:n-1]
	}
	c.mu.Unlock()
	if cn != nil && time.Since(cn.used) < connIdle {
		return cn, nil
	}
	if cn != nil {
		_ = cn.Close() // it is not needed any more
	}
	var d net.Dialer
	raw, err := d.DialContext(ctx, "tcp", c.addr)
	if err != nil {
		return nil, err
	}
	return &conn{Conn: raw, in: bufio.NewReader(raw)}, nil
}

func (c *caller) give(cn *conn) {
	cn.used = time.Now()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.free = append(c.free, cn)
}

// close lets go of all connections.
func (c *caller) close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, cn := range c.free {
		_ = cn.Close() // it is not needed any more
	}
	c.free = nil
}

// exchange writes a request and reads its answer.
func (cn *conn) exchange(request []byte) (status int, answer []byte, err error) {
	if err := cn.SetDeadline(time.Now().Add(callPatience)); err != nil {
		return 0, nil, err
	}
	if _, err := cn.Write(request); err != nil {
		return 0, nil, err
	}
	resp, err := http.ReadResponse(cn.in, nil)
	if err != nil {
		return 0, nil, err
	}
	defer resp.Body.Close()
	var b bytes.Buffer
	b.Grow(int(max(0, resp.ContentLength)) + bytes.MinRead)
	if _, err := io.Copy(&b, resp.Body); err != nil {
		return 0, nil, err
	}
	if resp.Close {
		return 0, nil, fmt.Errorf("the server closes the connection after %s %s", resp.Status, b.Bytes())
	}
	return resp.StatusCode, b.Bytes(), nil
}
