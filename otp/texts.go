package otp

import (
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// TextPolicy is what the texts say. Templates replace or add to the built-in ones: locale, then purpose; "operation" stands
// for every operation that has none of its own. Placeholders are {code}, {minutes} and, for purposes with a transaction,
// {amount}, {currency} and {payee}, of which none may be missing.
type TextPolicy struct {
	DefaultLocale string // for requests without a locale, or with one that has no texts
	Templates     map[string]map[string]string
	Origin        string // host of the portal: the last line becomes "@host #code" (origin-bound one-time codes)
	AndroidHash   string // 11 characters that wake the portal's app (SMS Retriever)
}

const (
	gsmPart, ucsPart = 160, 70 // septets and UTF-16 units in one part, 23.038 and 23.040
	gsmPayee         = 24      // characters of a payee that are shown
	ucsPayee         = 12
)

var (
	localePattern  = regexp.MustCompile(`^[a-z]{2,3}(-[a-z0-9]{2,8})*$`)
	placeholder    = regexp.MustCompile(`\{[^}]*\}?`)
	hostPattern    = regexp.MustCompile(`^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`)
	androidPattern = regexp.MustCompile(`^[A-Za-z0-9+/]{11}$`)
)

// The compact forms need no language. They stand in where a text would not fit in one part: a payee in another script, or
// a long machine-readable line after a built-in text that needs UCS-2.
const (
	compact        = "{code}"
	compactPayment = "{amount} {currency} > {payee}: {code}"
)

// texts are the templates ready to use.
type texts struct {
	policy    TextPolicy
	templates map[string]map[string]string
}

// values fill a template.
type values struct {
	Code    string
	Minutes int
	Tx      *Transaction
}

// newTexts checks every template at its longest values.
func newTexts(p Policy) (*texts, error) {
	t := &texts{policy: p.Texts, templates: map[string]map[string]string{}}
	for locale, m := range builtinTexts {
		t.templates[locale] = maps.Clone(m)
	}
	var f faults
	p.Texts.validate(&f)
	for locale, m := range p.Texts.Templates {
		f.check(localePattern.MatchString(locale), "texts.templates."+locale, "is not a locale in lower case such as en or pt-br")
		if t.templates[locale] == nil {
			t.templates[locale] = map[string]string{}
		}
		maps.Copy(t.templates[locale], m)
	}
	f.check(t.templates[p.Texts.DefaultLocale] != nil, "texts.locale", "there are no texts for %q", p.Texts.DefaultLocale)
	if len(f) == 0 {
		t.check(&f, p)
	}
	return t, errors.Join(f...)
}

func (p TextPolicy) validate(f *faults) {
	f.check(p.Origin == "" || len(p.Origin) <= 64 && hostPattern.MatchString(p.Origin), "texts.host", "%q is not a host name in lower case such as portal.example", p.Origin)
	f.check(p.AndroidHash == "" || androidPattern.MatchString(p.AndroidHash), "texts.android_hash", "must be the app's 11 characters of A-Z, a-z, 0-9, + and /")
}

// TextReport is how one text comes out at its longest values, for `config check`.
type TextReport struct {
	Locale, Purpose string
	Encoding        string // "GSM-7" or "UCS-2"
	Length, Room    int    // in the encoding's units
	Compact         bool   // too long with the machine-readable lines: the compact form is sent instead
	Example         string // with sample values
}

func (t *texts) check(f *faults, p Policy) {
	for _, locale := range slices.Sorted(maps.Keys(t.templates)) {
		for _, key := range slices.Sorted(maps.Keys(t.templates[locale])) {
			t.checkOne(f, p, locale, key)
		}
	}
}

func (t *texts) checkOne(f *faults, p Policy, locale, key string) {
	at := "texts.templates." + locale + "." + key
	purpose, known := p.textPurpose(key)
	f.check(known, at, "is no purpose in this configuration")
	if !known {
		return
	}
	template := t.templates[locale][key]
	wanted := []string{"{code}"}
	if purpose.Transaction {
		wanted = append(wanted, "{amount}", "{currency}", "{payee}")
	}
	for _, name := range wanted {
		f.check(strings.Count(template, name) == 1, at, "%s must be in it once", name)
	}
	for _, name := range placeholder.FindAllString(template, -1) {
		f.check(slices.Contains(wanted, name) || name == "{minutes}", at, "%s is no placeholder here", name)
	}
	f.check(printable(template), at, "must be one line of printable characters")
	r := t.measure(locale, key, purpose)
	f.check(r.Length <= r.Room || template == builtinTexts[locale][key], at, "is %d long in %s at its longest values, and one part has room for %d", r.Length, r.Encoding, r.Room)
}

// textPurpose returns the strictest policy among the purposes that a template's key serves.
func (p Policy) textPurpose(key string) (PurposePolicy, bool) {
	if key == textOperation || key == textPayment {
		longest := DefaultOperation()
		longest.Transaction = key == textPayment
		longest.Digits = maxDigits
		return longest, true
	}
	purpose, ok := p.Purposes[Purpose(key)]
	return purpose, ok
}

// longest are values than which none is longer when shown.
func longest(p PurposePolicy) values {
	v := values{Code: strings.Repeat("0", p.Digits), Minutes: int(maxTTL / time.Minute)}
	if p.Transaction {
		v.Tx = &Transaction{Amount: strings.Repeat("9", maxAmount), Currency: "XXXXX", Payee: strings.Repeat("W", gsmPayee)}
	}
	return v
}

func (t *texts) measure(locale, key string, p PurposePolicy) TextReport {
	v := longest(p)
	text := t.fill(t.templates[locale][key], v)
	r := TextReport{Locale: locale, Purpose: key, Encoding: "GSM-7", Room: gsmPart, Length: septets(text)}
	if r.Length < 0 {
		r.Encoding, r.Room, r.Length = "UCS-2", ucsPart, units(text)
	}
	r.Compact = r.Length > r.Room
	r.Example = t.fill(t.templates[locale][key], values{Code: "123456789"[:min(p.Digits, 9)], Minutes: 5, Tx: sampleTx(p)})
	return r
}

func sampleTx(p PurposePolicy) *Transaction {
	if !p.Transaction {
		return nil
	}
	return &Transaction{Amount: "1250.00", Currency: "EUR", Payee: "DE89370400440532013000"}
}

// fill puts v into template and adds the machine-readable lines: first the app's hash, and last the origin-bound code,
// which must be the last line with nothing after it.
func (t *texts) fill(template string, v values) string {
	text := v.into(template, payeeRoom(template))
	return text + t.trailer(v.Code)
}

func (t *texts) trailer(code string) string {
	var b strings.Builder
	if t.policy.AndroidHash != "" {
		b.WriteString("\n" + t.policy.AndroidHash)
	}
	if t.policy.Origin != "" {
		b.WriteString("\n@" + t.policy.Origin + " #" + code)
	}
	return b.String()
}

// payeeRoom is how much of a payee is shown: less where the template itself needs UCS-2.
func payeeRoom(template string) int {
	if septets(template) < 0 {
		return ucsPayee
	}
	return gsmPayee
}

func (v values) into(template string, payee int) string {
	pairs := []string{"{code}", v.Code, "{minutes}", strconv.Itoa(v.Minutes)}
	if v.Tx != nil {
		pairs = append(pairs, "{amount}", v.Tx.Amount, "{currency}", v.Tx.Currency, "{payee}", elide(v.Tx.Payee, payee))
	}
	return strings.NewReplacer(pairs...).Replace(template)
}

// elide keeps the ends of s, which is where people compare an account number.
func elide(s string, room int) string {
	if utf8.RuneCountInString(s) <= room {
		return s
	}
	r := []rune(s)
	tail := (room - 2) / 2
	return string(r[:room-2-tail]) + ".." + string(r[len(r)-tail:])
}

// render returns the text for a purpose in the nearest locale that has one. It always fits in one part.
func (t *texts) render(locale string, p Purpose, v values) string {
	if text := t.fill(t.template(locale, p, v.Tx != nil), v); fitsOnePart(text) {
		return text
	}
	short := v.into(compact, ucsPayee)
	if v.Tx != nil {
		short = v.into(compactPayment, ucsPayee)
	}
	if text := short + t.trailer(v.Code); fitsOnePart(text) {
		return text
	}
	return short
}

// template looks for the purpose's own text in the locale, its language and the default, then for the general one.
func (t *texts) template(locale string, p Purpose, payment bool) string {
	language, _, _ := strings.Cut(locale, "-")
	general := textOperation
	if payment {
		general = textPayment
	}
	for _, key := range []string{string(p), general} {
		for _, l := range []string{locale, language, t.policy.DefaultLocale, "en"} {
			if template := t.templates[l][key]; template != "" {
				return template
			}
		}
	}
	panic(fmt.Sprintf("otp: no built-in text for %s", general))
}

func fitsOnePart(text string) bool {
	n := septets(text)
	return n >= 0 && n <= gsmPart || n < 0 && units(text) <= ucsPart
}

// parseLocale normalises a BCP 47 tag as far as texts need it.
func parseLocale(s string) (string, error) {
	l := strings.ToLower(strings.ReplaceAll(s, "_", "-"))
	if s != "" && (len(s) > 35 || !localePattern.MatchString(l)) {
		return "", refuse(InvalidRequest, "a locale is a language tag such as en or pt-BR")
	}
	return l, nil
}

// report measures every text.
func (t *texts) report(p Policy) (all []TextReport) {
	for _, locale := range slices.Sorted(maps.Keys(t.templates)) {
		for _, key := range slices.Sorted(maps.Keys(t.templates[locale])) {
			if purpose, ok := p.textPurpose(key); ok {
				all = append(all, t.measure(locale, key, purpose))
			}
		}
	}
	return all
}
