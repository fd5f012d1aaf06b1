package sim

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// TestCommands is a table of dialogues with a generic modem: what is typed, and what comes back.
func TestCommands(t *testing.T) {
	type step struct {
		line string
		want []string
	}
	ok := func(line string) step { return step{line, []string{"OK"}} }
	says := func(line string, want ...string) step { return step{line, append(want, "OK")} }
	fails := func(line, result string) step { return step{line, []string{result}} }
	for _, tt := range []struct {
		name  string
		steps []step
	}{
		{"attention", []step{ok("AT"), ok("at"), ok("aT"), ok("AT;"), ok("AT ;; "), fails("AT+NONSENSE", "ERROR"), fails("AT+", "ERROR"), fails("AT9", "ERROR")}},
		{"concatenated", []step{says("AT+CSQ;+CREG?", "+CSQ: 21,99", "+CREG: 0,1"), says("ATE0V1Q0+CMGF?;+CSDH?", "+CMGF: 0", "+CSDH: 0"),
			{"AT+CSQ;+NONSENSE;+CREG?", []string{"+CSQ: 21,99", "ERROR"}}, {"AT+CSQ;+CMGD=999;+CREG?", []string{"+CSQ: 21,99", "+CMS ERROR: 321"}}}},
		{"spaces and case", []step{says("AT +cSq", "+CSQ: 21,99"), ok("AT+CMEE= 1"), says("AT  +CMEE?", "+CMEE: 1")}},
		{"repeat", []step{says("AT+CSQ", "+CSQ: 21,99")}},
		{"identification", []step{says("AT+CGMI", "Otpost"), says("AT+GMI", "Otpost"), says("AT+CGMM", "Simulated modem"), says("AT+CGMR", "1.0"),
			says("AT+CGSN", "004401230000073"), says("AT+CGSN=1", `+CGSN: "004401230000073"`), says("AT+CGSN=?", "+CGSN: (0-3)"), fails("AT+CGSN=9", "+CME ERROR: 50"),
			says("AT+CIMI", "001010000000007"), says("AT+CCID", "+CCID: 8999010000000000078"), says("ATI", "Otpost", "Simulated modem", "Revision: 1.0")}},
		{"causes", []step{ok("AT+CMEE=0"), fails("AT+CFUN=9", "ERROR"), ok("AT+CMEE=1"), fails("AT+CFUN=9", "+CME ERROR: 50"), ok("AT+CMEE=2"),
			fails("AT+CFUN=9", "+CME ERROR: incorrect parameters"), fails("AT+CMGD=999", "+CMS ERROR: invalid memory index"),
			says("AT+CMEE?", "+CMEE: 2"), says("AT+CMEE=?", "+CMEE: (0-2)"), fails("AT+CMEE=3", "ERROR")}},
		{"registration", []step{says("AT+CREG?", "+CREG: 0,1"), ok("AT+CREG=2"), says("AT+CREG?", `+CREG: 2,1,"00C3","01A2D003",7`), says("AT+CREG=?", "+CREG: (0-2)"),
			fails("AT+CREG=3", "+CME ERROR: 50"), says("AT+CGREG?", "+CGREG: 0,1"), says("AT+CEREG?", "+CEREG: 0,1")}},
		{"operator", []step{says("AT+COPS?", `+COPS: 0,0,"Otpost",7`), ok("AT+COPS=3,2"), says("AT+COPS?", `+COPS: 0,2,"00101",7`),
			fails(`AT+COPS=1,2,"99999"`, "+CME ERROR: 30"), fails("AT+COPS=7", "+CME ERROR: 50"), ok("AT+COPS=2"), says("AT+COPS?", "+COPS: 0"), says("AT+CREG?", "+CREG: 0,0"), ok("AT+COPS=0"), says("AT+CREG?", "+CREG: 0,1")}},
		{"radio", []step{says("AT+CSQ", "+CSQ: 21,99"), says("AT+CSQ=?", "+CSQ: (0-31,99),(0-7,99)"), fails("AT+CSQ=1", "+CME ERROR: 3"), says("AT+CFUN?", "+CFUN: 1"),
			says("AT+CFUN=?", "+CFUN: (0,1,4),(0,1)"), ok("AT+CFUN=4"), says("AT+CREG?", "+CREG: 0,0"), says("AT+CSQ", "+CSQ: 99,99"), ok("AT+CFUN=1"), says("AT+CREG?", "+CREG: 0,1")}},
		{"service centre", []step{says("AT+CSCA?", `+CSCA: "+99970000000",145`), ok(`AT+CSCA="+447785016005",145`), says("AT+CSCA?", `+CSCA: "+447785016005",145`),
			ok(`AT+CSCA="447785016005",145`), says("AT+CSCA?", `+CSCA: "+447785016005",145`), fails(`AT+CSCA="hello"`, "+CMS ERROR: 304")}},
		{"format", []step{says("AT+CMGF?", "+CMGF: 0"), says("AT+CMGF=?", "+CMGF: (0,1)"), ok("AT+CMGF=1"), says("AT+CMGF?", "+CMGF: 1"), fails("AT+CMGF=2", "+CMS ERROR: 302")}},
		{"character set", []step{says("AT+CSCS?", `+CSCS: "GSM"`), says("AT+CSCS=?", `+CSCS: ("GSM","IRA","UCS2","HEX","8859-1","UTF-8")`), ok(`AT+CSCS="UCS2"`),
			says("AT+CSCA?", `+CSCA: "002B00390039003900370030003000300030003000300030",145`), ok(`AT+CSCS="00470053004D"`), says("AT+CSCS?", `+CSCS: "GSM"`), fails(`AT+CSCS="KLINGON"`, "+CME ERROR: 50")}},
		{"text parameters", []step{says("AT+CSMP?", "+CSMP: 17,167,0,0"), ok("AT+CSMP=49,0,0,8"), says("AT+CSMP?", "+CSMP: 49,0,0,8"), ok(`AT+CSMP=25,"26/11/24,12:00:00+00"`),
			fails(`AT+CSMP=25,"tomorrow"`, "+CMS ERROR: 305"), fails("AT+CSMP=0,1", "+CMS ERROR: 305"), fails("AT+CSMP=17,256", "+CMS ERROR: 305"), ok("AT+CSDH=1"), says("AT+CSDH?", "+CSDH: 1"), fails("AT+CSDH=2", "+CMS ERROR: 305")}},
		{"storage", []step{says("AT+CPMS?", `+CPMS: "SM",0,20,"SM",0,20,"SM",0,20`), says("AT+CPMS=?", `+CPMS: ("SM","ME","MT","SR"),("SM","ME","MT"),("SM","ME","MT")`),
			says(`AT+CPMS="ME"`, "+CPMS: 0,50,0,20,0,20"), says(`AT+CPMS="SM","ME","ME"`, "+CPMS: 0,20,0,50,0,50"), fails(`AT+CPMS="XX"`, "+CMS ERROR: 302"), fails(`AT+CPMS=""`, "+CMS ERROR: 302"),
			ok("AT+CMGL=4"), fails("AT+CMGL=5", "+CMS ERROR: 304"), says("AT+CMGL=?", "+CMGL: (0-4)"), ok("AT+CMGR=1"), fails("AT+CMGR=0", "+CMS ERROR: 321"), fails("AT+CMGR=21", "+CMS ERROR: 321"),
			ok("AT+CMGD=1"), ok("AT+CMGD=1,4"), fails("AT+CMGD=1,5", "+CMS ERROR: 321"), fails("AT+CMGD=99", "+CMS ERROR: 321"), says("AT+CMGD=?", "+CMGD: (),(0-4)")}},
		{"routing", []step{says("AT+CNMI?", "+CNMI: 0,0,0,0,0"), says("AT+CNMI=?", "+CNMI: (0-3),(0-3),(0,2),(0,1),(0,1)"), ok("AT+CNMI=2,1,0,1,0"), says("AT+CNMI?", "+CNMI: 2,1,0,1,0"),
			ok("AT+CNMI=1"), says("AT+CNMI?", "+CNMI: 1,1,0,1,0"), fails("AT+CNMI=4", "+CMS ERROR: 302"), fails("AT+CNMI=2,1,1", "+CMS ERROR: 302"), fails("AT+CNMI=2,1,0,2", "+CMS ERROR: 302"),
			fails("AT+CNMI=2,1,0,1,0,0", "+CMS ERROR: 302"), says("AT+CSMS?", "+CSMS: 0,1,1,1"), says("AT+CSMS=1", "+CSMS: 1,1,1"), fails("AT+CSMS=5", "+CMS ERROR: 303"), fails("AT+CNMA", "+CMS ERROR: 340"),
			says("AT+CMMS=?", "+CMMS: (0-2)"), ok("AT+CMMS=2"), says("AT+CMMS?", "+CMMS: 2"), fails("AT+CMMS=3", "+CME ERROR: 50")}},
		{"send", []step{fails("AT+CMGS", "+CMS ERROR: 302"), fails("AT+CMGS=", "+CMS ERROR: 304"), fails("AT+CMGS=0", "+CMS ERROR: 304"), fails("AT+CMGS=165", "+CMS ERROR: 304"), fails(`AT+CMGS="+44"`, "+CMS ERROR: 304"),
			fails("AT+CMSS=1", "+CMS ERROR: 321"), fails("AT+CMGW=x", "+CMS ERROR: 304")}},
		{"the rest", []step{says("AT+CBC", "+CBC: 0,100,4000"), says("AT+CNUM", `+CNUM: "","+999700000007",145`), says("AT+CPAS", "+CPAS: 0"), says("AT+GCAP", "+GCAP: +CGSM"),
			says("ATS3?", "013"), says("ATS4?", "010"), says("ATS0?", "000"), ok("ATS0=2"), says("ATS0?", "002"), fails("ATS3=999", "ERROR"), fails("ATD+447700900123;", "NO CARRIER"), fails("ATA", "NO CARRIER"), ok("ATH")}},
		{"clock", []step{ok(`AT+CCLK="26/11/23,12:00:00+04"`), says("AT+CCLK?", `+CCLK: "26/11/23,11:00:00+00"`), fails(`AT+CCLK="noon"`, "+CME ERROR: 50")}},
		{"locks without a PIN", []step{says("AT+CPIN?", "+CPIN: READY"), fails("AT+CPIN=1234", "+CME ERROR: 3"), says(`AT+CLCK="SC",2`, "+CLCK: 0"), fails(`AT+CLCK="SC",1,"9999"`, "+CME ERROR: 16"),
			ok(`AT+CLCK="SC",1,"0000"`), says(`AT+CLCK="SC",2`, "+CLCK: 1"), says("AT+CLCK=?", `+CLCK: ("SC")`), fails(`AT+CLCK="XX",2`, "+CME ERROR: 50"), ok(`AT+CPWD="SC","0000","1234"`), fails(`AT+CPWD="SC","0000","1234"`, "+CME ERROR: 16")}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			bubble(t, Config{Seed: 7}, func(_ *testing.T, h *host) {
				for _, s := range tt.steps {
					h.want(s.line, s.want...)
				}
			})
		})
	}
}

