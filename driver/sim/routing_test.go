package sim

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// text sends an inbound text from a handset and returns what the modem says of it.
func (h *host) text(text string) []string {
	h.t.Helper()
	if err := h.m.net.Text("+447700900456", "", text); err != nil {
		h.t.Fatal(err)
	}
	return lines(h.raw(10 * time.Millisecond))
}

func TestInboundByCNMI(t *testing.T) {
	for _, tt := range []struct {
		name, cnmi string
		says       string // the first line's beginning; "" for silence
		stored     int
	}{
		{"not told", "2,0", "", 1},
		{"told where it is", "2,1", `+CMTI: "SM",1`, 1},
		{"handed over", "2,2", "+CMT: ,", 0},
		{"class 3 handed over", "2,3", `+CMTI: "SM",1`, 1},
		{"kept back", "0,1", "", 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			bubble(t, Config{}, func(t *testing.T, h *host) {
				h.want("AT+CNMI="+tt.cnmi, "OK")
				got := strings.Join(h.text("hello"), "|")
				if !strings.HasPrefix(got, tt.says) || tt.says == "" && got != "" {
					t.Errorf("got %q, want %q", got, tt.says)
				}
				h.want("AT+CPMS?", fmt.Sprintf(`+CPMS: "SM",%d,20,"SM",%d,20,"SM",%d,20`, tt.stored, tt.stored, tt.stored), "OK")
				if tt.cnmi == "0,1" {
					h.want("AT+CNMI=1", "OK", `+CMTI: "SM",1`)
				}
			})
		})
	}
}

func TestInboundIsReadAndDeleted(t *testing.T) {
	bubble(t, Config{}, func(t *testing.T, h *host) {
		h.want("AT+CNMI=2,1", "OK")
		h.text("hello")
		pdu := h.say("AT+CMGR=1")
		if len(pdu) != 3 || !strings.HasPrefix(pdu[0], "+CMGR: 0,,") || !strings.HasSuffix(pdu[1], "E8329BFD06") {
			t.Fatalf("got %q", pdu)
		}
		if got := h.say("AT+CMGR=1"); !strings.HasPrefix(got[0], "+CMGR: 1,,") {
			t.Errorf("read again: %q", got)
		}
		h.want("AT+CMGL=0", "OK")
		if got := h.say("AT+CMGL=1"); len(got) != 3 || !strings.HasPrefix(got[0], "+CMGL: 1,1,,") || got[1] != pdu[1] {
			t.Errorf("listed: %q", got)
		}
		h.want("AT+CMGD=1,1", "OK")
		h.want("AT+CMGL=4", "OK")
	})
}

func TestInboundInParts(t *testing.T) {
	bubble(t, Config{}, func(t *testing.T, h *host) {
		h.want("AT+CNMI=2,1", "OK")
		want := []string{`+CMTI: "SM",1`, `+CMTI: "SM",2`, `+CMTI: "SM",3`}
		if diff := cmp.Diff(want, h.text(longText())); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	})
}

func TestInboundWaitsForTheNetworkAndForRoom(t *testing.T) {
	bubble(t, Config{Personality: "simcom-sim800"}, func(t *testing.T, h *host) {
		h.want("AT+CNMI=2,1", "OK")
		h.want("AT+CFUN=4", "OK")
		if got := h.text("while off"); got != nil {
			t.Errorf("off: %q", got)
		}
		h.want("AT+CFUN=1", "OK", `+CMTI: "SM",1`)
		for i := 2; i <= 10; i++ {
			if got := h.text("more"); len(got) != 1 || got[0] != fmt.Sprintf(`+CMTI: "SM",%d`, i) {
				t.Errorf("text %d: %q", i, got)
			}
		}
		if diff := cmp.Diff([]string{"+SMS FULL"}, h.text("one too many")); diff != "" {
			t.Errorf("full (-want +got):\n%s", diff)
		}
		if got := h.text("another"); got != nil {
			t.Errorf("full is told twice: %q", got)
		}
		h.want("AT+CMGD=3", "OK", `+CMTI: "SM",3`, "+SMS FULL")
		h.want("AT+CMGD=1,4", "OK", `+CMTI: "SM",1`)
	})
}

