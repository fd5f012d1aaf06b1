package sim

import (
	"encoding/hex"
	"fmt"
	"strings"
	"time"

	"github.com/warthog618/sms"
	"github.com/warthog618/sms/encoding/pdumode"
	"github.com/warthog618/sms/encoding/tpdu"
	"github.com/warthog618/sms/encoding/ucs2"
)

// textAddress is <da>[,<toda>] of text mode's +CMGS and +CMGW.
func (m *Modem) textAddress(c *call) (string, bool) { return m.number(c, 0) }

// number reads an address parameter and its type, which stands behind it.
func (m *Modem) number(c *call, i int) (string, bool) {
	if i >= len(c.args) {
		return "", false
	}
	to := c.str(i, "")
	if m.set.charset == "UCS2" && len(to)%4 == 0 && strings.HasPrefix(to, "00") {
		if plain, ok := fromUCS2(to); ok {
			to = plain
		}
	}
	kind, ok := c.num(i+1, toa(to), 0, 255)
	if !ok {
		return "", false
	}
	if kind == 145 && !strings.HasPrefix(to, "+") {
		to = "+" + to
	}
	return to, dialable(address(to))
}

// composeSubmit makes the SMS-SUBMIT of a text typed in text mode, by +CSMP and +CSCS.
func (m *Modem) composeSubmit(to, text string) (submission, bool) {
	plain, ok := m.fromHost(strings.TrimSuffix(text, "\n"))
	if !ok {
		return submission{}, false
	}
	t, err := tpdu.NewSubmit(tpdu.WithDA(address(to)))
	if err != nil {
		return submission{}, false
	}
	t.FirstOctet = tpdu.FirstOctet(m.set.fo) //nolint:gosec // 0 to 255, as +CSMP checked
	t.PID, t.DCS = byte(m.set.pid), tpdu.DCS(m.set.dcs)
	m.setValidity(t)
	if !setText(t, plain) {
		return submission{}, false
	}
	b, err := t.MarshalBinary()
	if err != nil {
		return submission{}, false
	}
	t, ok = unmarshalSubmit(b)
	return submission{t: t, raw: append([]byte{0}, b...)}, ok
}

func (m *Modem) setValidity(t *tpdu.TPDU) {
	if m.set.fo&0x18 == 0 {
		return
	}
	var vp tpdu.ValidityPeriod
	if at, err := parseClock(m.set.vpText); m.set.vpText != "" && err == nil {
		vp.SetAbsolute(tpdu.Timestamp{Time: at})
	} else {
		vp.SetRelative(relative(m.set.vp))
	}
	t.SetVP(vp)
}

// relative is TP-VP's duration (TS 23.040 9.2.3.12.1).
func relative(vp int) time.Duration {
	switch {
	case vp <= 143:
		return time.Duration(vp+1) * 5 * time.Minute
	case vp <= 167:
		return 12*time.Hour + time.Duration(vp-143)*30*time.Minute
	case vp <= 196:
		return time.Duration(vp-166) * 24 * time.Hour
	}
	return time.Duration(vp-192) * 7 * 24 * time.Hour
}

// setText puts a text in by the DCS's alphabet; a text that does not fit one message is refused, as modems do.
func setText(t *tpdu.TPDU, text string) bool {
	a, err := t.DCS.Alphabet()
	if err != nil {
		return false
	}
	switch a {
	case tpdu.AlphaUCS2:
		t.UD = ucs2.Encode([]rune(text))
		return len(t.UD) <= tpdu.MaxUDL
	case tpdu.Alpha8Bit:
		t.UD = []byte(text)
		return len(t.UD) <= tpdu.MaxUDL
	}
	t.UD = []byte(septets(text))
	return len(t.UD) <= 160
}

// pduOf checks a PDU that is only stored: its hex and its length.
func pduOf(text string, length int) ([]byte, bool) {
	raw, err := hex.DecodeString(strings.TrimSpace(text))
	if err != nil || len(raw) == 0 {
		return nil, false
	}
	p, err := pdumode.UnmarshalBinary(raw)
	return raw, err == nil && len(p.TPDU) == length
}

// statusNames are the states of text mode, by number.
func statusNames() []string {
	return []string{"REC UNREAD", "REC READ", "STO UNSENT", "STO SENT", "ALL"}
}

func textStatus(name string) (int, bool) {
	for i, s := range statusNames() {
		if strings.EqualFold(s, name) {
			return i, true
		}
	}
	return 0, false
}

