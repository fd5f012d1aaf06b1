package console

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"otpost/api/client"
	"otpost/api/wire"
)

// trial is how far a visitor is with the try-it page. What accounts and challenges are is the API's to say; here stands only which
// ones the page is about. No PIN is kept.
type trial struct {
	Account     string
	Phone       string
	Enable      string // ids of challenges
	Disable     string
	Withdrawal  string
	Transaction wire.Transaction
	Log         []exchange // newest first
}

// maxLog bounds the exchanges that are kept for a visitor.
const maxLog = 20

// suggested numbers reach nobody: Ofcom's range for drama.
const suggestedPhone = "+447700900150"

func newTrial() trial {
	return trial{Account: "try-" + strings.ToLower(rand.Text()[:6]), Phone: suggestedPhone,
		Transaction: wire.Transaction{Amount: "250.00", Currency: "EUR", Payee: "IE29AIBK93115212345678"}}
}

// tryPage is the portal's settings and withdrawal, the phone beside them, and what went over the API.
type tryPage struct {
	trial
	Allowed    bool // the visitor's key may call for the portal
	Known      bool // the account exists
	Now        wire.Account
	Enabling   *step
	Disabling  *step
	Withdrawn  *step
	Text       *bubble // the newest text on the phone
	PhonePath  string
	AccountURL string
}

// step is a challenge that waits for its code.
type step struct {
	wire.Challenge
	Pending bool
	Left    int // seconds of its life
}

// tryIt plays the portal.
func tryIt(q *request) error {
	page := tryPage{trial: q.session.trial(), Allowed: q.may(scopePortal)}
	if page.Allowed {
		if err := q.readTrial(&page); err != nil {
			return err
		}
	}
	return q.show("try", q.console.words.text("try.title"), page)
}

// readTrial asks the API how things stand.
func (q *request) readTrial(page *tryPage) error {
	page.AccountURL = "/v1/accounts/" + url.PathEscape(page.Account)
	page.PhonePath = threadPath(page.Phone)
	account, err := q.api.Account(q.Context(), page.Account)
	switch {
	case err == nil:
		page.Known, page.Now = true, *account
	case !isProblem(err, http.StatusNotFound) && !isProblem(err, http.StatusUnprocessableEntity) && !isProblem(err, http.StatusBadRequest):
		return err
	}
	for _, c := range []struct {
		id string
		to **step
	}{{page.Enable, &page.Enabling}, {page.Disable, &page.Disabling}, {page.Withdrawal, &page.Withdrawn}} {
		if *c.to, err = q.step(c.id); err != nil {
			return err
		}
	}
	got, err := simulator{q.api}.texts(q.Context(), page.Phone, 1)
	if isProblem(err, http.StatusUnprocessableEntity) || isProblem(err, http.StatusBadRequest) {
		return nil // what was typed is no number, so no phone has it
	}
	if err != nil || len(got) == 0 {
		return err
	}
	sent, err := q.sentTo(page.Phone)
	if err != nil {
		return err
	}
	page.Text = &thread(q.console.now(), page.Phone, got, nil, sent)[0]
	return nil
}

