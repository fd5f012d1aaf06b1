package driver

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// One number that is barred is that number's matter. When one after another is, the SIM is barred or out of credit.
func TestBarredSIM(t *testing.T) {
	for _, tt := range []struct {
		name    string
		classes map[string]Class
		sends   []string // "to code", code "" for accepted; "swap" for another SIM
		want    []Class
	}{
		{"one number", nil, []string{"1 21", "1 21", "1 21", "1 21"}, []Class{"recipient", "recipient", "recipient", "recipient"}},
		{"one after another", nil, []string{"1 21", "2 8", "3 10", "4 21", "1 21"}, []Class{"recipient", "recipient", "credit", "credit", "credit"}},
		{"with a success in between", nil, []string{"1 21", "2 21", "3 ", "3 21", "4 21", "5 21"},
			[]Class{"recipient", "recipient", "", "recipient", "recipient", "credit"}},
		{"other causes in between", nil, []string{"1 21", "2 38", "2 21", "3 1", "3 21"}, []Class{"recipient", "network", "recipient", "recipient", "credit"}},
		{"causes that are the recipient's for sure", nil, []string{"1 1", "2 1", "3 28", "4 1"}, []Class{"recipient", "recipient", "recipient", "recipient"}},
		{"classed by the operator", map[string]Class{"cms-21": ClassRecipient}, []string{"1 21", "2 21", "3 21", "4 21"}, []Class{"recipient", "recipient", "recipient", "recipient"}},
		{"another SIM", nil, []string{"1 21", "2 21", "swap", "3 21"}, []Class{"recipient", "recipient", "recipient"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			bubble(t, func(_ *fake, c *Config) { c.Classes = tt.classes }, func(t *testing.T, m *Modem, fk *fake, _ *recorder) {
				var got []Class
				for _, s := range tt.sends {
					ready(t, m)
					if s == "swap" {
						fk.set("+CCID", "+CCID: 8944100000000000002\r\n\r\nOK")
						fk.unplug()
						until(t, time.Minute, "away", func() bool { return m.Status().State != StateReady })
						continue
					}
					var to, cause int
					fmt.Sscan(s, &to, &cause)
					fk.mu.Lock()
					fk.submit = func(n int, _ string) any {
						if cause == 0 {
							return "\r\n+CMGS: 1\r\n\r\nOK\r\n"
						}
						return fmt.Sprintf("\r\n+CMS ERROR: %d\r\n", cause)
					}
					fk.mu.Unlock()
					got = append(got, m.Send(t.Context(), Submit{To: fmt.Sprintf("+44770090012%d", to), Text: "x"}).Class)
				}
				if diff := cmp.Diff(tt.want, got); diff != "" {
					t.Errorf("classes (-want +got):\n%s", diff)
				}
			})
		})
	}
}
