package gateway

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"otpost/driver"
	"otpost/gateway/store"
)

func unknown(happens bool, hang time.Duration) fakeAct {
	return fakeAct{happens: happens, hang: hang, result: driver.Result{Outcome: driver.Unknown, Code: "no-result"}}
}

// What is done about a hand-over that may have gone out.
func TestUncertain(t *testing.T) {
	tests := []struct {
		name     string
		draft    func() Draft
		acts     []fakeAct
		want     Status
		attempts int
		again    bool
	}{
		{"a code is sent once more", func() Draft { return code(alice, 5*time.Minute) }, []fakeAct{unknown(true, 0)}, Sent, 2, true},
		{"once and no more", func() Draft { return code(alice, 5*time.Minute) }, []fakeAct{unknown(true, 0), unknown(true, 0)}, Uncertain, 2, true},
		{"a refused second send is tried again", func() Draft { return code(alice, 5*time.Minute) }, []fakeAct{unknown(true, 0), refuse(driver.ClassNetwork, "cms-38")}, Sent, 3, true},
		{"what is refused for good stays uncertain", func() Draft { return code(alice, 5*time.Minute) }, []fakeAct{unknown(true, 0), refuse(driver.ClassRecipient, "cms-1")}, Uncertain, 2, true},
		{"too little life left", func() Draft { return code(alice, 15*time.Second) }, []fakeAct{unknown(true, 0)}, Uncertain, 1, false},
		{"a text is kept", func() Draft { return text(alice, "hello") }, []fakeAct{unknown(true, 0)}, Uncertain, 1, false},
		{"a text whose sender asked is sent once more", func() Draft {
			d := text(alice, "hello")
			d.Unsure = ResendOnce
			return d
		}, []fakeAct{unknown(true, 0)}, Sent, 2, true},
		{"a code whose sender asked is kept", func() Draft {
			d := code(alice, 5*time.Minute)
			d.Unsure = Keep
			return d
		}, []fakeAct{unknown(true, 0)}, Uncertain, 1, false},
		{"a late result settles it", func() Draft { return text(alice, "hello") }, []fakeAct{{happens: true, hang: 3 * time.Minute, result: driver.Result{Outcome: driver.Accepted}}}, Sent, 1, false},
		{"a late refusal lets it go again", func() Draft { return text(alice, "hello") }, []fakeAct{{took: 3 * time.Minute, result: driver.Result{Outcome: driver.Refused, Class: driver.ClassNetwork}}}, Sent, 2, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			inBubble(t, modems(1), func(t *testing.T, b *bench) {
				b.modems[0].script = func(n int, _ driver.Submit) fakeAct {
					if n < len(tt.acts) {
						return tt.acts[n]
					}
					return accept(time.Second)
				}
				id := b.enqueue(tt.draft())
				sleep(10 * time.Minute)
				m := b.wantStatus(id, tt.want)
				if len(m.Attempts) != tt.attempts || slices.ContainsFunc(m.Attempts, func(a Attempt) bool { return a.Again }) != tt.again {
					t.Errorf("attempts %+v", m.Attempts)
				}
			})
		})
	}
}

// While a hand-over takes long it shows as uncertain, and its verdict still counts.
func TestOverdue(t *testing.T) {
	inBubble(t, modems(1), func(t *testing.T, b *bench) {
		b.modems[0].script = func(int, driver.Submit) fakeAct { return accept(3 * time.Minute) }
		id := b.enqueue(text(alice, "hello"))
		sleep(59 * time.Second)
		b.wantStatus(id, Sending)
		sleep(2 * time.Second)
		b.wantStatus(id, Uncertain)
		sleep(2 * time.Minute)
		if m := b.wantStatus(id, Sent); m.Attempts[0].Outcome != driver.Accepted || m.Text != "" {
			t.Errorf("message %+v", m)
		}
	})
}

