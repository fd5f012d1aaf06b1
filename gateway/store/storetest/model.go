package storetest

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"otpost/gateway/store"
)

// model compares the store with a map: random transactions of random steps, some of them given up.
func model(t *testing.T, kv store.KV) {
	committed := map[string]string{}
	rapid.Check(t, func(t *rapid.T) {
		m := &machine{kv: kv, committed: committed}
		t.Repeat(map[string]func(*rapid.T){
			"update": m.update,
			"":       m.check,
		})
	})
}

type machine struct {
	kv        store.KV
	committed map[string]string
}

var (
	keyGen   = rapid.Custom(func(t *rapid.T) string { return "m/" + rapid.StringMatching(`[ab~!]{0,3}`).Draw(t, "key") })
	rangeGen = rapid.Custom(func(t *rapid.T) store.Range {
		r := store.Range{Prefix: "m/" + rapid.StringMatching(`[ab~!]{0,2}`).Draw(t, "prefix"), Reverse: rapid.Bool().Draw(t, "reverse")}
		if rapid.Bool().Draw(t, "with from") {
			r.From = r.Prefix + rapid.StringMatching(`[ab~!]{0,2}`).Draw(t, "from")
		}
		return r
	})
	errGiveUp = errors.New("given up")
)

func (m *machine) update(t *rapid.T) {
	steps := rapid.IntRange(1, 8).Draw(t, "steps")
	giveUp := rapid.IntRange(0, 3).Draw(t, "give up") == 0
	work := maps.Clone(m.committed)
	err := m.kv.Update(t.Context(), func(tx store.Txn) error {
		for range steps {
			step(t, tx, work)
		}
		if giveUp {
			return errGiveUp
		}
		return nil
	})
	switch {
	case giveUp && err != errGiveUp, !giveUp && err != nil:
		t.Fatalf("update: %v", err)
	case !giveUp:
		clear(m.committed)
		maps.Copy(m.committed, work)
	}
}

func step(t *rapid.T, tx store.Txn, work map[string]string) {
	switch rapid.IntRange(0, 3).Draw(t, "step") {
	case 0:
		key, value := keyGen.Draw(t, "key"), rapid.StringN(0, 20, -1).Draw(t, "value")
		work[key] = value
		if err := tx.Set(key, []byte(value), never); err != nil {
			t.Fatalf("set %s: %v", key, err)
		}
	case 1:
		key := keyGen.Draw(t, "key")
		delete(work, key)
		if err := tx.Delete(key); err != nil {
			t.Fatalf("delete %s: %v", key, err)
		}
	case 2:
		key := keyGen.Draw(t, "key")
		got, err := tx.Get(key)
		want, ok := work[key]
		if string(got) != want || (err == nil) != ok {
			t.Fatalf("get %s: %q, %v; want %q, %v", key, got, err, want, ok)
		}
	case 3:
		compare(t, tx, work, rangeGen.Draw(t, "range"))
	}
}

func (m *machine) check(t *rapid.T) {
	err := m.kv.View(t.Context(), func(tx store.Txn) error {
		compare(t, tx, m.committed, store.Range{Prefix: "m/"})
		compare(t, tx, m.committed, rangeGen.Draw(t, "range"))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func compare(t *rapid.T, tx store.Txn, want map[string]string, r store.Range) {
	var got, expect []string
	err := tx.Scan(r, func(key string, value []byte) bool {
		got = append(got, fmt.Sprintf("%s=%q", key, value))
		return true
	})
	for _, key := range slices.Sorted(maps.Keys(want)) {
		inside := r.From == "" || (r.Reverse && key <= r.From) || (!r.Reverse && key >= r.From)
		if strings.HasPrefix(key, r.Prefix) && inside {
			expect = append(expect, fmt.Sprintf("%s=%q", key, want[key]))
		}
	}
	if r.Reverse {
		slices.Reverse(expect)
	}
	if diff := cmp.Diff(expect, got); diff != "" || err != nil {
		t.Fatalf("scan %+v: %v (-want +got):\n%s", r, err, diff)
	}
}
