package otp

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"unicode"
)

// hostile are the strings of the field: what a modem would obey, what turns or hides text, what looks like something else.
var hostile = []string{
	"", " ", "\x1a", "\x1b", "\r", "\n", "\x00", "\t", "a\x1aAT+CMGD=1,4\r", "123456\x1a", "+447700900123\x1b",
	"\u202e123456", "\u200f123456", "\u2066x\u2069", "12\u200b3456", "\ufeff123456", "\u00ad", "\u2028", "\u0085",
	"１２３４５６", "٠١٢٣٤٥", "ⅠⅡⅢⅣⅤⅥ", "①②③④⑤⑥", "О00000", "аdmin", "1,250.00", "1250,00", "1.250,00", "1e9", "-1", "+1", "0", "0.00", "00.1", ".5",
	"5.", "NaN", "Infinity", "0x10", "1 000", "١٢٣", "EURO", "eur", "E€R", "XXX", "ЕUR", "XAU", "../../etc/passwd", "a/b", "a?b", "%2e%2e", "a b", "-a", ".a",
	"{code}", "{{.Code}}", "%s%n", "'; DROP TABLE accounts; --", "<script>alert(1)</script>", `"`, `\`, "\xff\xfe", "\xed\xa0\x80", "\U000e0041",
	strings.Repeat("A", 129), strings.Repeat("x", 2000), strings.Repeat("9", 2000), strings.Repeat("\u0301", 500), "😀", "עברית", "العربية",
	"@evil.example #999999", "chl_../../../etc", "chl_00000000000000000000000000", "::1%eth0", "256.1.1.1", "198.51.100.7:80",
}

// plain tells whether s is fit for an AT line: no control character but the line feeds that the lines of a text end with.
func plain(s string) bool {
	return !strings.ContainsFunc(strings.ReplaceAll(s, "\n", ""), func(r rune) bool {
		return unicode.IsControl(r) || unicode.Is(unicode.Cf, r) || r == unicode.ReplacementChar || unicode.Is(unicode.Zl, r) || unicode.Is(unicode.Zp, r)
	})
}

func contains(s string, all ...string) bool {
	for _, part := range all {
		if !strings.Contains(s, part) {
			return false
		}
	}
	return true
}

// TestHostileInput puts every string into every field. It is refused by a typed error and nothing is queued, or it is
// taken and the text that comes of it is plain. Nobody else's state changes.
func TestHostileInput(t *testing.T) {
	p := func(b *bench) *Transaction { tx := transfer; return &tx }
	create := func(b *bench, by Caller, r CreateRequest) error {
		_, err := b.Create(context.Background(), b.now, by, r)
		return err
	}
	fields := map[string]func(b *bench, s string) error{
		"account": func(b *bench, s string) error { return create(b, portal, CreateRequest{Account: s, Purpose: Login}) },
		"account of enable": func(b *bench, s string) error {
			_, err := b.askEnable(s, mobile2)
			return err
		},
		"phone": func(b *bench, s string) error {
			_, err := b.askEnable("bob", s)
			return err
		},
		"purpose": func(b *bench, s string) error {
			return create(b, portal, CreateRequest{Account: alice, Purpose: Purpose(s)})
		},
		"operation": func(b *bench, s string) error {
			return create(b, portal, CreateRequest{Account: alice, Purpose: Purpose("operation:" + s)})
		},
		"locale": func(b *bench, s string) error {
			return create(b, portal, CreateRequest{Account: alice, Purpose: Login, Locale: s})
		},
		"client ip": func(b *bench, s string) error {
			return create(b, from(s), CreateRequest{Account: alice, Purpose: Login})
		},
		"pin": func(b *bench, s string) error {
			return create(b, portal, CreateRequest{Account: alice, Purpose: Withdrawal, PIN: s, Transaction: p(b)})
		},
		"new pin": func(b *bench, s string) error { return b.SetPIN(context.Background(), b.now, portal, "carol", s, "") },
		"current pin": func(b *bench, s string) error {
			return b.SetPIN(context.Background(), b.now, portal, alice, "840275", s)
		},
		"amount": func(b *bench, s string) error {
			tx := p(b)
			tx.Amount = s
			return create(b, portal, CreateRequest{Account: alice, Purpose: Withdrawal, PIN: goodPIN, Transaction: tx})
		},
		"currency": func(b *bench, s string) error {
			tx := p(b)
			tx.Currency = s
			return create(b, portal, CreateRequest{Account: alice, Purpose: Withdrawal, PIN: goodPIN, Transaction: tx})
		},
		"payee": func(b *bench, s string) error {
			tx := p(b)
			tx.Payee = s
			return create(b, portal, CreateRequest{Account: alice, Purpose: Withdrawal, PIN: goodPIN, Transaction: tx})
		},
		"challenge id": func(b *bench, s string) error {
			_, err := b.Verify(context.Background(), b.now, portal, s, VerifyRequest{Code: "123456"})
			return err
		},
		"code": func(b *bench, s string) error {
			v, err := b.create(alice, Login)
			b.must(err)
			_, err = b.Verify(context.Background(), b.now, portal, v.ID, VerifyRequest{Code: s})
			return err
		},
		"request id": func(b *bench, s string) error {
			return create(b, Caller{Key: s, Request: s}, CreateRequest{Account: alice, Purpose: Login})
		},
	}
	for name, try := range fields {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, func(p *Policy) { p.Limits = LimitPolicy{} })
			b.enable(alice, mobile)
			for _, s := range hostile {
				hold(t, b, s, try)
			}
			if _, _, err := b.AuditVerify(context.Background()); err != nil {
				t.Error(err)
			}
		})
	}
}

func hold(t *testing.T, b *bench, s string, try func(*bench, string) error) {
	t.Helper()
	_, err := b.Unlock(context.Background(), b.now, portal, alice)
	b.must(err)
	before := len(b.messages())
	err = try(b, s)
	var e *Error
	if err != nil && !errors.As(err, &e) {
		t.Errorf("%q: an error that is no refusal: %v", s, err)
	}
	if err != nil && s != "" && len(s) > 2 && !plain(s) && strings.Contains(err.Error(), s) {
		t.Errorf("%q: the refusal repeats it", s)
	}
	all := b.messages()
	if err != nil && len(all) > before+1 { // one for the challenge that a code is tried on
		t.Errorf("%q: was refused and queued", s)
	}
	for _, m := range all[before:] {
		if m.Status != "queued" {
			continue
		}
		text, err := b.text(strings.Split(m.Ref, ".")[0])
		if err != nil || !plain(text) || !fitsOnePart(text) {
			t.Errorf("%q: became the text %q, %v", s, text, err)
		}
	}
}

func TestTransactionTable(t *testing.T) {
	tests := []struct {
		name string
		tx   Transaction
		ok   bool
	}{
		{"plain", transfer, true},
		{"whole", Transaction{"1", "JPY", "x"}, true},
		{"small", Transaction{"0.0000000000000001", "EUR", "x"}, true},
		{"configured currency", Transaction{"1", "USDT", "x"}, true},
		{"comma", Transaction{"1250,00", "EUR", "x"}, false},
		{"zero", Transaction{"0.00", "EUR", "x"}, false},
		{"leading zero", Transaction{"01", "EUR", "x"}, false},
		{"too long", Transaction{strings.Repeat("9", 19), "EUR", "x"}, false},
		{"full-width", Transaction{"１２", "EUR", "x"}, false},
		{"unknown currency", Transaction{"1", "EUX", "x"}, false},
		{"gold", Transaction{"1", "XAU", "x"}, false},
		{"cyrillic homoglyph", Transaction{"1", "ЕUR", "x"}, false},
		{"no payee", Transaction{"1", "EUR", ""}, false},
		{"payee of 140", Transaction{"1", "EUR", strings.Repeat("ж", 140)}, true},
		{"payee of 141", Transaction{"1", "EUR", strings.Repeat("ж", 141)}, false},
		{"payee of 2000", Transaction{"1", "EUR", strings.Repeat("x", 2000)}, false},
		{"payee with ctrl-z", Transaction{"1", "EUR", "x\x1a"}, false},
		{"payee with a turn", Transaction{"1", "EUR", "x\u202ey"}, false},
		{"payee with two lines", Transaction{"1", "EUR", "x\ny"}, false},
		{"payee with a Hangul filler", Transaction{"1", "EUR", "x\u3164y"}, false},
		{"payee with a variation selector", Transaction{"1", "EUR", "x\ufe0f"}, false},
		{"payee with a tag", Transaction{"1", "EUR", "x\U000e0041"}, false},
		{"payee with a grapheme joiner", Transaction{"1", "EUR", "x\u034fy"}, false},
		{"payee with a Braille blank", Transaction{"1", "EUR", "x\u2800y"}, false},
		{"payee with a mark in front", Transaction{"1", "EUR", "\u0336x"}, false},
		{"payee with a stack of marks", Transaction{"1", "EUR", "x" + strings.Repeat("\u0301", 5)}, false},
		{"payee with accents apart", Transaction{"1", "EUR", "Nguye\u0302\u0303n"}, true},
		{"hindi payee", Transaction{"1", "EUR", "क्षत्रिय"}, true},
		{"thai payee", Transaction{"1", "EUR", "น้ำ"}, true},
		{"korean payee", Transaction{"1", "EUR", "김철수"}, true},
		{"arabic payee", Transaction{"1", "EUR", "شركة"}, true},
	}
	for _, tt := range tests {
		if err := tt.tx.check([]string{"USDT"}); (err == nil) != tt.ok {
			t.Errorf("%s: %v, want ok %v", tt.name, err, tt.ok)
		}
	}
}

// A changed part of the transaction fails like a wrong code, burns an attempt, and says nothing else.
func TestChangedTransactionIsAWrongAnswer(t *testing.T) {
	for i, change := range []func(*Transaction){
		func(tx *Transaction) { tx.Amount = "1250.0" },
		func(tx *Transaction) { tx.Amount = "9999.00" },
		func(tx *Transaction) { tx.Currency = "USD" },
		func(tx *Transaction) { tx.Payee = "DE89370400440532013001" },
		func(tx *Transaction) { tx.Payee = "de89370400440532013000" },
		func(tx *Transaction) { tx.Payee = "DЕ89370400440532013000" }, // a Cyrillic letter
	} {
		b := newBench(t)
		b.enable(alice, mobile)
		v, err := b.create(alice, Withdrawal)
		b.must(err)
		changed := transfer
		change(&changed)
		_, err = b.Verify(context.Background(), b.now, portal, v.ID, VerifyRequest{Code: b.code(v.ID), Transaction: &changed})
		e := b.wants(err, VerificationFailed)
		_, err = b.Verify(context.Background(), b.now, portal, v.ID, VerifyRequest{Code: wrong(b.code(v.ID)), Transaction: &transfer})
		w := b.wants(err, VerificationFailed)
		if *e.AttemptsLeft != 4 || *w.AttemptsLeft != 3 || e.Error() != w.Error() {
			t.Errorf("change %d: %v with %d left, a wrong code %v with %d left", i, e, *e.AttemptsLeft, w, *w.AttemptsLeft)
		}
	}
}

func TestOperationsByPolicy(t *testing.T) {
	b, ctx := newBench(t, func(p *Policy) {
		address := DefaultOperation()
		address.PIN, address.Digits = PINAtVerify, 8
		p.Purposes["operation:new-address"] = address
		pay := DefaultOperation()
		pay.Transaction = true
		p.Purposes["operation:pay"] = pay
	}), context.Background()
	b.enable(alice, mobile)
	_, err := b.create(alice, "operation:unknown")
	b.wants(err, InvalidRequest)
	_, err = b.Create(ctx, b.now, portal, CreateRequest{Account: alice, Purpose: "operation:new-address", PIN: goodPIN})
	b.wants(err, InvalidRequest)
	v, err := b.create(alice, "operation:new-address")
	b.must(err)
	code := b.code(v.ID)
	if len(code) != 8 {
		t.Errorf("code of %d digits", len(code))
	}
	_, err = b.Verify(ctx, b.now, portal, v.ID, VerifyRequest{Code: code})
	b.wants(err, InvalidRequest)
	_, err = b.Verify(ctx, b.now, portal, v.ID, VerifyRequest{Code: code, PIN: "840275"})
	b.wants(err, VerificationFailed)
	_, err = b.Verify(ctx, b.now, portal, v.ID, VerifyRequest{Code: code, PIN: goodPIN})
	b.must(err)
	_, err = b.Create(ctx, b.now, portal, CreateRequest{Account: alice, Purpose: "operation:pay"})
	b.wants(err, InvalidRequest)
	v, err = b.create(alice, "operation:pay")
	b.must(err)
	text, err := b.text(v.ID)
	b.must(err)
	if want := fmt.Sprintf("Confirm 1250.00 EUR to %s?", transfer.Payee); !strings.HasPrefix(text, want) {
		t.Errorf("text %q", text)
	}
	_, err = b.verify(v.ID, b.code(v.ID))
	b.must(err)
}