// A report settles a doubtful hand-over whose reference was never learned, and a second send that waits is dropped.
func TestReportSettlesUncertain(t *testing.T) {
	for status, want := range map[byte]Status{0: Delivered, 0x30: Sent, 0x41: Undelivered} {
		t.Run(string(want), func(t *testing.T) {
			inBubble(t, modems(1), func(t *testing.T, b *bench) {
				b.modems[0].script = func(int, driver.Submit) fakeAct { return unknown(true, 0) }
				id := b.enqueue(text(alice, "hello"))
				b.wantStatus(id, Uncertain)
				b.report(b.modems[0], bob, 77, status)
				b.wantStatus(id, Uncertain)
				b.report(b.modems[0], alice, 77, status)
				b.wantStatus(id, want)
				if want == Sent { // the final report that follows is matched by the reference learned so
					b.report(b.modems[0], alice, 77, 0)
					b.wantStatus(id, Delivered)
				}
			})
		})
	}
}

// A report finds its part by SIM, phone and time when the modem said OK and told no reference, also one that overtakes that
// OK. Until then the message is sent, which is all that is known, and is not sent again.
func TestAcceptedWithoutReference(t *testing.T) {
	ok := fakeAct{happens: true, mute: true, result: driver.Result{Outcome: driver.Accepted}}
	early := ok
	early.hang = 10 * time.Second
	long := strings.Repeat("a", 300)
	for _, tt := range []struct {
		name    string
		act     fakeAct
		text    string
		reports []byte // TP-ST, with references of their own
		want    []Status
	}{
		{"delivered", ok, "hello", []byte{0}, []Status{Delivered}},
		{"lost", ok, "hello", []byte{0x41}, []Status{Undelivered}},
		{"still trying", ok, "hello", []byte{0x30}, []Status{Sent}},
		{"before the result", early, "hello", []byte{0}, []Status{Sending}},
		{"two parts", ok, long, []byte{0, 0}, []Status{Sent, Delivered}},
		{"two parts, one lost", ok, long, []byte{0, 0x41}, []Status{Sent, Undelivered}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			inBubble(t, modems(1), func(t *testing.T, b *bench) {
				b.modems[0].script = func(int, driver.Submit) fakeAct { return tt.act }
				id := b.enqueue(text(alice, tt.text))
				sleep(2 * time.Second)
				b.report(b.modems[0], bob, 7, 0)
				for i, status := range tt.reports {
					b.report(b.modems[0], alice, uint8(77+i), status)
					b.wantStatus(id, tt.want[i])
				}
				sleep(time.Minute)
				want := tt.want[len(tt.want)-1]
				if want == Sending {
					want = Delivered
				}
				if m := b.wantStatus(id, want); len(m.Attempts) != 1 || m.Attempts[0].Outcome != driver.Accepted {
					t.Errorf("attempts %+v", m.Attempts)
				}
				if want == Sent { // what follows is matched by the reference learned so
					b.report(b.modems[0], alice, 77, 0)
					b.wantStatus(id, Delivered)
				}
			})
		})
	}
}

func TestParkedReport(t *testing.T) {
	for _, act := range []fakeAct{{happens: true, hang: 10 * time.Second, result: driver.Result{Outcome: driver.Accepted}}, unknown(true, 10*time.Second)} {
		t.Run(string(act.result.Outcome), func(t *testing.T) {
			inBubble(t, modems(1), func(t *testing.T, b *bench) {
				b.modems[0].script = func(int, driver.Submit) fakeAct { return act }
				id := b.enqueue(code(alice, 5*time.Minute))
				sleep(5 * time.Second)
				b.report(b.modems[0], alice, 100, 0) // overtakes the verdict
				b.wantStatus(id, Sending)
				sleep(6 * time.Second)
				b.wantStatus(id, Delivered)
				sleep(time.Minute)
				if n := len(b.net.all()); n != 1 {
					t.Errorf("%d texts went out", n)
				}
			})
		})
	}
}

