package otp

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/binary"
	"fmt"
	"math"
	"strings"
	"unicode"

	"otpost/gateway/store/keys"
)

const (
	codeLabel   = "otp/code" // of the key that makes codes, see keys.Ring.Derive
	codeVersion = 1
)

// codeInput is everything a code is bound to (DESIGN 4.4). Change one field and the code is another.
type codeInput struct {
	Challenge   string
	Nonce       []byte
	Generation  int
	Account     string
	Phone       string
	Purpose     Purpose
	Transaction []byte // hash; empty: none
}

// bytes is the unambiguous encoding of in: each field with its length in front.
func (in codeInput) bytes() []byte {
	fields := [][]byte{
		{codeVersion}, []byte(in.Challenge), in.Nonce, binary.BigEndian.AppendUint64(nil, uint64(in.Generation)),
		[]byte(in.Account), []byte(in.Phone), []byte(in.Purpose), in.Transaction,
	}
	return lengthPrefixed(fields...)
}

func lengthPrefixed(fields ...[]byte) []byte {
	var b []byte
	for _, f := range fields {
		b = binary.BigEndian.AppendUint32(b, uint32(len(f)))
		b = append(b, f...)
	}
	return b
}

// codeKeys derives the keys of codes from those of the ring once, and returns how to get at them. A function, because fmt
// walks through unexported fields, but not into functions.
func codeKeys(ring *keys.Ring) (func(id string) ([]byte, error), error) {
	derived := map[string][]byte{}
	for _, id := range ring.IDs() {
		k, err := ring.Derive(id, codeLabel)
		if err != nil {
			return nil, err
		}
		derived[id] = k
	}
	return func(id string) ([]byte, error) {
		if k := derived[id]; k != nil {
			return k, nil
		}
		return ring.Derive(id, codeLabel) // says which keys there are, and what to do
	}, nil
}

// deriveCode returns the digits for in under key.
func deriveCode(key []byte, in codeInput, digits int) string {
	mac := hmac.New(sha256.New, key)
	mac.Write(in.bytes())
	return uniformDigits(mac.Sum(nil), digits)
}

// uniformDigits maps a uniform seed to a uniform number of the given length, leading zeros kept. A draw from the uneven
// top of the range is thrown away rather than folded in, so there is no modulo bias.
func uniformDigits(seed []byte, digits int) string {
	n := uint64(math.Pow10(digits))
	limit := math.MaxUint64 - math.MaxUint64%n
	for {
		for b := seed; len(b) >= 8; b = b[8:] {
			if x := binary.BigEndian.Uint64(b); x < limit {
				return fmt.Sprintf("%0*d", digits, x%n)
			}
		}
		next := sha256.Sum256(seed)
		seed = next[:]
	}
}

// sameCode compares in constant time.
func sameCode(a, b string) bool { return subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1 }

// normaliseDigits returns the ASCII digits of s, in which spaces, hyphens and the decimal digits of any script may stand.
func normaliseDigits(s string) (string, bool) {
	if len(s) > 128 {
		return "", false
	}
	var b strings.Builder
	for _, r := range s {
		switch {
		case r == ' ' || r == '-' || r == '\u00a0' || r == '\u2010' || r == '\u2011':
		case unicode.Is(unicode.Nd, r):
			b.WriteByte(digitValue(r))
		default:
			return "", false
		}
	}
	return b.String(), b.Len() > 0
}

// digitValue is the ASCII digit of a rune of category Nd. Unicode keeps every script's ten decimal digits together and in
// order (the Unicode Standard 4.6), so the distance to the run's first one, modulo ten, is its value.
func digitValue(r rune) byte {
	for _, r16 := range unicode.Nd.R16 {
		if rune(r16.Lo) <= r && r <= rune(r16.Hi) {
			return '0' + byte((r-rune(r16.Lo))%10)
		}
	}
	for _, r32 := range unicode.Nd.R32 {
		if rune(r32.Lo) <= r && r <= rune(r32.Hi) {
			return '0' + byte((r-rune(r32.Lo))%10)
		}
	}
	return '0'
}

// parseCode normalises the digits that a client typed. A code of the wrong length is malformed: it burns nothing.
func parseCode(s string, digits int) (string, error) {
	code, ok := normaliseDigits(s)
	if !ok || len(code) != digits {
		return "", refuse(InvalidRequest, "a code is %d digits; spaces and hyphens may stand between them", digits)
	}
	return code, nil
}
