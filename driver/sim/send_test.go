package sim

import (
	"encoding/hex"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/warthog618/sms"
	"github.com/warthog618/sms/encoding/tpdu"
)

// pdus makes the SMS-SUBMITs of a text as a host would, with a report asked for, SMSC 00 in front.
func pdus(t *testing.T, to, text string) []string {
	t.Helper()
	tp, err := tpdu.NewSubmit(tpdu.WithDA(tpdu.NewAddress(tpdu.FromNumber(to))))
	if err != nil {
		t.Fatal(err)
	}
	tp.FirstOctet |= tpdu.FoSRR
	e := sms.NewEncoder(sms.WithTemplate(*tp))
	parts, err := e.Encode([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for i := range parts {
		b, err := parts[i].MarshalBinary()
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, "00"+strings.ToUpper(hex.EncodeToString(b)))
	}
	return out
}

func TestSendArrivesToTheLetter(t *testing.T) {
	long := strings.Repeat("The quick brown fox jumps over the lazy dog. ", 8)
	for _, tt := range []struct {
		name, text string
		parts      int
	}{
		{"short", "Your code is 123456.", 1},
		{"extension characters", "{[€]} ~ ^ | \\", 1},
		{"unicode", "Ваш код 482 913 — не сообщайте 🔑", 1},
		{"three parts", long, 3},
		{"unicode in parts", strings.Repeat("код ", 40), 3},
	} {
		t.Run(tt.name, func(t *testing.T) {
			bubble(t, Config{}, func(t *testing.T, h *host) {
				for _, p := range pdus(t, "+447700900123", tt.text) {
					if got := h.send(p); len(got) != 2 || got[1] != "OK" {
						t.Fatalf("send: got %q", got)
					}
				}
				want := []Message{{ID: 1, To: "+447700900123", From: h.m.Number(), Text: tt.text, Parts: tt.parts, Modem: "sim"}}
				got := h.m.net.Messages(Filter{To: "+447700900123"})
				if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(Message{}, "ReceivedAt", "Code")); diff != "" {
					t.Errorf("on the phone (-want +got):\n%s", diff)
				}
			})
		})
	}
}

func TestReferenceWrapsAndReportsFollow(t *testing.T) {
	bubble(t, Config{ReportDelay: time.Second}, func(t *testing.T, h *host) {
		h.want("AT+CNMI=2,1,0,1,0", "OK")
		h.m.mu.Lock()
		h.m.ref = 255
		h.m.mu.Unlock()
		pdu := pdus(t, "+447700900123", "hello")[0]
		for _, ref := range []string{"255", "0", "1"} {
			if diff := cmp.Diff([]string{"+CMGS: " + ref, "OK"}, h.send(pdu)); diff != "" {
				t.Errorf("send (-want +got):\n%s", diff)
			}
		}
		got := lines(h.raw(5 * time.Second))
		var refs []byte
		for i := 0; i+1 < len(got); i += 2 {
			b, err := hex.DecodeString(got[i+1])
			if err != nil || !strings.HasPrefix(got[i], "+CDS: ") {
				t.Fatalf("not a report: %q", got[i:i+2])
			}
			p, err := sms.Unmarshal(b[1+int(b[0]):], sms.AsMT)
			if err != nil {
				t.Fatal(err)
			}
			if p.ST != 0 || p.RA.Number() != "+447700900123" {
				t.Errorf("report says status %d for %s", p.ST, p.RA.Number())
			}
			refs = append(refs, p.MR)
		}
		if diff := cmp.Diff([]byte{255, 0, 1}, refs); diff != "" {
			t.Errorf("references of the reports (-want +got):\n%s", diff)
		}
	})
}

func TestInvalidPDU(t *testing.T) {
	good := "0011000B914477009021430000A70CC8F71D14969741F977FD07"
	for _, tt := range []struct {
		name, length, pdu, answer string
	}{
		{"no hex", "24", "hello", "+CMS ERROR: 304"},
		{"odd hex", "24", "001", "+CMS ERROR: 304"},
		{"empty", "24", "", "+CMS ERROR: 304"},
		{"length too small", "20", good, "+CMS ERROR: 304"},
		{"a deliver", "25", "0004" + good[4:], "+CMS ERROR: 304"},
		{"address cut", "4", "001100", "+CMS ERROR: 304"},
		{"no address", "9", "0011000081000000A700"[:20], "+CMS ERROR: 304"},
		{"SMSC longer than the PDU", "2", "FF0102", "+CMS ERROR: 304"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			bubble(t, Config{}, func(t *testing.T, h *host) {
				h.typed("AT+CMGS=" + tt.length + "\r")
				if got := h.raw(50 * time.Millisecond); got != "\r\n> " {
					t.Fatalf("prompt: got %q", got)
				}
				h.typed(tt.pdu + "\x1a")
				if diff := cmp.Diff([]string{tt.answer}, lines(h.raw(50*time.Millisecond))); diff != "" {
					t.Errorf("(-want +got):\n%s", diff)
				}
				h.want("AT", "OK")
				if n := h.m.net.Sent(); n != 0 {
					t.Errorf("%d submits reached the network", n)
				}
			})
		})
	}
}

func TestEscapeSendsNothing(t *testing.T) {
	bubble(t, Config{}, func(t *testing.T, h *host) {
		pdu := pdus(t, "+447700900123", "hello")[0]
		h.typed("AT+CMGS=18\r")
		h.raw(time.Millisecond)
		h.typed(pdu + "\x1b")
		if diff := cmp.Diff([]string{"OK"}, lines(h.raw(time.Millisecond))); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		h.want("AT", "OK")
		if n := h.m.net.Sent(); n != 0 {
			t.Errorf("%d submits reached the network", n)
		}
	})
}
