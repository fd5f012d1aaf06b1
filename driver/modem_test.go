package driver

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

var hello = Submit{To: "+447700900123", Text: "hello", Validity: 5 * time.Minute}

func TestSendAccepted(t *testing.T) {
	bubble(t, nil, func(t *testing.T, m *Modem, fk *fake, _ *recorder) {
		ready(t, m)
		got := m.Send(t.Context(), hello)
		want := Result{Outcome: Accepted, References: []uint8{1}, Taken: 1, Parts: 1, ICCID: "8944100000000000001"}
		if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(Result{}, "Submitted", "Done")); diff != "" {
			t.Errorf("-want +got\n%s", diff)
		}
		if got.Submitted.IsZero() || got.Done.Before(got.Submitted) {
			t.Errorf("submitted %v, done %v", got.Submitted, got.Done)
		}
		// SRR and relative VP of 5 minutes (0x00), TP-MR 0, GSM-7, 5 septets
		if diff := cmp.Diff([]string{"0031000C91447700091032000000" + "05E8329BFD06"}, fk.sent()); diff != "" {
			t.Errorf("-want +got\n%s", diff)
		}
	})
}

func TestStatusAfterStart(t *testing.T) {
	bubble(t, nil, func(t *testing.T, m *Modem, fk *fake, h *recorder) {
		ready(t, m)
		time.Sleep(2 * time.Second)
		want := Status{
			Name: "m1", State: StateReady, Device: "fake", Manufacturer: "ACME", Model: "M1", Revision: "1.0",
			IMEI: "490154203237518", IMSI: "234150000000001", ICCID: "8944100000000000001", Operator: "Test",
			Registration: "home", SignalDBm: -73, SMSC: "+447700900000", Reports: true, StorageTotal: 30,
			Resets: map[string]uint64{},
		}
		if diff := cmp.Diff(want, m.Status(), cmpopts.IgnoreFields(Status{}, "LastGood", "Since")); diff != "" {
			t.Errorf("-want +got\n%s", diff)
		}
		if diff := cmp.Diff([]State{StateStarting, StateReady}, h.states); diff != "" {
			t.Errorf("states: -want +got\n%s", diff)
		}
		if got := m.Status().LastGood; time.Since(got) > 5*time.Second {
			t.Errorf("last good answer at %v, now %v", got, time.Now())
		}
	})
}

func TestSendNotReady(t *testing.T) {
	bubble(t, func(fk *fake, c *Config) {
		c.Open = func(context.Context) (io.ReadWriteCloser, error) { return nil, ErrAbsent }
	}, func(t *testing.T, m *Modem, fk *fake, _ *recorder) {
		time.Sleep(time.Minute)
		got := m.Send(t.Context(), hello)
		if got.Outcome != Refused || got.Class != ClassModem || got.Code != CodeNotReady {
			t.Errorf("got %+v", got)
		}
		if s := m.Status(); s.State != StateAbsent {
			t.Errorf("state %s, want absent", s.State)
		}
	})
}

