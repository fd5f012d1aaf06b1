package otp

import (
	"time"

	"otpost/gateway/store"
)

// sendLimits are the limits that a send of c by w's caller counts on.
func (w *work) sendLimits(c *challenge) []limit {
	l := w.policy.Limits
	var all []limit
	add := func(name, label, of string, quota int, span time.Duration) {
		if quota > 0 {
			all = append(all, limit{name: name, key: w.pseudonym(label, of), quota: quota, span: span})
		}
	}
	add("phone-hour", "limit-phone", c.Phone, l.PhoneHour, time.Hour)
	add("phone-day", "limit-phone", c.Phone, l.PhoneDay, day)
	add("account-day", "limit-account", c.Account, l.AccountDay, day)
	add("prefix-day", "limit-prefix", c.Prefix, l.PrefixDay, day)
	if c.Purpose == SMSEnable && l.AccountNewPhones > 0 {
		add("account-new-phones", "limit-account", c.Account, l.AccountNewPhones, day)
		all[len(all)-1].id = w.pseudonym("limit-phone", c.Phone)[:8]
	}
	if address := w.by.address(); address != "" {
		add("client-hour", "limit-client", address, l.ClientHour, time.Hour)
	}
	if w.by.Key != "" {
		add("key-hour", "limit-key", w.by.Key, l.KeyHour, time.Hour)
	}
	return all
}

func (l limit) recordKey() string { return "otp/limit/" + l.name + "/" + l.key }

// takeLimits counts one send on every limit, or refuses it by the one that makes it wait longest and counts it on none.
// It returns where the tightest limit stands.
func (w *work) takeLimits(c *challenge) (LimitState, error) {
	var refusal *Error
	limits := w.sendLimits(c)
	windows := make([]window, len(limits))
	for i, l := range limits {
		stored, err := w.loadWindow(l)
		if err != nil {
			return LimitState{}, err
		}
		windows[i] = stored.settle(w.now, l.span)
		if l.admits(windows[i]) {
			continue
		}
		if e := l.refusal(windows[i], w.now); refusal == nil || e.RetryAfter > refusal.RetryAfter {
			refusal = e
		}
		if err := w.saveWindow(l, windows[i]); err != nil { // or a clock set back would be met anew each time
			return LimitState{}, err
		}
	}
	if refusal != nil {
		return refusal.RateLimit, refusal
	}
	return w.countSend(limits, windows)
}

func (w *work) countSend(limits []limit, windows []window) (tightest LimitState, err error) {
	for i, l := range limits {
		if l.id == "" || !windows[i].has(l.id) {
			windows[i] = windows[i].add(w.now, l.span, l.quota, l.id)
		}
		if err := w.saveWindow(l, windows[i]); err != nil {
			return tightest, err
		}
		if s := l.state(windows[i], w.now); l.id == "" && (tightest.Name == "" || s.Remaining < tightest.Remaining) {
			tightest = s
		}
	}
	return tightest, nil
}

func (w *work) saveWindow(l limit, win window) error {
	return store.Save(w.tx, l.recordKey(), win, w.now.Add(2*l.span))
}
