package driver

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// Callers from everywhere are served one after another, each with its own verdict.
func TestConcurrentSends(t *testing.T) {
	bubble(t, func(fk *fake, _ *Config) {
		fk.submit = func(n int, pdu string) any {
			return []chunk{{50 * time.Millisecond, fmt.Sprintf("\r\n+CMGS: %d\r\n\r\nOK\r\n", n)}}
		}
	}, func(t *testing.T, m *Modem, fk *fake, _ *recorder) {
		ready(t, m)
		var wg sync.WaitGroup
		var mu sync.Mutex
		seen := map[uint8]int{}
		for i := range 40 {
			wg.Go(func() {
				r := m.Send(t.Context(), Submit{To: "+447700900123", Text: fmt.Sprint(i)})
				mu.Lock()
				defer mu.Unlock()
				if r.Outcome != Accepted || len(r.References) != 1 {
					t.Errorf("%+v", r)
					return
				}
				seen[r.References[0]]++
			})
		}
		wg.Wait()
		if len(seen) != 40 || len(fk.sent()) != 40 {
			t.Errorf("%d references, %d submits", len(seen), len(fk.sent()))
		}
	})
}

// ctx counts before the first byte, and not behind it.
func TestSendCanceled(t *testing.T) {
	bubble(t, func(fk *fake, _ *Config) {
		fk.submit = func(int, string) any { return []chunk{{time.Minute, "\r\n+CMGS: 5\r\n\r\nOK\r\n"}} }
	}, func(t *testing.T, m *Modem, fk *fake, _ *recorder) {
		ready(t, m)
		over, cancel := context.WithCancel(t.Context())
		cancel()
		if r := m.Send(over, hello); r.Outcome != Refused || r.Code != CodeCanceled || !r.Submitted.IsZero() {
			t.Errorf("canceled before: %+v", r)
		}
		first, second := make(chan Result, 1), make(chan Result, 1)
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		go func() { first <- m.Send(ctx, hello) }()
		synctest.Wait()
		go func() { second <- m.Send(ctx, hello) }()
		if r := <-second; r.Outcome != Refused || r.Code != CodeCanceled {
			t.Errorf("canceled while it waited for another: %+v", r)
		}
		if r := <-first; r.Outcome != Accepted {
			t.Errorf("canceled in flight: %+v", r)
		}
		if n := len(fk.sent()); n != 1 {
			t.Errorf("%d submits", n)
		}
	})
}

// A daemon that stops waits a little for what is in flight, and calls it unknown then; who waits is refused.
func TestStopInFlight(t *testing.T) {
	for _, answer := range []time.Duration{5 * time.Second, time.Minute} {
		t.Run(answer.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				fk := newFake(t)
				fk.submit = func(int, string) any { return []chunk{{answer, "\r\n+CMGS: 5\r\n\r\nOK\r\n"}} }
				m, err := New(Config{Name: "m1", Device: "fake", Handler: &recorder{}, Open: fk.open})
				if err != nil {
					t.Fatal(err)
				}
				ctx, cancel := context.WithCancel(t.Context())
				done := make(chan error, 1)
				go func() { done <- m.Run(ctx) }()
				ready(t, m)
				flying, waiting := make(chan Result, 1), make(chan Result, 1)
				go func() { flying <- m.Send(context.Background(), hello) }()
				synctest.Wait()
				go func() { waiting <- m.Send(context.Background(), hello) }()
				synctest.Wait()
				start := time.Now()
				cancel()
				want := Accepted
				if answer > 10*time.Second {
					want = Unknown
				}
				if r := <-flying; r.Outcome != want {
					t.Errorf("in flight: %+v, want %s", r, want)
				}
				if r := <-waiting; r.Outcome != Refused || r.Code != CodeNotReady && r.Code != CodeCanceled {
					t.Errorf("waiting: %+v", r)
				}
				if err := <-done; err != nil || time.Since(start) > 11*time.Second {
					t.Errorf("Run: %v after %v", err, time.Since(start))
				}
				time.Sleep(2 * time.Minute) // the modem talks on to nobody
			})
		})
	}
}

// What went out is not sent again: parts that were accepted before are skipped, and the one permitted second send asks
// the network to reject duplicates.
func TestSecondAttempt(t *testing.T) {
	bubble(t, func(fk *fake, _ *Config) {
		fk.submit = func(n int, _ string) any {
			if n == 2 {
				return "\r\n+CMS ERROR: 41\r\n"
			}
			return fmt.Sprintf("\r\n+CMGS: %d\r\n\r\nOK\r\n", n)
		}
	}, func(t *testing.T, m *Modem, fk *fake, _ *recorder) {
		ready(t, m)
		s := Submit{To: "+447700900123", Text: strings.Repeat("three parts ", 35), ConcatRef: 9}
		one := m.Send(t.Context(), s)
		if one.Outcome != Refused || one.Taken != 1 || one.Parts != 3 || !cmp.Equal(one.References, []uint8{1}) || one.Code != "cms-41" {
			t.Fatalf("first attempt: %+v", one)
		}
		s.SkipParts, s.Again = one.Taken, true
		two := m.Send(t.Context(), s)
		if two.Outcome != Accepted || two.Taken != 2 || !cmp.Equal(two.References, []uint8{3, 4}) {
			t.Fatalf("second attempt: %+v", two)
		}
		pdus := fk.sent()
		if len(pdus) != 4 || pdus[1][4:] != pdus[2][4:] || pdus[0][2:4] != "61" || pdus[2][2:4] != "65" {
			t.Errorf("first octets %s %s %s %s; the refused part must come again, with TP-RD", pdus[0][2:4], pdus[1][2:4], pdus[2][2:4], pdus[3][2:4])
		}
		fk.mu.Lock()
		fk.submit = func(int, string) any { return "\r\n+CMS ERROR: 197\r\n" }
		fk.mu.Unlock()
		if r := m.Send(t.Context(), Submit{To: "+447700900123", Text: "x", Again: true}); r.Outcome != Accepted || r.Taken != 1 {
			t.Errorf("rejected as the duplicate that it is: %+v", r)
		}
		if r := m.Send(t.Context(), Submit{To: "+447700900123", Text: "x"}); r.Outcome != Refused || r.Class != ClassContent {
			t.Errorf("rejected as a duplicate that it is not: %+v", r)
		}
	})
}

