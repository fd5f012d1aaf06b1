// Package client calls Otpost's HTTP API, over TCP with a key or over the daemon's unix socket. It uses the same types as
// the server (api/wire). A refusal comes back as a *Problem, whose Code is stable:
//
//	c, err := client.New(client.Options{Address: "http://127.0.0.1:8475", Key: key})
//	…
//	challenge, err := c.EnableSMS(ctx, "client-4711", wire.Enable{Phone: "+447700900123"})
//	if p, ok := errors.AsType[*client.Problem](err); ok && p.Code == "rate-limited" { … }
//
// It is for Go programs and for the command line; it retries nothing by itself. Give WithIdempotencyKey to a call that
// sends or changes, and it can be repeated safely.
package client

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"otpost/api/wire"
)

// Problem is a refusal of the daemon.
type Problem = wire.Problem

// Options say where the daemon is and who calls. One of Address and Socket is needed.
type Options struct {
	Address   string        // "http://127.0.0.1:8475", "https://otpost.example:8475", or host:port
	Socket    string        // path of the unix socket; goes before Address
	Key       string        // API key; on the socket the peer's uid may do instead
	TLS       *tls.Config   // for https; nil: the system's roots
	Timeout   time.Duration // for one answer, waits and streams aside; 0: 30 s
	UserAgent string        // "" : "otpost-client"

	// Transport makes the requests in place of a connection, as the console does, which has the API at hand; nil: a
	// connection to Address or Socket.
	Transport http.RoundTripper
}

// Client calls one daemon. It is safe for concurrent use.
type Client struct {
	base    *url.URL
	key     string
	agent   string
	timeout time.Duration
	http    *http.Client
}

// maxAnswer bounds what is read of one answer.
const maxAnswer = 16 << 20

// New returns a client; it does not connect yet.
func New(o Options) (*Client, error) {
	address := o.Address
	if o.Socket != "" {
		address = "http://otpost"
	}
	if address == "" {
		return nil, errors.New("no address and no socket of the daemon given")
	}
	if !strings.Contains(address, "://") {
		address = "http://" + address
	}
	base, err := url.Parse(address)
	if err != nil || base.Host == "" || base.Scheme != "http" && base.Scheme != "https" {
		return nil, fmt.Errorf("address %q: want http://host:port or https://host:port", o.Address)
	}
	c := &Client{base: base, key: o.Key, agent: o.UserAgent, timeout: o.Timeout,
		http: &http.Client{Transport: o.transport(), CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}
	if c.timeout == 0 {
		c.timeout = 30 * time.Second
	}
	if c.agent == "" {
		c.agent = "otpost-client"
	}
	return c, nil
}

func (o Options) transport() http.RoundTripper {
	if o.Transport != nil {
		return o.Transport
	}
	t := &http.Transport{TLSClientConfig: o.TLS, Proxy: http.ProxyFromEnvironment, ForceAttemptHTTP2: true,
		TLSHandshakeTimeout: 10 * time.Second, IdleConnTimeout: 30 * time.Second, MaxIdleConnsPerHost: 16}
	if o.Socket != "" {
		t.Proxy = nil
		t.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, "unix", o.Socket)
		}
	}
	return t
}

// Close drops idle connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }

type idempotencyKey struct{}

// WithIdempotencyKey names the request made with ctx, so that repeating it within 24 hours changes nothing more. Make a
// new one for each request, and keep it for the repetitions.
func WithIdempotencyKey(ctx context.Context, key string) context.Context {
	return context.WithValue(ctx, idempotencyKey{}, key)
}

// Do makes one call: in (nil: none) is sent as JSON, and the answer is read into out (nil: ignored). A refusal is a
// *Problem. Typed methods exist for every call; Do is for those who need another.
func (c *Client) Do(ctx context.Context, method, path string, query url.Values, in, out any) error {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	res, err := c.send(ctx, method, path, query, in)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer))
	if err != nil {
		return fmt.Errorf("read the answer to %s %s: %w", method, path, err)
	}
	if out == nil || len(body) == 0 {
		return nil
	}
	if err := json.Unmarshal(body, out); err != nil {
		return fmt.Errorf("read the answer to %s %s: %w", method, path, err)
	}
	return nil
}

// send makes a request and turns refusals into errors; the caller closes the body of what is left.
func (c *Client) send(ctx context.Context, method, path string, query url.Values, in any) (*http.Response, error) {
	var body io.Reader
	if in != nil {
		b, err := json.Marshal(in)
		if err != nil {
			return nil, fmt.Errorf("encode the request: %w", err)
		}
		body = bytes.NewReader(b)
	}
	u := c.base.JoinPath(path)
	u.RawQuery = query.Encode()
	req, err := http.NewRequestWithContext(ctx, method, u.String(), body)
	if err != nil {
		return nil, fmt.Errorf("make the request: %w", err)
	}
	req.Header.Set("User-Agent", c.agent)
	req.Header.Set("Accept", "application/json")
	if in != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if c.key != "" {
		req.Header.Set("Authorization", "Bearer "+c.key)
	}
	if key, ok := ctx.Value(idempotencyKey{}).(string); ok && method == http.MethodPost {
		req.Header.Set("Idempotency-Key", key)
	}
	res, err := c.http.Do(req)
	if err != nil {
		return nil, fmt.Errorf("call the daemon: %w", err)
	}
	if res.StatusCode < 300 {
		return res, nil
	}
	defer res.Body.Close()
	return nil, refusal(res)
}

// refusal reads a problem; an answer that is none (a proxy's page, perhaps) becomes one by its status.
func refusal(res *http.Response) error {
	kind, _, _ := mime.ParseMediaType(res.Header.Get("Content-Type"))
	p := &Problem{}
	b, err := io.ReadAll(io.LimitReader(res.Body, 1<<20))
	if err == nil && kind == "application/problem+json" && json.Unmarshal(b, p) == nil && p.Code != "" {
		return p
	}
	return &Problem{Status: res.StatusCode, Code: "unexpected-answer", Title: res.Status,
		Detail: "something other than the daemon answered with " + res.Status}
}
