package otp

import (
	"context"
	"errors"
	"regexp"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/warthog618/sms/encoding/gsm7"
	"pgregory.net/rapid"

	"otpost/gateway"
	"otpost/gateway/store"
)

func TestEnableText(t *testing.T) {
	b := newBench(t)
	b.setPIN(alice)
	v, err := b.askEnable(alice, mobile)
	b.must(err)
	text, err := b.text(v.ID)
	b.must(err)
	want := "Your code to turn on SMS security codes: " + b.code(v.ID) + ". Valid 5 min. Never share it."
	if text != want {
		t.Errorf("got  %s\nwant %s", text, want)
	}
}

func TestBuiltInTextsAreComplete(t *testing.T) {
	p := testPolicy()
	texts, err := newTexts(p)
	if err != nil {
		t.Fatal(err)
	}
	for _, locale := range []string{"en", "de", "fr", "es", "pt", "ru", "ar"} {
		for key := range builtinTexts["en"] {
			if texts.templates[locale][key] == "" {
				t.Errorf("%s has no %s", locale, key)
			}
		}
	}
	for _, r := range texts.report(p) {
		if r.Compact {
			t.Errorf("%s %s needs %d of %d in %s", r.Locale, r.Purpose, r.Length, r.Room, r.Encoding)
		}
		if !utf8.ValidString(r.Example) || strings.ContainsAny(r.Example, "{}") {
			t.Errorf("%s %s: example %q", r.Locale, r.Purpose, r.Example)
		}
	}
	if n := len(texts.report(p)); n != 7*6 {
		t.Errorf("%d texts", n)
	}
}

// The alphabet here must be the one that the driver encodes with.
func TestSeptetsAgreeWithTheEncoder(t *testing.T) {
	for r := rune(1); r < 0x3000; r++ {
		encoded, err := gsm7.Encode([]byte(string(r)))
		want := len(encoded)
		if err != nil {
			want = -1
		}
		if got := septets(string(r)); got != want && r != 0x1b { // ESC, which is the escape to the extension and no character
			t.Errorf("septets(%U) = %d, the encoder says %d", r, got, want)
		}
	}
}

func TestTemplatesAreChecked(t *testing.T) {
	tests := []struct {
		name, locale, key, template string
		want                        string // in the error; empty: fine
	}{
		{"fine", "en", "login", "Code {code}", ""},
		{"new locale", "pl", "login", "Kod {code}, {minutes} min", ""},
		{"with region", "pt-br", "login", "Codigo {code}", ""},
		{"no code", "en", "login", "Hello", "texts.templates.en.login: {code} must be in it once"},
		{"code twice", "en", "login", "{code} {code}", "texts.templates.en.login: {code} must be in it once"},
		{"typo", "en", "login", "{code} {minute}", "texts.templates.en.login: {minute} is no placeholder"},
		{"unclosed", "en", "login", "{code} {minutes", "is no placeholder"},
		{"payment without payee", "en", "withdrawal", "{code} {amount} {currency}", "texts.templates.en.withdrawal: {payee} must be in it once"},
		{"payee where there is none", "en", "login", "{code} {payee}", "{payee} is no placeholder"},
		{"unknown purpose", "en", "lgin", "{code}", "texts.templates.en.lgin: is no purpose"},
		{"two lines", "en", "login", "Code\n{code}", "one line"},
		{"ctrl-z", "en", "login", "Code\x1a{code}", "one line"},
		{"hidden mark", "en", "login", "Code \u202e{code}", "one line"},
		{"too long", "en", "login", strings.Repeat("long ", 40) + "{code}", "one part has room for 160"},
		{"too long for UCS-2", "ru", "login", strings.Repeat("длинно ", 10) + "{code}", "one part has room for 70"},
		{"bad locale", "EN", "login", "{code}", "texts.templates.EN: is not a locale"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := testPolicy()
			p.Texts.Templates = map[string]map[string]string{tt.locale: {tt.key: tt.template}}
			err := p.Validate()
			switch {
			case tt.want == "" && err != nil:
				t.Error(err)
			case tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)):
				t.Errorf("got %v, want %q in it", err, tt.want)
			}
		})
	}
}

