package gateway

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"otpost/driver"
	"otpost/gateway/store"
	"otpost/gateway/store/storetest"
)

// tryErase erases an account as its owner does: in as many transactions as it takes.
func (b *bench) tryErase(account string, numbers ...string) error {
	for range 1000 {
		more := false
		if err := b.kv.Update(context.Background(), func(tx store.Txn) (err error) {
			more, err = b.g.Erase(tx, time.Now(), account, numbers...)
			return err
		}); err != nil || !more {
			return err
		}
	}
	return errors.New("there is always more to erase")
}

func (b *bench) erase(account string, numbers ...string) {
	b.t.Helper()
	if err := b.tryErase(account, numbers...); err != nil {
		b.t.Fatal(err)
	}
}

// However many records a message has, a transaction of an erasure writes no more than it should, unless one message alone has more.
func TestEraseWritesLittleAtOnce(t *testing.T) {
	inBubble(t, modems(1), func(t *testing.T, b *bench) {
		const heavy = 2 * eraseAtOnce
		var references []int // of each message
		for i := range 60 {
			references = append(references, i*i%97)
		}
		references[7] = heavy
		for _, n := range references {
			if err := b.kv.Update(t.Context(), func(tx store.Txn) error { return b.g.crafted(tx, "alice", n) }); err != nil {
				t.Fatal(err)
			}
		}
		k := &storetest.Counting{KV: b.kv}
		b.kv = k
		b.erase("alice", alice)
		most := slices.Sorted(slices.Values(k.Written))
		if len(most) < 4 {
			t.Fatalf("%d updates wrote %v records", len(most), most)
		}
		if n := most[len(most)-1]; n < heavy || n > heavy+20 {
			t.Errorf("an update wrote %d records, want those of the heavy message alone, about %d", n, heavy)
		}
		if n := most[len(most)-2]; n > eraseAtOnce+10 {
			t.Errorf("an update wrote %d records, want at most %d and few more", n, eraseAtOnce)
		}
		for _, prefix := range []string{"gw/msg/", "gw/ref/", "gw/acct/", "gw/q/"} {
			if n := b.count(prefix); n > 0 {
				t.Errorf("%d records %s are left", n, prefix)
			}
		}
	})
}

// crafted writes a message with n references, each of which is there once for a SIM.
func (g *Gateway) crafted(tx store.Txn, account string, n int) error {
	id, err := g.ids.next(messagePrefix, time.Now())
	if err != nil {
		return err
	}
	m := Message{ID: id, To: alice, Account: account, Status: Sent}
	for i := range n {
		if i%256 == 0 {
			m.Attempts = append(m.Attempts, Attempt{ICCID: fmt.Sprint("8944x", i/256), ClaimedAt: time.Now(), DoneAt: time.Now()})
		}
		last := len(m.Attempts) - 1
		a := &m.Attempts[last]
		a.References = append(a.References, uint8(i))
		if err := g.saveRef(tx, a.ICCID, &m, last, i%256); err != nil {
			return err
		}
	}
	if err := tx.Set(g.accountKey(account)+id, nil, time.Time{}); err != nil {
		return err
	}
	return store.Save(tx, messageKey(id), m, time.Time{})
}

// count returns how many records there are.
func (b *bench) count(prefix string) (n int) {
	b.t.Helper()
	if err := b.kv.View(context.Background(), func(tx store.Txn) error {
		return store.Keys(tx, store.Range{Prefix: prefix}, func(string) bool {
			n++
			return true
		})
	}); err != nil {
		b.t.Fatal(err)
	}
	return n
}

// Others' inbound texts, which stay, keep an erasure neither from its end nor from those behind them, though there are more of each
// than one transaction takes.
func TestEraseStepsOverOthersInbound(t *testing.T) {
	inBubble(t, modems(1), func(t *testing.T, b *bench) {
		const abroad, n = "+35377700900123", eraseAtOnce + 1
		for _, from := range []string{abroad, "0" + strings.TrimPrefix(alice, "+44")} {
			for i := range n {
				in := driver.Inbound{ICCID: "8944m0", From: from, Text: fmt.Sprint("text ", i), Sent: time.Now(), At: time.Now()}
				if err := b.g.Inbound(t.Context(), "m0", in); err != nil {
					t.Fatal(err)
				}
			}
		}
		b.erase("alice", alice)
		if texts, from := b.count("gw/in/"), b.count("gw/from/"); texts != n || from != n {
			t.Errorf("%d texts are left, and %d of their senders; want %d", texts, from, n)
		}
	})
}

// Reports about a phone that wait for their message go with it, however many, and no more at once than a transaction should remove.
func TestEraseManyParked(t *testing.T) {
	inBubble(t, modems(1), func(t *testing.T, b *bench) {
		for i := range 2*eraseAtOnce + 1 {
			b.tell(b.modems[0], alice, uint8(i), time.Now())
		}
		b.tell(b.modems[0], bob, 7, time.Now())
		k := &storetest.Counting{KV: b.kv}
		b.kv = k
		b.erase("alice", alice)
		if n := slices.Max(k.Written); n > eraseAtOnce+10 {
			t.Errorf("an update wrote %d records", n)
		}
		if n := b.count("gw/early/"); n != 1 {
			t.Errorf("%d reports are left, want bob's", n)
		}
	})
}
