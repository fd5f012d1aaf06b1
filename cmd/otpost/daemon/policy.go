package daemon

import (
	"fmt"
	"time"

	"otpost/cmd/otpost/config"
	"otpost/driver"
	"otpost/gateway"
	"otpost/otp"
)

// PolicyOf turns the configuration into the rules' policy and checks it, and what else only other packages can judge.
func PolicyOf(cfg config.Config) (otp.Policy, error) {
	p := otp.DefaultPolicy()
	p.Countries, p.DefaultRegion = cfg.Countries, cfg.DefaultRegion
	l := cfg.Limits
	p.Limits = otp.LimitPolicy{
		PhoneHour: l.PhoneHour, PhoneDay: l.PhoneDay, AccountDay: l.AccountDay, AccountNewPhones: l.AccountPhonesDay,
		ClientHour: l.ClientHour, PrefixDay: l.PrefixDay, KeyHour: l.KeyHour,
	}
	p.Pumping.Mode = otp.PumpingMode(cfg.Pumping.Mode)
	p.PIN.Mode = otp.PINMode(cfg.PIN.Mode)
	p.Grade.OnDisable = otp.OnDisable(cfg.Grade.OnDisable)
	p.Texts = otp.TextPolicy{
		DefaultLocale: cfg.Texts.Locale, Templates: cfg.Texts.Templates, Origin: cfg.Texts.Host, AndroidHash: cfg.Texts.AndroidHash,
	}
	for name, change := range cfg.Purposes {
		purpose := otp.Purpose(name)
		base, ok := p.Purposes[purpose]
		if !ok {
			base = otp.DefaultOperation()
		}
		p.Purposes[purpose] = changed(base, change)
	}
	if err := p.Validate(); err != nil {
		return otp.Policy{}, fmt.Errorf("configuration: %w", err)
	}
	for i, m := range cfg.Modems {
		if err := driver.CheckClasses(classes(m.Classes)); err != nil {
			return otp.Policy{}, fmt.Errorf("modems[%d].classes: %w", i, err)
		}
	}
	return p, nil
}

// changed is base with what the configuration says differently.
func changed(base otp.PurposePolicy, c config.Purpose) otp.PurposePolicy {
	if c.TTL != nil {
		base.TTL = time.Duration(*c.TTL)
	}
	if c.Digits != nil {
		base.Digits = *c.Digits
	}
	if c.PIN != nil {
		base.PIN = otp.PINUse(*c.PIN)
	}
	if c.Transaction != nil {
		base.Transaction = *c.Transaction
	}
	if c.Resend != nil {
		base.Resend = otp.ResendMode(*c.Resend)
	}
	if c.Lane != nil {
		base.Lane = map[string]gateway.Lane{"withdrawal": gateway.LaneWithdrawal, "login": gateway.LaneLogin, "enrol": gateway.LaneEnrol}[*c.Lane]
	}
	if c.ClientSecret != nil {
		base.ClientSecret = *c.ClientSecret
	}
	return base
}
