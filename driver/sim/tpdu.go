package sim

import (
	"encoding/hex"
	"fmt"
	"strings"
	"time"

	"github.com/warthog618/sms"
	"github.com/warthog618/sms/encoding/pdumode"
	"github.com/warthog618/sms/encoding/tpdu"
)

// maxTPDU is the longest TPDU (TS 27.005 3.1: 164 octets).
const maxTPDU = 164

// submission is one SMS-SUBMIT as the host gave it.
type submission struct {
	t    *tpdu.TPDU
	smsc string // the SMSC in front of it, if any
	raw  []byte // the PDU with its SMSC, for storage
}

// parseSubmit reads what was typed at the prompt in PDU mode; length is the TPDU's without the SMSC. Whatever is not a
// good SMS-SUBMIT is the modem's "invalid PDU mode parameter".
func parseSubmit(text string, length int) (submission, bool) {
	raw, err := hex.DecodeString(strings.TrimSpace(text))
	if err != nil || len(raw) == 0 {
		return submission{}, false
	}
	p, err := pdumode.UnmarshalBinary(raw)
	if err != nil || len(p.TPDU) != length {
		return submission{}, false
	}
	t, ok := unmarshalSubmit(p.TPDU)
	return submission{t: t, smsc: p.SMSC.Number(), raw: raw}, ok
}

// unmarshalSubmit decodes an SMS-SUBMIT strictly: type, address, alphabet and text must all be right.
func unmarshalSubmit(b []byte) (t *tpdu.TPDU, ok bool) {
	t, err := sms.Unmarshal(b, sms.AsMO)
	if err != nil || t.SmsType() != tpdu.SmsSubmit || !dialable(t.DA) {
		return nil, false
	}
	if _, err := t.Alphabet(); err != nil {
		return nil, false
	}
	if _, err := decodeText([]*tpdu.TPDU{t}); err != nil {
		return nil, false
	}
	return t, true
}

// dialable refuses an empty address and one that is longer than TP-DA may be.
func dialable(a tpdu.Address) bool {
	n := strings.TrimPrefix(a.Number(), "+")
	return n != "" && len(n) <= 20 && a.TypeOfNumber() != tpdu.TonAlphanumeric &&
		strings.Trim(n, "0123456789*#abcABC") == ""
}

// decodeText is the text of one message's parts in order. Eight-bit data is shown as hex: a phone has no text for it.
func decodeText(parts []*tpdu.TPDU) (string, error) {
	if a, err := parts[0].Alphabet(); err == nil && a == tpdu.Alpha8Bit {
		var b strings.Builder
		for _, p := range parts {
			b.WriteString(hex.EncodeToString(p.UD))
		}
		return b.String(), nil
	}
	b, err := sms.Decode(parts)
	if err != nil {
		return "", fmt.Errorf("decode a text: %w", err)
	}
	return string(b), nil
}

// address makes a TP address of a number or, for anything else, of a name.
func address(number string) tpdu.Address {
	a := tpdu.NewAddress()
	digits := strings.TrimPrefix(number, "+")
	a.Addr = digits
	a.SetNumberingPlan(tpdu.NpISDN)
	switch {
	case strings.Trim(digits, "0123456789*#") != "":
		a.Addr = number
		a.SetTypeOfNumber(tpdu.TonAlphanumeric)
		a.SetNumberingPlan(tpdu.NpUnknown)
	case digits != number:
		a.SetTypeOfNumber(tpdu.TonInternational)
	default:
		a.SetTypeOfNumber(tpdu.TonUnknown)
	}
	return a
}

// deliverPDUs makes the SMS-DELIVERs of an inbound text.
func deliverPDUs(from, text string, ref int, at time.Time) ([][]byte, error) {
	t, err := tpdu.NewDeliver()
	if err != nil {
		return nil, fmt.Errorf("make an SMS-DELIVER: %w", err)
	}
	t.FirstOctet |= tpdu.FoMMS // no more messages are waiting
	t.OA = address(from)
	t.SCTS = tpdu.Timestamp{Time: at.UTC()}
	e := sms.NewEncoder(sms.WithTemplate(*t))
	e.ConcatRef = fixed(ref)
	parts, err := e.Encode([]byte(text))
	if err != nil {
		return nil, fmt.Errorf("encode a text from %s: %w", shorten(from), err)
	}
	var out [][]byte
	for i := range parts {
		b, err := parts[i].MarshalBinary()
		if err != nil {
			return nil, fmt.Errorf("encode a text from %s: %w", shorten(from), err)
		}
		out = append(out, b)
	}
	return out, nil
}

// fixed is a counter that stands still.
type fixed int

// Count implements tpdu.Counter.
func (f fixed) Count() int { return int(f) }

// reportPDU makes an SMS-STATUS-REPORT (TS 23.040 9.2.2.3).
func reportPDU(ref uint8, to tpdu.Address, sent, done time.Time, status byte) ([]byte, error) {
	t := tpdu.TPDU{Direction: tpdu.MT, MR: ref, RA: to, ST: status}
	t.FirstOctet = t.FirstOctet.WithMTI(tpdu.MtCommand) | tpdu.FoMMS
	t.SCTS = tpdu.Timestamp{Time: sent.UTC()}
	t.DT = tpdu.Timestamp{Time: done.UTC()}
	b, err := t.MarshalBinary()
	if err != nil {
		return nil, fmt.Errorf("make a status report: %w", err)
	}
	return b, nil
}

// withSMSC puts the service centre's address in front of a TPDU, as a modem shows it.
func withSMSC(smsc string, tp []byte) []byte {
	b, err := (&pdumode.PDU{SMSC: pdumode.SMSCAddress{Address: address(smsc)}, TPDU: tp}).MarshalBinary()
	if err != nil || smsc == "" {
		return append([]byte{0}, tp...)
	}
	return b
}

// shorten hides most of a number, for logs and errors.
func shorten(number string) string {
	if len(number) < 6 {
		return "…"
	}
	return number[:3] + "…" + number[len(number)-2:]
}
