package sim

import (
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/warthog618/sms"
)

// order orders a fault.
func (h *host) order(f Fault) FaultState {
	h.t.Helper()
	s, err := h.m.net.AddFault(f)
	if err != nil {
		h.t.Fatal(err)
	}
	return s
}

// sent is how many submits the network took.
func (h *host) sent(want uint64) {
	h.t.Helper()
	if got := h.m.net.Sent(); got != want {
		h.t.Errorf("the network took %d submits, want %d", got, want)
	}
}

// alive checks that the modem answers and sends again.
func (h *host) alive() {
	h.t.Helper()
	h.raw(time.Millisecond)
	h.say("ATE0;+CMEE=1") // a restart has brought the echo back
	h.want("AT", "OK")
	before := h.m.net.Sent()
	if got := strings.Join(h.send(helloPDU), "|"); !strings.HasPrefix(got, "+CMGS: ") {
		h.t.Errorf("after the fault: %q", got)
	}
	h.sent(before + 1)
}

// TestFaultsAtEveryPoint crosses the faults that strike a send with its points: what the network took (it happened) and
// what the modem said (it was reported) are checked apart, and that the modem is well when the fault is over.
func TestFaultsAtEveryPoint(t *testing.T) {
	const late = 10 * time.Second
	for _, tt := range []struct {
		kind Kind
		at   Point
		sent uint64 // how many submits the network took
		says string // a part of what the modem says within late; "": nothing
	}{
		{CMSError, BeforePrompt, 0, "+CMS ERROR: 331"},
		{CMSError, AfterSubmit, 0, "+CMS ERROR: 331"},
		{CMSError, AfterAccept, 1, "+CMS ERROR: 331"},
		{PlainError, BeforePrompt, 0, "ERROR"},
		{PlainError, AfterSubmit, 0, "ERROR"},
		{PlainError, AfterAccept, 1, "ERROR"},
		{LostResult, AfterSubmit, 0, ""},
		{LostResult, AfterAccept, 1, ""},
		{LateResult, AfterAccept, 1, "+CMGS: "},
		{LateResult, AfterSubmit, 0, "+CMS ERROR: 332"},
		{BareOK, AfterAccept, 1, "\r\nOK\r\n"},
		{WrongReference, AfterAccept, 1, "+CMGS: 255"},
		{Silence, BeforePrompt, 0, ""},
		{Silence, AfterSubmit, 0, ""},
		{Silence, AfterAccept, 1, ""},
		{Silence, MidLine, 1, "\r\n+C"},
		{PartialLine, MidLine, 1, "\r\n+CMG"},
		{BootLoop, AfterSubmit, 0, "+CPIN: READY"},
		{BootLoop, AfterAccept, 1, "+CPIN: READY"},
		{StuckPrompt, BeforePrompt, 0, "\r\n> \r\n> "},
		{StuckPrompt, AfterSubmit, 0, "\r\n> "},
		{AskPIN, BeforePrompt, 0, "+CMS ERROR: 311"},
		{AskPIN, AfterSubmit, 0, "+CMS ERROR: 311"},
		{StorageFull, AfterSubmit, 0, "+CMS ERROR: 322"},
		{URCFlood, AfterSubmit, 1, "+CMGS: "},
		{SlowBytes, AfterSubmit, 1, "+CMGS: "},
		{Echo, AfterSubmit, 1, "+CMGS: "},
		{Garbage, AfterAccept, 1, "\x00"},
		{NoSignal, AfterSubmit, 0, "+CMS ERROR: 331"},
	} {
		t.Run(fmt.Sprintf("%s %s", tt.kind, tt.at), func(t *testing.T) {
			bubble(t, Config{Seed: 3}, func(t *testing.T, h *host) {
				h.order(Fault{ID: "f", Kind: tt.kind, At: tt.at, Sends: 1, Cause: 331, For: late / 2, Delay: map[Kind]time.Duration{LateResult: late / 2}[tt.kind]})
				h.typed("AT+CMGS=18\r")
				said := h.raw(time.Millisecond)
				if !strings.Contains(said, "ERROR") {
					h.typed(helloPDU + "\x1a")
				}
				said += h.raw(late)
				said = strings.TrimPrefix(said, map[bool]string{true: "\r\n> "}[tt.at != BeforePrompt])
				if tt.says == "" && said != "" || !strings.Contains(said, tt.says) {
					t.Errorf("the modem said %q, want %q", said, tt.says)
				}
				h.sent(tt.sent)
				if left := h.m.net.Faults(); len(left) != 0 {
					t.Errorf("not over: %+v", left)
				}
				if tt.kind == StuckPrompt {
					h.typed("\x1b")
				}
				h.alive()
			})
		})
	}
}

