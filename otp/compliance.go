package otp

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Verdict is what a check of the compliance list came to.
type Verdict string

// The verdicts.
const (
	Holds   Verdict = "holds"
	Departs Verdict = "departs"
	Yours   Verdict = "yours" // not in this program's hands: what the operator or portal must see to
)

// ComplianceItem is one rule of the field as the live policy keeps it.
type ComplianceItem struct {
	Rule    string
	Clause  string
	Verdict Verdict
	Found   string // what the policy says
	Fix     string // what to change; empty when it holds
}

// Clauses cited more than once.
const (
	nistOOB      = "NIST SP 800-63B-4 3.1.3.2"
	nistThrottle = "NIST SP 800-63B-4 3.2.2"
	nistPSTN     = "NIST SP 800-63B-4 3.1.3.3"
	psd2Link     = "PSD2 RTS (EU) 2018/389 article 5"
)

// Compliance checks p against the rules that it is built from. What concerns the server (TLS, keys, webhooks) is not here.
func (p Policy) Compliance() []ComplianceItem {
	items := []ComplianceItem{p.codeLife(), p.codeLength(), p.consecutiveFailures(), p.totalFailures(), p.sendLimits(), p.destinations(), p.pumpingGuard()}
	items = append(items, p.dynamicLinking()...)
	return append(items, p.pinCost(), p.sessionBinding(), p.gradeOnDisable(), alternativeFactor())
}

func check(rule, clause string, ok bool, found, fix string) ComplianceItem {
	i := ComplianceItem{Rule: rule, Clause: clause, Verdict: Holds, Found: found}
	if !ok {
		i.Verdict, i.Fix = Departs, fix
	}
	return i
}

func (p Policy) codeLife() ComplianceItem {
	var longest time.Duration
	for _, purpose := range p.Purposes {
		longest = max(longest, purpose.TTL)
	}
	return check("a code lives 10 minutes at most and is used once", nistOOB+"; OWASP ASVS 5.0 6.5.1, 6.5.5", longest <= maxTTL,
		fmt.Sprintf("longest life %v, used once by construction", longest), "set purposes.*.ttl to 10m or less")
}

func (p Policy) codeLength() ComplianceItem {
	shortest := maxDigits
	for _, purpose := range p.Purposes {
		shortest = min(shortest, purpose.Digits)
	}
	return check("a code has six digits or more from an approved generator", nistOOB+"; OWASP ASVS 5.0 6.5.3, 6.5.4", shortest >= minDigits,
		fmt.Sprintf("shortest code %d digits", shortest), "set purposes.*.digits to 6 or more")
}

func (p Policy) consecutiveFailures() ComplianceItem {
	return check("five consecutive failures at most, then a block", "PSD2 RTS (EU) 2018/389 article 4(3)(b); OWASP ASVS 5.0 6.3.1",
		p.Failures.Max <= 5, fmt.Sprintf("%d failures, then %v doubling to %v", p.Failures.Max, p.Failures.Block, p.Failures.MaxBlock),
		"set failures.max to 5 or less")
}

func (p Policy) totalFailures() ComplianceItem {
	return check("100 consecutive failures at most on one account in all", nistThrottle, p.Failures.LockAfter > 0 && p.Failures.LockAfter <= 100,
		fmt.Sprintf("locked after %d without a success", p.Failures.LockAfter), "set failures.lock_after to 100 or less")
}

func (p Policy) sendLimits() ComplianceItem {
	l := p.Limits
	missing := []string{}
	for name, quota := range map[string]int{
		"phone_hour": l.PhoneHour, "phone_day": l.PhoneDay, "account_day": l.AccountDay, "account_phones_day": l.AccountNewPhones,
		"client_hour": l.ClientHour, "prefix_day": l.PrefixDay, "key_hour": l.KeyHour,
	} {
		if quota == 0 {
			missing = append(missing, name)
		}
	}
	slices.Sort(missing)
	found := "every limit is set"
	if len(missing) > 0 {
		found = "no limit: " + strings.Join(missing, ", ")
	}
	return check("sends are limited by phone, account, client, destination and key", "OWASP ASVS 5.0 2.4.1, 6.6.3; OWASP API Security 2023 API4, API6",
		len(missing) == 0, found, "set the missing limits")
}