func TestLocales(t *testing.T) {
	p := testPolicy()
	p.Texts.Templates = map[string]map[string]string{"pt-br": {"login": "Brasil {code}"}}
	texts, err := newTexts(p)
	if err != nil {
		t.Fatal(err)
	}
	for locale, want := range map[string]string{
		"": "Your login", "de": "Ihr Anmelde", "de-AT": "Ihr Anmelde", "de_CH": "Ihr Anmelde", "pt-BR": "Brasil", "pt-PT": "Seu código",
		"xx": "Your login", "FR": "Votre code",
	} {
		l, err := parseLocale(locale)
		if err != nil {
			t.Fatal(err)
		}
		if got := texts.render(l, Login, values{Code: "123456", Minutes: 5}); !strings.HasPrefix(got, want) {
			t.Errorf("%q: %s", locale, got)
		}
	}
	for _, bad := range []string{"e", "en\r", "en-", "../en", "en{code}", strings.Repeat("en-", 20) + "x", "ｅｎ"} {
		if _, err := parseLocale(bad); err == nil {
			t.Errorf("locale %q was taken", bad)
		}
	}
}

// originLine is the last line as the WICG's origin-bound one-time codes want it.
var originLine = regexp.MustCompile(`\n@portal\.example #([0-9]+)$`)

func TestMachineReadableLines(t *testing.T) {
	b := newBench(t, func(p *Policy) { p.Texts.Origin, p.Texts.AndroidHash = "portal.example", "FA+9qCX9VSu" })
	b.enable(alice, mobile)
	v, err := b.create(alice, Login)
	b.must(err)
	code := b.record(v.ID)
	text, err := b.text(v.ID)
	b.must(err)
	lines := strings.Split(text, "\n")
	if len(lines) != 3 || lines[1] != "FA+9qCX9VSu" {
		t.Fatalf("lines %q", lines)
	}
	m := originLine.FindStringSubmatch(text)
	if m == nil || len(m[1]) != code.Digits || !strings.Contains(lines[0], m[1]) {
		t.Errorf("last line %q", lines[2])
	}
	reports, err := b.policy.TextReports()
	b.must(err)
	for _, r := range reports {
		if r.Encoding == "UCS-2" && r.Purpose == "withdrawal" && !r.Compact {
			t.Errorf("%s: a withdrawal of %d with the lines fits in %d?", r.Locale, r.Length, r.Room)
		}
	}
	for _, bad := range []TextPolicy{
		{DefaultLocale: "en", Origin: "https://portal.example"}, {DefaultLocale: "en", Origin: "portal"}, {DefaultLocale: "en", Origin: "portal.example\n"},
		{DefaultLocale: "en", AndroidHash: "short"}, {DefaultLocale: "en", AndroidHash: "FA+9qCX9VSu\n"}, {DefaultLocale: "tlh"},
	} {
		p := testPolicy()
		p.Texts = bad
		if p.Validate() == nil {
			t.Errorf("%+v was taken", bad)
		}
	}
}

