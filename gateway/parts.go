package gateway

import (
	"slices"
	"unicode/utf16"

	"otpost/driver"
)

// The capacity of one part and of each of several, 3GPP TS 23.040 9.2.3.24.1: 140 octets, six of them a header when
// the text is concatenated.
const (
	septetsAlone, septetsEach = 160, 153
	unitsAlone, unitsEach     = 70, 67
)

// gsm7 is the default alphabet of 3GPP TS 23.038 6.2.1; gsm7Extension needs an escape before each of its characters.
const (
	gsm7 = "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?" +
		"¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
	gsm7Extension = "\f^{}\\[~]|€"
)

// septets says how many septets each character of GSM 7-bit takes.
func septets(r rune) int {
	if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == ' ' {
		return 1
	}
	for _, c := range gsm7 {
		if c == r {
			return 1
		}
	}
	for _, c := range gsm7Extension {
		if c == r {
			return 2
		}
	}
	return 0
}

// Parts returns how many SMS the text takes: GSM-7 when all of it is in the default alphabet, else UCS-2. An escape or
// a surrogate pair is never split, so a part may hold one unit less than its capacity.
func Parts(text string) int {
	widths := make([]int, 0, len(text))
	for _, r := range text {
		w := septets(r)
		if w == 0 {
			return pack(wide(text), unitsAlone, unitsEach)
		}
		widths = append(widths, w)
	}
	return pack(widths, septetsAlone, septetsEach)
}

func wide(text string) []int {
	widths := make([]int, 0, len(text))
	for _, r := range text {
		widths = append(widths, max(1, utf16.RuneLen(r)))
	}
	return widths
}

func pack(widths []int, alone, each int) int {
	total := 0
	for _, w := range widths {
		total += w
	}
	if total <= alone {
		return 1
	}
	parts, left := 1, each
	for _, w := range widths {
		if w > left {
			parts, left = parts+1, each
		}
		left -= w
	}
	return parts
}

// pinned returns the SIM that has to finish what it began: a handset joins only parts that come from one number.
func (m *Message) pinned() string {
	pin, _ := m.begun()
	return pin
}

// begun says whether some parts went out and others did not yet, and by which SIM; a modem may tell none.
func (m *Message) begun() (sim string, some bool) {
	for _, a := range m.Attempts {
		switch n := m.taken(a.ICCID); {
		case n >= m.Parts:
			return "", false // all of it went out by this one, be it in several attempts
		case n > 0 && sim == "":
			sim, some = a.ICCID, true
		}
	}
	return sim, some
}

// learn takes the references that a verdict tells. Those that reports have taught before it stand in the reports' order, and are
// all that is known if the verdict tells fewer.
func (a *Attempt) learn(r driver.Result) {
	if n := len(a.References); len(r.References) < n && (r.Outcome == driver.Unknown || n <= r.Taken) {
		return
	}
	was, reports := a.References, a.Reports
	a.References, a.Reports = r.References, nil
	for i, report := range reports[:min(len(reports), len(was))] {
		if part := slices.Index(a.References, was[i]); part >= 0 {
			a.Reports = append(a.Reports, make([]PartReport, len(a.References)-len(a.Reports))...)
			a.Reports[part] = report
		}
	}
}
