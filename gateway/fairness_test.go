package gateway

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/oklog/ulid/v2"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"pgregory.net/rapid"

	"otpost/driver"
	"otpost/gateway/store"
)

func (n *fakeNet) order() []string {
	var to []string
	for _, t := range n.all() {
		to = append(to, t.to)
	}
	return to
}

func TestLanes(t *testing.T) {
	inBubble(t, modems(1), func(t *testing.T, b *bench) {
		b.enqueue(text("+447700900000", "in flight"))
		synctest.Wait()
		for lane := Lanes - 1; lane >= 0; lane-- {
			d := code(fmt.Sprintf("+44770090000%d", lane+1), 5*time.Minute)
			if d.Lane = Lane(lane); d.Lane == LaneText {
				d = text(d.To, "hello")
			}
			b.enqueue(d)
		}
		sleep(time.Minute)
		want := []string{"+447700900000", "+447700900001", "+447700900002", "+447700900003", "+447700900004"}
		if diff := cmp.Diff(want, b.net.order()); diff != "" {
			t.Errorf("order (-want +got):\n%s", diff)
		}
	})
}

// A flood of texts adds less than one submit time to a code's wait, even where the SIM has a pace of its own.
func TestFloodOfTexts(t *testing.T) {
	for _, perMinute := range []int{0, 10} {
		t.Run(fmt.Sprint(perMinute), func(t *testing.T) {
			const submit = 4 * time.Second
			inBubble(t, func(t *testing.T) *bench {
				b := slow(submit)(t)
				b.route = func(r *Route) { r.PerMinute = perMinute }
				return b
			}, func(t *testing.T, b *bench) {
				for i := range 500 {
					b.enqueue(text(fmt.Sprintf("+4477009%05d", i), "hello"))
				}
				rng := rand.New(rand.NewPCG(1, 2))
				for range 30 {
					sleep(30*time.Second + time.Duration(rng.IntN(10_000))*time.Millisecond)
					began := time.Now()
					id := b.enqueue(code(alice, 2*time.Minute))
					sleep(2*submit + time.Second)
					if wait := b.wantStatus(id, Sent).Attempts[0].ClaimedAt.Sub(began); wait >= submit {
						t.Errorf("a code waited %v for texts", wait)
					}
				}
			})
		})
	}
}

// The parts of a long text are no single hand-over either: a code goes between two of them. What is out of the text stays
// out, the rest follows, and pace and quota count each part once.
func TestFloodOfLongTexts(t *testing.T) {
	for _, perMinute := range []int{0, 20} {
		t.Run(fmt.Sprint(perMinute), func(t *testing.T) {
			const submit, parts = 4 * time.Second, 5
			inBubble(t, func(t *testing.T) *bench {
				b := slow(submit)(t)
				b.route = func(r *Route) { r.PerMinute, r.PerDay = perMinute, 1000 }
				b.modems[0].script = func(int, driver.Submit) fakeAct {
					return fakeAct{part: submit, happens: true, result: driver.Result{Outcome: driver.Accepted}}
				}
				return b
			}, func(t *testing.T, b *bench) {
				var texts []string
				for i := range 20 {
					texts = append(texts, b.enqueue(text(fmt.Sprintf("+4477009%05d", i), strings.Repeat("x", 153*parts))))
				}
				rng := rand.New(rand.NewPCG(1, 2))
				const codes = 15
				for range codes {
					sleep(10*time.Second + time.Duration(rng.IntN(10_000))*time.Millisecond)
					began := time.Now()
					id := b.enqueue(code(alice, 2*time.Minute))
					sleep(2*submit + time.Second)
					if wait := b.wantStatus(id, Sent).Attempts[0].ClaimedAt.Sub(began); wait > submit {
						t.Errorf("a code waited %v for texts", wait)
					}
				}
				sleep(30 * time.Minute)
				broken := 0
				for _, id := range texts {
					m := b.wantStatus(id, Sent)
					got := 0
					for _, a := range m.Attempts {
						if a.First != got {
							t.Errorf("an attempt begins with part %d behind %d", a.First, got)
						}
						got += len(a.References)
					}
					if got != parts {
						t.Errorf("%d of %d parts went out: %+v", got, parts, m.Attempts)
					}
					broken += len(m.Attempts) - 1
				}
				if broken == 0 {
					t.Error("no code ever went between two parts")
				}
				if n := testutil.CollectAndCount(b.g.metrics.refused); n != 0 {
					t.Errorf("%d kinds of refusals counted, and nothing was refused", n)
				}
				if sim := b.g.sims[b.modems[0].iccid]; sim.DayCount != 20*parts+codes {
					t.Errorf("the day counts %d, want %d", sim.DayCount, 20*parts+codes)
				}
			})
		})
	}
}

