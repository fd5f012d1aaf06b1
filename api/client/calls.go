package client

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"otpost/api/wire"
)

// path joins segments, each escaped.
func path(segments ...string) string {
	p := "/v1"
	for _, s := range segments {
		p += "/" + url.PathEscape(s)
	}
	return p
}

// call makes a call whose answer is a T.
func call[T any](ctx context.Context, c *Client, method, path string, query url.Values, in any) (*T, error) {
	out := new(T)
	if err := c.Do(ctx, method, path, query, in, out); err != nil {
		return nil, err
	}
	return out, nil
}

// Account looks at an account.
func (c *Client) Account(ctx context.Context, account string) (*wire.Account, error) {
	return call[wire.Account](ctx, c, http.MethodGet, path("accounts", account), nil, nil)
}

// SetPIN sets an account's PIN, or changes it when current is right.
func (c *Client) SetPIN(ctx context.Context, account, pin, current string) error {
	return c.Do(ctx, http.MethodPut, path("accounts", account, "pin"), nil, wire.SetPIN{PIN: wire.Secret(pin), CurrentPIN: wire.Secret(current)}, nil)
}

// SetGrade sets an account's grade.
func (c *Client) SetGrade(ctx context.Context, account string, grade int) (*wire.Account, error) {
	return call[wire.Account](ctx, c, http.MethodPut, path("accounts", account, "grade"), nil, wire.SetGrade{Grade: grade})
}

// EraseAccount removes an account's phone, PIN, challenges and messages.
func (c *Client) EraseAccount(ctx context.Context, account string) error {
	return c.Do(ctx, http.MethodDelete, path("accounts", account), nil, nil, nil)
}

// UnlockAccount clears the failure counters of an account and its phone.
func (c *Client) UnlockAccount(ctx context.Context, account string) (*wire.Account, error) {
	return call[wire.Account](ctx, c, http.MethodPost, path("accounts", account, "unlock"), nil, nil)
}

// EnableSMS sends the code that turns SMS codes on.
func (c *Client) EnableSMS(ctx context.Context, account string, in wire.Enable) (*wire.Challenge, error) {
	return call[wire.Challenge](ctx, c, http.MethodPost, path("accounts", account, "sms", "enable"), nil, in)
}

// VerifyEnableSMS turns SMS codes on when code and PIN are right.
func (c *Client) VerifyEnableSMS(ctx context.Context, account, code, pin string) (*wire.Account, error) {
	return call[wire.Account](ctx, c, http.MethodPost, path("accounts", account, "sms", "enable", "verify"), nil,
		wire.EnableVerify{Code: wire.Secret(code), PIN: wire.Secret(pin)})
}

// DisableSMS sends the code that turns SMS codes off.
func (c *Client) DisableSMS(ctx context.Context, account string, in wire.Disable) (*wire.Challenge, error) {
	return call[wire.Challenge](ctx, c, http.MethodPost, path("accounts", account, "sms", "disable"), nil, in)
}

// VerifyDisableSMS turns SMS codes off when the code is right.
func (c *Client) VerifyDisableSMS(ctx context.Context, account, code string) (*wire.Account, error) {
	return call[wire.Account](ctx, c, http.MethodPost, path("accounts", account, "sms", "disable", "verify"), nil,
		wire.DisableVerify{Code: wire.Secret(code)})
}

// CreateChallenge asks for a code.
func (c *Client) CreateChallenge(ctx context.Context, in wire.CreateChallenge) (*wire.Challenge, error) {
	return call[wire.Challenge](ctx, c, http.MethodPost, path("challenges"), nil, in)
}

// Challenge looks at a challenge.
func (c *Client) Challenge(ctx context.Context, id string) (*wire.Challenge, error) {
	return call[wire.Challenge](ctx, c, http.MethodGet, path("challenges", id), nil, nil)
}

// ResendChallenge sends a challenge's code again.
func (c *Client) ResendChallenge(ctx context.Context, id string) (*wire.Challenge, error) {
	return call[wire.Challenge](ctx, c, http.MethodPost, path("challenges", id, "resend"), nil, nil)
}

// VerifyChallenge answers a challenge.
func (c *Client) VerifyChallenge(ctx context.Context, id string, in wire.VerifyChallenge) (*wire.Challenge, error) {
	return call[wire.Challenge](ctx, c, http.MethodPost, path("challenges", id, "verify"), nil, in)
}

// CancelChallenge ends a challenge unanswered.
func (c *Client) CancelChallenge(ctx context.Context, id string) error {
	return c.Do(ctx, http.MethodDelete, path("challenges", id), nil, nil, nil)
}

// SendMessage sends a plain text.
func (c *Client) SendMessage(ctx context.Context, in wire.SendMessage) (*wire.Message, error) {
	return call[wire.Message](ctx, c, http.MethodPost, path("messages"), nil, in)
}