// TestTextsAlwaysFitInOnePart renders every purpose in every locale with every kind of payee and both lines.
func TestTextsAlwaysFitInOnePart(t *testing.T) {
	payees := []*rapid.Generator[string]{
		rapid.StringMatching(`[A-Z0-9]{1,140}`), rapid.StringMatching(`[\[\]{}€|~^]{1,140}`), rapid.StringMatching(`[А-Яа-я ]{1,140}`),
		rapid.StringMatching(`[ء-ي]{1,140}`), rapid.StringMatching(`[😀-🙏]{1,140}`), rapid.Just("{code} {payee} {amount}"),
	}
	var all []*texts
	for _, origin := range []string{"", "portal.example", strings.Repeat("a", 55) + ".example"} {
		for _, hash := range []string{"", "FA+9qCX9VSu"} {
			p := testPolicy()
			p.Texts.Origin, p.Texts.AndroidHash = origin, hash
			texts, err := newTexts(p)
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, texts)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		texts := rapid.SampledFrom(all).Draw(t, "texts")
		tx := Transaction{
			Amount:   rapid.StringMatching(`[1-9][0-9]{0,14}(\.[0-9]{1,2})?`).Draw(t, "amount"),
			Currency: rapid.SampledFrom([]string{"EUR", "MATIC"}).Draw(t, "currency"),
			Payee:    rapid.OneOf(payees...).Draw(t, "payee"),
		}
		locale := rapid.SampledFrom([]string{"en", "de", "fr", "es", "pt", "ru", "ar"}).Draw(t, "locale")
		code := strings.Repeat("7", rapid.IntRange(6, 10).Draw(t, "digits"))
		for _, v := range []values{{Code: code, Minutes: 10}, {Code: code, Minutes: 10, Tx: &tx}} {
			for _, purpose := range []Purpose{SMSEnable, Login, Withdrawal, "operation:address"} {
				if (purpose == Withdrawal) != (v.Tx != nil) && purpose != "operation:address" {
					continue
				}
				text := texts.render(locale, purpose, v)
				if !fitsOnePart(text) || !strings.Contains(text, code) {
					t.Fatalf("%d septets, %d units: %q", septets(text), units(text), text)
				}
				if v.Tx != nil && (!strings.Contains(text, tx.Amount) || !strings.Contains(text, tx.Currency)) {
					t.Fatalf("amount is not shown: %q", text)
				}
			}
		}
	})
}

func TestRenderRefusesWhatIsMoot(t *testing.T) {
	b, ctx := newBench(t), context.Background()
	b.enable(alice, mobile)
	v, err := b.create(alice, Login)
	b.must(err)
	b.pass(b.policy.Purposes[Login].TTL)
	if _, err := b.text(v.ID); err == nil {
		t.Error("an expired code was rendered")
	}
	v, err = b.create(alice, Login)
	b.must(err)
	b.must(b.Cancel(ctx, b.now, portal, v.ID))
	if _, err := b.text(v.ID); err == nil {
		t.Error("a canceled code was rendered")
	}
	v, err = b.create(alice, Login)
	b.must(err)
	_, err = b.verify(v.ID, b.code(v.ID))
	b.must(err)
	if _, err := b.text(v.ID); err == nil {
		t.Error("a used code was rendered")
	}
}

// A message whose code was replaced is not sent, even if it is still on its way to a modem.
func TestRenderRefusesAReplacedCode(t *testing.T) {
	b, ctx := newBench(t), context.Background()
	b.enable(alice, mobile)
	v, err := b.create(alice, Withdrawal)
	b.must(err)
	render := func(change func(*gateway.Message)) error {
		m := b.messages()[1] // the withdrawal's first; the enabling's is before it
		change(&m)
		return b.kv.View(ctx, func(tx store.Txn) error {
			_, err := b.Render(tx, b.now, m)
			return err
		})
	}
	same := func(*gateway.Message) {}
	b.must(render(same))
	if err := render(func(m *gateway.Message) { m.To = mobile2 }); err == nil {
		t.Error("rendered for another phone")
	}
	if err := render(func(m *gateway.Message) { m.Ref = v.ID }); err == nil {
		t.Error("rendered without a generation")
	}
	b.pass(time.Minute)
	_, err = b.Resend(ctx, b.now, portal, v.ID)
	b.must(err)
	if err := render(same); !errors.Is(err, gateway.ErrMoot) {
		t.Errorf("the replaced code: %v", err)
	}
}
