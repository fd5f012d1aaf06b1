package webhook

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"syscall"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
)

const (
	timeout    = 15 * time.Second
	dialTime   = 5 * time.Second
	readAtMost = 4 << 10 // of an answer, so that the connection can be used again
	longest    = time.Hour
)

// A Result says how a delivery ended.
type Result struct {
	OK         bool
	Gone       bool          // 410: the endpoint wants no more
	Status     int           // of the answer; 0: there was none
	Reason     string        // from a closed set: "ok", "gone", "redirect", "status", "forbidden-address", "timeout", "tls", "connect"
	RetryAfter time.Duration // as the endpoint asks; 0: it does not
	Took       time.Duration
}

var errForbidden = errors.New("address is not public")

// A Sender posts over HTTP. It is safe for concurrent use.
type Sender struct {
	open, closed *http.Client // closed refuses private addresses when it dials
	agent        string
}

// NewSender returns a Sender. config may hold extra certificate authorities; nil: the system's.
func NewSender(agent string, config *tls.Config) *Sender {
	return &Sender{open: client(config, nil), closed: client(config, publicOnly), agent: agent}
}

// publicOnly looks at the address that is really dialled, so that no name can point elsewhere between check and use.
func publicOnly(_, address string, _ syscall.RawConn) error {
	ap, err := netip.ParseAddrPort(address)
	if err != nil || !Public(ap.Addr()) {
		return errForbidden
	}
	return nil
}

func client(config *tls.Config, control func(string, string, syscall.RawConn) error) *http.Client {
	dialer := &net.Dialer{Timeout: dialTime, Control: control}
	return &http.Client{
		Timeout:       timeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{
			Proxy: nil, DialContext: dialer.DialContext, TLSClientConfig: config, TLSHandshakeTimeout: dialTime,
			ResponseHeaderTimeout: timeout, MaxIdleConnsPerHost: 1, IdleConnTimeout: time.Minute, ForceAttemptHTTP2: true,
			MaxResponseHeaderBytes: 16 << 10,
		},
	}
}

// Send posts body to the endpoint under the event's id, signed with each of its secrets at the time now.
func (s *Sender) Send(ctx context.Context, e Endpoint, id string, now time.Time, body []byte) Result {
	r := s.send(ctx, e, id, now, body)
	r.Took = time.Since(now)
	return r
}

func (s *Sender) send(ctx context.Context, e Endpoint, id string, now time.Time, body []byte) Result {
	req, err := s.request(ctx, e, id, now, body)
	if err != nil {
		return Result{Reason: "connect"}
	}
	c := s.closed
	if e.AllowPrivate {
		c = s.open
	}
	resp, err := c.Do(req)
	if err != nil {
		return Result{Reason: reason(err)}
	}
	defer resp.Body.Close()
	_, _ = io.CopyN(io.Discard, resp.Body, readAtMost) // only so that the connection can be used again
	return judge(resp)
}

func (s *Sender) request(ctx context.Context, e Endpoint, id string, now time.Time, body []byte) (*http.Request, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, e.URL, bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("make a request: %w", err)
	}
	var signatures []string
	for _, secret := range e.Secrets {
		wh, err := standardwebhooks.NewWebhook(secret.value)
		if err != nil {
			return nil, errors.New("webhook secret does not open")
		}
		signature, err := wh.Sign(id, now, body)
		if err != nil {
			return nil, fmt.Errorf("sign: %w", err)
		}
		signatures = append(signatures, signature)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", s.agent)
	req.Header.Set(standardwebhooks.HeaderWebhookID, id)
	req.Header.Set(standardwebhooks.HeaderWebhookTimestamp, strconv.FormatInt(now.Unix(), 10))
	req.Header.Set(standardwebhooks.HeaderWebhookSignature, strings.Join(signatures, " "))
	return req, nil
}

func judge(resp *http.Response) Result {
	r := Result{Status: resp.StatusCode, Reason: "status"}
	switch {
	case resp.StatusCode >= 200 && resp.StatusCode < 300:
		r.OK, r.Reason = true, "ok"
	case resp.StatusCode == http.StatusGone:
		r.Gone, r.Reason = true, "gone"
	case resp.StatusCode >= 300 && resp.StatusCode < 400:
		r.Reason = "redirect"
	}
	if n, err := strconv.Atoi(resp.Header.Get("Retry-After")); err == nil && n > 0 {
		r.RetryAfter = min(time.Duration(min(n, int(longest/time.Second)))*time.Second, longest)
	}
	return r
}

func reason(err error) string {
	var unknown *tls.CertificateVerificationError
	var record tls.RecordHeaderError
	var timeout net.Error
	switch {
	case errors.Is(err, errForbidden):
		return "forbidden-address"
	case errors.As(err, &timeout) && timeout.Timeout():
		return "timeout"
	case errors.As(err, &unknown), errors.As(err, &record):
		return "tls"
	}
	return "connect"
}
