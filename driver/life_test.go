package driver

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// A port that goes between two submits: the second was never written, and the first one's verdict is not its own.
func TestVerdictOfAnother(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fk := newFake(t)
		p, err := fk.open(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		cfg, err := Config{Name: "m", Device: "x", Handler: &recorder{}}.withDefaults()
		if err != nil {
			t.Fatal(err)
		}
		l := newLine(p, cfg, builtinClasses())
		if one := l.submit(t.Context(), t.Context(), []byte{1, 2, 3, 4, 5, 6, 7, 8}); one.outcome != Accepted {
			t.Fatalf("%+v", one)
		}
		fk.unplug()
		<-l.at.Closed()
		two := l.submit(t.Context(), t.Context(), []byte{9, 9, 9, 9, 9, 9, 9, 9})
		if two.outcome != Refused || two.code != CodeHangup || len(fk.sent()) != 1 {
			t.Errorf("%s, %s, reference %d, %d PDUs; want refused, nothing written", two.outcome, two.code, two.reference, len(fk.sent()))
		}
		if err := l.close(); err != nil {
			t.Error(err)
		}
	})
}

// Two senders, and the cable goes right behind the first OK: both are accepted only if two PDUs were written.
func TestHangUpBehindVerdict(t *testing.T) {
	for range 50 * *soak {
		bubble(t, func(fk *fake, c *Config) {
			fk.submit = func(int, string) any {
				conn := fk.conn
				go func() {
					_, _ = conn.Write([]byte("\r\n+CMGS: 7\r\n\r\nOK\r\n")) // the driver may have closed its end
					_ = conn.Close()                                        // as may we
				}()
				return ""
			}
		}, func(t *testing.T, m *Modem, fk *fake, _ *recorder) {
			ready(t, m)
			out := make(chan Result, 2)
			for range 2 {
				go func() { out <- m.Send(t.Context(), hello) }()
			}
			a, b := <-out, <-out
			if a.Outcome == Accepted && b.Outcome == Accepted && len(fk.sent()) == 1 {
				t.Error("two messages accepted, one PDU written")
			}
		})
		if t.Failed() {
			return
		}
	}
}

// Nothing of a message leaves once it is dead: no further part of a long one, and no first part behind a slow command.
func TestNothingLeavesDead(t *testing.T) {
	long := hello
	long.Text = strings.Repeat("x", 400)
	queued := hello
	queued.More = true
	for _, tt := range []struct {
		name  string
		sub   Submit
		life  time.Duration
		setUp func(fk *fake)
		left  int // parts that leave
	}{
		{"slow parts", long, 5 * time.Second, func(fk *fake) {
			fk.submit = func(int, string) any { return []chunk{{20 * time.Second, "\r\n+CMGS: 7\r\n\r\nOK\r\n"}} }
		}, 1},
		{"slow command before", queued, time.Second, func(fk *fake) { fk.answers["+CMMS=2"] = "" }, 0},
		{"slow prompt", hello, time.Second, func(fk *fake) { fk.prompt = "" }, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			bubble(t, func(fk *fake, _ *Config) { tt.setUp(fk) }, func(t *testing.T, m *Modem, fk *fake, _ *recorder) {
				ready(t, m)
				ctx, cancel := context.WithTimeout(t.Context(), tt.life)
				defer cancel()
				r := m.Send(ctx, tt.sub)
				if got := len(fk.sent()); r.Outcome != Refused || r.Taken != tt.left || got != tt.left {
					t.Errorf("%s with %d taken, %d parts left; want refused and %d", r.Outcome, r.Taken, got, tt.left)
				}
			})
		})
	}
}

// stuck is a handler whose store does not answer.
type stuck struct{ recorder }

func (*stuck) Report(ctx context.Context, _ string, _ Report) error {
	<-ctx.Done()
	return ctx.Err()
}

// A handler that is stuck holds back a verdict that has come by no more than its patience.
func TestStuckHandler(t *testing.T) {
	bubble(t, func(fk *fake, c *Config) {
		c.Handler = &stuck{}
		fk.submit = func(int, string) any {
			return []chunk{{20 * time.Second, "\r\n+CDS: 25\r\n0006010C9144770009103222111512300000221115123100000000\r\n"}, {time.Second, "\r\n+CMGS: 7\r\n\r\nOK\r\n"}}
		}
	}, func(t *testing.T, m *Modem, fk *fake, _ *recorder) {
		ready(t, m)
		began := time.Now()
		if r := m.Send(t.Context(), hello); r.Outcome != Accepted || time.Since(began) > 21*time.Second+handlerPatience {
			t.Errorf("%s after %v", r.Outcome, time.Since(began))
		}
	})
}
