package gateway

import (
	"strings"
	"testing"
	"time"

	"otpost/driver"
	"otpost/gateway/store"
)

// Erasure also takes the record of a hand-over in doubt that is named as it was of old, without the attempt.
func TestEraseForgetsDoubtNamedOfOld(t *testing.T) {
	inBubble(t, modems(1), func(t *testing.T, b *bench) {
		m := b.modems[0]
		m.plays(func(int, driver.Submit) fakeAct { return unknown(false, time.Second) })
		d := text(alice, "one")
		d.Account = "alice"
		id := b.enqueue(d)
		sleep(5 * time.Second)
		b.wantStatus(id, Uncertain)
		if err := b.kv.Update(t.Context(), func(tx store.Txn) error {
			key := b.g.unsureKey(m.iccid, id, 0)
			u, err := store.Load[refRecord](tx, key)
			if err != nil {
				return err
			}
			if err := b.g.unshelve(tx, key); err != nil {
				return err
			}
			if err := shelve(b.g, tx, strings.TrimSuffix(key, "/0"), u, time.Now().Add(time.Hour)); err != nil {
				return err
			}
			return b.g.Erase(tx, time.Now(), "alice")
		}); err != nil {
			t.Fatal(err)
		}
		if err := b.kv.View(t.Context(), func(tx store.Txn) error {
			return store.Keys(tx, store.Range{Prefix: "gw/unsure/"}, func(key string) bool {
				t.Errorf("%s is left", key)
				return true
			})
		}); err != nil {
			t.Fatal(err)
		}
	})
}
