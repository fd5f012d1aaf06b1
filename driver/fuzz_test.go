package driver

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"io"
	"regexp"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"github.com/warthog618/sms/encoding/tpdu"
)

// stream is a port whose modem says one thing and hangs up.
type stream struct {
	in  io.Reader
	out bytes.Buffer
}

func (s *stream) Read(b []byte) (int, error)  { return s.in.Read(b) }
func (s *stream) Write(b []byte) (int, error) { return s.out.Write(b) }

// pour runs bytes through a filter that awaits the result of a hand-over, cut into pieces, and returns what at would see
// and what was queued.
func pour(data []byte, size int, submitted bool) (string, []event, *exchange) {
	s := &stream{}
	f := newFilter(s, nil)
	_, _ = f.Write([]byte("AT+CMGS=19\r"))
	ex := f.current()
	if submitted {
		f.feed([]byte("\r\n> "))
		_, _ = f.Write([]byte("0031000C9144770009103200000005E8329BFD06\x1a"))
	}
	for len(data) > 0 {
		n := min(size, len(data))
		f.feed(data[:n])
		data = data[n:]
	}
	return string(f.out), f.take(), ex
}

func seedStreams(f *testing.F) {
	for _, tr := range transcripts(f) {
		var all strings.Builder
		for _, l := range tr.lines {
			if rest, ok := strings.CutPrefix(l, "<< "); ok {
				if text, err := saying(rest); err == nil {
					all.WriteString(text)
				}
			}
		}
		f.Add([]byte(all.String()), uint8(3), true)
		f.Add([]byte(all.String()), uint8(1), false)
	}
	f.Add(bytes.Repeat([]byte("A"), 70<<10), uint8(200), true)
}

// FuzzFilter: whatever a modem says, in whatever pieces, at sees the same bounded, clean lines, at most one prompt, and no
// final result that the filter did not record.
func FuzzFilter(f *testing.F) {
	seedStreams(f)
	f.Fuzz(func(t *testing.T, data []byte, size uint8, submitted bool) {
		out, events, ex := pour(data, max(1, int(size)), submitted)
		whole, all, _ := pour(data, len(data)+1, submitted)
		if out != whole {
			t.Errorf("cut into pieces of %d:\n%q\nwhole:\n%q", size, out, whole)
		}
		if diff := cmp.Diff(all, events, cmp.AllowUnexported(event{})); diff != "" {
			t.Errorf("events: -whole +cut\n%s", diff)
		}
		if n := strings.Count(out, "> "); strings.HasPrefix(out, "> ") && strings.Count(out, "\n> ")+1 > 1 {
			t.Errorf("%d prompts in %q", n, out)
		}
		finals := 0
		for l := range strings.SplitSeq(strings.TrimPrefix(out, "> "), "\r\n") {
			if len(l) > maxLine || strings.ContainsAny(l, "\x00\x1a\x1b\r\n") {
				t.Errorf("a line that is not clean: %q", l)
			}
			if l == "OK" || strings.HasPrefix(l, "ERROR") || strings.HasPrefix(l, "+CMS ERROR:") || strings.HasPrefix(l, "+CME ERROR:") {
				finals++
			}
		}
		if recorded := ex.final != "" || ex.broken != ""; finals > 1 || (finals == 1) != recorded {
			t.Errorf("%d finals in %q, recorded %q %q", finals, out, ex.final, ex.broken)
		}
		if len(events) > maxEvents {
			t.Errorf("%d events", len(events))
		}
	})
}

// FuzzFinal: a final result is classed by a code that is one of ours, never by the modem's own words.
func FuzzFinal(f *testing.F) {
	for _, s := range []string{"OK", "ERROR", "+CMS ERROR: 38", "+CMS ERROR 500", "+CMS ERROR:", "+CME ERROR:-1", "+CMS ERROR: SIM busy",
		"COMMAND NOT SUPPORT", "MODEM ERROR: 5", "+CME ERROR: 3517", "+CMS ERROR: 99999999999999999999"} {
		f.Add(s)
	}
	table := builtinClasses()
	f.Fuzz(func(t *testing.T, line string) {
		fl := newFilter(&stream{}, nil)
		_, _ = fl.Write([]byte("AT+CMGS=19\r"))
		final, ok := fl.normalise(line)
		if !ok {
			return
		}
		again, ok := fl.normalise(final)
		if !ok || finalCode(again) != finalCode(final) {
			t.Errorf("%q became %q, and that %q", line, final, again)
		}
		code := finalCode(final)
		if code == "" {
			if line != "OK" {
				t.Errorf("%q is a success", line)
			}
			return
		}
		if code != CodeError && (len(code) > 24 || strings.Trim(code[4:], "0123456789") != "" || code[3] != '-') {
			t.Errorf("%q has the code %q", line, code)
		}
		if c := table.cause(code); c.Class == ClassNone {
			t.Errorf("%q has no class", code)
		}
	})
}

