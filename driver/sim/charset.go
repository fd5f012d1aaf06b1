package sim

import (
	"encoding/hex"
	"strings"

	"github.com/warthog618/sms/encoding/gsm7"
	"github.com/warthog618/sms/encoding/ucs2"

	_ "otpost/driver/alphabet"
)

// charsets are those of +CSCS (TS 27.007 5.5).
func charsets() []string { return []string{"GSM", "IRA", "UCS2", "HEX", "8859-1", "UTF-8"} }

// toHost writes UTF-8 text in the host's character set; what the set lacks becomes a question mark.
func (m *Modem) toHost(text string) string {
	switch m.set.charset {
	case "UCS2":
		return toUCS2(text)
	case "HEX":
		return strings.ToUpper(hex.EncodeToString([]byte(septets(text))))
	case "GSM":
		return septets(text)
	case "UTF-8":
		return text
	case "8859-1":
		return narrow(text, 0xff)
	}
	return narrow(text, 0x7f)
}

// fromHost reads what the host wrote in its character set.
func (m *Modem) fromHost(text string) (string, bool) {
	switch m.set.charset {
	case "UCS2":
		return fromUCS2(text)
	case "HEX":
		b, err := hex.DecodeString(text)
		if err != nil {
			return "", false
		}
		return fromSeptets(string(b))
	case "GSM":
		return fromSeptets(text)
	case "8859-1":
		r := make([]rune, 0, len(text))
		for i := range len(text) {
			r = append(r, rune(text[i]))
		}
		return string(r), true
	}
	return text, true
}

func toUCS2(text string) string {
	return strings.ToUpper(hex.EncodeToString(ucs2.Encode([]rune(text))))
}

func fromUCS2(text string) (string, bool) {
	b, err := hex.DecodeString(text)
	if err != nil {
		return "", false
	}
	r, err := ucs2.Decode(b)
	return string(r), err == nil
}

// septets is text in the GSM default alphabet, a byte each.
func septets(text string) string {
	var out []byte
	for _, r := range text {
		b, err := gsm7.Encode([]byte(string(r)))
		if err != nil {
			b = []byte{'?'}
		}
		out = append(out, b...)
	}
	return string(out)
}

func fromSeptets(text string) (string, bool) {
	for i := range len(text) {
		if text[i] > 0x7f {
			return "", false
		}
	}
	b, err := gsm7.Decode([]byte(text))
	return string(b), err == nil
}

func narrow(text string, limit rune) string {
	var out []byte
	for _, r := range text {
		if r > limit {
			r = '?'
		}
		out = append(out, byte(r))
	}
	return string(out)
}
