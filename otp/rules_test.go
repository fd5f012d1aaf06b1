package otp

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"
	"unicode"

	"otpost/gateway"
)

func TestUniformDigits(t *testing.T) {
	const n = 1_000_000
	buckets := make([]int, 1000) // by the first three digits and, apart, by the last three
	tails := make([]int, 1000)
	zeros := 0
	key := []byte("the key of this test, not secret")
	for i := range n {
		code := deriveCode(key, codeInput{Challenge: fmt.Sprint(i), Generation: 1}, 6)
		if len(code) != 6 {
			t.Fatalf("code %q", code)
		}
		if code[0] == '0' {
			zeros++
		}
		buckets[number(code[:3])]++
		tails[number(code[3:])]++
	}
	for name, counts := range map[string][]int{"first": buckets, "last": tails} {
		chi := 0.0
		for _, c := range counts {
			d := float64(c) - n/1000
			chi += d * d / (n / 1000)
		}
		// 999 degrees of freedom: mean 999, deviation sqrt(2*999) = 44.7; five deviations either side.
		if math.Abs(chi-999) > 5*44.7 {
			t.Errorf("chi-square of the %s three digits is %.0f", name, chi)
		}
	}
	if zeros < n/10-1500 || zeros > n/10+1500 {
		t.Errorf("%d of %d codes begin with zero", zeros, n)
	}
}

func number(digits string) (n int) {
	for _, d := range digits {
		n = 10*n + int(d-'0')
	}
	return n
}

func TestUniformDigitsThrowsTheUnevenTopAway(t *testing.T) {
	seed := make([]byte, 32)
	for i := range 8 {
		seed[i] = 0xff // 2^64-1 is above the last full million
	}
	seed[15] = 7
	if got := uniformDigits(seed, 6); got != "000007" {
		t.Errorf("got %s, want the second draw", got)
	}
	for i := range seed {
		seed[i] = 0xff
	}
	if got := uniformDigits(seed, 10); len(got) != 10 {
		t.Errorf("got %q when every draw was thrown away", got)
	}
}

func TestParseCode(t *testing.T) {
	tests := []struct{ in, want string }{
		{"123456", "123456"},
		{" 123-456 ", "123456"},
		{"１２３４５６", "123456"},
		{"٠١٢٣٤٥", "012345"},
		{"१२३ ४५६", "123456"},
		{"𝟗𝟖𝟕𝟔𝟓𝟒", "987654"},
		{"12345", ""},
		{"1234567", ""},
		{"", ""},
		{"l23456", ""},
		{"12345б", ""},
		{"123456\n", ""},
		{"123\x1a456", ""},
		{"\u202e123456", ""},
		{"12\u200b3456", ""},
		{"①②③④⑤⑥", ""},
		{"¹²³⁴⁵⁶", ""},
		{"+123456", ""},
		{"1e5000", ""},
		{strings.Repeat(" ", 1000) + "123456", ""},
		{"12345\xff", ""},
	}
	for _, tt := range tests {
		got, err := parseCode(tt.in, 6)
		if got != tt.want || (err == nil) != (tt.want != "") {
			t.Errorf("parseCode(%q) = %q, %v; want %q", tt.in, got, err, tt.want)
		}
	}
}

func TestDigitValueOfEveryScript(t *testing.T) {
	n := 0
	for r := rune(0); r <= unicode.MaxRune; r++ {
		if !unicode.Is(unicode.Nd, r) {
			continue
		}
		n++
		run := 0 // decimal digits of a script come in tens from a zero
		for unicode.Is(unicode.Nd, r-1-rune(run)) {
			run++
		}
		if want := byte('0' + run%10); digitValue(r) != want {
			t.Errorf("digitValue(%U) = %c, want %c", r, digitValue(r), want)
		}
	}
	if n < 600 || n%10 != 0 {
		t.Errorf("%d decimal digits", n)
	}
}

func FuzzParseCode(f *testing.F) {
	for _, s := range []string{"123456", "１２３４５６", "12 34-56", "\u202e123456", "1\x1a23456"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		code, err := parseCode(s, 6)
		if err == nil && (len(code) != 6 || strings.Trim(code, "0123456789") != "") {
			t.Errorf("parseCode(%q) = %q", s, code)
		}
	})
}

