package driver

import (
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"regexp"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/warthog618/sms"
	"github.com/warthog618/sms/encoding/pdumode"
	"github.com/warthog618/sms/encoding/tpdu"
	"github.com/warthog618/sms/encoding/ucs2"
)

// maxParts is what an 8-bit concatenation header can count (23.040 9.2.3.24.1).
const maxParts = 255

// Errors of encoding; each is a refusal of class content or recipient, before a byte reaches the modem.
var (
	errRecipient = errors.New("recipient is not a phone number")
	errText      = errors.New("text is empty, too long or not UTF-8")
	errPDU       = errors.New("not a PDU that can be read")
)

var phone = regexp.MustCompile(`^\+?[0-9]{3,20}$`) // TP-DA holds 20 digits at most (23.040 9.1.2.5)

// String, GoString and LogValue keep the recipient and the text out of logs and errors.
func (s Submit) String() string { return "submit to " + shorten(s.To) }

// GoString is String.
func (s Submit) GoString() string { return s.String() }

// LogValue is String.
func (s Submit) LogValue() slog.Value { return slog.StringValue(s.String()) }

// String, GoString and LogValue keep the sender and the text out of logs and errors.
func (i Inbound) String() string { return "text from " + shorten(i.From) }

// GoString is String.
func (i Inbound) GoString() string { return i.String() }

// LogValue is String.
func (i Inbound) LogValue() slog.Value { return slog.StringValue(i.String()) }

// shorten keeps the last two digits of a number.
func shorten(number string) string {
	if len(number) < 7 {
		return "…"
	}
	return "…" + number[len(number)-2:]
}

// fixed is a tpdu.Counter that always counts to the same number: the caller chose the reference.
type fixed int

func (f fixed) Count() int { return int(f) }

// encode returns the TPDUs of a message (23.040 9.2.2.2), with TP-MR 0: the modem gives the references.
func encode(s Submit, reports bool) ([][]byte, error) {
	if !phone.MatchString(s.To) {
		return nil, errRecipient
	}
	if s.Text == "" || !utf8.ValidString(s.Text) {
		return nil, errText
	}
	template, err := submitTemplate(s, reports)
	if err != nil {
		return nil, err
	}
	text := []byte(s.Text)
	if strings.ContainsRune(s.Text, escape) { // in the default alphabet it would turn what follows into something else
		dcs, err := template.DCS.WithAlphabet(tpdu.AlphaUCS2)
		if err != nil {
			return nil, err
		}
		template.SetDCS(byte(dcs))
		text = ucs2.Encode([]rune(s.Text))
	}
	e := sms.NewEncoder(sms.WithTemplate(*template))
	e.ConcatRef, e.MsgCount = fixed(s.ConcatRef), fixed(0)
	parts, err := e.Encode(text)
	if err != nil || len(parts) == 0 || len(parts) > maxParts {
		return nil, errText
	}
	out := make([][]byte, len(parts))
	for i := range parts {
		if out[i], err = parts[i].MarshalBinary(); err != nil {
			return nil, fmt.Errorf("%w: part %d", errText, i+1)
		}
		stamp(out[i], s.Validity)
	}
	return out, nil
}

func submitTemplate(s Submit, reports bool) (*tpdu.TPDU, error) {
	to := tpdu.NewAddress(tpdu.FromNumber(s.To))
	if s.To[0] != '+' {
		to.SetTypeOfNumber(tpdu.TonUnknown) // a short code
	}
	t, err := tpdu.NewSubmit(tpdu.WithDA(to))
	if err != nil {
		return nil, err
	}
	if reports {
		t.FirstOctet |= tpdu.FoSRR
	}
	if s.Again {
		t.FirstOctet |= tpdu.FoRD
	}
	if s.Flash {
		t.SetDCS(0x10) // class 0; 0xF0 would refuse UCS-2
	}
	if s.Validity > 0 {
		var v tpdu.ValidityPeriod
		v.SetRelative(0) // stamped
		t.SetVP(v)
	}
	return t, nil
}

