package driver

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// What the trace shows of each kind of line.
func TestTraceRedacts(t *testing.T) {
	for _, tt := range []struct{ name, in, want string }{
		{"command", "AT+CREG?", "AT+CREG?"},
		{"answer", `+COPS: 0,0,"EE"`, `+COPS: 0,0,"EE"`},
		{"result", "+CMS ERROR: 38", "+CMS ERROR: 38"},
		{"prompt", ">", ">"},
		{"PDU", "07914477581006500011000B914477009010320000A70CC8329BFD065DDF72363904", "<PDU, 34 octets>"},
		{"PDU with a wrong byte", "07914477581006500?11000B914477009010320000A70CC8329BFD065DDF72363904", "<68 characters>"},
		{"PDU behind a name", "+CMT: 07914477581006500011000B914477009010320000", "+CMT: <21 octets>"},
		{"PIN", `AT+CPIN="83746"`, "AT+CPIN=…"},
		{"service centre", `+CSCA: "+447785016005",145`, `+CSCA: "+…05",145`},
		{"number in UCS-2", `+CMT: "002B0034003400370037"`, `+CMT: "<10 octets>"`},
		{"USSD", `+CUSD: 0,"your code is 918273645",15`, `+CUSD: 0…`},
		{"USSD command", `AT+CUSD=1,"*100*1234#",15`, `AT+CUSD=1…`},
		{"PIN in an echo that lost its beginning", `+CPIN="83746"`, `+CPIN=…`},
		{"PIN in an echo behind something else", `^RSSI: 9AT+CPIN="83746"`, `^RSSI: 9AT+CPIN=…`},
		{"another PIN command", `at+cpwd="SC","1234","5678"`, "<26 characters>"},
		{"the same from us", `AT+CPWD="SC","1234","5678"`, "AT+CPWD=…"},
		{"USSD with quotes in it", `+CUSD: 0,"say "918273" to them",15`, `+CUSD: 0…`},
		{"USSD that goes on in the next line", `+CUSD: 0,"your code`, `+CUSD: 0…`},
		{"USSD in an echo that lost its beginning", `+CUSD=1,"*100*1234#",15`, `+CUSD=1…`},
		{"text", "your code is 9182", "<17 characters>"},
		{"text that looks like a prompt", "> 918273 is your code", "<21 characters>"},
		{"text that looks like an echo", "ATTENTION: 918273", "<17 characters>"},
		{"text that looks like an answer", "+Info: 918273", "<13 characters>"},
		{"identity", "867567021234567", "<15 characters>"},
		{"long", "+XY: " + strings.Repeat("y", 300), "+XY: " + strings.Repeat("y", 195) + "…"},
		{"basic command", "ATE0", "ATE0"},
		{"news of the maker's", "^RSSI: 21", "^RSSI: 21"},
		{"query", "AT+CPIN?", "AT+CPIN?"},
		{"empty", "", "<0 characters>"},
	} {
		if got := newTraceLine(time.Now(), FromModem, tt.in).String(); got != tt.want {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
	}
}

// The trace keeps the latest lines and no more, oldest first.
func TestTraceIsBounded(t *testing.T) {
	var kept trace
	if got := kept.all(); len(got) != 0 {
		t.Errorf("an empty trace has %d lines", len(got))
	}
	for range traceLines + 3 {
		kept.add(ToModem, "AT")
	}
	kept.add(FromModem, "OK")
	got := kept.all()
	if len(got) != traceLines || got[0].String() != "AT" || got[traceLines-1].String() != "OK" || got[traceLines-1].Direction != FromModem {
		t.Errorf("%d lines, the last %q", len(got), got[len(got)-1])
	}
}

// A modem's trace shows its commands, and of a text that it sends and one that it gets neither number nor words.
func TestModemTrace(t *testing.T) {
	bubble(t, nil, func(t *testing.T, m *Modem, fk *fake, h *recorder) {
		ready(t, m)
		if r := m.Send(t.Context(), Submit{To: "+447700900123", Text: "code 918273645"}); r.Outcome != Accepted {
			t.Fatalf("send: %+v", r)
		}
		fk.urc("+CMT: ,24\r\n" + strings.ToUpper(deliverPDU(t, "447700900555", "inbound 918273645", 0, 1, 1)))
		until(t, time.Minute, "text", func() bool { _, x := h.got(); return len(x) == 1 })
		var lines []string
		for _, l := range m.Trace() {
			lines = append(lines, string(l.Direction)+" "+l.String())
		}
		all := strings.Join(lines, "\n")
		for _, want := range []string{"to-modem AT+CMGF=0", "to-modem AT+CMGS=", "from-modem +CMGS: ", "<PDU, "} {
			if !strings.Contains(all, want) {
				t.Errorf("the trace lacks %q:\n%s", want, all)
			}
		}
		for _, secret := range []string{"447700900123", "44770009", "918273645", "inbound", "7474"} {
			if strings.Contains(all, secret) {
				t.Errorf("the trace holds %q", secret)
			}
		}
		if diff := cmp.Diff(m.Trace()[0].Direction, ToModem); diff != "" {
			t.Error(diff)
		}
	})
}
