package gateway

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"otpost/driver"
	"otpost/gateway/store"
)

func TestMessagesPages(t *testing.T) {
	inBubble(t, modems(1), func(t *testing.T, b *bench) {
		b.modems[0].set(b.g, driver.StateSearching)
		var ids []string
		for i := range 25 {
			ids = append(ids, b.enqueue(text(fmt.Sprintf("+4477009%05d", i), "hello")))
		}
		slices.Reverse(ids)
		for _, f := range []Filter{{Limit: 10}, {Limit: 10, Status: Queued}} {
			var got []string
			for {
				page, next, err := b.g.Messages(context.Background(), f)
				if err != nil {
					t.Fatal(err)
				}
				for _, m := range page {
					got = append(got, m.ID)
				}
				if f.Cursor = next; next == "" {
					break
				}
			}
			if diff := cmp.Diff(ids, got); diff != "" {
				t.Errorf("pages of %+v (-want +got):\n%s", f, diff)
			}
		}
		if page, _, err := b.g.Messages(context.Background(), Filter{Status: Delivered}); err != nil || len(page) != 0 {
			t.Errorf("delivered: %v, %v", page, err)
		}
		var bad *InvalidError
		if _, _, err := b.g.Messages(context.Background(), Filter{Cursor: "msg_x"}); !errors.As(err, &bad) {
			t.Errorf("a cursor that is none: %v", err)
		}
	})
}

// Ids ascend even when the clock steps back or the process starts afresh.
func TestIDsAscend(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newIDs(newBench(t, 0).random)
		now, last := time.Now(), ""
		for i := range 1000 {
			id, err := s.next(eventPrefix, now.Add(-time.Duration(i%7)*time.Hour))
			if err != nil || id <= last {
				t.Fatalf("%s after %s: %v", id, last, err)
			}
			last = id
		}
		fresh := newIDs(newBench(t, 0).random)
		fresh.after(eventPrefix, last)
		if id, err := fresh.next(eventPrefix, now.Add(-time.Hour)); err != nil || id <= last {
			t.Errorf("%s after %s: %v", id, last, err)
		}
	})
}

func TestInbox(t *testing.T) {
	inBubble(t, modems(1), func(t *testing.T, b *bench) {
		ctx := context.Background()
		for i := range 5 {
			in := driver.Inbound{ICCID: "8944", From: alice, Text: fmt.Sprint("stop ", i), Sent: time.Now(), At: time.Now()}
			for range 2 { // the driver repeats what it is not sure we have
				if err := b.g.Inbound(ctx, "m0", in); err != nil {
					t.Fatal(err)
				}
			}
		}
		page, next, err := b.g.Inbox(ctx, 3, "")
		if err != nil || len(page) != 3 || page[0].Text != "stop 4" || next == "" {
			t.Errorf("Inbox = %+v, %q, %v", page, next, err)
		}
		page, next, err = b.g.Inbox(ctx, 3, next)
		if err != nil || len(page) != 2 || page[1].Text != "stop 0" || next != "" {
			t.Errorf("Inbox = %+v, %q, %v", page, next, err)
		}
	})
}

// The stream goes on where it was left, and tells of a modem.
func TestEventsResume(t *testing.T) {
	inBubble(t, modems(1), func(t *testing.T, b *bench) {
		b.enqueue(code(alice, time.Minute))
		sleep(2 * time.Second)
		b.modems[0].set(b.g, driver.StateAbsent)
		b.modems[0].set(b.g, driver.StateReady)
		synctest.Wait()
		var all []Event
		stop := errors.New("enough")
		read := func(after string, n int) []string {
			var kinds []string
			err := b.g.Events(context.Background(), after, func(e Event) error {
				all = append(all, e)
				if kinds = append(kinds, e.Type); len(kinds) == n {
					return stop
				}
				return nil
			})
			if err != stop {
				t.Errorf("Events: %v", err)
			}
			return kinds
		}
		if got := read("evt_"+fmt.Sprintf("%026d", 0), 2); !slices.Equal(got, []string{"modem.up", "message.sent"}) {
			t.Errorf("from the beginning: %v", got)
		}
		if got := read(all[0].ID, 1); !slices.Equal(got, []string{"message.sent"}) {
			t.Errorf("after the first: %v", got)
		}
		var bad *InvalidError
		if err := b.g.Events(context.Background(), "7", func(Event) error { return nil }); !errors.As(err, &bad) {
			t.Errorf("an id that is none: %v", err)
		}
	})
}

