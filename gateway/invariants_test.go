package gateway

import (
	"context"
	"fmt"
	"slices"
	"sort"
	"strings"
	"testing"
	"time"

	"otpost/driver"
	"otpost/gateway/store"
)

// ledger reads every message of the store.
func (w *world) ledger() map[string]Message {
	all := map[string]Message{}
	err := w.kv.View(context.Background(), func(tx store.Txn) error {
		return scanStrictly(tx, store.Range{Prefix: "gw/msg/"}, func(_ string, m Message) bool {
			all[m.ID] = m
			return true
		})
	})
	if err != nil {
		w.t.Errorf("seed %d: read the ledger: %v", w.seed, err)
	}
	return all
}

// byMessage sorts hand-overs by the message they carried.
func (w *world) byMessage(all map[string]Message, hands []handover) map[string][]handover {
	texts := map[string]string{}
	for id, d := range w.acked {
		if d.Kind == KindText {
			texts[strings.TrimPrefix(d.Text, "text ")] = id
		}
	}
	by := map[string][]handover{}
	for _, h := range hands {
		id := h.message
		if t := texts[id]; t != "" {
			id = t
		}
		by[id] = append(by[id], h)
	}
	return by
}

// checkPromise is invariant 4: every acknowledged message ends in a final state, none is handed over after its deadline,
// none is submitted twice unless it was refused or its policy allows the one resend.
func checkPromise(w *world) []string {
	var bad []string
	fail := func(format string, args ...any) { bad = append(bad, fmt.Sprintf(format, args...)) }
	all := w.ledger()
	hands, phones := w.byMessage(all, w.hands), w.byMessage(all, w.phones)
	for id, d := range w.acked {
		m, ok := all[id]
		if !ok {
			fail("%s vanished", id)
			continue
		}
		if !m.Final() {
			fail("%s is %s and not final", id, m.Status)
		}
		if m.Text != "" {
			fail("%s still holds its text", id)
		}
		for _, h := range hands[id] {
			if !h.at.Before(d.NotAfter) {
				fail("%s was handed over %v after its deadline", id, h.at.Sub(d.NotAfter))
			}
		}
		if n := len(hands[id]); n > len(m.Attempts) {
			fail("%s was handed over %d times, the ledger knows %d", id, n, len(m.Attempts))
		}
		twice(id, d, hands[id], fail)
		got := len(phones[id])
		switch m.Status {
		case Failed, Expired, Canceled:
			if got > 0 {
				fail("%s is %s, but the phone has it", id, m.Status)
			}
		case Delivered:
			if got == 0 {
				fail("%s is delivered, but no phone has it", id)
			}
		case Undelivered:
			if !slices.ContainsFunc(hands[id], func(h handover) bool { return h.went }) {
				fail("%s is undelivered, but nothing of it went out", id)
			}
		}
	}
	return append(bad, w.leftovers()...)
}

// twice checks that after a hand-over which was not refused at most one follows, marked, and only if the policy says so.
func twice(id string, d Draft, hands []handover, fail func(string, ...any)) {
	open, again := 0, 0
	for _, h := range hands {
		if h.again {
			again++
		}
		if open > 0 && !h.again {
			fail("%s was submitted again without being marked", id)
		}
		if h.outcome != driver.Refused {
			open++
		}
	}
	allowed := 1
	if d.Unsure == ResendOnce {
		allowed = 2
	}
	if open > allowed {
		fail("%s was submitted %d times, its policy is %s", id, open, d.Unsure)
	}
}

// leftovers are index records that belong to no message.
func (w *world) leftovers() []string {
	var bad []string
	err := w.kv.View(context.Background(), func(tx store.Txn) error {
		for _, prefix := range []string{"gw/q/", "gw/due/", "gw/unsure/"} {
			if err := tx.Scan(store.Range{Prefix: prefix}, func(key string, _ []byte) bool {
				if prefix != "gw/unsure/" {
					bad = append(bad, "left behind: "+key)
				}
				return true
			}); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		bad = append(bad, err.Error())
	}
	return bad
}

// checkQuotas is invariant 6: no SIM sends more than its pace and its quotas allow, across kills and re-plugging. The
// strictest limit that any of its modems has applies, since SIMs move.
func checkQuotas(w *world) []string {
	var bad []string
	sims := map[string][]handover{}
	for _, h := range w.hands {
		if h.outcome != driver.Refused {
			sims[h.iccid] = append(sims[h.iccid], h)
		}
	}
	route := map[string]Route{}
	for _, r := range w.routes {
		route[r.Modem.Name()] = r
	}
	for sim, hands := range sims {
		sort.SliceStable(hands, func(i, j int) bool { return hands[i].at.Before(hands[j].at) })
		for i, h := range hands {
			r := route[h.modem]
			minute, day := 0, 0
			for _, p := range hands[:i+1] {
				if h.at.Sub(p.at) < time.Minute {
					minute += p.parts
				}
				if p.at.Format(time.DateOnly) == h.at.Format(time.DateOnly) {
					day += p.parts
				}
			}
			if r.PerMinute > 0 && minute > r.PerMinute {
				bad = append(bad, fmt.Sprintf("sim %s sent %d in a minute, %d are allowed", sim, minute, r.PerMinute))
			}
			if r.PerDay > 0 && day > r.PerDay {
				bad = append(bad, fmt.Sprintf("sim %s sent %d in a day, %d are allowed", sim, day, r.PerDay))
			}
		}
	}
	return bad
}

// Both tests look at both invariants, each over seeds of its own: running a world costs far more than looking at it.
func TestInvariant4_PromiseKept(t *testing.T) {
	t.Parallel()
	simulate(t, 0, nil, func(w *world) []string { return append(checkPromise(w), checkQuotas(w)...) })
}

func TestInvariant6_QuotasHold(t *testing.T) {
	t.Parallel()
	simulate(t, 1, nil, func(w *world) []string { return append(checkQuotas(w), checkPromise(w)...) })
}

// dump tells a replayed seed's story.
func (w *world) dump() {
	const clock = "15:04:05.000"
	for id, m := range w.ledger() {
		w.t.Logf("%s to %s: %s %s, made %s", id, m.To, m.Status, m.Error, m.CreatedAt.Format(clock))
		for _, a := range m.Attempts {
			w.t.Logf("    sim %s: %s %s %v %v, %s to %s", a.ICCID, a.Outcome, a.Code, a.References, a.Reports, a.ClaimedAt.Format(clock), a.DoneAt.Format(clock))
		}
	}
	for _, h := range w.hands {
		w.t.Logf("%s sim %s got %s: %s at %s", h.at.Format(clock), h.iccid, h.message, h.outcome, h.done.Format(clock))
	}
	for _, h := range w.phones {
		w.t.Logf("phone got %s", h.message)
	}
}
