package operate

import (
	"fmt"
	"io"
	"strings"

	"otpost/cmd/otpost/config"
	"otpost/cmd/otpost/daemon"
	"otpost/otp"
)

type selftestCmd struct {
	ConfigFile `embed:""`
	asJSON     `embed:""`
	Compliance bool `required:"" help:"Hold the configuration against the rules of the field, each with its clause."`
}

// Help shows the command at work.
func (*selftestCmd) Help() string {
	return "Exit code 1: the configuration departs from a rule. What is marked yours is not in the daemon's hands.\n" +
		examples("otpost selftest --compliance")
}

// Run prints the list.
func (c *selftestCmd) Run(con *Console) error {
	cfg, err := c.Load()
	if err != nil {
		return err
	}
	policy, err := daemon.PolicyOf(cfg)
	if err != nil {
		return err
	}
	items := append(policy.Compliance(), surroundings(cfg)...)
	departs := 0
	for _, i := range items {
		if i.Verdict == otp.Departs {
			departs++
		}
	}
	err = c.print(con.out, items, func(w io.Writer) {
		row(w, "VERDICT", "RULE", "CLAUSE", "FOUND", "WHAT TO CHANGE")
		for _, i := range items {
			row(w, string(i.Verdict), i.Rule, i.Clause, i.Found, dash(i.Fix))
		}
	})
	if err == nil && departs > 0 {
		return fmt.Errorf("the configuration departs from %d rules", departs)
	}
	return err
}

// surroundings are the rules that concern the server and not the policy.
func surroundings(cfg config.Config) []otp.ComplianceItem {
	transport := otp.ComplianceItem{Rule: "codes and keys travel encrypted", Clause: "OWASP ASVS 5.0 12.3.1", Verdict: otp.Holds, Found: "TLS"}
	switch {
	case cfg.TLS.CertFile != "":
	case cfg.Insecure:
		transport.Verdict, transport.Found, transport.Fix = otp.Departs, "insecure: true", "set tls.cert_file and tls.key_file"
	default:
		transport.Found = "loopback and socket only"
	}
	notice := otp.ComplianceItem{
		Rule: "clients are told of changes to their authenticators", Clause: "NIST SP 800-63B-4 4.6", Verdict: otp.Departs,
		Found: "no webhook takes account events", Fix: "add a webhook, and notify clients from account.sms_enabled and account.sms_disabled",
	}
	for _, h := range cfg.Webhooks {
		if len(h.Events) == 0 || strings.Contains(strings.Join(h.Events, " "), "account.") {
			notice.Verdict, notice.Found, notice.Fix = otp.Yours, "account events are posted", "see that the portal notifies clients of them"
		}
	}
	return []otp.ComplianceItem{transport, notice}
}