// Everything that can happen between the command and the verdict, by when and how.
func TestVerdicts(t *testing.T) {
	gone := errors.New("cable pulled")
	tests := []struct {
		name   string
		prompt string
		submit any
		want   Result
		within time.Duration // the verdict falls then
	}{
		{"fast", "\r\n> ", "\r\n+CMGS: 7\r\n\r\nOK\r\n", Result{Outcome: Accepted, References: []uint8{7}, Taken: 1}, time.Second},
		{"slow", "\r\n> ", []chunk{{14500 * time.Millisecond, "\r\n+CMGS: 64\r\n\r\nOK\r\n"}}, Result{Outcome: Accepted, References: []uint8{64}, Taken: 1}, 15 * time.Second},
		{"after four minutes", "\r\n> ", []chunk{{4 * time.Minute, "\r\n+CMGS: 9\r\n\r\nOK\r\n"}}, Result{Outcome: Accepted, References: []uint8{9}, Taken: 1}, 241 * time.Second},
		{"never", "\r\n> ", "", Result{Outcome: Unknown, Code: CodeTimeout}, 301 * time.Second},
		{"ok without reference", "\r\n> ", "\r\nOK\r\n", Result{Outcome: Accepted, Taken: 1}, time.Second},
		{"refused for its recipient", "\r\n> ", "\r\n+CMS ERROR: 1\r\n", Result{Outcome: Refused, Class: ClassRecipient, Code: "cms-1"}, time.Second},
		{"refused after two minutes", "\r\n> ", []chunk{{135 * time.Second, "\r\n+CMS ERROR: 38\r\n"}}, Result{Outcome: Refused, Class: ClassNetwork, Code: "cms-38"}, 136 * time.Second},
		{"lost track after two minutes", "\r\n> ", []chunk{{135 * time.Second, "\r\n+CMS ERROR: 350\r\n"}}, Result{Outcome: Unknown, Code: "cms-350"}, 136 * time.Second},
		{"restart after ctrl-z", "\r\n> ", []chunk{{time.Second, "\r\nRDY\r\n"}}, Result{Outcome: Unknown, Code: CodeReset}, 2 * time.Second},
		{"unplugged after ctrl-z", "\r\n> ", gone, Result{Outcome: Unknown, Code: CodeHangup}, time.Second},
		{"no prompt", "", nil, Result{Outcome: Refused, Class: ClassModem, Code: CodeNoPrompt}, 11 * time.Second},
		{"error for a prompt", "\r\n+CMS ERROR: 331\r\n", nil, Result{Outcome: Refused, Class: ClassNetwork, Code: "cms-331"}, time.Second},
		{"ok for a prompt", "\r\nOK\r\n", nil, Result{Outcome: Refused, Class: ClassModem, Code: CodeNoPrompt}, 11 * time.Second},
		{"restart for a prompt", "\r\nRDY\r\n", nil, Result{Outcome: Refused, Class: ClassModem, Code: CodeReset}, time.Second},
		{"someone else's reference first", "\r\n+CMGS: 3\r\n\r\nOK\r\n\r\n> ", "\r\n+CMGS: 4\r\n\r\nOK\r\n", Result{Outcome: Accepted, References: []uint8{4}, Taken: 1}, time.Second},
		{"two prompts", "\r\n> \r\n> ", "\r\n+CMGS: 5\r\n\r\nOK\r\n", Result{Outcome: Accepted, References: []uint8{5}, Taken: 1}, time.Second},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			bubble(t, func(fk *fake, _ *Config) {
				fk.prompt = tt.prompt
				fk.submit = func(int, string) any { return tt.submit }
			}, func(t *testing.T, m *Modem, fk *fake, _ *recorder) {
				ready(t, m)
				start := time.Now()
				got := m.Send(t.Context(), hello)
				if took := time.Since(start); took > tt.within {
					t.Errorf("took %v, want at most %v", took, tt.within)
				}
				tt.want.Parts, tt.want.ICCID = 1, "8944100000000000001"
				if diff := cmp.Diff(tt.want, got, cmpopts.IgnoreFields(Result{}, "Submitted", "Done")); diff != "" {
					t.Errorf("-want +got\n%s", diff)
				}
				if n := len(fk.sent()); n > 1 {
					t.Errorf("submitted %d times", n)
				}
				if submitted := len(fk.sent()) == 1; submitted == got.Submitted.IsZero() {
					t.Errorf("Submitted %v, but the modem saw %d PDUs", got.Submitted, len(fk.sent()))
				}
				// Whatever it was, the next message gets its own verdict.
				fk.mu.Lock()
				fk.prompt = "\r\n> "
				fk.submit = func(int, string) any { return "\r\n+CMGS: 77\r\n\r\nOK\r\n" }
				fk.mu.Unlock()
				until(t, time.Minute, "ready again", func() bool { return m.Status().State == StateReady })
				again := m.Send(t.Context(), hello)
				if again.Outcome != Accepted || !cmp.Equal(again.References, []uint8{77}) {
					t.Errorf("next message: %+v", again)
				}
			})
		})
	}
}

// What somebody has to look at is a warning, what belongs to a start or a stop is not.
func TestLevels(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fk := newFake(t)
		var out bytes.Buffer // written by the modem's loop only, and read behind it
		log := slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
			if a.Key == slog.TimeKey || a.Key == "device" || a.Key == "modem" || a.Key == "reason" {
				return slog.Attr{}
			}
			return a
		}}))
		m, err := New(Config{Name: "m1", Device: "fake", Handler: &recorder{}, Open: fk.open, Log: log})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- m.Run(ctx) }()
		ready(t, m)
		fk.set("+CPIN?", "+CME ERROR: 10")
		fk.urc("+CPIN: NOT READY")
		until(t, time.Minute, "no SIM", func() bool { return m.Status().State == StateSIMMissing })
		fk.set("+CPIN?", "+CPIN: READY\r\n\r\nOK")
		ready(t, m)
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		fk.serving.Wait()
		var got []string
		for l := range strings.Lines(out.String()) {
			if level, rest, _ := strings.Cut(strings.TrimSpace(l), " "); strings.Contains(rest, "modem state") {
				got = append(got, strings.TrimPrefix(level, "level=")+" "+strings.TrimPrefix(rest, `msg="modem state" `))
			}
		}
		want := []string{"INFO state=starting was=absent", "INFO state=ready was=starting", "WARN state=starting was=ready",
			"WARN state=sim-missing was=starting", "INFO state=starting was=sim-missing",
			"INFO state=ready was=starting", "INFO state=absent was=ready"}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("-want +got:\n%s", diff)
		}
	})
}