func TestRecipientsTakeTurns(t *testing.T) {
	inBubble(t, modems(1), func(t *testing.T, b *bench) {
		for range 5 {
			b.enqueue(text(alice, "many"))
		}
		b.enqueue(text(bob, "one"))
		sleep(time.Minute)
		if got := slices.Index(b.net.order(), bob); got > 2 {
			t.Errorf("bob came %d. after alice's many: %v", got+1, b.net.order())
		}
	})
}

// A recipient that keeps failing is set aside with growing pauses, holds up nobody, and is tried at least once.
func TestFailingRecipientIsSetAside(t *testing.T) {
	inBubble(t, modems(1), func(t *testing.T, b *bench) {
		b.modems[0].script = func(_ int, s driver.Submit) fakeAct {
			if s.To == alice {
				return refuse(driver.ClassRecipient, "cms-1")
			}
			return accept(time.Second)
		}
		var waits []time.Duration
		for range 7 {
			began := time.Now()
			id := b.enqueue(code(alice, 5*time.Minute))
			other := b.enqueue(code(bob, 5*time.Minute))
			for i := 0; i < 300 && !b.final(id); i++ {
				sleep(time.Second)
			}
			sleep(3 * time.Second)
			m := b.wantStatus(id, Failed)
			waits = append(waits, m.Attempts[0].ClaimedAt.Sub(began).Truncate(time.Second))
			if wait := b.wantStatus(other, Sent).Attempts[0].ClaimedAt.Sub(began); wait > 2*time.Second {
				t.Errorf("bob waited %v", wait)
			}
		}
		for i := 1; i < len(waits); i++ {
			if waits[i] < waits[i-1]-time.Second { // bob's text may go first
				t.Errorf("pauses shrink: %v", waits)
			}
		}
		if waits[0] > time.Second || waits[6] < time.Minute || waits[6] > 150*time.Second {
			t.Errorf("pauses: %v", waits)
		}
	})
}

func (b *bench) final(id string) bool {
	m := b.message(id)
	return m.Final()
}

// Everything that waits for a recipient when it fails once too often waits aside, and is not forgotten.
func TestSetAsideComesBack(t *testing.T) {
	inBubble(t, modems(1), func(t *testing.T, b *bench) {
		b.modems[0].script = func(n int, _ driver.Submit) fakeAct {
			if n < 3 {
				return refuse(driver.ClassRecipient, "cms-1")
			}
			return accept(time.Second)
		}
		var last string
		for range 6 {
			last = b.enqueue(text(alice, "hello"))
		}
		sleep(5 * time.Second)
		b.wantStatus(last, Queued)
		sleep(time.Minute)
		b.wantStatus(last, Sent)
	})
}

// The index, under random use, holds what it should: an entry that was put and not taken or removed is found exactly
// once, and the most urgent lane comes first.
func TestQueueModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		now := time.UnixMilli(1_000_000_000_000)
		q := newQueue()
		model := map[ulid.ULID]*entry{}
		any := asker{bit: 1, fits: func(int, Lane) bool { return true }}
		next := uint64(0)
		t.Repeat(map[string]func(*rapid.T){
			"put": func(t *rapid.T) {
				next++
				e := &entry{
					id: ulid.ULID{15: byte(next), 14: byte(next >> 8)}, rcpt: uint64(rapid.IntRange(0, 3).Draw(t, "rcpt")), lane: uint8(rapid.IntRange(0, Lanes-1).Draw(t, "lane")),
					parts: 1, notAfter: now.Add(time.Hour).UnixMilli(), key: &groupKey{mask: uint64(rapid.IntRange(1, 3).Draw(t, "mask"))},
				}
				if rapid.Bool().Draw(t, "later") {
					e.notBefore = now.Add(time.Duration(rapid.IntRange(1, 5).Draw(t, "delay")) * time.Second).UnixMilli()
				}
				q.put(e, now)
				model[e.id] = e
			},
			"remove": func(t *rapid.T) {
				for id := range model {
					q.remove(id)
					delete(model, id)
					return
				}
			},
			"aside": func(t *rapid.T) {
				q.setAside(uint64(rapid.IntRange(0, 3).Draw(t, "rcpt")), now.Add(3*time.Second))
			},
			"wait": func(t *rapid.T) {
				now = now.Add(time.Second)
				q.wake(now)
			},
			"take": func(t *rapid.T) {
				e, _ := q.next(any, now)
				if e == nil {
					return
				}
				if model[e.id] == nil || e.key.mask&1 == 0 || e.notBefore > now.UnixMilli() {
					t.Fatalf("took %+v", e)
				}
				q.take(e)
				if rapid.Bool().Draw(t, "back") {
					q.back(e)
					return
				}
				q.remove(e.id)
				delete(model, e.id)
			},
			"": func(t *rapid.T) {
				n := 0
				for l := range q.lanes {
					n += len(q.lanes[l].ages.items)
				}
				if n != len(model) || len(q.byID) != len(model) || len(q.deadline.items) != len(model) {
					t.Fatalf("index counts %d, holds %d, watches %d, should hold %d", n, len(q.byID), len(q.deadline.items), len(model))
				}
			},
		})
		q.wake(now.Add(time.Hour))
		now = now.Add(30 * time.Minute)
		for range model {
			e, _ := q.next(asker{bit: 3, fits: any.fits}, now)
			if e == nil {
				t.Fatalf("%d entries cannot be reached", len(model))
			}
			q.take(e)
			q.remove(e.id)
		}
	})
}

