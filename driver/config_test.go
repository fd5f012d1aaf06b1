package driver

import (
	"bytes"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
)

func TestConfigErrors(t *testing.T) {
	good := Config{Name: "m1", Device: "/dev/ttyUSB2", Handler: noHandler{}}
	tests := []struct {
		name   string
		change func(*Config)
		says   string
	}{
		{"no name", func(c *Config) { c.Name = "" }, "without a name"},
		{"no handler", func(c *Config) { c.Handler = nil }, "no handler"},
		{"no device", func(c *Config) { c.Device = "" }, "neither device nor imei"},
		{"bad imei", func(c *Config) { c.IMEI = "12x" }, "14 to 16 digits"},
		{"bad pin", func(c *Config) { c.SIMPIN = "12" }, "4 to 8 digits"},
		{"unknown code", func(c *Config) { c.Classes = map[string]Class{"csm-38": ClassNetwork} }, `"csm-38": not a code`},
		{"unknown number", func(c *Config) { c.Classes = map[string]Class{"cms-x": ClassNetwork} }, "cms-N or cme-N"},
		{"unknown class", func(c *Config) { c.Classes = map[string]Class{"cms-38": "netwrok"} }, `"netwrok" is not one of`},
	}
	if _, err := New(good); err != nil {
		t.Fatal(err)
	}
	for _, tt := range tests {
		c := good
		tt.change(&c)
		if _, err := New(c); err == nil || !strings.Contains(err.Error(), tt.says) {
			t.Errorf("%s: %v, want %q", tt.name, err, tt.says)
		}
		if c.SIMPIN != "" {
			if _, err := New(c); strings.Contains(err.Error(), `12"`) {
				t.Errorf("the error tells the PIN: %v", err)
			}
		}
	}
}

func TestClasses(t *testing.T) {
	table, err := newClassTable(map[string]Class{"cms-27": ClassRecipient, "cms-350": ClassNetwork, "cms-4711": ClassCredit})
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		final string
		code  string
		class Class
	}{
		{"+CMS ERROR: 1", "cms-1", ClassRecipient}, {"+CMS ERROR: 28", "cms-28", ClassRecipient}, {"+CMS ERROR: 38", "cms-38", ClassNetwork},
		{"+CMS ERROR: 34", "cms-34", ClassCredit}, {"+CMS ERROR: 314", "cms-314", ClassSIM}, {"+CME ERROR: 14", "cme-14", ClassSIM},
		{"+CMS ERROR: 322", "cms-322", ClassStorage}, {"+CMS ERROR: 500", "cms-500", ClassModem}, {"ERROR", "error", ClassModem},
		{"+CMS ERROR: 304", "cms-304", ClassContent}, {"+CMS ERROR: 9999", "cms-9999", ClassUnknown}, {"+CME ERROR: -1", "error", ClassModem},
		{"+CMS ERROR: Memory full", "cms-322", ClassStorage}, {"+CMS ERROR: call the police", "error", ClassModem},
		{"+CMS ERROR: 27", "cms-27", ClassRecipient}, {"+CMS ERROR: 4711", "cms-4711", ClassCredit}, {"+CMS ERROR: 350", "cms-350", ClassNetwork},
	}
	for _, tt := range tests {
		c := table.cause(finalCode(tt.final))
		if c.Code != tt.code || c.Class != tt.class {
			t.Errorf("%s: %s %s, want %s %s", tt.final, c.Code, c.Class, tt.code, tt.class)
		}
	}
	if got := builtinClasses().cause("cms-27").Class; got != ClassNetwork {
		t.Errorf("an override reached the built-in table: %s", got)
	}
}

