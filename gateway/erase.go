package gateway

import (
	"strings"
	"time"

	"otpost/gateway/store"
)

// Erase removes every message and event of an account, and what else is kept of its phones and those of its messages: inbound
// texts, reports, failures. A message that a modem holds keeps its bare record until the verdict, so that the ledger stays
// whole.
func (g *Gateway) Erase(tx store.Txn, now time.Time, account string, numbers ...string) error {
	prefix := g.accountKey(account)
	var ids []string
	if err := store.Keys(tx, store.Range{Prefix: prefix}, func(key string) bool {
		ids = append(ids, key[len(prefix):])
		return true
	}); err != nil {
		return err
	}
	phones := map[string]bool{}
	for _, n := range numbers {
		phones[n] = true
	}
	for _, id := range ids {
		if err := tx.Delete(prefix + id); err != nil {
			return err
		}
		if err := g.eraseOne(tx, now, id, phones); err != nil {
			return err
		}
	}
	delete(phones, "") // of what was erased before
	for to := range phones {
		if err := g.eraseInbound(tx, to); err != nil {
			return err
		}
		if err := tx.Delete(g.recipientKey(to)); err != nil {
			return err
		}
		if err := g.forgetParked(tx, to); err != nil {
			return err
		}
	}
	return nil
}

// eraseOne erases an event or a message, and notes its phone.
func (g *Gateway) eraseOne(tx store.Txn, now time.Time, id string, phones map[string]bool) error {
	if _, err := parseID(messagePrefix, id); err != nil {
		return tx.Delete(eventKey(id))
	}
	m, err := g.Lookup(tx, id)
	if rotten(err) == messageKey(id) {
		return g.eraseRotten(tx, id)
	}
	if err == ErrNotFound {
		return nil
	}
	if err != nil {
		return err
	}
	phones[m.To] = true
	if err := g.forgetReports(tx, &m); err != nil {
		return err
	}
	m.To, m.Account, m.Ref, m.Text, m.Purpose, m.Country, m.Request = "", "", "", "", "", "", ""
	was := m.Status
	switch {
	case was == Sending:
		return g.put(tx, now, was, &m)
	case was == Queued:
		m.end(now, Canceled, errCanceled)
		if err := g.put(tx, now, was, &m); err != nil {
			return err
		}
	}
	return tx.Delete(messageKey(id))
}

// eraseInbound removes the inbound texts of a phone.
func (g *Gateway) eraseInbound(tx store.Txn, phone string) error {
	prefix := g.senderKey(phone)
	var ids []string
	if err := store.Keys(tx, store.Range{Prefix: prefix}, func(key string) bool {
		ids = append(ids, key[len(prefix):])
		return true
	}); err != nil {
		return err
	}
	for _, id := range ids {
		item, err := load[InboxItem](tx, inboxKey(id))
		if err != nil && rotten(err) == "" {
			return err
		}
		if err == nil && strings.HasPrefix(item.From, "+") && item.From != phone {
			continue // only its last digits are the same
		}
		if err := deleteAll(tx, []string{prefix + id, inboxKey(id)}); err != nil {
			return err
		}
	}
	return nil
}

// forgetParked removes the reports about a phone that wait for their message.
func (g *Gateway) forgetParked(tx store.Txn, to string) error {
	var keys []string
	if err := scan(g, tx, store.Range{Prefix: "gw/early/"}, func(key string, e earlyRecord) bool {
		if samePhone(to, e.Report.Recipient) {
			keys = append(keys, key)
		}
		return true
	}); err != nil {
		return err
	}
	return g.unshelve(tx, keys...)
}
