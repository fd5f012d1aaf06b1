package driver

import "slices"

// barredAfter is how many recipients one after another a network must call barred until it is the SIM that is.
const barredAfter = 3

// barring remembers whom the network called barred since it last took a message of this SIM. Causes 8, 10 and 21 are given
// for a number and, by some carriers, for a SIM without credit; only that they come again for one number after another tells
// which. It belongs to the modem's loop. The numbers are secret.
type barring struct {
	iccid string
	to    []string
}

// judge gives a refusal the class that it turns out to have. A class that the operator has given stands.
func (b *barring) judge(one *submission, iccid, to string, given map[string]Class) {
	if b.iccid != iccid || one.outcome == Accepted {
		*b = barring{iccid: iccid}
	}
	if one.outcome != Refused || !slices.Contains([]string{"cms-8", "cms-10", "cms-21"}, one.code) {
		return
	}
	if _, ok := given[one.code]; ok {
		return
	}
	if !slices.Contains(b.to, to) && len(b.to) < barredAfter {
		b.to = append(b.to, to)
	}
	if len(b.to) >= barredAfter {
		one.class = ClassCredit
	}
}