// References wrap at 255: of two messages with one reference, the report is for the one it names and fits in time.
func TestReferencesWrap(t *testing.T) {
	inBubble(t, modems(1), func(t *testing.T, b *bench) {
		refs := map[string]uint8{}
		var first, same, last string
		for i := range 257 {
			to := fmt.Sprintf("+4477009%05d", i)
			if i == 256 {
				to = fmt.Sprintf("+4477009%05d", 0)
			}
			id := b.enqueue(code(to, 5*time.Minute))
			sleep(1500 * time.Millisecond)
			m := b.wantStatus(id, Sent)
			refs[id] = m.Attempts[0].References[0]
			switch i {
			case 0:
				first = id
			case 1:
				same = id
			case 256:
				last = id
			}
		}
		if refs[first] != refs[last] || refs[first] == refs[same] {
			t.Fatalf("references %d, %d, %d", refs[first], refs[same], refs[last])
		}
		report := func(id string) {
			m := b.message(id)
			r := driver.Report{ICCID: b.modems[0].iccid, Reference: refs[id], Recipient: m.To, Sent: m.SentAt.Add(time.Second), At: time.Now()}
			if err := b.g.Report(context.Background(), "m0", r); err != nil {
				t.Fatal(err)
			}
		}
		report(last)
		b.wantStatus(last, Delivered)
		b.wantStatus(first, Sent)
		report(last) // the same once more changes nothing
		b.wantStatus(first, Sent)
		report(first)
		b.wantStatus(first, Delivered)
		b.wantStatus(same, Sent)
	})
}

// A message is delivered when all its parts are.
func TestMultipart(t *testing.T) {
	long := string(make([]byte, 0))
	for range 350 {
		long += "a"
	}
	deliver := func(b *bench, part int, status byte) {
		m := b.message(b.messages()[0].ID)
		b.report(b.modems[0], alice, m.Attempts[0].References[part], status)
	}
	tests := []struct {
		name    string
		reports []byte
		want    Status
	}{
		{"two of three", []byte{0, 0}, Sent}, {"all", []byte{0, 0, 0}, Delivered}, {"one lost", []byte{0, 0x41, 0}, Undelivered}, {"still trying", []byte{0, 0, 0x20}, Sent},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			inBubble(t, modems(1), func(t *testing.T, b *bench) {
				id := b.enqueue(text(alice, long))
				sleep(2 * time.Second)
				if m := b.wantStatus(id, Sent); m.Parts != 3 || len(m.Attempts[0].References) != 3 || m.ConcatRef == 0 {
					t.Errorf("message %+v", m)
				}
				for part, status := range tt.reports {
					deliver(b, part, status)
				}
				b.wantStatus(id, tt.want)
			})
		})
	}
}

// What one SIM has begun only that SIM may finish, from the part where it stopped.
func TestPartialSend(t *testing.T) {
	inBubble(t, modems(2), func(t *testing.T, b *bench) {
		skipped := -1
		b.modems[0].script = func(n int, s driver.Submit) fakeAct {
			if n == 0 {
				act := refuse(driver.ClassNetwork, "cms-38")
				act.result.References = []uint8{200}
				return act
			}
			skipped = s.SkipParts
			return accept(time.Second)
		}
		b.modems[1].set(b.g, driver.StateRecovering)
		id := b.enqueue(text(alice, strings.Repeat("a", 350)))
		sleep(500 * time.Millisecond)
		b.modems[1].set(b.g, driver.StateReady)
		sleep(time.Minute)
		m := b.wantStatus(id, Sent)
		if skipped != 1 || len(m.Attempts) != 2 || m.Attempts[1].Modem != "m0" {
			t.Errorf("skipped %d, attempts %+v", skipped, m.Attempts)
		}
		for _, ref := range []uint8{200, m.Attempts[1].References[0], m.Attempts[1].References[1]} {
			b.report(b.modems[0], alice, ref, 0)
		}
		b.wantStatus(id, Delivered)
	})
}