// Message looks at a message.
func (c *Client) Message(ctx context.Context, id string) (*wire.Message, error) {
	return call[wire.Message](ctx, c, http.MethodGet, path("messages", id), nil, nil)
}

// Page asks for one page of a list; zero fields take the daemon's defaults.
type Page struct {
	Limit  int
	Cursor string
}

func (p Page) query() url.Values {
	q := url.Values{}
	if p.Limit > 0 {
		q.Set("limit", strconv.Itoa(p.Limit))
	}
	if p.Cursor != "" {
		q.Set("cursor", p.Cursor)
	}
	return q
}

// Messages lists messages of a status ("" for all), newest first.
func (c *Client) Messages(ctx context.Context, status string, p Page) (*wire.Messages, error) {
	return c.FindMessages(ctx, MessageFilter{Status: status}, p)
}

// MessageFilter chooses messages; what is empty chooses all.
type MessageFilter struct {
	Status    string
	Modem     string // that had it last
	Recipient string // as NameRecipient names it
}

// FindMessages lists messages, newest first.
func (c *Client) FindMessages(ctx context.Context, f MessageFilter, p Page) (*wire.Messages, error) {
	q := p.query()
	for name, value := range map[string]string{"status": f.Status, "modem": f.Modem, "recipient": f.Recipient} {
		if value != "" {
			q.Set(name, value)
		}
	}
	return call[wire.Messages](ctx, c, http.MethodGet, path("messages"), q, nil)
}

// NameRecipient names a phone for a MessageFilter.
func (c *Client) NameRecipient(ctx context.Context, to string) (*wire.NamedRecipient, error) {
	return call[wire.NamedRecipient](ctx, c, http.MethodPost, path("recipients"), nil, wire.Recipient{To: wire.Secret(to)})
}

// Overview tells how codes fare now.
func (c *Client) Overview(ctx context.Context) (*wire.Overview, error) {
	return call[wire.Overview](ctx, c, http.MethodGet, path("overview"), nil, nil)
}

// CancelMessage ends a queued message.
func (c *Client) CancelMessage(ctx context.Context, id string) error {
	return c.Do(ctx, http.MethodDelete, path("messages", id), nil, nil, nil)
}

// Inbox lists inbound texts, newest first.
func (c *Client) Inbox(ctx context.Context, p Page) (*wire.Inbox, error) {
	return call[wire.Inbox](ctx, c, http.MethodGet, path("inbox"), p.query(), nil)
}

// Modems lists the modems.
func (c *Client) Modems(ctx context.Context) (*wire.Modems, error) {
	return call[wire.Modems](ctx, c, http.MethodGet, path("modems"), nil, nil)
}

// Modem looks at a modem.
func (c *Client) Modem(ctx context.Context, name string) (*wire.Modem, error) {
	return call[wire.Modem](ctx, c, http.MethodGet, path("modems", name), nil, nil)
}

// PauseModem takes a modem out of routing.
func (c *Client) PauseModem(ctx context.Context, name string) (*wire.Modem, error) {
	return call[wire.Modem](ctx, c, http.MethodPost, path("modems", name, "pause"), nil, nil)
}

// ResumeModem puts a modem back into routing.
func (c *Client) ResumeModem(ctx context.Context, name string) (*wire.Modem, error) {
	return call[wire.Modem](ctx, c, http.MethodPost, path("modems", name, "resume"), nil, nil)
}

// modemPatience is how long the daemon gives a modem for a reset or a USSD dialogue, and some.
const modemPatience = 4 * time.Minute

func (c *Client) patient() *Client {
	p := *c
	p.timeout = max(p.timeout, modemPatience)
	return &p
}

// ResetModem takes a modem through its recovery, which may take minutes.
func (c *Client) ResetModem(ctx context.Context, name string) (*wire.Modem, error) {
	return call[wire.Modem](ctx, c.patient(), http.MethodPost, path("modems", name, "reset"), nil, nil)
}

// DialUSSD dials a USSD code and returns the network's text, which may take minutes.
func (c *Client) DialUSSD(ctx context.Context, name, code string) (string, error) {
	out, err := call[wire.USSDAnswer](ctx, c.patient(), http.MethodPost, path("modems", name, "ussd"), nil, wire.USSD{Code: wire.Secret(code)})
	if err != nil {
		return "", err
	}
	return out.Answer, nil
}

// CreateKey makes an API key; its token is in this answer only.
func (c *Client) CreateKey(ctx context.Context, in wire.CreateKey) (*wire.CreatedKey, error) {
	return call[wire.CreatedKey](ctx, c, http.MethodPost, path("keys"), nil, in)
}

// Keys lists the API keys.
func (c *Client) Keys(ctx context.Context) (*wire.Keys, error) {
	return call[wire.Keys](ctx, c, http.MethodGet, path("keys"), nil, nil)
}