func TestAcknowledgement(t *testing.T) {
	bubble(t, Config{}, func(t *testing.T, h *host) {
		h.want("AT+CSMS=1;+CNMI=2,2,0,1", "+CSMS: 1,1,1", "OK")
		if got := h.text("one"); len(got) != 2 || !strings.HasPrefix(got[0], "+CMT: ,") {
			t.Fatalf("got %q", got)
		}
		if got := h.text("two"); got != nil {
			t.Errorf("before the acknowledgement of the first: %q", got)
		}
		if got := h.say("AT+CNMA"); len(got) != 3 || got[0] != "OK" || !strings.HasPrefix(got[1], "+CMT: ,") {
			t.Errorf("got %q", got)
		}
		h.want("AT+CNMA=0", "OK")
		h.want("AT+CNMA", "+CMS ERROR: 340")
		h.text("three")
		h.raw(ackTime + time.Second)
		h.want("AT+CNMI?", "+CNMI: 2,0,0,0,0", "OK") // TS 27.005 3.4.1: routing ends without an acknowledgement
		h.want("AT+CPMS?", `+CPMS: "SM",1,20,"SM",1,20,"SM",1,20`, "OK")
	})
}

func TestLinesWaitWhileAMessageIsTyped(t *testing.T) {
	bubble(t, Config{}, func(t *testing.T, h *host) {
		h.want("AT+CNMI=2,1", "OK")
		h.typed("AT+CMGS=18\r")
		h.raw(time.Millisecond)
		if got := h.text("hello"); got != nil {
			t.Errorf("at the prompt: %q", got)
		}
		h.typed(helloPDU + "\x1a")
		got := strings.Join(lines(h.raw(10*time.Millisecond)), "|")
		if !strings.Contains(got, "+CMGS: ") || !strings.Contains(got, `+CMTI: "SM",1`) {
			t.Errorf("got %q", got)
		}
	})
}

func TestTextMode(t *testing.T) {
	bubble(t, Config{}, func(t *testing.T, h *host) {
		h.want("AT+CMGF=1;+CSMP=49,0,0,0;+CNMI=2,2,0,1", "OK")
		h.typed("AT+CMGS=\"+447700900123\"\r")
		h.raw(time.Millisecond)
		h.typed("Line one\rline two\x1a")
		got := lines(strings.ReplaceAll(h.raw(10*time.Millisecond), "\r\n> ", ""))
		if len(got) != 3 {
			t.Fatalf("got %q", got)
		}
		all := strings.Join(got, "|")
		if !strings.Contains(all, "+CMGS: ") || !strings.Contains(all, `+CDS: 6,`) || !strings.Contains(all, `"+447700900123",145,"00/01/01,`) {
			t.Errorf("got %q", got)
		}
		if m := h.m.net.Messages(Filter{}); len(m) != 1 || m[0].Text != "Line one\nline two" {
			t.Errorf("on the phone: %+v", m)
		}
		if got := h.text("An @nswer"); len(got) != 2 || !strings.HasPrefix(got[0], `+CMT: "+447700900456",,"00/01/01,`) || got[1] != "An \x00nswer" {
			t.Errorf("handed over: %q", got)
		}
		h.want("AT+CNMI=2,1;+CSCS=\"IRA\"", "OK")
		h.text("Ответ")
		if got := h.say("AT+CMGR=1"); len(got) != 3 || !strings.HasPrefix(got[0], `+CMGR: "REC UNREAD","+447700900456",,"00/01/01`) || got[1] != "041E0442043204350442" {
			t.Errorf("read: %q", got)
		}
		if got := h.say(`AT+CSDH=1;+CMGL="ALL"`); len(got) != 3 || !strings.HasPrefix(got[0], `+CMGL: 1,"REC READ","+447700900456",,"00/01/01`) || !strings.HasSuffix(got[0], ",145,5") {
			t.Errorf("listed: %q", got)
		}
		h.want(`AT+CMGL="REC UNREAD"`, "OK")
		h.want(`AT+CMGL="SOME"`, "+CMS ERROR: 305")
		h.want(`AT+CMGS="hello"`, "+CMS ERROR: 305")
	})
}