func TestLastingFaults(t *testing.T) {
	const span = 5 * time.Second
	for _, tt := range []struct {
		kind Kind
		says func(said string) bool // of what is said in its time, an AT included
	}{
		{Silence, func(s string) bool { return s == "" }},
		{Garbage, func(s string) bool { return !strings.Contains(s, "OK") && len(s) > 100 }},
		{Echo, func(s string) bool { return strings.HasPrefix(s, "AT\r\r\nOK") }},
		{Loopback, func(s string) bool { return s == "AT\r" }},
		{URCFlood, func(s string) bool { return strings.Count(s, "RING") > 50 && strings.Contains(s, "OK") }},
		{BootLoop, func(s string) bool { return strings.Count(s, "+CPIN: READY") == 2 }},
		{StorageFull, func(s string) bool { return strings.Contains(s, "OK") }},
		{AskPIN, func(s string) bool { return strings.Contains(s, "OK") }},
		{PartialLine, func(s string) bool { return s == "\r\nO" }},
		{SlowBytes, func(s string) bool { return s == "\r\nOK\r\n" }},
	} {
		t.Run(string(tt.kind), func(t *testing.T) {
			bubble(t, Config{Seed: 3}, func(t *testing.T, h *host) {
				f := h.order(Fault{Kind: tt.kind, For: span})
				if !f.Active || f.Until.IsZero() {
					t.Errorf("ordered: %+v", f)
				}
				time.Sleep(10 * time.Millisecond)
				h.typed("AT\r")
				if said := h.raw(span - 20*time.Millisecond); !tt.says(said) {
					t.Errorf("in its time the modem said %q", said)
				}
				h.raw(2 * time.Second)
				h.alive()
			})
		})
	}
}

func TestFaultBegins(t *testing.T) {
	bubble(t, Config{}, func(_ *testing.T, h *host) {
		h.order(Fault{Kind: Silence, After: time.Second, For: time.Second})
		h.want("AT", "OK")
		time.Sleep(1100 * time.Millisecond)
		h.want("AT")
		time.Sleep(time.Second)
		h.want("AT", "OK")
	})
}

func TestLostPortOverPipe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := connect(t, Config{})
		h.order(Fault{Kind: LostPort, For: 3 * time.Second})
		if _, err := h.conn.Write([]byte("AT\r")); err == nil {
			t.Error("the port takes bytes while it is gone")
		}
		if h.m.Plugged() {
			t.Error("it says that it is plugged")
		}
		time.Sleep(4 * time.Second)
		h.dial()
		h.want("ATE0", "ATE0", "OK")
		h.alive()
	})
}

func TestSeededChance(t *testing.T) {
	outcome := func(seed uint64) (out string) {
		synctest.Test(t, func(t *testing.T) {
			h := connect(t, Config{Network: NewNetwork(NetworkConfig{Seed: seed})})
			h.order(Fault{Kind: CMSError, Cause: 38, Probability: 0.5})
			h.say("ATE0")
			for range 40 {
				out += h.send(helloPDU)[0][:5]
			}
		})
		return out
	}
	one, same, other := outcome(1), outcome(1), outcome(2)
	if one != same || one == other {
		t.Errorf("seed 1: %s\nagain:  %s\nseed 2: %s", one, same, other)
	}
	if n := strings.Count(one, "+CMS "); n < 10 || n > 30 {
		t.Errorf("%d of 40 sends were struck, want about half", n)
	}
}

