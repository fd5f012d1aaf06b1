package sim

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestPersonalities(t *testing.T) {
	want := []string{"generic", "huawei-e3372", "quectel-ec25", "sierra-mc7455", "simcom-sim800", "wavecom"}
	if diff := cmp.Diff(want, Personalities()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	for _, name := range want {
		p, err := LoadPersonality(name)
		if err != nil {
			t.Fatal(err)
		}
		if p.Name != name || p.Source == "" {
			t.Errorf("%s: name %q, source %q", name, p.Name, p.Source)
		}
	}
}

func TestPersonalityErrors(t *testing.T) {
	good, err := personalityFiles.ReadFile("personalities/generic.yaml")
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "mine.yaml")
	for _, tt := range []struct{ name, text, want string }{
		{"unknown key", strings.Replace(string(good), "model:", "modle:", 1), "line 5: field modle not found"},
		{"no TAC", strings.Replace(string(good), `"00440123"`, `"1"`, 1), "tac: want 8 digits"},
		{"no ds", strings.Replace(string(good), "ds: [0, 1]", "ds: []", 1), "cnmi: mode, mt, bm, ds and bfr each want at least one value"},
		{"unknown memory", strings.Replace(string(good), "read: [SM", "read: [XX", 1), `memory "XX" is not among memories`},
		{"empty memory", strings.Replace(string(good), "size: 20", "size: 0", 1), "want a size from 1 to 1000"},
		{"link", strings.Replace(string(good), "link: 30", "link: 100", 1), "link: want a percentage from 0 to 90"},
		{"groups", string(good) + "groups: 4\n", "groups: want 2 or 3"},
		{"character sets", string(good) + "charsets: [EBCDIC]\n", `charsets: "EBCDIC" is none of GSM, IRA, UCS2, HEX, 8859-1, UTF-8`},
		{"prompt", string(good) + "prompt: hello\n", "prompt: want a > in it"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if err := os.WriteFile(file, []byte(tt.text), 0o600); err != nil {
				t.Fatal(err)
			}
			_, err := New(Config{Personality: file})
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
		})
	}
	_, err = New(Config{Personality: "nokia-3310"})
	if want := `unknown personality "nokia-3310": there are generic, huawei-e3372, quectel-ec25, sierra-mc7455, simcom-sim800, wavecom`; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

// helloPDU is "hello" to +47709000213, a report asked for; 18 octets without the SMSC.
const helloPDU = "0021000B917407090012F3000005E8329BFD06"

// TestPersonalitiesSendAndReport runs the same story with each: a text arrives and its report comes back, by whichever
// of +CNMI's ways the modem takes.
func TestPersonalitiesSendAndReport(t *testing.T) {
	for _, name := range Personalities() {
		t.Run(name, func(t *testing.T) {
			bubble(t, Config{Personality: name, ReportDelay: time.Second, Seed: 7}, func(t *testing.T, h *host) {
				if got := h.say("AT+CGSN"); len(got) != 2 || got[0] != h.m.IMEI() || len(got[0]) != 15 {
					t.Errorf("IMEI: got %q, want %s", got, h.m.IMEI())
				}
				tag := "+CDS: "
				if got := h.say("AT+CNMI=2,1,0,1,0"); got[0] != "OK" {
					tag = "+CDSI: "
					h.want("AT+CNMI=2,1,0,2,0", "OK")
				}
				all := strings.Join(append(h.send(helloPDU), lines(h.raw(3*time.Second))...), "|")
				if !strings.Contains(all, "+CMGS: ") || !strings.Contains(all, tag) {
					t.Errorf("got %q, want a reference and %s", all, tag)
				}
				if m := h.m.net.Messages(Filter{}); len(m) != 1 || m[0].Text != "hello" || m[0].To != "+47709000213" {
					t.Errorf("on the phone: %+v", m)
				}
			})
		})
	}
}

// A personality of one's own is a file like any other, here with Q51 of the quirks: +CMMS is refused.
func TestPersonalityFromFile(t *testing.T) {
	generic, err := personalityFiles.ReadFile("personalities/generic.yaml")
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "mine.yaml")
	if err := os.WriteFile(file, append(generic, "cmms_cause: 500\n"...), 0o600); err != nil {
		t.Fatal(err)
	}
	bubble(t, Config{Personality: file}, func(_ *testing.T, h *host) { h.want("AT+CMMS=2", "+CMS ERROR: 500") })
}

