package otp

import (
	"time"

	"otpost/gateway/store"
)

// sendLimits are the limits that a send of c by w's caller counts on.
func (w *work) sendLimits(c *challenge) []limit {
	l, p := w.policy.Limits, w.pseudonym
	all := []limit{
		{name: "phone-hour", key: p("limit-phone", c.Phone), quota: l.PhoneHour, span: time.Hour},
		{name: "phone-day", key: p("limit-phone", c.Phone), quota: l.PhoneDay, span: day},
		{name: "account-day", key: p("limit-account", c.Account), quota: l.AccountDay, span: day},
		{name: "prefix-day", key: p("limit-prefix", c.Prefix), quota: l.PrefixDay, span: day},
	}
	if c.Purpose == SMSEnable {
		all = append(all, limit{
			name: "account-new-phones", key: p("limit-account", c.Account), quota: l.AccountNewPhones, span: day,
			id: p("limit-phone", c.Phone)[:8],
		})
	}
	if address := w.by.address(); address != "" {
		all = append(all, limit{name: "client-hour", key: p("limit-client", address), quota: l.ClientHour, span: time.Hour})
	}
	if w.by.Key != "" {
		all = append(all, limit{name: "key-hour", key: p("limit-key", w.by.Key), quota: l.KeyHour, span: time.Hour})
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
		if l.quota == 0 {
			continue
		}
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
		if l.quota == 0 {
			continue
		}
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
