package driver

import (
	"bytes"
	"encoding/hex"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/warthog618/sms/encoding/tpdu"
)

// deliverPDU is an SMS-DELIVER of one part with its SMSC, as a modem gives it.
func deliverPDU(t *testing.T, from, text string, ref, total, seq int) string {
	t.Helper()
	d, err := tpdu.NewDeliver(tpdu.WithOA(tpdu.NewAddress(tpdu.FromNumber(from))))
	if err != nil {
		t.Fatal(err)
	}
	ud, _, alpha := tpdu.EncodeUserData([]byte(text))
	dcs, err := d.DCS.WithAlphabet(alpha)
	if err != nil {
		t.Fatal(err)
	}
	d.SetDCS(byte(dcs))
	d.SetUD(ud)
	if total > 1 {
		d.SetUDH(tpdu.UserDataHeader{{ID: 0, Data: []byte{byte(ref), byte(total), byte(seq)}}})
	}
	d.SCTS = tpdu.Timestamp{Time: time.Date(2026, 11, 23, 16, 0, 0, 0, time.UTC)}
	b, err := d.MarshalBinary()
	if err != nil {
		t.Fatal(err)
	}
	return "00" + hex.EncodeToString(b)
}

// TP-VP never falls below the life that was asked for, except under its smallest step, and is the nearest step above.
func TestValidity(t *testing.T) {
	const day = 24 * time.Hour
	tests := []struct {
		life time.Duration
		vp   byte
	}{
		{time.Second, 0}, {5 * time.Minute, 0}, {5*time.Minute + 1, 1}, {10 * time.Minute, 1}, {11 * time.Minute, 2}, {15 * time.Minute, 2},
		{time.Hour, 11}, {12 * time.Hour, 143}, {12*time.Hour + 1, 144}, {day, 167}, {day + 1, 168}, {30 * day, 196}, {31 * day, 197}, {1000 * day, 255},
	}
	for _, tt := range tests {
		parts, err := encode(Submit{To: "+447700900123", Text: "x", Validity: tt.life}, false)
		if err != nil {
			t.Fatal(err)
		}
		if got := parts[0][len(parts[0])-3]; parts[0][0]&0x18 != 0x10 || got != tt.vp {
			t.Errorf("%v: TP-VP %d, want %d", tt.life, got, tt.vp)
		}
	}
	parts, err := encode(Submit{To: "+447700900123", Text: "x"}, false)
	if err != nil || parts[0][0]&0x18 != 0 {
		t.Errorf("without a life: % x, %v", parts, err)
	}
}

func TestEncode(t *testing.T) {
	tests := []struct {
		name    string
		submit  Submit
		reports bool
		first   byte
		dcs     byte
		parts   int
	}{
		{"plain", Submit{Text: "x"}, false, 0x01, 0x00, 1},
		{"report", Submit{Text: "x"}, true, 0x21, 0x00, 1},
		{"again", Submit{Text: "x", Again: true}, true, 0x25, 0x00, 1},
		{"flash", Submit{Text: "x", Flash: true}, false, 0x01, 0x10, 1},
		{"flash in UCS-2", Submit{Text: "ж", Flash: true}, false, 0x01, 0x18, 1},
		{"UCS-2", Submit{Text: "ж"}, false, 0x01, 0x08, 1},
		{"160", Submit{Text: strings.Repeat("x", 160)}, false, 0x01, 0x00, 1},
		{"161", Submit{Text: strings.Repeat("x", 161)}, false, 0x41, 0x00, 2},
		{"80 of two septets", Submit{Text: strings.Repeat("€", 80)}, false, 0x01, 0x00, 1},
		{"70 in UCS-2", Submit{Text: strings.Repeat("ж", 70)}, false, 0x01, 0x08, 1},
		{"71 in UCS-2", Submit{Text: strings.Repeat("ж", 71)}, false, 0x41, 0x08, 2},
		{"escape", Submit{Text: "\x1be"}, false, 0x01, 0x08, 1}, // which in the default alphabet is the euro sign
		{"control characters", Submit{Text: "\x1a\x1bAT\r"}, false, 0x01, 0x08, 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tt.submit.To, tt.submit.ConcatRef = "+447700900123", 0xa7
			parts, err := encode(tt.submit, tt.reports)
			if err != nil || len(parts) != tt.parts {
				t.Fatalf("%d parts, %v; want %d", len(parts), err, tt.parts)
			}
			for i, p := range parts {
				if p[0] != tt.first || p[1] != 0 || p[11] != tt.dcs {
					t.Errorf("part %d: first octet %#x, TP-MR %d, DCS %#x", i, p[0], p[1], p[11])
				}
				if want := []byte{5, 0, 3, 0xa7, byte(tt.parts), byte(i + 1)}; tt.parts > 1 && !bytes.Equal(p[13:19], want) {
					t.Errorf("part %d: header % x, want % x", i, p[13:19], want)
				}
				if h := pduHex(p); strings.Trim(h, "0123456789ABCDEF") != "" {
					t.Errorf("%q reaches the line", h)
				}
			}
		})
	}
}

