package driver

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// Codes of refusals that the driver makes itself.
const (
	CodeNoPrompt   = "no-prompt"   // the modem showed no prompt: nothing was submitted
	CodeNotReady   = "not-ready"   // absent, starting, searching, locked: nothing was tried
	CodeCanceled   = "canceled"    // the caller gave up before the first byte
	CodeYielded    = "yielded"     // the caller wanted the modem back between two parts
	CodeError      = "error"       // a plain ERROR
	CodeHangup     = "hangup"      // the port went away
	CodeTimeout    = "timeout"     // no final result within the window
	CodeReset      = "reset"       // the modem restarted in between
	CodeStopped    = "stopped"     // the daemon stopped in between
	CodeBadNumber  = "bad-number"  // not a phone number
	CodeBadText    = "bad-text"    // empty, too long, or not UTF-8
	CodeWriteError = "write-error" // the PDU could not be written whole
)

// Cause is a final result other than OK.
type Cause struct {
	Code  string // "cms-38", "cme-14", "error"
	Class Class
}

func (c *Cause) Error() string { return "modem answered " + c.Code }

// classTable gives each cause its class; overrides of the configuration come first.
type classTable map[string]Class

// newClassTable merges overrides into the built-in table. Keys are codes ("cms-38"), values classes; "cms-350": "unknown"
// and the like. Unknown keys or classes are errors, for they are typing mistakes that would cost messages.
func newClassTable(overrides map[string]Class) (classTable, error) {
	t := builtinClasses()
	for _, code := range slices.Sorted(maps.Keys(overrides)) {
		class := overrides[code]
		if !validCode(code) {
			return nil, fmt.Errorf("error class of %q: not a code; write cms-N or cme-N with the number that the modem gives, or error", code)
		}
		if !slices.Contains(allClasses(), class) {
			return nil, fmt.Errorf("error class of %s: %q is not one of %v", code, class, allClasses())
		}
		t[code] = class
	}
	return t, nil
}

// CheckClasses says what is wrong with a carrier's table of error classes, or nothing.
func CheckClasses(overrides map[string]Class) error {
	_, err := newClassTable(overrides)
	return err
}

func validCode(code string) bool {
	if code == CodeError {
		return true
	}
	kind, number, ok := strings.Cut(code, "-")
	n, err := strconv.Atoi(number)
	return ok && err == nil && n >= 0 && n <= 9999 && (kind == "cms" || kind == "cme")
}

func allClasses() []Class {
	return []Class{ClassRecipient, ClassContent, ClassNetwork, ClassCredit, ClassSIM, ClassStorage, ClassModem, ClassUnknown}
}

func (t classTable) cause(code string) *Cause {
	class, ok := t[code]
	if !ok {
		class = ClassUnknown
	}
	return &Cause{Code: code, Class: class}
}

// builtinClasses follows 24.011 annex E, 23.040 9.2.3.22, 27.005 3.2.5 and 27.007 9.2, and what carriers do with them.
func builtinClasses() classTable {
	t := classTable{CodeError: ClassModem}
	add := func(kind string, class Class, codes ...int) {
		for _, c := range codes {
			t[kind+"-"+strconv.Itoa(c)] = class
		}
	}
	add("cms", ClassRecipient, 1, 8, 10, 21, 28, 29, 30, 195, 196)
	add("cms", ClassContent, 50, 69, 81, 95, 96, 97, 98, 99, 111, 127, 128, 129, 130, 143, 144, 145, 159, 160, 161, 175,
		176, 197, 198, 199, 304, 305)
	add("cms", ClassNetwork, 17, 27, 38, 41, 42, 47, 192, 194, 331, 332, 512, 513, 514)
	add("cms", ClassCredit, 34, 193)
	add("cms", ClassSIM, 212, 310, 311, 312, 313, 314, 315, 316, 317, 318, 330)
	add("cms", ClassStorage, 22, 208, 209, 211, 320, 321, 322)
	add("cms", ClassModem, 210, 213, 255, 300, 301, 302, 303, 340, 500, 515)
	add("cme", ClassSIM, 5, 6, 7, 10, 11, 12, 13, 14, 15, 16, 17, 18, 40, 41, 42, 43, 44, 45, 46, 47, 48)
	add("cme", ClassStorage, 20, 21, 22, 23)
	add("cme", ClassContent, 24, 25, 26, 27)
	add("cme", ClassNetwork, 30, 31, 32)
	add("cme", ClassModem, 0, 1, 2, 3, 4, 50, 100)
	return t
}

// finalCode turns a normalised final result into a code: "OK" into "", "+CMS ERROR: 38" into "cms-38". The text of an
// unknown error is never kept: modems put anything there.
func finalCode(final string) string {
	kind, rest, ok := strings.Cut(final, " ERROR:")
	if !ok {
		if final == "OK" {
			return ""
		}
		return CodeError
	}
	kind = strings.ToLower(strings.TrimPrefix(kind, "+"))
	rest = strings.TrimSpace(rest)
	if n, err := strconv.Atoi(rest); err == nil {
		if n < 0 {
			return CodeError
		}
		return kind + "-" + strconv.Itoa(n)
	}
	if n, ok := errorTexts()[kind+" "+strings.ToLower(rest)]; ok {
		return kind + "-" + strconv.Itoa(n)
	}
	return CodeError
}

// errorTexts are the verbose forms (+CMEE=2, which some modems never leave) of the causes that matter.
func errorTexts() map[string]int {
	return map[string]int{
		"cms unassigned (unallocated) number": 1, "cms operator determined barring": 8, "cms call barred": 10,
		"cms short message transfer rejected": 21, "cms memory capacity exceeded": 22, "cms destination out of service": 27,
		"cms unidentified subscriber": 28, "cms facility rejected": 29, "cms unknown subscriber": 30,
		"cms network out of order": 38, "cms temporary failure": 41, "cms congestion": 42,
		"cms resources unavailable, unspecified": 47, "cms requested facility not subscribed": 50,
		"cms invalid short message transfer reference value": 81, "cms me failure": 300,
		"cms sms service of me reserved": 301, "cms operation not allowed": 302, "cms operation not supported": 303,
		"cms invalid pdu mode parameter": 304, "cms invalid text mode parameter": 305, "cms invalid input value": 304,
		"cms sim not inserted": 310, "cms (u)sim not inserted": 310, "cms sim pin required": 311,
		"cms (u)sim pin required": 311, "cms ph-sim pin required": 312, "cms sim failure": 313, "cms (u)sim failure": 313,
		"cms sim busy": 314, "cms (u)sim busy": 314, "cms sim wrong": 315, "cms (u)sim wrong": 315,
		"cms sim puk required": 316, "cms (u)sim puk required": 316, "cms memory failure": 320,
		"cms invalid memory index": 321, "cms memory full": 322, "cms smsc address unknown": 330,
		"cms no network service": 331, "cms no network": 331, "cms network timeout": 332, "cms no +cnma acknowledgement expected": 340,
		"cms unknown error":         500,
		"cme operation not allowed": 3, "cme operation not supported": 4, "cme sim not inserted": 10,
		"cme sim pin required": 11, "cme sim puk required": 12, "cme sim failure": 13, "cme sim busy": 14, "cme sim wrong": 15,
		"cme incorrect password": 16, "cme sim pin2 required": 17, "cme sim puk2 required": 18, "cme memory full": 20,
		"cme invalid index": 21, "cme not found": 22, "cme memory failure": 23, "cme no network service": 30,
		"cme network timeout": 31, "cme network not allowed - emergency calls only": 32, "cme unknown": 100,
	}
}