func TestRepeatLastLine(t *testing.T) {
	bubble(t, Config{}, func(t *testing.T, h *host) {
		h.want("AT+CSQ", "+CSQ: 21,99", "OK")
		h.typed("A/")
		if diff := cmp.Diff([]string{"+CSQ: 21,99", "OK"}, lines(h.raw(time.Millisecond))); diff != "" {
			t.Errorf("A/ (-want +got):\n%s", diff)
		}
		h.want("AT", "OK")
	})
}

// TestForms looks at every byte: echo, verbose and numeric results, quiet, S3 and S4.
func TestForms(t *testing.T) {
	for _, tt := range []struct{ name, setup, line, want string }{
		{"echo", "ATE1\r", "AT+CMGF?\r", "AT+CMGF?\r\r\n+CMGF: 0\r\n\r\nOK\r\n"},
		{"no echo", "ATE0\r", "AT+CMGF?\r", "\r\n+CMGF: 0\r\n\r\nOK\r\n"},
		{"numeric", "ATE0V0\r", "AT+CMGF?\r", "+CMGF: 0\r\n0\r"},
		{"numeric error", "ATE0V0\r", "AT+NONSENSE\r", "4\r"},
		{"quiet", "ATE0Q1\r", "AT+CMGF?\r", "\r\n+CMGF: 0\r\n"},
		{"S3 and S4", "ATE0S4=42S3=33\r", "AT+CMGF?!", "!*+CMGF: 0!*!*OK!*"},
		{"backspace", "ATE0\r", "AT+CMGG\bF?\r", "\r\n+CMGF: 0\r\n\r\nOK\r\n"},
		{"line feed", "ATE0\r\n", "AT+CMGF?\r\n", "\r\n+CMGF: 0\r\n\r\nOK\r\n"},
		{"noise before AT", "ATE0\r", "xx\x00\x1bAAT+CMGF?\r", "\r\n+CMGF: 0\r\n\r\nOK\r\n"},
		{"no AT", "ATE0\r", "+CMGF?\r", ""},
		{"a long line", "ATE0\r", "AT+CSCA=\"" + strings.Repeat("1", 3000) + "\"\r", "\r\nERROR\r\n"},
		{"the prompt", "ATE0\r", "AT+CMGS=18\r", "\r\n> "},
	} {
		t.Run(tt.name, func(t *testing.T) {
			bubble(t, Config{}, func(t *testing.T, h *host) {
				h.typed(tt.setup)
				h.raw(time.Millisecond)
				h.typed(tt.line)
				if diff := cmp.Diff(tt.want, h.raw(time.Millisecond)); diff != "" {
					t.Errorf("(-want +got):\n%s", diff)
				}
			})
		})
	}
}

