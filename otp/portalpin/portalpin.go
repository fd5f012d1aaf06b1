// Package portalpin asks the portal whether a PIN is right, for portals that keep the PINs themselves (pin.mode portal).
//
// One question is one HTTP POST of {"type":"pin.check","timestamp":…,"data":{"account":…,"pin":…}}, signed by the Standard
// Webhooks rules, so the portal knows that it comes from Otpost and not when it was recorded. The portal answers 200 with
// {"valid":true} or {"valid":false}. Everything else, late answers included, is no answer: the PIN counts as unchecked,
// never as right. After several such in a row the breaker stops asking for a while, so that a portal in trouble is left
// alone and its clients are told at once.
package portalpin

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"otpost/gateway/store"
	"otpost/otp"
)

// ErrOpen is returned without asking while the breaker is open.
var ErrOpen = errors.New("portal has not answered lately, not asking")

const (
	defaultTimeout = 3 * time.Second
	maxAnswer      = 4096
	maxConnections = 16
)

// Config is what a Checker works with.
type Config struct {
	URL       string        // https, or http to this machine only
	Secret    []byte        // signs the questions; at least 24 bytes
	Timeout   time.Duration // of one question; zero: 3 s
	Random    io.Reader
	Transport http.RoundTripper // nil: one of its own
}

// Checker asks the portal. It is safe for concurrent use.
type Checker struct {
	url     string
	hook    *standardwebhooks.Webhook
	client  *http.Client
	random  io.Reader
	breaker breaker
}

var _ otp.PINChecker = (*Checker)(nil)

// New returns a checker. It asks nothing yet.
func New(c Config) (*Checker, error) {
	if err := checkURL(c.URL); err != nil {
		return nil, err
	}
	if len(c.Secret) < 24 {
		return nil, fmt.Errorf("pin.secret: %d bytes are too few, use at least 24", len(c.Secret))
	}
	hook, err := standardwebhooks.NewWebhookRaw(c.Secret)
	if err != nil {
		return nil, fmt.Errorf("pin.secret: %w", err)
	}
	if c.Timeout == 0 {
		c.Timeout = defaultTimeout
	}
	if c.Transport == nil {
		c.Transport = &http.Transport{MaxConnsPerHost: maxConnections, MaxIdleConns: maxConnections, IdleConnTimeout: time.Minute}
	}
	client := &http.Client{
		Transport: c.Transport, Timeout: c.Timeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return &Checker{url: c.URL, hook: hook, client: client, random: c.Random}, nil
}

// checkURL refuses to carry PINs over a network in the clear.
func checkURL(s string) error {
	u, err := url.Parse(s)
	if err != nil || u.Host == "" || u.User != nil {
		return errors.New("pin.url: must be a URL such as https://portal.example/otpost/pin, without a password")
	}
	ip := net.ParseIP(u.Hostname())
	local := u.Hostname() == "localhost" || ip != nil && ip.IsLoopback()
	if u.Scheme != "https" && (u.Scheme != "http" || !local) {
		return errors.New("pin.url: must be https, or http to this machine")
	}
	return nil
}

// question is the body of a request.
type question struct {
	Type      string    `json:"type"`
	Timestamp time.Time `json:"timestamp"`
	Data      data      `json:"data"`
}

type data struct {
	Account string `json:"account"`
	PIN     string `json:"pin"`
}

// CheckPIN implements otp.PINChecker.
func (c *Checker) CheckPIN(ctx context.Context, account, pin string) (bool, error) {
	if !c.breaker.admit(time.Now()) {
		return false, ErrOpen
	}
	valid, err := c.ask(ctx, account, pin)
	if err != nil && ctx.Err() != nil {
		c.breaker.release() // the client went away, which says nothing about the portal
		return false, err
	}
	c.breaker.report(time.Now(), err == nil)
	return valid, err
}

func (c *Checker) ask(ctx context.Context, account, pin string) (bool, error) {
	req, err := c.request(ctx, time.Now(), account, pin)
	if err != nil {
		return false, err
	}
	resp, err := c.client.Do(req)
	if err != nil {
		return false, fmt.Errorf("ask the portal for a pin: %w", withoutURL(err))
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return false, fmt.Errorf("ask the portal for a pin: it answered %d, want 200", resp.StatusCode)
	}
	return parseAnswer(io.LimitReader(resp.Body, maxAnswer))
}

func (c *Checker) request(ctx context.Context, now time.Time, account, pin string) (*http.Request, error) {
	id, err := store.NewID("pin_", now, c.random)
	if err != nil {
		return nil, err
	}
	body, err := json.Marshal(question{Type: "pin.check", Timestamp: now.UTC(), Data: data{Account: account, PIN: pin}})
	if err != nil {
		return nil, fmt.Errorf("encode a question: %w", err)
	}
	signature, err := c.hook.Sign(id, now, body)
	if err != nil {
		return nil, fmt.Errorf("sign a question: %w", err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.url, bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("make a question: %w", err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set(standardwebhooks.HeaderWebhookID, id)
	req.Header.Set(standardwebhooks.HeaderWebhookTimestamp, strconv.FormatInt(now.Unix(), 10))
	req.Header.Set(standardwebhooks.HeaderWebhookSignature, signature)
	return req, nil
}

// parseAnswer takes nothing but a plain yes or no.
func parseAnswer(r io.Reader) (bool, error) {
	var answer struct {
		Valid *bool `json:"valid"`
	}
	d := json.NewDecoder(r)
	if err := d.Decode(&answer); err != nil {
		return false, fmt.Errorf("read the portal's answer: %w", err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) || answer.Valid == nil {
		return false, errors.New(`read the portal's answer: want {"valid":true} or {"valid":false}`)
	}
	return *answer.Valid, nil
}

// withoutURL keeps an address that may carry a token out of logs.
func withoutURL(err error) error {
	if e := new(url.Error); errors.As(err, &e) {
		return e.Err
	}
	return err
}
