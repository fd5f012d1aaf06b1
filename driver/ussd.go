package driver

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf16"

	"github.com/warthog618/sms/encoding/gsm7"

	_ "otpost/driver/alphabet"
)

// ussdTime is how long a network may take to answer a USSD request.
const ussdTime = 30 * time.Second

var ussdCode = regexp.MustCompile(`^[0-9*#+]{1,64}$`)

// ErrUSSD is wrapped by what goes wrong with a USSD request itself.
var ErrUSSD = errors.New("ussd")

// ussdWait is who waits for a +CUSD. Both fields belong to the loop; done has room for the answer.
type ussdWait struct{ done chan answer }

// USSD sends a code such as *100# and returns the network's answer. Sends go on while it is awaited.
func (m *Modem) USSD(ctx context.Context, code string) (string, error) {
	if !ussdCode.MatchString(code) {
		return "", fmt.Errorf("%w: a code holds only digits, * # and +", ErrUSSD)
	}
	ctx, cancel := context.WithTimeout(ctx, ussdTime)
	defer cancel()
	w := &ussdWait{done: make(chan answer, 1)}
	if _, err := m.ask(ctx, func(s *session) (string, error) { return "", s.ussdStart(code, w) }); err != nil {
		return "", err
	}
	se, _, _ := m.serving()
	if se == nil {
		return "", ErrNotReady
	}
	select {
	case a := <-w.done:
		return a.text, a.err
	case <-se.over:
		return "", ErrNotReady
	case <-ctx.Done():
		_, err := m.ask(context.WithoutCancel(ctx), func(s *session) (string, error) { return "", s.ussdEnd(w) })
		return "", errors.Join(fmt.Errorf("%w: no answer from the network", ErrUSSD), err)
	}
}

// ussdStart asks; plain first, as packed septets in hexadecimal when the modem wants that (quirk Q55).
func (s *session) ussdStart(code string, w *ussdWait) error {
	if s.ussd != nil {
		return fmt.Errorf("%w: another request is under way", ErrUSSD)
	}
	s.ussd = w
	err := s.ussdCommand(code)
	var cause *Cause
	if errors.As(err, &cause) && !s.caps.ussdHex {
		s.caps.ussdHex = true
		err = s.ussdCommand(code)
		if err != nil {
			s.caps.ussdHex = false
		}
	}
	if errors.Is(err, errTimeout) {
		return nil // some modems say OK behind the network's answer, and a message must not wait for that
	}
	if err != nil {
		s.ussd = nil
	}
	return err
}

func (s *session) ussdCommand(code string) error {
	if s.caps.ussdHex {
		septets, err := gsm7.Encode([]byte(code))
		if err != nil {
			return fmt.Errorf("%w: %w", ErrUSSD, err)
		}
		code = strings.ToUpper(hex.EncodeToString(gsm7.Pack7BitUSSD(septets, 0)))
	}
	_, err := s.l.command(`+CUSD=1,"`+code+`",15`, 2*commandTime)
	return err
}

// ussdEnd gives a request up, and tells the network so.
func (s *session) ussdEnd(w *ussdWait) error {
	if s.ussd == w {
		s.ussd = nil
	}
	_, err := s.l.command("+CUSD=2", commandTime)
	var cause *Cause
	if errors.As(err, &cause) {
		return nil
	}
	return err
}

// ussdAnswer hands a +CUSD to who waits for it.
func (s *session) ussdAnswer(line string) {
	if s.ussd == nil {
		return
	}
	text, err := ussdText(line)
	s.ussd.done <- answer{text, err}
	s.ussd = nil
}

var ussdLine = regexp.MustCompile(`(?s)^\+CUSD: *([0-9]+)(?: *, *"(.*?)"?(?: *, *([0-9]+).*)?)?$`)

// ussdText reads a +CUSD line: status, text, data coding scheme (27.007 7.15, 23.038 5).
func ussdText(line string) (string, error) {
	m := ussdLine.FindStringSubmatch(line)
	if m == nil {
		return "", fmt.Errorf("%w: an answer that cannot be read", ErrUSSD)
	}
	switch m[1] {
	case "2":
		if m[2] == "" {
			return "", fmt.Errorf("%w: ended by the network", ErrUSSD)
		}
	case "3", "4", "5":
		return "", fmt.Errorf("%w: %s", ErrUSSD, map[string]string{"3": "another client answered", "4": "not supported", "5": "network timeout"}[m[1]])
	}
	dcs, err := strconv.Atoi(m[3])
	if err != nil {
		dcs = 15
	}
	return ussdDecode(m[2], dcs), nil
}

// ussdDecode finds out how a text is written: plain, UCS-2 in hexadecimal, or packed septets in hexadecimal.
func ussdDecode(s string, dcs int) string {
	if ucs2 := dcs&0xec == 0x48 || dcs == 0x11; ucs2 {
		if text, ok := ucs2Hex(s); ok {
			return text
		}
	}
	if text, ok := ucs2Hex(s); ok && printable(text) && strings.HasPrefix(s, "00") {
		return text
	}
	if isHexPDU(s) {
		if b, err := hex.DecodeString(s); err == nil {
			if text, err := gsm7.Decode(gsm7.Unpack7BitUSSD(b, 0)); err == nil && printable(string(text)) {
				return strings.TrimRight(string(text), "\r")
			}
		}
	}
	return strings.ToValidUTF8(s, "\uFFFD")
}

var hexQuads = regexp.MustCompile(`^(?:[0-9A-Fa-f]{4})+$`)

// ucs2Hex decodes text that modems write as UTF-16 in hexadecimal.
func ucs2Hex(s string) (string, bool) {
	if !hexQuads.MatchString(s) {
		return "", false
	}
	b, err := hex.DecodeString(s)
	if err != nil {
		return "", false
	}
	units := make([]uint16, len(b)/2)
	for i := range units {
		units[i] = uint16(b[2*i])<<8 | uint16(b[2*i+1])
	}
	text := string(utf16.Decode(units))
	return text, printable(text)
}

// printable says whether a decoding makes sense as text.
func printable(s string) bool {
	for _, r := range s {
		if r == unicode.ReplacementChar || r != '\n' && r != '\r' && !unicode.IsPrint(r) {
			return false
		}
	}
	return s != ""
}