// What is past ends at the newest event that there was when it was asked for, over more than one page and though more come.
func TestPastEvents(t *testing.T) {
	inBubble(t, modems(1), func(t *testing.T, b *bench) {
		emit := func(n int) {
			err := b.kv.Update(context.Background(), func(tx store.Txn) error {
				for range n {
					if err := b.g.Emit(tx, time.Now(), Event{Type: "challenge.verified"}); err != nil {
						return err
					}
				}
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		count := func(after string, f func(Event)) int {
			n := 0
			if err := b.g.PastEvents(context.Background(), after, func(e Event) error { n++; f(e); return nil }); err != nil {
				t.Error(err)
			}
			return n
		}
		before := count("", func(Event) {})
		emit(2*eventPage + 7)
		var ids []string
		if got := count("", func(e Event) { emit(1); ids = append(ids, e.ID) }); got != before+2*eventPage+7 {
			t.Errorf("%d events of %d", got, before+2*eventPage+7)
		}
		last, err := b.g.LastEvent(context.Background())
		if err != nil || last <= ids[len(ids)-1] {
			t.Errorf("last event %q, %v", last, err)
		}
		if got := count(last, func(Event) {}); got != 0 {
			t.Errorf("%d events after the last", got)
		}
		var bad *InvalidError
		if err := b.g.PastEvents(context.Background(), "7", nil); !errors.As(err, &bad) {
			t.Errorf("an id that is none: %v", err)
		}
	})
}

// A modem that goes away for a moment and one that stays away are told.
func TestModemEvents(t *testing.T) {
	inBubble(t, modems(1), func(t *testing.T, b *bench) {
		b.modems[0].set(b.g, driver.StateAbsent)
		synctest.Wait()
		b.modems[0].set(b.g, driver.StateStarting)
		synctest.Wait()
		b.modems[0].set(b.g, driver.StateReady)
		synctest.Wait()
		page, err := b.g.eventsAfter(context.Background(), "")
		if err != nil {
			t.Fatal(err)
		}
		var kinds []string
		for _, e := range page {
			kinds = append(kinds, e.Type)
		}
		if diff := cmp.Diff([]string{"modem.up", "modem.down", "modem.up"}, kinds); diff != "" {
			t.Errorf("events (-want +got):\n%s", diff)
		}
	})
}

func TestMetrics(t *testing.T) {
	reg := prometheus.NewPedanticRegistry()
	inBubble(t, func(t *testing.T) *bench {
		b := newBench(t, 1)
		b.config = func(c *Config) { c.Registry = reg }
		b.route = func(r *Route) { r.PerDay = 100 }
		b.modems[0].script = func(n int, _ driver.Submit) fakeAct {
			if n == 1 {
				return refuse(driver.ClassRecipient, "cms-1")
			}
			return accept(time.Second)
		}
		return b
	}, func(t *testing.T, b *bench) {
		b.enqueue(code(alice, time.Minute))
		sleep(2 * time.Second)
		b.report(b.modems[0], alice, 100, 0)
		b.enqueue(code(bob, time.Minute))
		sleep(2 * time.Second)
		b.modems[0].set(b.g, driver.StateAbsent)
		b.enqueue(text(bob, "hello"))
		sleep(5 * time.Second)
		problems, err := testutil.GatherAndLint(reg)
		if err != nil || len(problems) > 0 {
			t.Errorf("lint: %v, %v", problems, err)
		}
		for name, want := range map[string]float64{
			"otpost_messages_total{state=delivered}": 1, "otpost_messages_total{state=failed}": 1, "otpost_messages_total{state=queued}": 3,
			"otpost_reports_total{outcome=delivered}": 1, "otpost_messages_refused_total{class=recipient}": 1, "otpost_modem_quota_left{modem=m0}": 99,
			"otpost_queue_depth{lane=text}": 1, "otpost_queue_oldest_age_seconds{lane=text}": 5, "otpost_conversion_sent_total{country=GB}": 1,
		} {
			if got := metric(t, reg, name); got != want {
				t.Errorf("%s = %v, want %v", name, got, want)
			}
		}
	})
}

// metric returns the sum of a family's samples that carry the label.
func metric(t *testing.T, reg *prometheus.Registry, name string) float64 {
	t.Helper()
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	sum := 0.0
	for _, f := range families {
		for _, m := range f.GetMetric() {
			for _, l := range m.GetLabel() {
				if fmt.Sprintf("%s{%s=%s}", f.GetName(), l.GetName(), l.GetValue()) == name {
					sum += m.GetCounter().GetValue() + m.GetGauge().GetValue()
				}
			}
		}
	}
	return sum
}
