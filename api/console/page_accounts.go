package console

import (
	"errors"
	"net/http"
	"net/url"
	"strings"

	"otpost/api/client"
	"otpost/api/wire"
)

// accountPage is one account, or the question which.
type accountPage struct {
	wire.Account
	Path       string
	Identities []wire.IdentityStatus
	Counters   []wire.FailureCounter
	Blocked    bool
}

func accounts(q *request) error {
	return q.show("accounts", q.console.words.text("accounts.title"), accountPage{})
}

// findAccount takes an exact id; there is no list of accounts to look through.
func findAccount(q *request) error {
	id := strings.TrimSpace(q.PostFormValue("account"))
	if id == "" {
		return q.redirect(Base + "accounts")
	}
	if _, err := q.api.Account(q.Context(), id); err != nil {
		p, ok := errors.AsType[*client.Problem](err)
		if ok && p.Status == http.StatusNotFound {
			q.session.tell(note{Text: q.console.words.text("accounts.none")})
			return q.redirect(Base + "accounts")
		}
		return q.done(err, Base+"accounts", "accounts.title")
	}
	return q.redirect(accountPath(id))
}

func accountPath(id string) string { return Base + "accounts/" + url.PathEscape(id) }

func account(q *request) error {
	id := q.PathValue("account")
	a, err := q.api.Account(q.Context(), id)
	if err != nil {
		return err
	}
	ways, err := q.api.Identities(q.Context(), id)
	if err != nil {
		return err
	}
	counters, err := q.api.Failures(q.Context(), id)
	if err != nil {
		return err
	}
	p := accountPage{Account: *a, Path: accountPath(a.Account), Identities: ways.Identities, Counters: counters.Counters}
	for _, c := range p.Counters {
		p.Blocked = p.Blocked || c.Locked || c.BlockedFor > 0 || c.Strangers > 0
	}
	return q.show("account", a.Account, p)
}

func unlockAccount(q *request) error {
	id := q.PathValue("account")
	_, err := q.api.UnlockAccount(q.Context(), id)
	return q.done(err, accountPath(id), "accounts.unlocked")
}
