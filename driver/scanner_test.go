package driver

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestScanner(t *testing.T) {
	never := func(string) bool { return false }
	first := func(before string) bool { return before == "" }
	long := strings.Repeat("x", maxLine)
	for _, tt := range []struct {
		name, in string
		asks     func(string) bool
		want     []string // "> " for a prompt
	}{
		{"lines", "\r\nRDY\r\n\r\nOK\r", never, []string{"RDY", "OK"}},
		{"an unfinished line", "OK\r\n+CS", never, []string{"OK"}},
		{"spaces around", "  +CSQ: 1,99  \r\n", never, []string{"+CSQ: 1,99"}},
		{"noise within", "\x00+C\x07SQ\x7f: 1\r\n", never, []string{"+CSQ: 1"}},
		{"the echo of Ctrl-Z", "0011\x1aOK\r\n", never, []string{"0011", "OK"}},
		{"a prompt", "\r\n> ", first, []string{"> "}},
		{"a prompt and what follows", "\r\n>  OK\r\n", first, []string{"> ", "OK"}},
		{"no prompt within a line", "a > b\r\n", first, []string{"a > b"}},
		{"no prompt when nobody asks", "> hi\r\n", never, []string{"> hi"}},
		{"the longest line", long + "\r\n", never, []string{long}},
		{"a longer one is thrown away to its end", long + "xx>y\r\nOK\r\n", first, []string{"OK"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var s scanner
			var got []string
			for _, c := range []byte(tt.in) {
				switch line, prompt := s.octet(c, tt.asks); {
				case prompt:
					got = append(got, "> ")
				case line != "":
					got = append(got, line)
				}
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}
