package driver

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestATCommand(t *testing.T) {
	bubble(t, func(fk *fake, _ *Config) { fk.answers["+CBC"] = "+CME ERROR: 3" }, func(t *testing.T, m *Modem, fk *fake, _ *recorder) {
		ready(t, m)
		for cmd, want := range map[string][]string{"AT": {"OK"}, " AT+CSQ ": {"+CSQ: 20,99", "OK"}, "AT+CBC": {"cme-3"}} {
			got, err := m.AT(t.Context(), cmd)
			if diff := cmp.Diff(want, got); err != nil || diff != "" {
				t.Errorf("%s: %v\n%s", cmd, err, diff)
			}
		}
		for _, cmd := range []string{"", "CSQ", "AT+CMGS=18", "at+cmgs=18", "AT+CSQ;+CMGS=18", `AT+CPIN="0000"`, `AT+CLCK="SC",1,"0000"`, "ATD123;", "ATZ",
			"ATE1", "AT+CSQ\rAT+CMGS=18", "AT+CSQ\x1a", "AT+CMGF=1", "AT+CSQ\u2028", `AT+CPWD="SC","1234","0000"`, "AT+CMSS=1"} {
			before := len(fk.sent())
			if got, err := m.AT(t.Context(), cmd); !errors.Is(err, ErrCommand) || got != nil {
				t.Errorf("%q: %q, %v", cmd, got, err)
			}
			if len(fk.sent()) != before {
				t.Errorf("%q sent something", cmd)
			}
		}
		if r := m.Send(t.Context(), hello); r.Outcome != Accepted {
			t.Errorf("afterwards: %+v", r)
		}
	})
}