// +CMMS=2 is set once messages queue up, again behind a restart, and not for a single message.
func TestLinkIsKeptOpen(t *testing.T) {
	bubble(t, nil, func(t *testing.T, m *Modem, fk *fake, _ *recorder) {
		ready(t, m)
		m.Send(t.Context(), hello)
		if n := fk.count("+CMMS=2"); n != 0 {
			t.Errorf("set %d times for a single message", n)
		}
		more := hello
		more.More = true
		for range 3 {
			m.Send(t.Context(), more)
		}
		if n := fk.count("+CMMS=2"); n != 1 {
			t.Errorf("set %d times for three messages, want once", n)
		}
		fk.unplug()
		time.Sleep(5 * time.Second)
		ready(t, m)
		m.Send(t.Context(), more)
		if n := fk.count("+CMMS=2"); n != 2 {
			t.Errorf("set %d times in all, want again behind a reconnection", n)
		}
	})
}

// Each part carries the life that is left when it leaves, also behind a wait for another message, and none leaves when
// there is none left.
func TestLifeLeftAtEachPart(t *testing.T) {
	long := Submit{To: "+447700900123", Text: strings.Repeat("three parts ", 35), ConcatRef: 9}
	vp := func(pdu string) string { return pdu[2+2*(2+2+6+2):][:2] } // SMSC, first octet and TP-MR, TP-DA, TP-PID and TP-DCS
	for _, tt := range []struct {
		name   string
		life   time.Duration
		part   time.Duration // that each takes
		before time.Duration // that another message takes
		want   []string      // TP-VP of the parts that leave
	}{
		{"plenty", 12 * time.Hour, time.Second, 0, []string{"8F", "8F", "8F"}},
		{"slow parts", 20 * time.Minute, 4 * time.Minute, 0, []string{"03", "03", "02"}},
		{"behind another", 20 * time.Minute, time.Second, 4*time.Minute + 55*time.Second, []string{"03", "03", "03"}},
		{"behind another for longer", 19 * time.Minute, time.Second, 4*time.Minute + 55*time.Second, []string{"02", "02", "02"}},
		{"dead before the last", 7 * time.Minute, 4 * time.Minute, 0, []string{"01", "00"}},
		{"dead behind another", time.Minute, time.Second, 2 * time.Minute, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			bubble(t, func(fk *fake, _ *Config) {
				fk.submit = func(n int, _ string) any {
					took := tt.part
					if n == 1 {
						took = tt.before
					}
					return []chunk{{took, fmt.Sprintf("\r\n+CMGS: %d\r\n\r\nOK\r\n", n)}}
				}
			}, func(t *testing.T, m *Modem, fk *fake, _ *recorder) {
				ready(t, m)
				go m.Send(t.Context(), hello)
				synctest.Wait()
				s := long
				s.Validity = tt.life
				r := m.Send(t.Context(), s)
				var got []string
				for _, pdu := range fk.sent()[1:] {
					got = append(got, vp(pdu))
				}
				if diff := cmp.Diff(tt.want, got); diff != "" {
					t.Errorf("TP-VP (-want +got):\n%s", diff)
				}
				if whole := len(tt.want) == 3; whole != (r.Outcome == Accepted) || r.Taken != len(tt.want) || !whole && r.Code != CodeCanceled {
					t.Errorf("%+v", r)
				}
			})
		})
	}
}

// Between two parts the caller may take the modem back: what is out stays out, and the rest follows by itself later.
func TestYield(t *testing.T) {
	bubble(t, nil, func(t *testing.T, m *Modem, fk *fake, _ *recorder) {
		ready(t, m)
		asked := 0
		s := Submit{To: "+447700900123", Text: strings.Repeat("three parts ", 35), ConcatRef: 9}
		s.Yield = func() bool { asked++; return asked == 2 }
		one := m.Send(t.Context(), s)
		if one.Outcome != Refused || one.Class != ClassNone || one.Code != CodeYielded || one.Taken != 2 || one.Parts != 3 || one.Submitted.IsZero() {
			t.Fatalf("yielded: %+v", one)
		}
		if st := m.Status(); st.State != StateReady {
			t.Errorf("afterwards: %s", st.State)
		}
		s.SkipParts = one.Taken
		two := m.Send(t.Context(), s)
		if two.Outcome != Accepted || two.Taken != 1 || asked != 2 || len(fk.sent()) != 3 {
			t.Errorf("the rest: %+v, asked %d times; behind the last part there is nothing to yield", two, asked)
		}
		alone := Submit{To: "+447700900123", Text: "one part", Yield: func() bool { t.Error("asked of one part"); return true }}
		if r := m.Send(t.Context(), alone); r.Outcome != Accepted {
			t.Errorf("one part: %+v", r)
		}
	})
}