// stamp writes the life that is left into TP-VP of an SMS-SUBMIT that was encoded with one.
func stamp(t []byte, left time.Duration) {
	if tpdu.FirstOctet(t[0]).VPF() == tpdu.VpfRelative {
		t[6+(int(t[2])+1)/2] = relative(left) // behind TP-MTI, TP-MR, TP-DA, TP-PID and TP-DCS (23.040 9.2.2.2)
	}
}

// relative rounds a life up to a step of TP-VP (23.040 9.2.3.12.1): 5 minutes to 12 hours, then half hours, days, weeks.
func relative(d time.Duration) byte {
	const day = 24 * time.Hour
	up := func(step time.Duration) int { return int((max(d, 1) + step - 1) / step) }
	switch {
	case d <= 12*time.Hour:
		return byte(up(5*time.Minute) - 1)
	case d <= day:
		return byte(143 + up(30*time.Minute) - 24)
	case d <= 30*day:
		return byte(166 + up(day))
	}
	return byte(192 + min(up(7*day), 63))
}

// pduHex is the line that follows the prompt: no SMSC (the modem's own), then the TPDU.
func pduHex(t []byte) string { return "00" + strings.ToUpper(hex.EncodeToString(t)) }

// isHexPDU says whether a line can be a PDU: hexadecimal octets, at least as long as the shortest status report.
func isHexPDU(line string) bool {
	if len(line) < 16 || len(line)%2 != 0 {
		return false
	}
	for i := range len(line) {
		if !isHex(line[i]) {
			return false
		}
	}
	return true
}

// incoming is a PDU from the network: exactly one of its fields is set.
type incoming struct {
	deliver *tpdu.TPDU
	report  *Report
}

// decode reads a line that followed +CDS, +CMT, +CMGR or +CMGL.
func decode(line string) (incoming, error) {
	b, err := hex.DecodeString(strings.TrimSpace(line))
	if err != nil {
		return incoming{}, errPDU
	}
	if len(b) > 5 && b[0] == 0 && b[1] == 0 && b[2] == 0 && b[3] == 0xff && b[4] == 0 {
		b = b[4:] // Wavecom prefixes reports that it stored with 000000FF00
	}
	p := pdumode.PDU{}
	if err := p.UnmarshalBinary(b); err != nil || len(p.TPDU) == 0 {
		return incoming{}, errPDU
	}
	return decodeTPDU(p.TPDU)
}

func decodeTPDU(b []byte) (incoming, error) {
	if b[0]&tpdu.FoMTIMask == 2 { // SMS-STATUS-REPORT
		r, err := decodeReport(b)
		if err != nil {
			return incoming{}, err
		}
		return incoming{report: &r}, nil
	}
	t, err := sms.Unmarshal(b, sms.AsMT)
	if err != nil || t.SmsType() != tpdu.SmsDeliver {
		return incoming{}, errPDU
	}
	return incoming{deliver: t}, nil
}

// decodeReport reads an SMS-STATUS-REPORT up to TP-ST by hand (23.040 9.2.2.3): the library refuses the whole report for
// junk in the optional fields behind it, or in a time stamp, and a delivered message would stay unsettled.
func decodeReport(b []byte) (Report, error) {
	const stamps = 7 + 7
	if len(b) < 4 {
		return Report{}, errPDU
	}
	r := Report{Reference: b[1]}
	digits := int(b[2])
	at := 4 + (digits+1)/2
	if digits > 20 || len(b) < at+stamps+1 {
		return Report{}, errPDU
	}
	var a tpdu.Address
	if _, err := a.UnmarshalBinary(b[2:at]); err == nil && digits > 0 {
		r.Recipient = a.Number()
	}
	r.Sent = timestamp(b[at : at+7])
	r.Status = b[at+stamps]
	return r, nil
}

// timestamp reads a service-centre time stamp, zero when it is none.
func timestamp(b []byte) time.Time {
	var t tpdu.Timestamp
	if err := t.UnmarshalBinary(b); err != nil {
		return time.Time{}
	}
	return t.Time
}

// textOf joins the user data of the parts of one text.
func textOf(parts []*tpdu.TPDU) (string, error) {
	b, err := sms.Decode(parts)
	if err != nil {
		return "", errPDU
	}
	return strings.ToValidUTF8(string(b), "\uFFFD"), nil
}