// Neither log nor trace nor status nor errors show a text, a full number or a PIN; the canaries must be found by the same
// search when they are planted.
func TestNothingSecretIsLogged(t *testing.T) {
	var mu sync.Mutex
	var out bytes.Buffer
	write := func(format string, args ...any) {
		mu.Lock()
		defer mu.Unlock()
		fmt.Fprintf(&out, format+"\n", args...)
	}
	bubble(t, func(fk *fake, c *Config) {
		c.SIMPIN = "83746"
		c.Log = slog.New(slog.NewTextHandler(writer(func(b []byte) { write("%s", b) }), &slog.HandlerOptions{Level: slog.LevelDebug}))
		c.Trace = func(d Direction, l string) { write("%s %s", d, l) }
		fk.answers["+CPIN?"] = "+CPIN: SIM PIN\r\n\r\nOK"
	}, func(t *testing.T, m *Modem, fk *fake, h *recorder) {
		until(t, time.Minute, "PIN tried", func() bool { return fk.count(`+CPIN="83746"`) > 0 })
		fk.set("+CPIN?", "+CPIN: READY\r\n\r\nOK")
		ready(t, m)
		secret := Submit{To: "+447700900123", Text: "code 918273645"}
		write("%+v", m.Send(t.Context(), secret))
		write("%v %+v %#v %s", secret, secret, secret, secret)
		fk.urc("+CMT: ,24\r\n" + strings.ToUpper(deliverPDU(t, "447700900555", "inbound 918273645", 0, 1, 1)))
		fk.urc(`+CUSD: 0,"your code is 918273645",15`)
		until(t, time.Minute, "text", func() bool { _, x := h.got(); return len(x) == 1 })
		_, texts := h.got()
		write("%v %+v %#v", texts, texts[0], texts[0])
		write("%+v", m.Status())
	})
	planted := Submit{To: "+447700900123", Text: "code 918273645"}
	var control bytes.Buffer
	fmt.Fprintf(&control, "%s to %s, PIN 83746", planted.Text, planted.To)
	pdu, err := encode(planted, true)
	if err != nil {
		t.Fatal(err)
	}
	for _, canary := range []string{"918273645", "447700900123", "447700900555", "83746", pduHex(pdu[0])[40:]} {
		if strings.Contains(strings.ToUpper(out.String()), canary) {
			t.Errorf("%q was written out:\n%s", canary, out.String())
		}
	}
	if !strings.Contains(control.String(), "918273645") || !strings.Contains(out.String(), "<PDU, ") || !strings.Contains(out.String(), "AT+CPIN=…") {
		t.Error("the search cannot find what it looks for, or nothing was traced")
	}
}

type writer func([]byte)

func (w writer) Write(b []byte) (int, error) { w(b); return len(b), nil }

// Two modems share the families of one registry, and the labels tell them apart.
func TestMetrics(t *testing.T) {
	reg := prometheus.NewPedanticRegistry()
	for _, name := range []string{"m1", "m2"} {
		if _, err := New(Config{Name: name, Device: "x", Handler: noHandler{}, Registry: reg}); err != nil {
			t.Fatal(err)
		}
	}
	bubble(t, func(_ *fake, c *Config) { c.Registry = reg }, func(t *testing.T, m *Modem, fk *fake, _ *recorder) {
		ready(t, m)
		m.Send(t.Context(), hello)
		for _, l := range []string{"what is this", "\x81\x82\x83", "^RSSI: 12"} { // the last is known, and of no interest
			fk.urc(l)
		}
		time.Sleep(time.Minute)
		if got := testutil.ToFloat64(m.metrics.faults.WithLabelValues("m1", "noise")); got != 2 {
			t.Errorf("%v lines of noise, want 2", got)
		}
		want := `
# HELP otpost_modem_submits_total Parts handed over, by verdict and class of refusal.
# TYPE otpost_modem_submits_total counter
otpost_modem_submits_total{class="",modem="m1",outcome="accepted"} 1
# HELP otpost_modem_up 1 when the modem is initialised and registered.
# TYPE otpost_modem_up gauge
otpost_modem_up{modem="m1"} 1
otpost_modem_up{modem="m2"} 0
`
		if err := testutil.GatherAndCompare(reg, strings.NewReader(want), "otpost_modem_up", "otpost_modem_submits_total"); err != nil {
			t.Error(err)
		}
	})
	if problems, err := testutil.GatherAndLint(reg); err != nil || len(problems) > 0 {
		t.Errorf("lint: %v, %v", problems, err)
	}
}