func TestTextModeCharacterSets(t *testing.T) {
	for _, tt := range []struct{ setup, to, typed, want string }{
		{`AT+CSCS="IRA"`, "+447700900123", "plain", "plain"},
		{`AT+CSCS="GSM"`, "+447700900123", "\x00 \x02", "@ $"},
		{`AT+CSCS="UCS2";+CSMP=17,167,0,8`, "002B003400340037003700300030003900300030003100320033", "041A043E0434D83DDD11", "Код🔑"},
		{`AT+CSCS="HEX"`, "+447700900123", "48690201", "Hi$£"},
		{`AT+CSCS="8859-1"`, "+447700900123", "caf\xe9", "café"},
		{`AT+CSCS="UTF-8"`, "+447700900123", "€uro", "€uro"},
	} {
		t.Run(tt.setup, func(t *testing.T) {
			bubble(t, Config{}, func(t *testing.T, h *host) {
				h.want("AT+CMGF=1", "OK")
				h.want(tt.setup, "OK")
				h.typed("AT+CMGS=\"" + tt.to + "\"\r")
				h.raw(time.Millisecond)
				h.typed(tt.typed + "\x1a")
				if got := lines(h.raw(time.Millisecond)); len(got) != 2 || got[1] != "OK" {
					t.Fatalf("got %q", got)
				}
				if m := h.m.net.Messages(Filter{To: "+447700900123"}); len(m) != 1 || m[0].Text != tt.want {
					t.Errorf("on the phone: %+v, want %q", m, tt.want)
				}
			})
		})
	}
}

func TestStoredAndSent(t *testing.T) {
	bubble(t, Config{}, func(t *testing.T, h *host) {
		h.typed("AT+CMGW=18\r")
		h.raw(time.Millisecond)
		h.typed(helloPDU + "\x1a")
		if diff := cmp.Diff([]string{"+CMGW: 1", "OK"}, lines(h.raw(time.Millisecond))); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		h.want("AT+CMGR=1", "+CMGR: 2,,18", helloPDU, "OK")
		if got := h.say("AT+CMSS=1"); len(got) != 2 || !strings.HasPrefix(got[0], "+CMSS: ") {
			t.Errorf("got %q", got)
		}
		if got := h.say(`AT+CMSS=1,"+447700900999"`); len(got) != 2 || !strings.HasPrefix(got[0], "+CMSS: ") {
			t.Errorf("got %q", got)
		}
		h.want("AT+CMGR=1", "+CMGR: 3,,18", helloPDU, "OK")
		h.want(`AT+CMSS=1,"hello"`, "+CMS ERROR: 304")
		var to []string
		for _, m := range h.m.net.Messages(Filter{}) {
			to = append(to, m.To+" "+m.Text)
		}
		if diff := cmp.Diff([]string{"+447700900999 hello", "+47709000213 hello"}, to); diff != "" {
			t.Errorf("on the phones (-want +got):\n%s", diff)
		}
		h.want("AT+CMGF=1", "OK")
		h.want("AT+CMGR=1", `+CMGR: "STO SENT","+47709000213",`, "hello", "OK")
	})
}

// TestNobodyReads lets a host be away for a day: lines are dropped, messages are not.
func TestNobodyReads(t *testing.T) {
	bubble(t, Config{Personality: "huawei-e3372"}, func(t *testing.T, h *host) {
		h.want("AT+CNMI=1,2", "OK")
		time.Sleep(24 * time.Hour)
		synctest.Wait()
		if err := h.m.net.Text("+447700900456", "", "hello"); err != nil {
			t.Fatal(err)
		}
		said := h.raw(time.Second)
		if len(said) > 2*maxUnheard || strings.Contains(said, "+CMT") {
			t.Errorf("%d bytes had waited: %q", len(said), said[max(0, len(said)-300):])
		}
		h.typed("AT^CURC=0\r")
		h.raw(time.Second)
		if got := h.say("AT+CNMI=1,2"); len(got) != 3 || !strings.HasPrefix(got[1], "+CMT: ,") {
			t.Errorf("the text that waited: %q", got)
		}
	})
}
