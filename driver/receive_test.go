package driver

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"otpost/driver/sim"
)

// inNetwork runs f in virtual time with a driver on a simulated modem that is ready.
func inNetwork(t *testing.T, c sim.Config, f func(t *testing.T, m *Modem, n *sim.Network, s *sim.Modem, h *recorder)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		c.NoPTY, c.Network = true, sim.NewNetwork(sim.NetworkConfig{NoMagic: true})
		s, err := sim.New(c)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		var running sync.WaitGroup
		t.Cleanup(func() { cancel(); running.Wait(); _ = s.Close() })
		h := &recorder{}
		m := onPipe(ctx, t, s, h, &running, nil)
		ready(t, m)
		f(t, m, c.Network, s, h)
	})
}

func (r *recorder) refuseWith(err error) { r.mu.Lock(); r.refuse = err; r.mu.Unlock() }

// What the handler does not take stays in the modem, over restarts of it, and comes again, whole.
func TestInboundNotTaken(t *testing.T) {
	inNetwork(t, sim.Config{}, func(t *testing.T, m *Modem, n *sim.Network, s *sim.Modem, h *recorder) {
		h.refuseWith(errors.New("store is low"))
		long := strings.Repeat("a text of several parts; ", 12)
		for _, text := range []string{"short", long} {
			if err := n.Text("+447700900555", s.Number(), text); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(5 * time.Minute)
		if used := m.Status().StorageUsed; used != 3 {
			t.Errorf("%d stored while nobody takes them, want 3", used)
		}
		if err := m.Reset(t.Context()); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		h.refuseWith(nil)
		until(t, 5*time.Minute, "both texts", func() bool { _, texts := h.got(); return len(texts) >= 2 })
		time.Sleep(5 * time.Minute)
		_, texts := h.got()
		var got []string
		for _, x := range texts {
			got = append(got, x.Text)
		}
		if diff := cmp.Diff([]string{"short", long}, got); diff != "" {
			t.Errorf("-want +got\n%s", diff)
		}
		if used := m.Status().StorageUsed; used != 0 {
			t.Errorf("%d still stored", used)
		}
	})
}

// Reports that the handler does not take yet are offered again, in order, and none is lost.
func TestReportNotTaken(t *testing.T) {
	inNetwork(t, sim.Config{ReportDelay: time.Second}, func(t *testing.T, m *Modem, n *sim.Network, s *sim.Modem, h *recorder) {
		h.refuseWith(errors.New("not matched yet"))
		var want []uint8
		for i := range 20 {
			r := m.Send(t.Context(), Submit{To: "+447700900123", Text: fmt.Sprint("message ", i)})
			want = append(want, r.References...)
			time.Sleep(100 * time.Millisecond)
		}
		time.Sleep(10 * time.Second)
		h.refuseWith(nil)
		time.Sleep(time.Minute)
		var got []uint8
		reports, _ := h.got()
		for _, r := range reports {
			got = append(got, r.Reference)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("-want +got\n%s", diff)
		}
	})
}

// One report that is never taken does not hold up the others, and neither a restart of the modem nor a flood loses any.
func TestReportNeverTaken(t *testing.T) {
	bubble(t, func(fk *fake, c *Config) { c.Handler = picky{c.Handler.(*recorder)} }, func(t *testing.T, m *Modem, fk *fake, h *recorder) {
		ready(t, m)
		for _, ref := range []string{"07", "08"} {
			fk.urc("+CDS: 25\r\n0006" + ref + "0C91447700091032621111413021006211114130510000")
		}
		h.refuseWith(errors.New("store is low"))
		for i := range 100 {
			fk.urc(fmt.Sprintf("+CDS: 25\r\n0006%02X0C91447700091032621111413021006211114130510000", 100+i))
		}
		time.Sleep(time.Minute)
		if err := m.Reset(t.Context()); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		h.refuseWith(nil)
		time.Sleep(time.Minute)
		seen := map[uint8]int{}
		reports, _ := h.got()
		for _, r := range reports {
			seen[r.Reference]++
		}
		if len(reports) != 101 || len(seen) != 101 || seen[7] != 0 {
			t.Errorf("%d reports, %d different, want all but one once", len(reports), len(seen))
		}
		if r := m.Send(t.Context(), hello); r.Outcome != Accepted {
			t.Errorf("%+v", r)
		}
	})
}

// picky never takes reference 7.
type picky struct{ *recorder }

func (p picky) Report(ctx context.Context, modem string, r Report) error {
	if r.Reference == 7 {
		return errors.New("matches nothing")
	}
	return p.recorder.Report(ctx, modem, r)
}

// A storage that is full when we come is emptied, and texts that wait in the network come in.
func TestFullStorageIsEmptied(t *testing.T) {
	inNetwork(t, sim.Config{}, func(t *testing.T, m *Modem, n *sim.Network, s *sim.Modem, h *recorder) {
		for i := range 60 { // three times what it holds
			if err := n.Text("+447700900555", s.Number(), fmt.Sprint("text ", i)); err != nil {
				t.Fatal(err)
			}
		}
		until(t, 20*time.Minute, "all texts", func() bool { _, texts := h.got(); return len(texts) >= 60 })
		time.Sleep(3 * time.Minute)
		_, texts := h.got()
		seen := map[string]int{}
		for _, x := range texts {
			seen[x.Text]++
		}
		if len(texts) != 60 || len(seen) != 60 || m.Status().StorageUsed != 0 {
			t.Errorf("%d texts, %d different, %d stored", len(texts), len(seen), m.Status().StorageUsed)
		}
	})
}

// A code waits for one command of housekeeping at the most, however much of it there is.
func TestHousekeepingIsPreempted(t *testing.T) {
	bubble(t, func(fk *fake, c *Config) {
		var list strings.Builder
		for i := range 30 {
			fmt.Fprintf(&list, "+CMGL: %d,0,,24\r\n00040C91447700905555000062111141302100%02X05E8329BFD06\r\n", i, 0)
		}
		fk.answers["+CPMS?"] = "+CPMS: \"SM\",30,30,\"SM\",30,30,\"SM\",30,30\r\n\r\nOK"
		fk.answers["+CMGL=4"] = list.String() + "\r\nOK"
		fk.slow = map[string]time.Duration{"+CMGD=": 400 * time.Millisecond}
	}, func(t *testing.T, m *Modem, fk *fake, h *recorder) {
		ready(t, m)
		until(t, time.Minute, "deleting", func() bool { return fk.count("+CMGD=0") > 0 })
		for range 5 {
			start := time.Now()
			if r := m.Send(t.Context(), hello); r.Outcome != Accepted {
				t.Fatalf("%+v", r)
			}
			if took := time.Since(start); took > 450*time.Millisecond {
				t.Errorf("a message waited %v", took)
			}
			time.Sleep(50 * time.Millisecond)
		}
		if fk.count("+CMGD=29") > 0 {
			t.Error("housekeeping was over before the messages: nothing was pre-empted")
		}
		until(t, time.Minute, "all deleted", func() bool { return fk.count("+CMGD=29") > 0 })
	})
}

func TestJoiner(t *testing.T) {
	part := func(ref, total, seq int, from, text string) string {
		return deliverPDU(t, from, text, ref, total, seq)
	}
	add := func(j joiner, at int, pdu string, now time.Time) (joined, bool) {
		t.Helper()
		in, err := decode(pdu)
		if err != nil || in.deliver == nil {
			t.Fatalf("%s: %v", pdu, err)
		}
		return j.add(slot{"SM", at}, in.deliver, now)
	}
	now := time.Unix(0, 0)
	j := newJoiner()
	if _, ok := add(j, 1, part(7, 2, 2, "447700900555", " world"), now); ok {
		t.Error("half a text is whole")
	}
	if _, ok := add(j, 2, part(7, 2, 1, "447700900556", "another's "), now); ok {
		t.Error("parts of two senders are joined")
	}
	if _, ok := add(j, 1, part(7, 2, 2, "447700900555", " world"), now); ok {
		t.Error("one part twice is whole")
	}
	whole, ok := add(j, 3, part(7, 2, 1, "447700900555", "hello"), now)
	if !ok || whole.text != "hello world" || !cmp.Equal(whole.slots, []slot{{"SM", 1}, {"SM", 3}}, cmp.AllowUnexported(slot{})) {
		t.Errorf("joined: %+v, %v", whole, ok)
	}
	var late []string
	j.expire(now.Add(joinLimit-time.Second), false, func(w joined) { late = append(late, w.text) })
	j.expire(now.Add(joinLimit+time.Second), false, func(w joined) { late = append(late, w.text) })
	if diff := cmp.Diff([]string{"another's […]"}, late); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
}

// Reading all of the storage at once, which hangs on some modems, is tried once: not again after the port was opened anew.
func TestListingHangsOnce(t *testing.T) {
	bubble(t, func(fk *fake, _ *Config) {
		fk.answers["+CPMS?"] = "+CPMS: \"SM\",1,3,\"SM\",1,3,\"SM\",1,3\r\n\r\nOK"
		fk.answers["+CMGL=4"] = ""
	}, func(t *testing.T, m *Modem, fk *fake, _ *recorder) {
		for range 3 {
			ready(t, m)
			time.Sleep(3 * time.Minute)
			fk.unplug()
			until(t, time.Minute, "hung up", func() bool { return m.Status().State != StateReady })
		}
		if n := fk.count("+CMGL=4"); n != 1 {
			t.Errorf("tried %d times", n)
		}
	})
}

// A modem that says OK to a USSD request only behind the network's answer holds up a message for ten seconds at the most.
func TestUSSDHoldsUpNobody(t *testing.T) {
	bubble(t, func(fk *fake, _ *Config) { fk.answers[`+CUSD=1,"*100#",15`] = "" }, func(t *testing.T, m *Modem, fk *fake, _ *recorder) {
		ready(t, m)
		time.Sleep(time.Minute)
		balance := make(chan string, 1)
		go func() {
			text, err := m.USSD(t.Context(), "*100#")
			if err != nil {
				text = err.Error()
			}
			balance <- text
		}()
		synctest.Wait()
		began := time.Now()
		if r := m.Send(t.Context(), hello); r.Outcome != Accepted || time.Since(began) > 2*commandTime+time.Second {
			t.Errorf("%s after %v", r.Outcome, time.Since(began))
		}
		fk.urc(`+CUSD: 0,"Balance 12.50",15`)
		if got := <-balance; got != "Balance 12.50" {
			t.Errorf("got %q", got)
		}
	})
}