// step reads a challenge; nil where there is none.
func (q *request) step(id string) (*step, error) {
	if id == "" {
		return nil, nil
	}
	c, err := q.api.Challenge(q.Context(), id)
	if isProblem(err, http.StatusNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return &step{*c, c.Status == "pending", left(q.console.now(), c.ExpiresAt)}, nil
}

func isProblem(err error, status int) bool {
	p, ok := errors.AsType[*client.Problem](err)
	return ok && p.Status == status
}

// play makes one call of the portal, keeps the exchange, and goes back to the page. The call may change the trial, once it succeeded.
func (q *request) play(said string, at string, call func(context.Context, *client.Client, *trial) error) error {
	rec := &recorder{next: inside{api: q.console.cfg.API, outer: q.Request, w: q.w}}
	api, err := client.New(client.Options{Address: "http://" + cmp.Or(q.Host, "otpost"), Key: string(q.session.key), UserAgent: "otpost-console", Transport: rec})
	if err != nil {
		return err
	}
	t := q.session.trial()
	err = call(q.once(), api, &t)
	t.Log = append(slices.Clone(rec.seen), t.Log...)
	t.Log = t.Log[:min(len(t.Log), maxLog)]
	q.session.keep(t)
	return q.done(err, Base+"try#"+at, said)
}

// field is a form's field without the spaces around it.
func (q *request) field(name string) string { return strings.TrimSpace(q.PostFormValue(name)) }

// secret is a form's field that no log shows.
func (q *request) secret(name string) wire.Secret { return wire.Secret(q.field(name)) }

// tryAccount goes on with another account; without a name, with a new one.
func tryAccount(q *request) error {
	t := newTrial()
	t.Account = cmp.Or(q.field("account"), t.Account)
	q.session.keep(t)
	return q.redirect(Base + "try")
}

// tryPIN sets the account's PIN.
func tryPIN(q *request) error {
	return q.play("try.pin_set", "sms", func(ctx context.Context, api *client.Client, t *trial) error {
		return api.SetPIN(ctx, t.Account, q.field("pin"), "")
	})
}

// tryEnable sends the code that turns SMS codes on.
func tryEnable(q *request) error {
	return q.play("try.sent", "sms", func(ctx context.Context, api *client.Client, t *trial) error {
		t.Phone = q.field("phone")
		c, err := api.EnableSMS(ctx, t.Account, wire.Enable{Phone: wire.Secret(t.Phone)})
		if err == nil {
			t.Enable = c.ID
		}
		return err
	})
}

// tryEnableVerify turns SMS codes on.
func tryEnableVerify(q *request) error {
	return q.play("try.enabled", "sms", func(ctx context.Context, api *client.Client, t *trial) error {
		_, err := api.VerifyEnableSMS(ctx, t.Account, q.field("code"), q.field("pin"))
		return err
	})
}

// tryDisable sends the code that turns SMS codes off.
func tryDisable(q *request) error {
	return q.play("try.sent", "sms", func(ctx context.Context, api *client.Client, t *trial) error {
		c, err := api.DisableSMS(ctx, t.Account, wire.Disable{})
		if err == nil {
			t.Disable = c.ID
		}
		return err
	})
}

// tryDisableVerify turns SMS codes off.
func tryDisableVerify(q *request) error {
	return q.play("try.disabled", "sms", func(ctx context.Context, api *client.Client, t *trial) error {
		_, err := api.VerifyDisableSMS(ctx, t.Account, q.field("code"))
		return err
	})
}

// payment is the transaction that a form holds.
func (q *request) payment() wire.Transaction {
	return wire.Transaction{Amount: q.field("amount"), Currency: q.field("currency"), Payee: q.field("payee")}
}

// tryWithdraw orders a withdrawal: the PIN now, the code next.
func tryWithdraw(q *request) error {
	return q.play("try.sent", "withdrawal", func(ctx context.Context, api *client.Client, t *trial) error {
		t.Transaction = q.payment()
		c, err := api.CreateChallenge(ctx, wire.CreateChallenge{Account: t.Account, Purpose: "withdrawal", PIN: q.secret("pin"), Transaction: &t.Transaction})
		if err == nil {
			t.Withdrawal = c.ID
		}
		return err
	})
}

// tryWithdrawVerify confirms the withdrawal; its code is good for its own amount, currency and payee only.
func tryWithdrawVerify(q *request) error {
	return q.play("try.withdrawn", "withdrawal", func(ctx context.Context, api *client.Client, t *trial) error {
		payment := q.payment()
		_, err := api.VerifyChallenge(ctx, t.Withdrawal, wire.VerifyChallenge{Code: q.secret("code"), Transaction: &payment})
		return err
	})
}

// tryResend sends a challenge's code again.
func tryResend(q *request) error {
	return q.play("try.resent", "sms", func(ctx context.Context, api *client.Client, t *trial) error {
		id := q.field("challenge")
		if !slices.Contains([]string{t.Enable, t.Disable, t.Withdrawal}, id) {
			id = cmp.Or(t.Withdrawal, t.Disable, t.Enable)
		}
		_, err := api.ResendChallenge(ctx, id)
		return err
	})
}
