package otp

import (
	"encoding/json"
	"testing"
	"time"
)

// FuzzTransactionText: whatever payee is taken, its text is plain, fits in one part and shows amount and code.
func FuzzTransactionText(f *testing.F) {
	for _, s := range hostile {
		f.Add(s, "de", "1250.00")
	}
	p := testPolicy()
	p.Texts.Origin = "portal.example"
	texts, err := newTexts(p)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, payee, locale, amount string) {
		tx := Transaction{Amount: amount, Currency: "EUR", Payee: payee}
		l, err := parseLocale(locale)
		if err != nil || tx.check(nil) != nil {
			return
		}
		text := texts.render(l, Withdrawal, values{Code: "123456", Minutes: 5, Tx: &tx})
		if !plain(text) || !fitsOnePart(text) || !contains(text, amount, "123456", "EUR") {
			t.Errorf("payee %q became %q", payee, text)
		}
	})
}

// FuzzRecords: no stored record, however damaged, makes the rules on values panic or let more through than they may.
func FuzzRecords(f *testing.F) {
	f.Add([]byte(`{"own":3,"others":1,"everyone":{"since":"2026-03-01T12:00:00Z","for":900000000000,"level":70}}`), []byte(`[{"at":"2026-03-01T12:00:00Z","n":3}]`))
	f.Add([]byte(`{"own":-5,"row":-1,"known":[{"id":"a"}]}`), []byte(`[{"n":-7}]`))
	f.Fuzz(func(t *testing.T, failure, limits []byte) {
		p := DefaultPolicy().Failures
		var fs failures
		if json.Unmarshal(failure, &fs) == nil {
			fs.settle(start)
			if fs.blocked(start, "b") == 0 {
				fs.raise(p, start, "b")
			}
			if n := fs.left(p, start, "b"); n < 0 {
				t.Errorf("%d left", n)
			}
			fs.clear(start, "b")
		}
		var w window
		if json.Unmarshal(limits, &w) == nil {
			w = w.settle(start, time.Hour)
			l := limit{name: "x", quota: 5, span: time.Hour}
			if !l.admits(w) {
				if e := l.refusal(w, start); e.RetryAfter < 0 || e.RetryAfter > time.Hour {
					t.Errorf("retry after %v", e.RetryAfter)
				}
			}
		}
	})
}