func TestPIN(t *testing.T) {
	bubble(t, Config{PIN: "1234"}, func(t *testing.T, h *host) {
		h.want("AT+CPIN?", "+CPIN: SIM PIN", "OK")
		h.want("AT+CMGS=18", "+CMS ERROR: 311")
		h.want("AT+CIMI", "+CME ERROR: 11")
		h.want("AT+CREG?", "+CREG: 0,0", "OK")
		h.want("AT+CPIN=9999", "+CME ERROR: 16")
		h.want("AT+CPINR", "+CPINR: SIM PIN,2,3", "+CPINR: SIM PUK,10,10", "OK")
		h.want(`AT+CPIN="1234"`, "OK")
		h.want("AT+CPIN?", "+CPIN: READY", "OK")
		h.want("AT+CREG?", "+CREG: 0,1", "OK")
		h.alive()
	})
}

func TestPUK(t *testing.T) {
	bubble(t, Config{PIN: "1234"}, func(t *testing.T, h *host) {
		for range 3 {
			h.want("AT+CPIN=9999", "+CME ERROR: 16")
		}
		h.want("AT+CPIN?", "+CPIN: SIM PUK", "OK")
		h.want("AT+CPIN=1234", "+CME ERROR: 12")
		h.want("AT+CMGS=18", "+CMS ERROR: 316")
		h.want(`AT+CPIN="12345678","4321"`, "OK")
		h.want("AT+CPIN?", "+CPIN: READY", "OK")
	})
}

