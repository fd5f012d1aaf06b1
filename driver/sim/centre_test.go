package sim

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// reject sets TP-RD in a PDU with SMSC 00.
func reject(pdu string) string {
	var fo byte
	if _, err := fmt.Sscanf(pdu[2:4], "%02X", &fo); err != nil {
		panic(err)
	}
	return pdu[:2] + fmt.Sprintf("%02X", fo|4) + pdu[4:]
}

// TS 23.040 9.2.3.25: with TP-RD a text is refused as long as the service centre holds one with the same reference from the
// same sender to the same recipient, and else it is a text like any other.
func TestDuplicatesAreRejected(t *testing.T) {
	phone := "+447700900123"
	pdu, other := pdus(t, phone, "hello")[0], pdus(t, "+447700900124", "hello")[0]
	for _, tt := range []struct {
		name  string
		held  time.Duration // that the first is on its way to the phone
		ref   int           // by how much the second's reference differs
		pdu   string
		after time.Duration
		want  string
	}{
		{"a duplicate", time.Minute, 0, reject(pdu), time.Second, "+CMS ERROR: 197"},
		{"without TP-RD", time.Minute, 0, pdu, time.Second, "OK"},
		{"another reference", time.Minute, 1, reject(pdu), time.Second, "OK"},
		{"another recipient", time.Minute, 0, reject(other), time.Second, "OK"},
		{"delivered meanwhile", time.Minute, 0, reject(pdu), 2 * time.Minute, "OK"},
		{"delivered at once", 0, 0, reject(pdu), 0, "OK"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			bubble(t, Config{}, func(t *testing.T, h *host) {
				if tt.held > 0 {
					if _, err := h.m.net.AddFault(Fault{Kind: Delayed, Delay: tt.held}); err != nil {
						t.Fatal(err)
					}
				}
				if got := h.send(pdu); len(got) != 2 {
					t.Fatalf("the first: %q", got)
				}
				time.Sleep(tt.after)
				h.m.mu.Lock()
				h.m.ref += uint8(tt.ref) - 1
				h.m.mu.Unlock()
				if got := h.send(tt.pdu); got[len(got)-1] != tt.want {
					t.Errorf("the second: got %q, want %s", got, tt.want)
				}
				want := uint64(2)
				if tt.want != "OK" {
					want = 1
				}
				if n := h.m.net.Sent(); n != want {
					t.Errorf("the network has %d, want %d", n, want)
				}
			})
		})
	}
}

// A modem that restarts between the network's yes and its own has not noted its reference, and gives it again.
func TestReferenceIsLostInARestart(t *testing.T) {
	bubble(t, Config{}, func(t *testing.T, h *host) {
		before := h.m.ref
		if _, err := h.m.net.AddFault(Fault{Kind: BootLoop, At: AfterAccept, Sends: 1, For: time.Second}); err != nil {
			t.Fatal(err)
		}
		h.send(pdus(t, "+447700900123", "hello")[0])
		time.Sleep(20 * time.Second)
		h.raw(time.Second)
		h.say("ATE0")
		want := fmt.Sprintf("+CMGS: %d", before)
		if got := h.send(pdus(t, "+447700900123", "hello")[0]); len(got) != 2 || got[0] != want {
			t.Errorf("got %q, want %s", got, want)
		}
	})
}

// TS 27.005 3.5.6: while +CMMS keeps the link open, for five seconds behind a send, the next takes less long.
func TestOpenLinkIsFaster(t *testing.T) {
	const submit, open = 2 * time.Second, 1400 * time.Millisecond // the generic modem needs 30 % of it for the link
	for _, tt := range []struct {
		name, mode string
		pause      time.Duration
		second     time.Duration
		mode2      string // afterwards
	}{
		{"closed", "0", 0, submit, "0"},
		{"open for a while", "1", time.Second, open, "1"},
		{"open for too long", "1", 6 * time.Second, submit, "0"},
		{"open until told", "2", time.Second, open, "2"},
		{"asked for behind a send", "", 0, submit, "0"},
		{"open until told, and idle for long", "2", 6 * time.Second, submit, "2"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			bubble(t, Config{SubmitTime: submit}, func(t *testing.T, h *host) {
				if tt.mode != "" {
					h.want("AT+CMMS="+tt.mode, "OK")
				}
				pdu := pdus(t, "+447700900123", "hello")[0]
				if took := h.timed(pdu); took != submit {
					t.Errorf("the first took %v, want %v", took, submit)
				}
				time.Sleep(tt.pause)
				if tt.mode == "" {
					h.want("AT+CMMS=2", "OK")
				}
				if tt.pause > 5*time.Second {
					h.want("AT+CMMS?", "+CMMS: "+tt.mode2, "OK")
				}
				if took := h.timed(pdu); took != tt.second {
					t.Errorf("the second took %v, want %v", took, tt.second)
				}
			})
		})
	}
}

// timed sends and returns how long the modem took from Ctrl-Z to the result.
func (h *host) timed(pdu string) time.Duration {
	h.t.Helper()
	h.typed(fmt.Sprintf("AT+CMGS=%d\r", len(pdu)/2-1))
	h.raw(time.Millisecond)
	began := time.Now()
	h.typed(pdu + "\x1a")
	if err := h.conn.SetReadDeadline(began.Add(time.Minute)); err != nil {
		h.t.Fatal(err)
	}
	for {
		l, err := h.in.ReadString('\n')
		if err != nil {
			h.t.Fatal(err)
		}
		if strings.HasPrefix(l, "OK") {
			return time.Since(began)
		}
	}
}