func TestBadFaults(t *testing.T) {
	n := NewNetwork(NetworkConfig{})
	for want, f := range map[string]Fault{
		`unknown kind "sloth"`:          {Kind: "sloth"},
		"lose has no point":             {Kind: Lose, At: Now},
		"cms strikes a send":            {Kind: CMSError, At: Now},
		"does not know the recipient":   {Kind: CMSError, At: BeforePrompt, To: "1"},
		"are not negative":              {Kind: Silence, For: -1},
		"probability is from 0 to 1":    {Kind: CMSError, Probability: 1.5},
		"cause is from 1 to 999":        {Kind: CMSError, Cause: 1000},
		"from 32 to 255":                {Kind: FailedReport, Status: 1},
		`no modem is called "nobody"`:   {Kind: Silence, Modem: "nobody"},
		"at most 64 characters":         {Kind: Silence, ID: strings.Repeat("x", 65)},
		`unknown point "in the middle"`: {Kind: Silence, At: "in the middle"},
	} {
		if _, err := n.AddFault(f); !errors.Is(err, ErrBadFault) || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: got %v, want %q", f, err, want)
		}
	}
	if err := n.RemoveFault("none"); !errors.Is(err, ErrNoFault) {
		t.Errorf("remove none: %v", err)
	}
}

// TestNetworkFaults looks at the phone and at the reports.
func TestNetworkFaults(t *testing.T) {
	type seen struct {
		At     time.Duration
		Status byte
	}
	for _, tt := range []struct {
		fault   Fault
		arrives time.Duration // -1: never
		reports []seen
	}{
		{Fault{Kind: Delayed, Delay: time.Minute}, time.Minute, []seen{{61 * time.Second, 0}}},
		{Fault{Kind: Delayed, Delay: 49 * time.Hour}, -1, []seen{{48 * time.Hour, 0x46}}}, // longer than its life
		{Fault{Kind: Lose}, -1, []seen{{48 * time.Hour, 0x46}}},
		{Fault{Kind: NoReport}, 0, nil},
		{Fault{Kind: LateReport, Delay: time.Minute}, 0, []seen{{time.Second, 0x30}, {61 * time.Second, 0}}},
		{Fault{Kind: DuplicateReport}, 0, []seen{{time.Second, 0}, {time.Second, 0}}},
		{Fault{Kind: FailedReport, Status: 0x41}, -1, []seen{{time.Second, 0x41}}},
		{Fault{Kind: Slow, Delay: 20 * time.Second}, 20 * time.Second, []seen{{21 * time.Second, 0}}},
	} {
		t.Run(fmt.Sprint(tt.fault.Kind, tt.fault.Delay), func(t *testing.T) {
			bubble(t, Config{ReportDelay: time.Second}, func(t *testing.T, h *host) {
				h.want("AT+CNMI=2,1,0,1,0", "OK")
				h.order(tt.fault)
				h.typed("AT+CMGS=18\r")
				h.raw(time.Nanosecond)
				start := time.Now()
				h.typed(helloPDU + "\x1a")
				var got []seen
				arrives := time.Duration(-1)
				for _, step := range steps() {
					if m := h.m.net.Messages(Filter{}); len(m) > 0 {
						arrives = m[0].ReceivedAt.Sub(start).Truncate(time.Second)
					}
					for _, status := range reports(t, h.raw(step)) {
						at := time.Since(start).Truncate(time.Second)
						if step > time.Second {
							at = at.Truncate(step)
						}
						got = append(got, seen{at, status})
					}
				}
				if diff := cmp.Diff(tt.reports, got); diff != "" {
					t.Errorf("reports (-want +got):\n%s", diff)
				}
				if arrives != tt.arrives {
					t.Errorf("the text arrived after %v, want %v", arrives, tt.arrives)
				}
			})
		})
	}
}

// steps are the spans in which the host listens: seconds (read between the full ones), then hours.
func steps() []time.Duration {
	out := []time.Duration{500 * time.Millisecond}
	for range 90 {
		out = append(out, time.Second)
	}
	for range 49 {
		out = append(out, time.Hour)
	}
	return out
}

// reports are the TP-ST of the +CDS lines in what a modem said.
func reports(t *testing.T, said string) (out []byte) {
	t.Helper()
	for {
		_, rest, ok := strings.Cut(said, "+CDS: 25\r\n")
		if !ok {
			return out
		}
		pdu, left, _ := strings.Cut(rest, "\r\n")
		said = left
		b, err := hex.DecodeString(pdu)
		if err != nil {
			t.Fatal(err)
		}
		p, err := sms.Unmarshal(b[1+int(b[0]):], sms.AsMT)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, p.ST)
	}
}