func TestNoSIM(t *testing.T) {
	bubble(t, Config{NoSIM: true}, func(t *testing.T, h *host) {
		h.want("AT+CPIN?", "+CME ERROR: 10")
		h.want("AT+CMGS=18", "+CMS ERROR: 310")
		h.want("AT+CCID", "+CME ERROR: 10")
	})
}

func TestSlowCommands(t *testing.T) {
	bubble(t, Config{}, func(t *testing.T, h *host) {
		h.typed("AT+COPS=?\rAT+CSQ\r") // the second waits for the first
		if got := h.raw(scanTime - time.Second); got != "" {
			t.Errorf("before its time: %q", got)
		}
		want := []string{`+COPS: (2,"Otpost","Otpost","00101",7),,(0-4),(0-2)`, "OK", "+CSQ: 21,99", "OK"}
		if diff := cmp.Diff(want, lines(h.raw(2*time.Second))); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	})
}

func TestUSSD(t *testing.T) {
	bubble(t, Config{Credit: 5, Network: NewNetwork(NetworkConfig{USSD: map[string]string{"*135#": "Hi"}})}, func(t *testing.T, h *host) {
		for _, tt := range [][2]string{
			{`AT+CUSD=1,"*100#",15`, `+CUSD: 0,"Balance: 5 texts",15`}, {`AT+CUSD=1,"*135#"`, `+CUSD: 0,"Hi",15`}, {`AT+CUSD=1,"*999#"`, "+CUSD: 4"},
			{"ATD*135#;", `+CUSD: 0,"Hi",15`},
		} {
			h.want(tt[0], "OK")
			if diff := cmp.Diff([]string{tt[1]}, lines(h.raw(time.Second))); diff != "" {
				t.Errorf("%s (-want +got):\n%s", tt[0], diff)
			}
		}
		h.want(`AT+CSCS="UCS2"`, "OK")
		h.want(`AT+CUSD=1,"002A0031003300350023",15`, "OK")
		if diff := cmp.Diff([]string{`+CUSD: 0,"00480069",72`}, lines(h.raw(time.Second))); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	})
}

func TestCreditRunsOut(t *testing.T) {
	bubble(t, Config{Credit: 2}, func(t *testing.T, h *host) {
		for i, want := range []string{"+CMGS: ", "+CMGS: ", "+CMS ERROR: 21"} {
			if got := h.send(helloPDU); !strings.HasPrefix(got[0], want) {
				t.Errorf("send %d: got %q, want %s", i+1, got, want)
			}
		}
		h.sent(2)
		h.m.SetCredit(1)
		h.alive()
	})
}

func TestListOfCommandsIsAnswered(t *testing.T) {
	bubble(t, Config{}, func(t *testing.T, h *host) {
		h.typed("AT+CLAC\r")
		all := lines(h.raw(time.Millisecond))
		if len(all) < 80 || all[len(all)-1] != "OK" {
			t.Fatalf("got %d lines: %q", len(all), all)
		}
		for _, c := range all[:len(all)-1] {
			for _, form := range []string{"", "?", "=?"} {
				if c == "ATA" || c == "ATV" || c == "ATQ" || c == "ATE" || c == "AT+CMGW" || c == "ATD" || c == "AT+CLAC" {
					continue // change the form of answers, or ask for a message
				}
				h.typed(c + form + "\r")
				got := lines(h.raw(5 * time.Second))
				if len(got) == 0 || got[len(got)-1] != "OK" && !strings.Contains(got[len(got)-1], "ERROR") && got[len(got)-1] != "NO CARRIER" {
					t.Errorf("%s%s: %q", c, form, got)
				}
				h.say("ATE0V1Q0+CMEE=1")
			}
		}
	})
}