// FuzzStatusReport: a report is read as far as its status whatever follows it, and reading invents nothing.
func FuzzStatusReport(f *testing.F) {
	for _, s := range []string{"06400C91447700091032621111413021006211114130510000", "0600008162111141302100621111413051000000",
		"06630C9144770009103262111141302100FFFFFFFFFFFFFF46FF0102", "0607"} {
		b, err := hex.DecodeString(s)
		if err != nil {
			b = []byte(s)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) == 0 || b[0]&tpdu.FoMTIMask != 2 {
			return
		}
		in, err := decode("00" + hex.EncodeToString(b))
		if err != nil {
			return
		}
		r := in.report
		at := 4 + (int(b[2])+1)/2 + 14
		if r.Reference != b[1] || r.Status != b[at] {
			t.Errorf("% x: reference %d, status %#x", b, r.Reference, r.Status)
		}
		if r.Delivered() && !r.Final() {
			t.Errorf("delivered but not final: %#x", r.Status)
		}
		if len(strings.TrimPrefix(r.Recipient, "+")) > 24 || !r.At.IsZero() && r.At.Before(r.Sent) {
			t.Errorf("%+v", r)
		}
		longer, err := decode("00" + hex.EncodeToString(append(bytes.Clone(b), 0xff, 0xff)))
		if err != nil || longer.report.Status != r.Status || longer.report.Recipient != r.Recipient {
			t.Errorf("junk behind it changes it: %+v, %v", longer.report, err)
		}
	})
}

// FuzzInbound: any PDU is either refused or gives valid text, joined only with its own parts.
func FuzzInbound(f *testing.F) {
	for _, s := range []string{"00040C9144770090555500006211114130210005E8329BFD06", "0006", "", "000000FF0006400C9144770009103262111141302100621111413051000000"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, line string) {
		in, err := decode(line)
		if err != nil || in.deliver == nil {
			return
		}
		j := newJoiner()
		whole, ok := j.add(slot{"SM", 1}, in.deliver, time.Unix(0, 0))
		if total, _, _, multi := in.deliver.ConcatInfo(); ok && multi && total > 1 {
			t.Errorf("part of %d is whole: %q", total, whole.text)
		}
		if !ok {
			j.expire(time.Unix(0, 0).Add(2*joinLimit), false, func(w joined) { whole = w })
		}
		if !utf8.ValidString(whole.text) || !cmp.Equal(whole.slots, []slot{{"SM", 1}}, cmp.AllowUnexported(slot{})) {
			t.Errorf("text %q in %v", whole.text, whole.slots)
		}
	})
}

// FuzzEncode: a text is refused or comes back to the letter, and nothing but hexadecimal digits reaches the line.
func FuzzEncode(f *testing.F) {
	f.Add("hello\x1a\x1bAT+CFUN=0\r\n", uint8(7), int64(300))
	f.Add("\x1be", uint8(7), int64(300))
	f.Add(strings.Repeat("ž🔑€[", 60), uint8(255), int64(86400))
	f.Fuzz(func(t *testing.T, text string, ref uint8, seconds int64) {
		parts, err := encode(Submit{To: "+447700900123", Text: text, ConcatRef: ref, Validity: time.Duration(seconds%(1<<30)) * time.Second}, true)
		if err != nil {
			if text != "" && utf8.ValidString(text) && len(text) < 9000 {
				t.Errorf("%q refused: %v", text, err)
			}
			return
		}
		back := make([]*tpdu.TPDU, len(parts))
		for i, p := range parts {
			if h := pduHex(p); !hexPDU.MatchString(h) || len(p) > 164 {
				t.Errorf("part %d: %d octets, %q", i, len(p), h)
			}
			back[i] = &tpdu.TPDU{Direction: tpdu.MO}
			if err := back[i].UnmarshalBinary(p); err != nil {
				t.Fatal(err)
			}
		}
		if got, err := textOf(back); err != nil || got != text {
			t.Errorf("%q came back as %q, %v", text, got, err)
		}
	})
}

var hexPDU = regexp.MustCompile(`^[0-9A-Fa-f]{2,}$`)

// FuzzRedact: a line is redacted as if every expression had been asked, and what passes as plain is traceable.
func FuzzRedact(f *testing.F) {
	for _, s := range []string{
		"", "OK", ">", "AT+CMGS=27", "+CMGS: 211", "07914477581006500011000B914477009010320000A7", "0791447758100650001",
		`AT+CPIN="83746"`, `at+cpin ="1234567"`, `+CUSD: 0,"call 0123456"`, "+CU\u017fD: 0,secret", `+CSCA: "+447785016005",145`,
		"+CMT: 07914477581006", "AT+CLC\u212a=SC,1,1234567", "+C_1:", "+CA\n:1234567", "123456", "abcdef0", "ERROR: 12345678",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if got, want := isHexPDU(s), len(s) >= 16 && len(s)%2 == 0 && hexPDU.MatchString(s); got != want {
			t.Errorf("isHexPDU(%q) = %v", s, got)
		}
		if got, want := redact(s), redactSlowly(s); got != want {
			t.Errorf("redact(%q) = %q, want %q", s, got, want)
		}
		if plain(s) && !traceable.MatchString(s) {
			t.Errorf("%q is no traceable line", s)
		}
	})
}

// redactSlowly is redact by its expressions alone.
func redactSlowly(s string) string {
	switch {
	case isHexPDU(s):
		return fmt.Sprintf("<PDU, %d octets>", len(s)/2)
	case pinCommand.MatchString(s):
		s = pinCommand.ReplaceAllString(s, "${1}…")
	case cusdLine.MatchString(s):
		s = cusdLine.ReplaceAllString(s, "${1}…")
	}
	s = longHex.ReplaceAllStringFunc(s, func(h string) string {
		if strings.ContainsAny(h, "abcdefABCDEF") {
			return fmt.Sprintf("<%d octets>", len(h)/2)
		}
		return h
	})
	return longDigits.ReplaceAllStringFunc(s, func(d string) string { return "…" + d[len(d)-2:] })
}