// parsed is a stored or arriving TPDU, decoded for text mode.
func parsed(pdu []byte, mobileOriginated bool) (*tpdu.TPDU, error) {
	if len(pdu) == 0 || len(pdu) < 1+int(pdu[0]) {
		return nil, fmt.Errorf("a PDU of %d octets", len(pdu))
	}
	dir := sms.AsMT
	if mobileOriginated {
		dir = sms.AsMO
	}
	t, err := sms.Unmarshal(pdu[1+int(pdu[0]):], dir)
	if err != nil {
		return nil, fmt.Errorf("decode a stored PDU: %w", err)
	}
	return t, nil
}

// data is a TPDU's text as text mode shows it.
func (m *Modem) data(t *tpdu.TPDU) string {
	if a, err := t.Alphabet(); err == nil && a != tpdu.Alpha7Bit && m.set.charset != "UCS2" && a != tpdu.AlphaUCS2 {
		return strings.ToUpper(hex.EncodeToString(t.UD))
	}
	text, err := decodeText([]*tpdu.TPDU{t})
	if err != nil {
		return ""
	}
	if a, _ := t.Alphabet(); a == tpdu.AlphaUCS2 { // TS 27.005 3.1 <data>: UCS-2 is shown as hex
		return toUCS2(text)
	}
	return m.toHost(text)
}

// textDirect is +CMT and +CDS in text mode.
func (m *Modem) textDirect(tag string, a arrival) []string {
	t, err := parsed(append([]byte{0}, a.tp...), false)
	if err != nil {
		return nil
	}
	if a.report {
		return []string{tag + ": " + reportFields(t)}
	}
	from := t.OA.Number()
	line := fmt.Sprintf(`%s: "%s",,"%s"`, tag, m.toHost(from), clock(t.SCTS.Time))
	if m.set.show {
		line += fmt.Sprintf(`,%d,%d,%d,%d,"%s",%d,%d`, t.OA.TOA, t.FirstOctet, t.PID, t.DCS,
			m.toHost(m.sim.smsc), toa(m.sim.smsc), length(t))
	}
	return []string{line, m.data(t)}
}

// reportFields are <fo>,<mr>,[<ra>],[<tora>],<scts>,<dt>,<st>.
func reportFields(t *tpdu.TPDU) string {
	return fmt.Sprintf(`%d,%d,"%s",%d,"%s","%s",%d`, t.FirstOctet, t.MR, t.RA.Number(), t.RA.TOA,
		clock(t.SCTS.Time), clock(t.DT.Time), t.ST)
}

// length is text mode's <length>: characters of the text.
func length(t *tpdu.TPDU) int {
	if a, err := t.Alphabet(); err == nil && a == tpdu.AlphaUCS2 {
		return len(t.UD) / 2
	}
	return len(t.UD)
}

// textListed is an entry of +CMGL in text mode.
func (m *Modem) textListed(index int, s *stored) []string {
	t, err := parsed(s.pdu, s.status >= stoUnsent)
	if err != nil {
		return []string{fmt.Sprintf(`+CMGL: %d,"%s",""`, index, statusNames()[s.status]), ""}
	}
	head := fmt.Sprintf(`+CMGL: %d,"%s",`, index, statusNames()[s.status])
	if s.report {
		return []string{head + reportFields(t)}
	}
	head += fmt.Sprintf(`"%s",,`, m.toHost(peer(t)))
	if s.status < stoUnsent {
		head += `"` + clock(t.SCTS.Time) + `"`
	}
	if m.set.show {
		head += fmt.Sprintf(",%d,%d", toa(peer(t)), length(t))
	}
	return []string{head, m.data(t)}
}

// peer is the other side's number: the sender's, or the recipient's of a message of our own.
func peer(t *tpdu.TPDU) string {
	if t.SmsType() == tpdu.SmsSubmit {
		return t.DA.Number()
	}
	return t.OA.Number()
}

// textRead is +CMGR in text mode.
func (m *Modem) textRead(s *stored) []string {
	t, err := parsed(s.pdu, s.status >= stoUnsent)
	if err != nil {
		return []string{fmt.Sprintf(`+CMGR: "%s",""`, statusNames()[s.status]), ""}
	}
	head := fmt.Sprintf(`+CMGR: "%s",`, statusNames()[s.status])
	if s.report {
		return []string{head + reportFields(t)}
	}
	head += fmt.Sprintf(`"%s",`, m.toHost(peer(t)))
	if s.status < stoUnsent {
		head += `,"` + clock(t.SCTS.Time) + `"`
	}
	if m.set.show {
		head += fmt.Sprintf(`,%d,%d,%d,%d`, toa(peer(t)), t.FirstOctet, t.PID, t.DCS)
		if s.status >= stoUnsent {
			head += fmt.Sprintf(`,%d`, m.set.vp)
		}
		head += fmt.Sprintf(`,"%s",%d,%d`, m.toHost(m.sim.smsc), toa(m.sim.smsc), length(t))
	}
	return []string{head, m.data(t)}
}
