package sim

import "strings"

// codeOf finds the code in a text: the last run of 6 to 10 digits that stands alone, in one piece or in groups of two or
// more digits with single spaces between. A run that belongs to something else does not count: +447700900123, 1234567.50,
// order-123456, 12 digits.
func codeOf(text string) string {
	code := ""
	for i := 0; i < len(text); {
		if !digit(text[i]) {
			i++
			continue
		}
		groups, end := runOf(text, i)
		if alone(text, i, end) {
			if c := pick(groups); c != "" {
				code = c
			}
		}
		i = end
	}
	return code
}

func digit(b byte) bool { return b >= '0' && b <= '9' }

// runOf is the groups of digits that begin at i, and where they end.
func runOf(text string, i int) (groups []string, end int) {
	for {
		start := i
		for i < len(text) && digit(text[i]) {
			i++
		}
		groups = append(groups, text[start:i])
		if i+1 >= len(text) || text[i] != ' ' || !digit(text[i+1]) {
			return groups, i
		}
		i++
	}
}

// alone says that a run is not part of a word, a phone number or an amount.
func alone(text string, start, end int) bool {
	if start > 0 {
		if b := text[start-1]; letter(b) || strings.IndexByte("+-_/", b) >= 0 ||
			(b == '.' || b == ',') && start > 1 && digit(text[start-2]) {
			return false
		}
	}
	if end == len(text) {
		return true
	}
	b := text[end]
	tail := end+1 < len(text) && (digit(text[end+1]) || letter(text[end+1]))
	return !letter(b) && !(strings.IndexByte(".,-_/", b) >= 0 && tail)
}

// pick is the code in a run: the last single group that could be one, else all groups together if none is short.
func pick(groups []string) string {
	for i := len(groups) - 1; i >= 0; i-- {
		if n := len(groups[i]); n >= 6 && n <= 10 {
			return groups[i]
		}
	}
	joined := strings.Join(groups, "")
	for _, g := range groups {
		if len(g) < 2 {
			return ""
		}
	}
	if len(joined) < 6 || len(joined) > 10 {
		return ""
	}
	return joined
}