func TestPersonalityHabits(t *testing.T) {
	for _, tt := range []struct {
		name, kind string
		story      func(t *testing.T, h *host)
	}{
		{"no OK after +CPIN?", "wavecom", func(_ *testing.T, h *host) {
			h.want("AT+CPIN?", "+CPIN: READY")
			h.want("AT+CSMP=17,167,0,0", "ERROR")
			h.want("AT+CGREG?", "ERROR")
		}},
		{"junk before a stored report", "wavecom", func(t *testing.T, h *host) {
			h.want("AT+CNMI=2,1,0,2,0", "OK")
			h.send(helloPDU)
			h.want(`AT+CPMS="SR"`, "+CPMS: 1,10,0,15", "OK")
			if got := h.say("AT+CMGR=1"); len(got) != 3 || !strings.HasPrefix(got[1], "000000FF00") {
				t.Errorf("got %q", got)
			}
		}},
		{"ds=1 listed and refused", "sierra-mc7455", func(_ *testing.T, h *host) {
			h.want("AT+CNMI=?", "+CNMI: (0,1,2),(0,1,2,3),(0,2),(0,1,2),(0,1)", "OK")
			h.want("AT+CNMI=2,1,0,1,0", "+CMS ERROR: 302")
			h.want("AT+CNMI=2,1,0,2,0", "OK")
			h.want(`AT!ENTERCND="A710"`, "OK")
		}},
		{"reports in SR, said to be in SM", "quectel-ec25", func(t *testing.T, h *host) {
			h.want("AT+CNMI=2,1,0,2,0", "OK")
			got := h.send(helloPDU)
			if got[len(got)-1] != `+CDSI: "SM",0` && got[0] != `+CDSI: "SM",0` {
				t.Errorf("got %q", got)
			}
			h.want("AT+CMGR=0", "OK")
			h.want(`AT+CPMS="SR"`, "+CPMS: 1,25,0,255,0,255", "OK")
			if got := h.say("AT+CMGR=0"); len(got) != 3 || !strings.HasPrefix(got[0], "+CMGR: 0,,") {
				t.Errorf("got %q", got)
			}
			h.want("AT+QCCID", "+QCCID: "+h.m.ICCID(), "OK")
		}},
		{"chatter until ^CURC=0", "huawei-e3372", func(t *testing.T, h *host) {
			if got := h.raw(4500 * time.Millisecond); !strings.Contains(got, "^RSSI: 21") {
				t.Errorf("got %q", got)
			}
			h.want("AT^CURC=0", "OK")
			if got := h.raw(time.Minute); got != "" {
				t.Errorf("it still says %q", got)
			}
			h.want("AT+NOSUCH", "COMMAND NOT SUPPORT")
		}},
		{"nothing direct in modes 0 and 2", "huawei-e3372", func(_ *testing.T, h *host) {
			h.want("AT+CNMI=?", "+CNMI: (0-2),(0-3),(0,2),(0-2),(0,1)", "OK")
			for set, answer := range map[string]string{
				"2,1,0,1,0": "+CMS ERROR: 302", "2,2,0,0,0": "+CMS ERROR: 302", "2,3,0,0,0": "+CMS ERROR: 302",
				"2,1,0,2,0": "OK", "1,1,0,1,0": "OK", "1,2,0,1,0": "OK",
			} {
				h.want("AT+CNMI="+set, answer)
			}
			h.want("AT+CSCS=?", `+CSCS: ("IRA","UCS2","GSM")`, "OK")
			h.want("AT+CSCS?", `+CSCS: "IRA"`, "OK")
			h.want(`AT+CSCS="HEX"`, "+CME ERROR: 50")
			h.want("AT+CSMS?", "+CSMS: 1,1,1,1", "OK")
		}},
		{"two memories", "wavecom", func(_ *testing.T, h *host) {
			h.want("AT+CGMI", "WAVECOM MODEM", "OK") // with a space before it
			h.want("AT+CPMS=?", `+CPMS: (("SM","BM","SR"),("SM"))`, "OK")
			h.want("AT+CPMS?", `+CPMS: "SM",0,15,"SM",0,15`, "OK")
			h.want(`AT+CPMS="SM","SM","SR"`, "+CMS ERROR: 302")
			h.want(`AT+CPMS="BM","SM"`, "+CPMS: 0,5,0,15", "OK")
		}},
		{"line by line after power-up", "simcom-sim800", func(t *testing.T, h *host) {
			h.want("AT+CFUN=1,1", "OK")
			if diff := cmp.Diff([]string{"RDY"}, lines(h.raw(300*time.Millisecond))); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			h.want("AT+CMEE=1;E0", "AT+CMEE=1;E0", "OK")
			h.want("AT+CMGL=4", "+CMS ERROR: 314")
			want := []string{"+CFUN: 1", "+CPIN: READY", "Call Ready", "SMS Ready"}
			if diff := cmp.Diff(want, lines(h.raw(3*time.Second))); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			h.want("AT+CMGL=4", "OK")
			h.want("AT+CREG?", "+CREG: 0,1", "OK")
			h.want("AT+CCID", h.m.ICCID(), "OK")
		}},
	} {
		t.Run(tt.kind+" "+tt.name, func(t *testing.T) {
			bubble(t, Config{Personality: tt.kind}, tt.story)
		})
	}
}