func TestErase(t *testing.T) {
	inBubble(t, modems(1), func(t *testing.T, b *bench) {
		sent := b.enqueue(code(alice, 5*time.Minute))
		sleep(2 * time.Second)
		flying, queued := b.enqueue(code(alice, 5*time.Minute)), b.enqueue(code(alice, 5*time.Minute))
		synctest.Wait()
		b.erase("alice")
		sleep(time.Minute)
		if m := b.message(flying); m.To != "" || m.Account != "" || m.Ref != "" {
			t.Errorf("what was with a modem keeps %+v", m)
		}
		err := b.kv.View(context.Background(), func(tx store.Txn) error {
			for _, id := range []string{sent, queued} {
				if _, err := b.g.Lookup(tx, id); err != ErrNotFound {
					t.Errorf("Lookup(%s) after Erase: %v", id, err)
				}
			}
			return scanStrictly(tx, store.Range{Prefix: "gw/evt/"}, func(_ string, e Event) bool {
				if e.Account == "alice" {
					t.Errorf("event %s is left", e.Type)
				}
				return true
			})
		})
		if err != nil {
			t.Fatal(err)
		}
		if n := len(b.net.all()); n != 2 {
			t.Errorf("%d texts went out, want the two before the erasure", n)
		}
	})
}

// The inbound texts of an erased account's phones go too, whatever form the network gave the number: those of its messages, and
// those that only the account knows. Those of others stay, also of a phone abroad with the same last digits.
func TestEraseForgetsInbound(t *testing.T) {
	inBubble(t, modems(1), func(t *testing.T, b *bench) {
		const enrolled, abroad = "+447700900789", "+35377700900123"
		b.enqueue(code(alice, 5*time.Minute))
		sleep(2 * time.Second)
		ctx := context.Background()
		for i, from := range []string{alice, bob, "07700900123", enrolled, "Bank", "7777", abroad, alice} {
			in := driver.Inbound{ICCID: "8944m0", From: from, Text: fmt.Sprint("text ", i), Sent: time.Now(), At: time.Now()}
			if err := b.g.Inbound(ctx, "m0", in); err != nil {
				t.Fatal(err)
			}
		}
		b.erase("alice", enrolled, enrolled)
		page, _, err := b.g.Inbox(ctx, 0, "")
		if err != nil {
			t.Fatal(err)
		}
		var left []string
		for _, item := range page {
			left = append(left, item.From)
		}
		if diff := cmp.Diff([]string{abroad, "7777", "Bank", bob}, left); diff != "" {
			t.Errorf("inbound texts after Erase (-want +got):\n%s", diff)
		}
	})
}

// Nothing that is kept for reports holds an erased number, nor what a report about it says.
func TestEraseForgetsReports(t *testing.T) {
	inBubble(t, modems(1), func(t *testing.T, b *bench) {
		m := b.modems[0]
		b.enqueue(code(alice, 5*time.Minute))
		sleep(2 * time.Second)
		m.plays(func(int, driver.Submit) fakeAct { return unknown(true, 0) })
		d := code(alice, 5*time.Minute)
		d.Unsure = Keep
		b.enqueue(d)
		sleep(2 * time.Second)
		b.tell(m, alice, 7, time.Now().Add(-20*time.Minute)) // of nobody that is known: parked
		held := func(part string) (keys []string) {
			if err := b.kv.View(context.Background(), func(tx store.Txn) error {
				return tx.Scan(store.Range{Prefix: "gw/"}, func(key string, value []byte) bool {
					if kind := strings.Split(key, "/")[1]; bytes.Contains(value, []byte(part)) {
						keys = append(keys, kind)
					}
					return true
				})
			}); err != nil {
				t.Fatal(err)
			}
			return keys
		}
		if diff := cmp.Diff([]string{"msg", "msg"}, held(alice)); diff != "" {
			t.Errorf("records with the number (-want +got):\n%s", diff)
		}
		if diff := cmp.Diff([]string{"early", "msg", "msg", "ref", "unsure"}, held(ending(alice))); diff != "" {
			t.Errorf("records with its end (-want +got):\n%s", diff)
		}
		b.erase("alice")
		if keys := held(ending(alice)); len(keys) > 0 {
			t.Errorf("after Erase still in %v", keys)
		}
	})
}
