package otp

import (
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"time"

	"github.com/nyaruka/phonenumbers"

	"otpost/gateway"
)

var currencyPattern = regexp.MustCompile(`^[A-Z][A-Z0-9]{2,4}$`)

// faults collects what is wrong with a policy, each naming its element.
type faults []error

func (f *faults) check(ok bool, element, format string, args ...any) {
	if !ok {
		*f = append(*f, fmt.Errorf("%s: %s", element, fmt.Sprintf(format, args...)))
	}
}

// Validate returns everything that is wrong with p, each error beginning with the element's name as the configuration
// spells it ("purposes.withdrawal.ttl: …").
func (p Policy) Validate() error {
	var f faults
	p.validateCountries(&f)
	for _, name := range slices.Sorted(maps.Keys(p.Purposes)) {
		p.Purposes[name].validate(&f, name)
	}
	for _, name := range []Purpose{SMSEnable, SMSDisable, Login, Withdrawal} {
		_, ok := p.Purposes[name]
		f.check(ok, "purposes."+string(name), "missing")
	}
	p.Resend.validate(&f)
	p.Failures.validate(&f)
	p.Limits.validate(&f)
	p.Pumping.validate(&f)
	p.PIN.validate(&f)
	f.check(slices.Contains([]OnDisable{GradeKeep, GradeRevoke}, p.Grade.OnDisable), "grade.on_disable", "%q is not keep or revoke", p.Grade.OnDisable)
	f.check(p.Grade.Max >= 1, "grade.max", "must be at least 1, the grade that enabling gives")
	for i, c := range p.Currencies {
		f.check(currencyPattern.MatchString(c), fmt.Sprintf("currencies[%d]", i), "%q is not 3 to 5 capital letters and digits", c)
	}
	if len(f) == 0 { // texts are measured with the purposes' values, so only with sound ones
		_, err := newTexts(p)
		return err
	}
	return errors.Join(f...)
}

func (p Policy) validateCountries(f *faults) {
	regions := phonenumbers.GetSupportedRegions()
	f.check(len(p.Countries) > 0, "countries", "name the countries that codes may go to, or \"*\" for all")
	for i, c := range p.Countries {
		f.check(c == "*" || regions[c], fmt.Sprintf("countries[%d]", i), "%q is not an ISO 3166 country code such as GB", c)
	}
	f.check(!slices.Contains(p.Countries, "*") || len(p.Countries) == 1, "countries", "\"*\" stands alone")
	f.check(p.DefaultRegion == "" || regions[p.DefaultRegion], "default_region", "%q is not an ISO 3166 country code such as GB", p.DefaultRegion)
}

func (p PurposePolicy) validate(f *faults, name Purpose) {
	at := "purposes." + string(name)
	f.check(name.wellFormed(), at, "is neither built in nor operation:<slug> with a slug of a-z, 0-9, - and _, at most 32 long")
	f.check(p.TTL >= minTTL && p.TTL <= maxTTL, at+".ttl", "%v is not between %v and %v", p.TTL, minTTL, maxTTL)
	f.check(p.Digits >= minDigits && p.Digits <= maxDigits, at+".digits", "%d is not between %d and %d", p.Digits, minDigits, maxDigits)
	f.check(slices.Contains([]PINUse{PINNone, PINAtCreate, PINAtVerify}, p.PIN), at+".pin", "%q is not none, create or verify", p.PIN)
	f.check(slices.Contains([]ResendMode{ResendSame, ResendRotate}, p.Resend), at+".resend", "%q is not same or rotate", p.Resend)
	f.check(p.Lane >= gateway.LaneWithdrawal && p.Lane < gateway.LaneText, at+".lane", "%d is not a lane for codes", p.Lane)
	switch name {
	case SMSEnable:
		f.check(p.PIN == PINAtVerify && !p.Transaction, at, "pin is verify and transaction false, always")
	case SMSDisable:
		f.check(p.PIN != PINAtCreate && !p.Transaction, at, "pin is none or verify and transaction false, always")
	case Withdrawal:
		f.check(p.PIN != PINNone && p.Transaction, at, "pin is create or verify and transaction true, always")
	}
}