func TestParsePhone(t *testing.T) {
	all := DefaultPolicy()
	all.Countries = []string{"*"}
	gb := DefaultPolicy()
	gb.Countries, gb.DefaultRegion = []string{"GB", "IE", "US"}, "GB"
	tests := []struct {
		name, in string
		policy   Policy
		want     phone
		code     Code
	}{
		{"plain", "+447700900123", gb, phone{"+447700900123", "GB", "+44770"}, ""},
		{"dressed", " +44 (7700) 900-123", gb, phone{"+447700900123", "GB", "+44770"}, ""},
		{"national zero in parentheses", "+44 (0)7700 900123", gb, phone{"+447700900123", "GB", "+44770"}, ""},
		{"national", "07700 900123", gb, phone{"+447700900123", "GB", "+44770"}, ""},
		{"national without a region", "07700 900123", all, phone{}, InvalidPhone},
		{"irish", "+353861234567", gb, phone{"+353861234567", "IE", "+353861"}, ""},
		{"german, not listed", "+4915123456789", gb, phone{}, CountryNotAllowed},
		{"german", "+4915123456789", all, phone{"+4915123456789", "DE", "+49151"}, ""},
		{"guernsey is not Britain", "+447911123456", gb, phone{}, CountryNotAllowed},
		{"jamaica is not the US", "+18765551234", gb, phone{}, CountryNotAllowed},
		{"unknown jamaican exchange", "+18760000000", gb, phone{}, CountryNotAllowed},
		{"unknown US exchange", "+12120000000", gb, phone{"+12120000000", "US", "+1212"}, ""},
		{"kazakh is not Russian", "+77000000000", all, phone{"+77000000000", "KZ", "+7700"}, ""},
		{"premium", "+449098790000", gb, phone{}, NumberNotAllowed},
		{"shared cost", "+448451234567", gb, phone{}, NumberNotAllowed},
		{"uan", "+443001234567", gb, phone{}, NumberNotAllowed},
		{"pager", "+447640123456", gb, phone{}, NumberNotAllowed},
		{"personal", "+447012345678", gb, phone{}, NumberNotAllowed},
		{"satellite", "+881612345678", all, phone{}, NumberNotAllowed},
		{"international premium", "+979123456789", all, phone{}, NumberNotAllowed},
		{"too short", "+44770", gb, phone{}, InvalidPhone},
		{"impossible", "+44770090", gb, phone{}, InvalidPhone},
		{"too long", "+4477009001234567", gb, phone{}, InvalidPhone},
		{"letters", "+1-800-FLOWERS", all, phone{}, InvalidPhone},
		{"extension", "+447700900123;ext=5", gb, phone{}, InvalidPhone},
		{"uri", "tel:+447700900123", gb, phone{}, InvalidPhone},
		{"full-width", "＋４４７７００９００１２３", gb, phone{}, InvalidPhone},
		{"arabic digits", "+٤٤٧٧٠٠٩٠٠١٢٣", gb, phone{}, InvalidPhone},
		{"homoglyph", "+44770090О123", gb, phone{}, InvalidPhone},
		{"rtl mark", "\u200f+447700900123", gb, phone{}, InvalidPhone},
		{"ctrl-z", "+447700900123\x1a", gb, phone{}, InvalidPhone},
		{"escape", "\x1b+447700900123", gb, phone{}, InvalidPhone},
		{"return", "+447700900123\rAT+CFUN=0", gb, phone{}, InvalidPhone},
		{"newline", "+447700900123\n", gb, phone{}, InvalidPhone},
		{"tab", "+44\t7700900123", gb, phone{}, InvalidPhone},
		{"two numbers", "+447700900123,+447700900124", gb, phone{}, InvalidPhone},
		{"zeros only", "00000000000", gb, phone{}, InvalidPhone},
		{"italian zero belongs", "+390612345678", all, phone{"+390612345678", "IT", "+39061"}, ""},
		{"double plus", "++447700900123", gb, phone{}, InvalidPhone},
		{"zeros", "+0000000000", all, phone{}, InvalidPhone},
		{"no such country", "+999123456789", all, phone{}, InvalidPhone},
		{"empty", "", gb, phone{}, InvalidPhone},
		{"huge", "+44" + strings.Repeat("7", 100000), gb, phone{}, InvalidPhone},
		{"invalid utf-8", "+44770090012\xff", gb, phone{}, InvalidPhone},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := tt.policy.parsePhone(tt.in)
			var e *Error
			switch {
			case tt.code == "" && (err != nil || got != tt.want):
				t.Errorf("got %+v, %v; want %+v", got, err, tt.want)
			case tt.code != "" && (!errors.As(err, &e) || e.Code != tt.code):
				t.Errorf("got %v, want %s", err, tt.code)
			case err != nil && strings.Contains(err.Error(), "7700900123"):
				t.Errorf("error repeats the number: %v", err)
			}
		})
	}
}

