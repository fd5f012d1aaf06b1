package gateway

import (
	"context"
	"fmt"
	"time"

	"otpost/driver"
	"otpost/gateway/store"
)

const (
	defaultPage = 50
	maxPage     = 500
	maxScan     = 5000 // records looked at for one page; a short page with a cursor says that there may be more
)

// Filter chooses messages; newest first.
type Filter struct {
	Status    Status // empty: any
	Modem     string // that had it last; empty: any
	Recipient string // as RecipientName names it; empty: any
	Limit     int    // 0: 50
	Cursor    string // from the page before
}

// RecipientName names a phone for a filter, so that its number need not be written into addresses and histories.
func (g *Gateway) RecipientName(to string) string {
	return "rcp_" + g.cfg.Secrets.Pseudonym("recipient-filter", to)
}

// fits says whether the filter chooses m, its status aside.
func (f Filter) fits(g *Gateway, m *Message) bool {
	return (f.Modem == "" || m.modem() == f.Modem) && (f.Recipient == "" || g.RecipientName(m.To) == f.Recipient)
}

// Messages returns a page and the cursor of the next (empty: none). A page may be short or even empty and still have a
// next one, when few messages are chosen.
func (g *Gateway) Messages(ctx context.Context, f Filter) ([]Message, string, error) {
	var page []Message
	next := ""
	err := g.cfg.KV.View(ctx, func(tx store.Txn) error {
		page, next = page[:0], ""
		r, err := pageRange("gw/msg/", messagePrefix, f.Cursor)
		if err != nil {
			return err
		}
		now, seen := time.Now(), 0
		if f.Status == Queued || f.Status == Sending {
			return g.liveMessages(tx, f, &page, &next)
		}
		return scan(g, tx, r, func(key string, m Message) bool {
			if len(page) == pageSize(f.Limit) || seen == maxScan {
				return false
			}
			if seen++; (f.Status == "" || m.Status == f.Status) && !g.outdated(&m, now) && f.fits(g, &m) {
				page = append(page, m)
			}
			next = m.ID
			return true
		})
	})
	if err != nil {
		return nil, "", fmt.Errorf("list messages: %w", err)
	}
	return page, g.more(ctx, "gw/msg/", next), nil
}

// liveMessages pages by the queue's records, of which there are few among a year of messages.
func (g *Gateway) liveMessages(tx store.Txn, f Filter, page *[]Message, next *string) error {
	r, err := pageRange("gw/q/", messagePrefix, f.Cursor)
	if err != nil {
		return err
	}
	var ids []string
	seen := 0
	err = scan(g, tx, r, func(key string, q queueRecord) bool {
		if len(ids) == pageSize(f.Limit) || seen == maxScan {
			return false
		}
		*next = key[len("gw/q/"):]
		if seen++; q.Sending == (f.Status == Sending) {
			ids = append(ids, *next)
		}
		return true
	})
	for _, id := range ids {
		if err != nil {
			return err
		}
		var m Message
		if m, err = g.find(tx, id); err == nil && f.fits(g, &m) {
			*page = append(*page, m)
		}
		err = ignoreNotFound(err)
	}
	return err
}

// outdated says whether a record only waits to be collected.
func (g *Gateway) outdated(m *Message, now time.Time) bool {
	return m.Final() && now.Sub(m.FinalAt) > g.cfg.Retention
}

// pageRange returns the range of records older than the cursor.
func pageRange(key, prefix, cursor string) (store.Range, error) {
	r := store.Range{Prefix: key, Reverse: true}
	if cursor == "" {
		return r, nil
	}
	u, err := parseID(prefix, cursor)
	if err != nil {
		return r, &InvalidError{"cursor", "not one that a page gave"}
	}
	// The key right before the cursor's: ids have a fixed length, so the same id without its last character sorts before it
	// and behind every smaller id only if that character is taken down by one.
	id := []byte(formatID(prefix, u))
	id[len(id)-1]--
	r.From = key + string(id) + "\x7f"
	return r, nil
}

func pageSize(limit int) int {
	if limit <= 0 {
		return defaultPage
	}
	return min(limit, maxPage)
}

// more returns the cursor if there is a record behind it.
func (g *Gateway) more(ctx context.Context, key, last string) string {
	if last == "" {
		return ""
	}
	found := false
	prefix := last[:len(last)-26]
	err := g.cfg.KV.View(ctx, func(tx store.Txn) error {
		r, err := pageRange(key, prefix, last)
		if err != nil {
			return err
		}
		return store.Keys(tx, r, func(string) bool {
			found = true
			return false
		})
	})
	if err != nil || !found {
		return ""
	}
	return last
}

// InboxItem is one inbound text as stored.
type InboxItem struct {
	ID, Modem, From, Text string
	Sent, At              time.Time
}

// Inbound implements driver.Handler. The same text may come again: one from the same SIM, phone and network time is kept
// once. As Report it does not wait for a full store.
func (g *Gateway) Inbound(ctx context.Context, modem string, in driver.Inbound) error {
	return g.cfg.KV.Update(ctx, func(tx store.Txn) error {
		now := time.Now()
		collect := now.Add(g.cfg.Retention + collectSlack)
		mark := "gw/seen/" + g.cfg.Secrets.Pseudonym("inbound", in.ICCID+"\x00"+in.From+"\x00"+in.Text+"\x00"+in.Sent.UTC().Format(time.RFC3339))
		if _, err := tx.Get(mark); err == nil || rotten(err) == mark { // what does not open is there all the same
			return nil
		} else if !isNotFound(err) {
			return err
		}
		id, err := g.ids.next(inboxPrefix, now)
		if err != nil {
			return err
		}
		if err := tx.Set(mark, nil, now.Add(recipientMemory)); err != nil {
			return err
		}
		item := InboxItem{ID: id, Modem: modem, From: in.From, Text: in.Text, Sent: in.Sent, At: in.At}
		if err := store.Save(tx, inboxKey(id), item, collect); err != nil {
			return err
		}
		if err := tx.Set(g.senderKey(in.From)+id, nil, collect); err != nil {
			return err
		}
		return g.Emit(tx, now, Event{Type: "inbox.received", Data: map[string]any{"inbox_id": id, "modem": modem}})
	})
}

func inboxKey(id string) string { return "gw/in/" + id }

// senderKey is where the inbound texts of a phone are noted, in whatever form the network gives its number.
func (g *Gateway) senderKey(from string) string {
	return "gw/from/" + g.cfg.Secrets.Pseudonym("inbound-from", ending(from)) + "/"
}

// Inbox returns inbound texts, newest first.
func (g *Gateway) Inbox(ctx context.Context, limit int, cursor string) ([]InboxItem, string, error) {
	var page []InboxItem
	next := ""
	err := g.cfg.KV.View(ctx, func(tx store.Txn) error {
		page, next = page[:0], ""
		r, err := pageRange("gw/in/", inboxPrefix, cursor)
		if err != nil {
			return err
		}
		return scan(g, tx, r, func(_ string, item InboxItem) bool {
			if len(page) == pageSize(limit) {
				return false
			}
			page, next = append(page, item), item.ID
			return true
		})
	})
	if err != nil {
		return nil, "", fmt.Errorf("list the inbox: %w", err)
	}
	return page, g.more(ctx, "gw/in/", next), nil
}
