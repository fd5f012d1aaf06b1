package otp

import (
	"regexp"
	"slices"
	"strings"

	"github.com/nyaruka/phonenumbers"
)

var (
	e164Pattern     = regexp.MustCompile(`^\+[1-9][0-9]{6,14}$`)
	nationalPattern = regexp.MustCompile(`^[0-9]{3,15}$`)
	phoneFiller     = strings.NewReplacer(" ", "", "-", "", "(", "", ")", "")
)

// phone is a number that a code may be sent to.
type phone struct {
	E164    string
	Country string // ISO 3166 alpha-2
	Prefix  string // calling code and three digits: the destination that is limited as one
}

// parsePhone normalises s as DESIGN 7 says and applies the rules of countries and number types. A number that the
// numbering plan calls impossible is refused; one that it merely does not know passes (test ranges, new prefixes).
func (p Policy) parsePhone(s string) (phone, error) {
	n, err := p.parseNumber(s)
	if err != nil {
		return phone{}, err
	}
	e164 := phonenumbers.Format(n, phonenumbers.E164)
	if !e164Pattern.MatchString(e164) || !stable(e164) || phonenumbers.IsPossibleNumberWithReason(n) != phonenumbers.IS_POSSIBLE {
		return phone{}, refuse(InvalidPhone, "no such number can exist in its country's numbering plan")
	}
	ph := phone{E164: e164, Country: country(n, e164), Prefix: destination(n, e164)}
	return ph, p.allowed(n, ph)
}

// stable tells whether e164 is its own normal form. One that is not (a zero too many in front) would be a second name for
// a phone, and so a second set of limits.
func stable(e164 string) bool {
	n, err := phonenumbers.Parse(e164, "")
	return err == nil && phonenumbers.Format(n, phonenumbers.E164) == e164
}

func (p Policy) parseNumber(s string) (*phonenumbers.PhoneNumber, error) {
	bad := refuse(InvalidPhone, "a phone is + and 7 to 15 digits; spaces, hyphens and parentheses may stand between them")
	if len(s) > 64 {
		return nil, bad
	}
	digits := phoneFiller.Replace(s)
	region := ""
	switch {
	case e164Pattern.MatchString(digits):
	case p.DefaultRegion != "" && nationalPattern.MatchString(digits):
		region = p.DefaultRegion
	default:
		return nil, bad
	}
	n, err := phonenumbers.Parse(digits, region)
	if err != nil { // the library's text repeats the number
		return nil, bad
	}
	return n, nil
}

// refusedTypes are the ranges that cost more than a text or reach no person (DESIGN 4.9). Personal numbers are among
// them because they are billed like shared-cost ones where they exist.
var refusedTypes = []phonenumbers.PhoneNumberType{
	phonenumbers.PREMIUM_RATE, phonenumbers.SHARED_COST, phonenumbers.UAN, phonenumbers.PAGER,
	phonenumbers.VOICEMAIL, phonenumbers.PERSONAL_NUMBER, phonenumbers.TOLL_FREE,
}

func (p Policy) allowed(n *phonenumbers.PhoneNumber, ph phone) error {
	if ph.Country == "" || slices.Contains(refusedTypes, phonenumbers.GetNumberType(n)) {
		return refuse(NumberNotAllowed, "codes are not sent to premium, shared-cost, pager and special numbers; give a mobile number")
	}
	if !slices.Contains(p.Countries, "*") && !slices.Contains(p.Countries, ph.Country) {
		return refuse(CountryNotAllowed, "codes are not sent to %s; the operator lists the countries", ph.Country)
	}
	return nil
}

// country returns the region of n, or "" when it belongs to none (satellite and international networks). A number that
// the plan does not know is taken for its calling code's main country, except where that would let a dearer country pass
// for it.
func country(n *phonenumbers.PhoneNumber, e164 string) string {
	region := phonenumbers.GetRegionCodeForNumber(n)
	if region == "" {
		region = unknownCountry(n, e164)
	}
	if region == "001" || region == "ZZ" {
		return ""
	}
	return region
}

// caribbean are the area codes of the North American plan outside the United States and Canada: the classic targets of
// pumped traffic, which must not pass for US numbers when the plan does not know the exchange yet.
var caribbean = map[string]string{
	"242": "BS", "246": "BB", "264": "AI", "268": "AG", "284": "VG", "340": "VI", "345": "KY", "441": "BM", "473": "GD",
	"649": "TC", "658": "JM", "664": "MS", "670": "MP", "671": "GU", "684": "AS", "721": "SX", "758": "LC", "767": "DM",
	"784": "VC", "787": "PR", "809": "DO", "829": "DO", "849": "DO", "868": "TT", "869": "KN", "876": "JM", "939": "PR",
}

func unknownCountry(n *phonenumbers.PhoneNumber, e164 string) string {
	switch {
	case n.GetCountryCode() == 1:
		if region, ok := caribbean[e164[2:5]]; ok {
			return region
		}
	case strings.HasPrefix(e164, "+76"), strings.HasPrefix(e164, "+77"):
		return "KZ"
	}
	return phonenumbers.GetRegionCodeForCountryCode(int(n.GetCountryCode()))
}

// destination returns the calling code and up to three digits more.
func destination(n *phonenumbers.PhoneNumber, e164 string) string {
	length := 1 + callingDigits(n) + 3
	return e164[:min(length, len(e164))]
}

func callingDigits(n *phonenumbers.PhoneNumber) int {
	switch code := n.GetCountryCode(); {
	case code < 10:
		return 1
	case code < 100:
		return 2
	default:
		return 3
	}
}

// maskPhone leaves the first three and the last two characters of an E.164 number.
func maskPhone(e164 string) string {
	if len(e164) < 8 {
		return ""
	}
	return e164[:3] + strings.Repeat("*", len(e164)-5) + e164[len(e164)-2:]
}