// No spelling of a number is a second number to the limits.
func TestPhoneHasOneName(t *testing.T) {
	p := DefaultPolicy()
	p.Countries, p.DefaultRegion = []string{"*"}, "GB"
	for _, s := range []string{
		"+4407700900123", "+44 (0) 7700 900123", "+44007700900123", "+440007700900123", "07700900123", "007700900123", "7700900123", "447700900123",
		"+44-7700-900-123", "00447700900123", "0447700900123", "+044 7700900123",
	} {
		ph, err := p.parsePhone(s)
		if err == nil && ph.E164 != "+447700900123" {
			t.Errorf("%s became %s", s, ph.E164)
		}
	}
}

func FuzzParsePhone(f *testing.F) {
	for _, s := range []string{"+447700900123", "07700 900123", "+1-800-FLOWERS", "+44 (0) 7700-900123", "\x1a"} {
		f.Add(s)
	}
	p := DefaultPolicy()
	p.Countries, p.DefaultRegion = []string{"*"}, "GB"
	f.Fuzz(func(t *testing.T, s string) {
		ph, err := p.parsePhone(s)
		if err != nil {
			return
		}
		if !e164Pattern.MatchString(ph.E164) || len(ph.Country) != 2 || !strings.HasPrefix(ph.E164, ph.Prefix) {
			t.Errorf("parsePhone(%q) = %+v", s, ph)
		}
		if again, err := p.parsePhone(ph.E164); err != nil || again != ph {
			t.Errorf("parsePhone(%q) = %+v, and of that %+v, %v", s, ph, again, err)
		}
	})
}

func TestPINPolicy(t *testing.T) {
	p := DefaultPolicy().PIN
	for pin, ok := range map[string]bool{
		"1234": false, "4321": false, "0000": false, "7890": false, "0987": false, "1212": false, "123123": false, "2580": false,
		"111111111111": false, "123": false, "1234567890123": false, "112233": false,
		"7392": true, "739264": true, "1379": true, "4711": true, "2468": true, "903172": true, "739264739265": true,
	} {
		if err := p.checkNew(pin); (err == nil) != ok {
			t.Errorf("PIN %s: %v, want ok %v", pin, err, ok)
		}
	}
}

func TestSetPIN(t *testing.T) {
	b, ctx := newBench(t), context.Background()
	b.wants(b.SetPIN(ctx, b.now, portal, alice, "1234", ""), WeakPIN)
	b.wants(b.SetPIN(ctx, b.now, portal, alice, "12a4", ""), InvalidRequest)
	b.wants(b.SetPIN(ctx, b.now, portal, alice, "", ""), InvalidRequest)
	b.setPIN(alice)
	b.wants(b.SetPIN(ctx, b.now, portal, alice, "840275", ""), InvalidRequest)
	for left := 4; left >= 0; left-- {
		if e := b.wants(b.SetPIN(ctx, b.now, portal, alice, "840275", "840276"), VerificationFailed); *e.AttemptsLeft != left {
			t.Errorf("%d attempts left, want %d", *e.AttemptsLeft, left)
		}
	}
	b.wants(b.SetPIN(ctx, b.now, portal, alice, "840275", goodPIN), Blocked)
	b.pass(15 * time.Minute)
	b.must(b.SetPIN(ctx, b.now, portal, alice, "840275", goodPIN))
	b.wants(b.SetPIN(ctx, b.now, portal, alice, "840276", goodPIN), VerificationFailed)
}

// A failed send leaves nothing behind: no challenge, no counted limit, and the old challenge as it was.
func TestRefusedByTheQueue(t *testing.T) {
	b := newBench(t)
	b.enable(alice, mobile)
	v, err := b.create(alice, Login)
	b.must(err)
	b.outbox.refuse = &gateway.CapacityError{RetryAfter: time.Minute}
	for range 10 {
		_, err = b.create(alice, Login)
		if e := new(gateway.CapacityError); !errors.As(err, &e) {
			t.Fatalf("got %v", err)
		}
	}
	b.outbox.refuse = nil
	if c := b.record(v.ID); c.Status != Pending {
		t.Errorf("old challenge is %s", c.Status)
	}
	v, err = b.create(alice, Login)
	b.must(err)
	if v.RateLimit.Remaining != 3 {
		t.Errorf("%+v after two sends in the hour", v.RateLimit)
	}
}