func (p Policy) destinations() ComplianceItem {
	return check("only the countries that are served can be sent to", "OWASP API Security 2023 API4", !slices.Contains(p.Countries, "*"),
		"countries: "+strings.Join(p.Countries, ", "), "list the countries that clients are in")
}

func (p Policy) pumpingGuard() ComplianceItem {
	return check("traffic that is never verified is stopped", "OWASP API Security 2023 API6", p.Pumping.Mode == PumpingEnforce,
		"pumping.mode "+string(p.Pumping.Mode), "read the limits report, then set pumping.mode to enforce")
}

// dynamicLinking checks the purposes that confirm a payment.
func (p Policy) dynamicLinking() (items []ComplianceItem) {
	for name, purpose := range p.Purposes {
		if !purpose.Transaction {
			continue
		}
		at := "purposes." + string(name)
		items = append(items, check("a payment's code is bound to amount and payee, which its text shows: "+string(name), psd2Link, true,
			"amount, currency and payee are in the code and in the text", ""))
		items = append(items, check("a payment needs two independent elements: "+string(name), "PSD2 RTS (EU) 2018/389 articles 4 and 9",
			purpose.PIN != PINNone, "PIN at "+string(purpose.PIN)+", and the phone", "set "+at+".pin to create or verify"))
		items = append(items, check("a resent payment code voids the one before: "+string(name), "OWASP ASVS 5.0 6.5.1",
			purpose.Resend == ResendRotate, "resend "+string(purpose.Resend), "set "+at+".resend to rotate"))
	}
	slices.SortFunc(items, func(a, b ComplianceItem) int { return strings.Compare(a.Rule, b.Rule) })
	return items
}

// OWASP's Password Storage Cheat Sheet: argon2id with 19 MiB, two passes and one lane, or stronger.
func (p Policy) pinCost() ComplianceItem {
	if p.PIN.Mode == PINPortal {
		return ComplianceItem{
			Rule: "PINs are kept by a slow salted hash", Clause: "NIST SP 800-63B-4 3.1.1.2", Verdict: Yours, Found: "pin.mode portal",
			Fix: "see that the portal keeps PINs so",
		}
	}
	return check("PINs are kept by a slow salted hash with a pepper", "NIST SP 800-63B-4 3.1.1.2; OWASP ASVS 5.0 11.4.2",
		p.PIN.MemoryKiB >= 19*1024 && p.PIN.Time >= 2, fmt.Sprintf("argon2id, %d KiB, %d passes", p.PIN.MemoryKiB, p.PIN.Time),
		"set pin.memory_kib to 19456 and pin.time to 2 or more")
}

func (p Policy) sessionBinding() ComplianceItem {
	without := []string{}
	for name, purpose := range p.Purposes {
		if !purpose.ClientSecret {
			without = append(without, string(name))
		}
	}
	slices.Sort(without)
	return check("a code is of use only to the session that asked for it", "OWASP ASVS 5.0 6.6.2", len(without) == 0,
		fmt.Sprintf("no client_secret for %d purposes: %s", len(without), strings.Join(without, ", ")),
		"set client_secret: true for these purposes once the portal keeps it in its session")
}

func (p Policy) gradeOnDisable() ComplianceItem {
	return check("what an authenticator gave goes with it", "NIST SP 800-63B-4 4.5", p.Grade.OnDisable == GradeRevoke,
		"grade.on_disable "+string(p.Grade.OnDisable), "set grade.on_disable to revoke if grade 1 means that SMS codes are on")
}

func alternativeFactor() ComplianceItem {
	return ComplianceItem{
		Rule: "clients are offered a factor that is not SMS, and told of its risk", Clause: nistPSTN + "; OWASP ASVS 5.0 6.6.1",
		Verdict: Yours, Found: "SMS is a restricted authenticator, and not for ASVS level 3",
		Fix: "offer passkeys or an authenticator app in the portal beside SMS",
	}
}
