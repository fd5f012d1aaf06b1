package gateway

import (
	"strings"
	"time"

	"otpost/gateway/store"
)

// eraseAtOnce is about how many records one transaction of an erasure removes: so many of messages and events, and so many of
// what else there is of phones. A commit has room for several times as many, and codes that are judged meanwhile hardly wait.
const eraseAtOnce = 500

// Erase removes messages and events of an account, and what else is kept of its phones and those of its messages: inbound
// texts, reports, failures. A message that a modem holds keeps its bare record until the verdict, so that the ledger stays
// whole.
//
// It removes as much as one transaction should, and tells whether there may be more: then it is to be called again in another
// one, with the same numbers. Whatever ends in between, the rest can still be found: a message goes after all else of its
// phone, for it may be all that knows it.
func (g *Gateway) Erase(tx store.Txn, now time.Time, account string, numbers ...string) (more bool, err error) {
	phones := map[string]bool{}
	for _, n := range numbers {
		phones[n] = true
	}
	prefix := g.accountKey(account)
	ids, more, err := g.erasable(tx, prefix, phones)
	if err != nil {
		return false, err
	}
	delete(phones, "") // of events, and of what was erased before
	if left, err := g.erasePhones(tx, phones); left || err != nil {
		return left, err
	}
	for _, id := range ids {
		if err := tx.Delete(prefix + id); err != nil {
			return false, err
		}
		if err := g.eraseOne(tx, now, id); err != nil {
			return false, err
		}
	}
	return more, nil
}

// erasable returns the first ids of an account's index, as many as one transaction should erase, and tells whether there are
// more. It notes the phones of the messages among them.
func (g *Gateway) erasable(tx store.Txn, prefix string, phones map[string]bool) (ids []string, more bool, err error) {
	if err := store.Keys(tx, store.Range{Prefix: prefix}, func(key string) bool {
		ids = append(ids, key[len(prefix):])
		return len(ids) <= eraseAtOnce/2 // one more than can be erased: each is two records at the least
	}); err != nil {
		return nil, false, err
	}
	records := 0
	for i, id := range ids {
		n, to, err := g.weigh(tx, id)
		if err != nil {
			return nil, false, err
		}
		if records += n; i > 0 && records > eraseAtOnce {
			return ids[:i], true, nil
		}
		phones[to] = true
	}
	return ids, false, nil
}

// weigh returns how many records go with an event or a message, and the message's phone.
func (g *Gateway) weigh(tx store.Txn, id string) (records int, to string, err error) {
	if _, err := parseID(messagePrefix, id); err != nil {
		return 2, "", nil // it, and its place in the index
	}
	m, err := g.Lookup(tx, id)
	if err == ErrNotFound || rotten(err) == messageKey(id) {
		err = nil
	}
	records = 3 // that in the queue, too
	for _, a := range m.Attempts {
		records += 2 + len(a.References) // see forgetReports
	}
	return records, m.To, err
}

// eraseOne erases an event or a message.
func (g *Gateway) eraseOne(tx store.Txn, now time.Time, id string) error {
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

// erasePhones removes the failures and inbound texts of phones and the reports about them that wait for their message, as many
// as one transaction should. It tells whether some may be left.
func (g *Gateway) erasePhones(tx store.Txn, phones map[string]bool) (left bool, err error) {
	var inbound []string
	for to := range phones {
		if err := tx.Delete(g.recipientKey(to)); err != nil {
			return false, err
		}
		if inbound, err = g.inboundOf(tx, to, inbound); err != nil {
			return false, err
		}
	}
	if err := deleteAll(tx, inbound); err != nil || len(inbound) >= eraseAtOnce {
		return true, err
	}
	parked, err := g.parkedAbout(tx, phones)
	if err != nil {
		return false, err
	}
	return len(parked) >= eraseAtOnce, g.unshelve(tx, parked...)
}

// inboundOf adds the records of a phone's inbound texts to keys, until these are as many as one transaction should erase.
func (g *Gateway) inboundOf(tx store.Txn, phone string, keys []string) ([]string, error) {
	var failed error
	prefix := g.senderKey(phone)
	err := store.Keys(tx, store.Range{Prefix: prefix}, func(key string) bool {
		if len(keys) >= eraseAtOnce {
			return false
		}
		own := inboxKey(key[len(prefix):])
		item, err := load[InboxItem](tx, own)
		if err != nil && rotten(err) == "" {
			failed = err
			return false
		}
		if err != nil || !strings.HasPrefix(item.From, "+") || item.From == phone { // else only its last digits are the same
			keys = append(keys, key, own)
		}
		return true
	})
	if err == nil {
		err = failed
	}
	return keys, err
}

// parkedAbout returns the records of reports about phones that wait for their message, as many as one transaction should erase.
func (g *Gateway) parkedAbout(tx store.Txn, phones map[string]bool) (keys []string, err error) {
	err = scan(g, tx, store.Range{Prefix: "gw/early/"}, func(key string, e earlyRecord) bool {
		for to := range phones {
			if samePhone(to, e.Report.Recipient) {
				keys = append(keys, key)
				break
			}
		}
		return len(keys) < eraseAtOnce
	})
	return keys, err
}