// RevokeKey ends an API key at once.
func (c *Client) RevokeKey(ctx context.Context, id string) (*wire.Key, error) {
	return call[wire.Key](ctx, c, http.MethodDelete, path("keys", id), nil, nil)
}

// RotateKey gives an API key a new token; the old one works on for overlap ("" for a day).
func (c *Client) RotateKey(ctx context.Context, id, overlap string) (*wire.CreatedKey, error) {
	return call[wire.CreatedKey](ctx, c, http.MethodPost, path("keys", id, "rotate"), nil, wire.RotateKey{Overlap: overlap})
}

// SimulatorQuery chooses what simulated phones got.
type SimulatorQuery struct {
	To    string        // a number; "" for all
	After time.Time     // only what came later
	Wait  time.Duration // how long to wait for the first one
}

// SimulatorMessages returns what simulated phones got, newest first; only with a simulated modem.
func (c *Client) SimulatorMessages(ctx context.Context, s SimulatorQuery) (*wire.SimulatedMessages, error) {
	q := url.Values{}
	if s.To != "" {
		q.Set("to", s.To)
	}
	if !s.After.IsZero() {
		q.Set("after", s.After.UTC().Format(time.RFC3339Nano))
	}
	if s.Wait > 0 {
		q.Set("wait", s.Wait.String())
	}
	waiting := *c
	waiting.timeout += s.Wait
	return call[wire.SimulatedMessages](ctx, &waiting, http.MethodGet, path("simulator", "messages"), q, nil)
}

// Caller asks who the daemon takes the caller for, and what that one may do.
func (c *Client) Caller(ctx context.Context) (*wire.Caller, error) {
	return call[wire.Caller](ctx, c, http.MethodGet, path("caller"), nil, nil)
}

// Health asks whether the daemon is alive.
func (c *Client) Health(ctx context.Context) (*wire.Health, error) {
	return call[wire.Health](ctx, c, http.MethodGet, "/healthz", nil, nil)
}

// Ready asks whether the daemon can do its work; while it cannot, that is an error.
func (c *Client) Ready(ctx context.Context) (*wire.Health, error) {
	return call[wire.Health](ctx, c, http.MethodGet, "/readyz", nil, nil)
}

// Identities lists an account's ways to get codes.
func (c *Client) Identities(ctx context.Context, account string) (*wire.IdentityList, error) {
	return call[wire.IdentityList](ctx, c, http.MethodGet, path("accounts", account, "identities"), nil, nil)
}

// Failures tells where the counters of wrong answers stand that judge an account's answers.
func (c *Client) Failures(ctx context.Context, account string) (*wire.FailureCounters, error) {
	return call[wire.FailureCounters](ctx, c, http.MethodGet, path("accounts", account, "failures"), nil, nil)
}

// TraceModem returns the latest lines between the daemon and a modem, redacted.
func (c *Client) TraceModem(ctx context.Context, name string) (*wire.Trace, error) {
	return call[wire.Trace](ctx, c, http.MethodGet, path("modems", name, "trace"), nil, nil)
}

// Webhooks lists the endpoints that events are posted to.
func (c *Client) Webhooks(ctx context.Context) (*wire.Webhooks, error) {
	return call[wire.Webhooks](ctx, c, http.MethodGet, path("webhooks"), nil, nil)
}

// WebhookDeliveries lists the latest attempts to post to an endpoint, newest first.
func (c *Client) WebhookDeliveries(ctx context.Context, name string, limit int) (*wire.Deliveries, error) {
	return call[wire.Deliveries](ctx, c, http.MethodGet, path("webhooks", name, "deliveries"), url.Values{"limit": {strconv.Itoa(limit)}}, nil)
}

// TestWebhook posts a test event to an endpoint and says how that went.
func (c *Client) TestWebhook(ctx context.Context, name string) (*wire.Delivery, error) {
	return call[wire.Delivery](ctx, c.patient(), http.MethodPost, path("webhooks", name, "test"), nil, nil)
}

// ReplayWebhook has the stored events since an instant posted again.
func (c *Client) ReplayWebhook(ctx context.Context, name string, since time.Time) (*wire.Replayed, error) {
	return call[wire.Replayed](ctx, c, http.MethodPost, path("webhooks", name, "replay"), nil, wire.ReplayWebhook{Since: since})
}

// EnableWebhook switches an endpoint on again that a 410 had switched off.
func (c *Client) EnableWebhook(ctx context.Context, name string) error {
	return c.Do(ctx, http.MethodPost, path("webhooks", name, "enable"), nil, nil, nil)
}

// MasterKeys lists the keys of the key file that the daemon knows, by id.
func (c *Client) MasterKeys(ctx context.Context) (*wire.MasterKeys, error) {
	return call[wire.MasterKeys](ctx, c.patient(), http.MethodGet, path("master-keys"), nil, nil)
}