func TestEncodeRefuses(t *testing.T) {
	tests := []struct {
		name     string
		to, text string
		want     error
	}{
		{"no number", "", "x", errRecipient},
		{"letters", "+44FLOWERS", "x", errRecipient},
		{"command", "+44770\rAT+CFUN=0", "x", errRecipient},
		{"60 digits", "+" + strings.Repeat("4", 60), "x", errRecipient},
		{"no text", "+447700900123", "", errText},
		{"not UTF-8", "+447700900123", "\xff\xfe", errText},
		{"256 parts", "+447700900123", strings.Repeat("x", 153*256), errText},
	}
	for _, tt := range tests {
		if _, err := encode(Submit{To: tt.to, Text: tt.text}, true); !errors.Is(err, tt.want) {
			t.Errorf("%s: %v, want %v", tt.name, err, tt.want)
		}
	}
	if parts, err := encode(Submit{To: "80888", Text: "x"}, false); err != nil || parts[0][3] != 0x80|0x01 {
		t.Errorf("short code: % x, %v; want type of number unknown", parts, err)
	}
}

// Reports of real modems, with what the library stumbles over.
func TestDecodeReport(t *testing.T) {
	sent := time.Date(2026, 11, 11, 14, 3, 12, 0, time.UTC)
	tests := []struct {
		name, pdu string
		want      Report
	}{
		{"plain", "0006400C914477000910326211114130210062111141305100" + "00", Report{Reference: 64, Recipient: "+447700900123", Status: 0}},
		{"with SMSC", "07914477000000F006400C9144770009103262111141302100621111413051004" + "6", Report{Reference: 64, Recipient: "+447700900123", Status: 0x46}},
		{"trailing zeros", "0006400C91447700091032621111413021006211114130510000" + "00000000", Report{Reference: 64, Recipient: "+447700900123"}},
		{"PI of junk", "0006400C91447700091032621111413021006211114130510000" + "FF", Report{Reference: 64, Recipient: "+447700900123"}},
		{"PI announces data that is not there", "0006400C91447700091032621111413021006211114130510000" + "04", Report{Reference: 64, Recipient: "+447700900123"}},
		{"discharge time of FF", "0006400C9144770009103262111141302100FFFFFFFFFFFFFF30", Report{Reference: 64, Recipient: "+447700900123", Status: 0x30}},
		{"discharge time of zeros", "0006400C91447700091032621111413021000000000000000000", Report{Reference: 64, Recipient: "+447700900123"}},
		{"national", "0006400B817007090021F3621111413021006211114130510000", Report{Reference: 64, Recipient: "07709000123"}},
		{"no recipient", "00060000816211114130210062111141305100" + "00", Report{}},
		{"Wavecom's prefix", "000000FF0006400C91447700091032621111413021006211114130510000", Report{Reference: 64, Recipient: "+447700900123"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			in, err := decode(tt.pdu)
			if err != nil || in.report == nil {
				t.Fatalf("%v", err)
			}
			got := *in.report
			if !got.Sent.Equal(sent) || !got.At.IsZero() && got.At.Before(got.Sent) {
				t.Errorf("sent %v, done %v", got.Sent, got.At)
			}
			got.Sent, got.At = time.Time{}, time.Time{}
			if got != tt.want {
				t.Errorf("got %+v, want %+v", got, tt.want)
			}
		})
	}
	for _, bad := range []string{"", "00", "0006", "000640", "0006400C914477", "0006401591447700", "hello", "FF06"} {
		if in, err := decode(bad); err == nil {
			t.Errorf("%q decodes to %+v", bad, in)
		}
	}
}