func (p ResendPolicy) validate(f *faults) {
	f.check(p.Sends >= 1 && p.Sends <= 10, "resend.sends", "%d is not between 1 and 10", p.Sends)
	f.check(len(p.Cooldown) > 0, "resend.cooldown", "name at least one pause")
	for i, d := range p.Cooldown {
		f.check(d >= time.Second && d <= maxTTL, fmt.Sprintf("resend.cooldown[%d]", i), "%v is not between 1s and %v", d, maxTTL)
	}
}

func (p FailurePolicy) validate(f *faults) {
	f.check(p.Max >= 1 && p.Max <= 10, "failures.max", "%d is not between 1 and 10", p.Max)
	f.check(p.Strangers >= 1 && p.Strangers <= p.Max, "failures.strangers", "%d is not between 1 and failures.max", p.Strangers)
	f.check(p.Block >= time.Minute, "failures.block", "%v is under 1m", p.Block)
	f.check(p.MaxBlock >= p.Block && p.MaxBlock <= 30*day, "failures.max_block", "%v is not between failures.block and 720h", p.MaxBlock)
	f.check(p.LockAfter >= p.Max && p.LockAfter <= 100, "failures.lock_after", "%d is not between failures.max and 100", p.LockAfter)
}

func (p LimitPolicy) validate(f *faults) {
	for name, quota := range map[string]int{
		"phone_hour": p.PhoneHour, "phone_day": p.PhoneDay, "account_day": p.AccountDay, "account_phones_day": p.AccountNewPhones,
		"client_hour": p.ClientHour, "prefix_day": p.PrefixDay, "key_hour": p.KeyHour,
	} {
		f.check(quota >= 0 && quota <= 10_000_000, "limits."+name, "%d is not between 0 (no limit) and 10000000", quota)
	}
}

func (p PumpingPolicy) validate(f *faults) {
	f.check(slices.Contains([]PumpingMode{PumpingOff, PumpingObserve, PumpingEnforce}, p.Mode), "pumping.mode", "%q is not off, observe or enforce", p.Mode)
	f.check(p.CountryFloor >= 1, "pumping.country_floor", "must be at least 1")
	f.check(p.PrefixFloor >= 1, "pumping.prefix_floor", "must be at least 1")
	f.check(p.PeakShare >= 0 && p.PeakShare <= 10, "pumping.peak_share", "%v is not between 0 and 10", p.PeakShare)
	f.check(p.RecentShare >= 0 && p.RecentShare <= 10, "pumping.recent_share", "%v is not between 0 and 10", p.RecentShare)
	f.check(p.BlockedFor >= time.Minute && p.BlockedFor <= 7*day, "pumping.blocked_for", "%v is not between 1m and 168h", p.BlockedFor)
}

func (p PINPolicy) validate(f *faults) {
	f.check(p.Mode == PINLocal || p.Mode == PINPortal, "pin.mode", "%q is not local or portal", p.Mode)
	f.check(p.MinDigits >= 4 && p.MinDigits <= 12, "pin.min_digits", "%d is not between 4 and 12", p.MinDigits)
	f.check(p.MaxDigits >= p.MinDigits && p.MaxDigits <= 12, "pin.max_digits", "%d is not between pin.min_digits and 12", p.MaxDigits)
	f.check(p.MemoryKiB >= 8 && p.MemoryKiB <= 1<<20, "pin.memory_kib", "%d is not between 8 and 1048576", p.MemoryKiB)
	f.check(p.Time >= 1 && p.Time <= 20, "pin.time", "%d is not between 1 and 20", p.Time)
	f.check(p.Threads >= 1 && p.Threads <= 16, "pin.threads", "%d is not between 1 and 16", p.Threads)
}
