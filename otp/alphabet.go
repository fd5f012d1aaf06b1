package otp

import (
	"strings"
	"unicode/utf16"
)

// The GSM 7-bit default alphabet and its extension table, 3GPP TS 23.038 6.2.1.
const (
	gsmBasic = "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?" +
		"¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
	gsmExtension = "\f^{}\\[~]|€"
)

// septets returns how long text is in the GSM alphabet, or -1 when it cannot be written in it.
func septets(text string) (n int) {
	for _, r := range text {
		switch {
		case strings.ContainsRune(gsmBasic, r):
			n++
		case strings.ContainsRune(gsmExtension, r):
			n += 2
		default:
			return -1
		}
	}
	return n
}

// units returns how long text is in UTF-16, which is what UCS-2 is on every phone.
func units(text string) int { return len(utf16.Encode([]rune(text))) }
