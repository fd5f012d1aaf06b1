package otp

import (
	"crypto/sha256"
	"crypto/subtle"
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

const (
	maxAmount = 18 // characters
	maxPayee  = 140
)

var amountPattern = regexp.MustCompile(`^(0|[1-9][0-9]*)(\.[0-9]+)?$`)

// iso4217 are the codes in force, funds and metals left out.
const iso4217 = `AED AFN ALL AMD ANG AOA ARS AUD AWG AZN BAM BBD BDT BGN BHD BIF BMD BND BOB BRL BSD BTN BWP BYN BZD CAD CDF CHF
CLP CNY COP CRC CUP CVE CZK DJF DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GNF GTQ GYD HKD HNL HTG HUF IDR ILS
INR IQD IRR ISK JMD JOD JPY KES KGS KHR KMF KPW KRW KWD KYD KZT LAK LBP LKR LRD LSL LYD MAD MDL MGA MKD MMK MNT MOP MRU MUR
MVR MWK MXN MYR MZN NAD NGN NIO NOK NPR NZD OMR PAB PEN PGK PHP PKR PLN PYG QAR RON RSD RUB RWF SAR SBD SCR SDG SEK SGD SHP
SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT TND TOP TRY TTD TWD TZS UAH UGX USD UYU UZS VED VES VND VUV WST XAF XCD XCG XOF
XPF YER ZAR ZMW ZWG`

var currencies = strings.Fields(iso4217)

// check refuses a transaction that could not be shown to a person truthfully.
func (t *Transaction) check(extra []string) error {
	switch {
	case len(t.Amount) > maxAmount || !amountPattern.MatchString(t.Amount) || strings.Trim(t.Amount, "0.") == "":
		return refuse(InvalidRequest, "transaction.amount is a decimal above zero with a point, at most %d characters: 1250.00", maxAmount)
	case !slices.Contains(currencies, t.Currency) && !slices.Contains(extra, t.Currency):
		return refuse(InvalidRequest, "transaction.currency is an ISO 4217 code such as EUR")
	case !printable(t.Payee) || !visible(t.Payee) || utf8.RuneCountInString(t.Payee) > maxPayee:
		return refuse(InvalidRequest, "transaction.payee is 1 to %d printable characters", maxPayee)
	}
	return nil
}

// printable tells whether s is text in one line with nothing hidden in it: no control characters (which a modem would
// obey), no marks that turn the direction of what follows, nothing invisible, no spaces at its ends.
func printable(s string) bool {
	if s == "" || !utf8.ValidString(s) || strings.TrimSpace(s) != s {
		return false
	}
	for _, r := range s {
		if r != ' ' && !unicode.In(r, unicode.L, unicode.M, unicode.N, unicode.P, unicode.S) {
			return false
		}
	}
	return true
}

// maxMarks is how many combining marks may follow one another: more than any script needs, and no stack of them.
const maxMarks = 4

// blanks are printable by their category and show nothing.
var blanks = []rune{'\u2800', '\U0001d159'}

// visible tells whether every character of s can be seen: two payees that look the same in the text must not differ in letters
// that fill no space (Hangul fillers, variation selectors and other default-ignorable ones).
func visible(s string) bool {
	marks := maxMarks // none may come first: it would join what stands in front of the payee
	for _, r := range s {
		if unicode.In(r, unicode.Other_Default_Ignorable_Code_Point, unicode.Variation_Selector) || slices.Contains(blanks, r) {
			return false
		}
		if !unicode.Is(unicode.M, r) {
			marks = 0
			continue
		}
		if marks++; marks > maxMarks {
			return false
		}
	}
	return true
}

// hash stands for t in a code's input. No transaction hashes to nothing, which no transaction can.
func (t *Transaction) hash() []byte {
	if t == nil {
		return nil
	}
	sum := sha256.Sum256(lengthPrefixed([]byte(t.Amount), []byte(t.Currency), []byte(t.Payee)))
	return sum[:]
}

// equal compares in constant time, as a part of the judgement that must not tell which part was wrong.
func (t *Transaction) equal(o *Transaction) bool {
	return subtle.ConstantTimeCompare(t.hash(), o.hash()) == 1
}