// A part that was accepted without telling its reference is not sent again either.
func TestPartialSendWithoutReference(t *testing.T) {
	inBubble(t, modems(1), func(t *testing.T, b *bench) {
		skipped := -1
		b.modems[0].script = func(n int, s driver.Submit) fakeAct {
			if n == 0 {
				act := refuse(driver.ClassNetwork, "cms-38")
				act.result.Taken = 2
				return act
			}
			skipped = s.SkipParts
			return accept(time.Second)
		}
		id := b.enqueue(text(alice, strings.Repeat("a", 350)))
		sleep(time.Minute)
		if b.wantStatus(id, Sent); skipped != 2 {
			t.Errorf("skipped %d parts, want 2", skipped)
		}
	})
}

func (b *bench) messages() []Message {
	b.t.Helper()
	page, _, err := b.g.Messages(context.Background(), Filter{})
	if err != nil {
		b.t.Fatal(err)
	}
	return page
}

// Without a report in 24 hours a message is sent for good; a report after that changes nothing.
func TestReportTimeout(t *testing.T) {
	inBubble(t, modems(1), func(t *testing.T, b *bench) {
		sent, doubtful := b.enqueue(code(alice, 5*time.Minute)), ""
		sleep(2 * time.Second)
		b.modems[0].plays(func(int, driver.Submit) fakeAct { return unknown(false, 0) })
		doubtful = b.enqueue(text(bob, "hello"))
		sleep(24*time.Hour - time.Minute)
		if m := b.wantStatus(sent, Sent); m.Final() {
			t.Error("final too early")
		}
		sleep(3 * time.Minute)
		if m := b.wantStatus(sent, Sent); !m.Final() {
			t.Error("not final after 24 hours")
		}
		if m := b.wantStatus(doubtful, Uncertain); !m.Final() || m.Text != "" {
			t.Errorf("not final after 24 hours: %+v", m)
		}
		b.report(b.modems[0], alice, 100, 0)
		b.wantStatus(sent, Sent)
	})
}

// Nothing that is final leaves anything behind that is not collected in the end.
func TestEverythingIsCollected(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, 2)
		collect := &collecting{KV: b.kv, when: map[string]time.Time{}}
		b.kv = collect
		b.start()
		for i := range 40 {
			d := code(fmt.Sprintf("+4477009%05d", i), 5*time.Minute)
			if i%3 == 0 {
				d = text(d.To, "hello")
			}
			b.modems[i%2].plays(func(n int, _ driver.Submit) fakeAct {
				return []fakeAct{accept(time.Second), unknown(true, 0), refuse(driver.ClassNetwork, "cms-38"), refuse(driver.ClassRecipient, "cms-1")}[n%4]
			})
			b.enqueue(d)
			sleep(10 * time.Second)
			b.report(b.modems[i%2], d.To, uint8(100+i), 0)
			if err := b.g.Inbound(context.Background(), "m0", driver.Inbound{ICCID: "8944", From: d.To, Text: "yes", Sent: time.Now(), At: time.Now()}); err != nil {
				t.Fatal(err)
			}
		}
		sleep(3 * 24 * time.Hour)
		b.end()
		var left []string
		err := b.kv.View(context.Background(), func(tx store.Txn) error {
			return tx.Scan(store.Range{Prefix: "gw/"}, func(key string, _ []byte) bool {
				if at := collect.when[key]; at.IsZero() || at.After(time.Now().Add(34*24*time.Hour)) {
					left = append(left, key)
				}
				return true
			})
		})
		if err != nil {
			t.Fatal(err)
		}
		var want []string
		for _, sim := range []string{"8944m0", "8944m1"} {
			want = append(want, b.g.simKey(sim))
		}
		slices.Sort(want)
		if diff := cmp.Diff(want, left); diff != "" {
			t.Errorf("kept for ever (-want +got):\n%s", diff)
		}
	})
}

// collecting notes when records may be collected.
type collecting struct {
	store.KV
	when map[string]time.Time
}

func (c *collecting) Update(ctx context.Context, f func(store.Txn) error) error {
	return c.KV.Update(ctx, func(tx store.Txn) error { return f(collectingTxn{tx, c}) })
}

type collectingTxn struct {
	store.Txn
	c *collecting
}

func (t collectingTxn) Set(key string, value []byte, collect time.Time) error {
	t.c.when[key] = collect
	return t.Txn.Set(key, value, collect)
}
