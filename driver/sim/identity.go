package sim

import (
	"fmt"
	"hash/fnv"
	"strings"
)

// identity is what tells one modem and SIM from another.
type identity struct {
	imei, imsi, iccid, number string
}

func seedOf(name string) uint64 {
	h := fnv.New64a()
	h.Write([]byte(name))
	return h.Sum64()
}

// newIdentity makes numbers that are unique per seed (seeds below a million) and carry right check digits. Operator 001-01
// is the test network, and country code 999 belongs to nobody.
func newIdentity(seed uint64, kind *Personality, number string) identity {
	n := seed % 1_000_000
	id := identity{
		imei:   luhn(fmt.Sprintf("%s%06d", kind.TAC, n)),
		imsi:   fmt.Sprintf("00101%010d", seed%10_000_000_000),
		iccid:  luhn(fmt.Sprintf("899901%012d", seed%1_000_000_000_000)),
		number: number,
	}
	if number == "" {
		id.number = fmt.Sprintf("+9997%08d", seed%100_000_000)
	}
	return id
}

// luhn appends the check digit (ISO/IEC 7812-1).
func luhn(digits string) string {
	sum := 0
	for i := range len(digits) {
		d := int(digits[len(digits)-1-i] - '0')
		if i%2 == 0 {
			if d *= 2; d > 9 {
				d -= 9
			}
		}
		sum += d
	}
	return digits + string(rune('0'+(10-sum%10)%10))
}

// normal brings a number as the host wrote it into the form in which phones are listed: with + when it is known to be
// international, else the digits as they stand.
func normal(number string) string {
	var b strings.Builder
	for i, r := range number {
		if r >= '0' && r <= '9' || r == '*' || r == '#' || r == '+' && i == 0 {
			b.WriteRune(r)
		}
	}
	s := b.String()
	if rest, ok := strings.CutPrefix(s, "00"); ok && len(rest) > 6 {
		return "+" + rest
	}
	return s
}
