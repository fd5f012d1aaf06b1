package driver

import (
	"errors"
	"strings"
	"time"
)

var errStuckWrite = errors.New("the modem takes no bytes")

// exchange is one command and what came back for it. Its fields belong to filter.mu until done is closed.
type exchange struct {
	cmd       string // without AT: "+CMGS=18"
	name      string // "+CMGS"
	sms       bool   // waits for a prompt
	prompted  bool   // and got it
	strict    bool   // older finals are owed: only one behind our own answer counts
	held      int    // finals passed over for that reason
	pdu       string // what was written after the prompt, to know its echo; secret
	submitted time.Time
	info      []string
	final     string        // normalised: OK, ERROR, +CMS ERROR: n, +CME ERROR: n
	broken    string        // why no final can come any more: a code
	done      chan struct{} // closed with final or broken
}

// answeredBy says whether a line with this prefix belongs to the command's answer.
func (ex *exchange) answeredBy(name string) bool {
	name = strings.ToUpper(strings.TrimSpace(name))
	switch name {
	case "+CUSD", "+CMTI", "+CDSI", "+CDS", "+CMT":
		return false
	case "+CREG", "+CGREG", "+CEREG":
		return name == ex.name && strings.HasSuffix(ex.cmd, "?")
	}
	own := strings.ToUpper(ex.name)
	return own != "" && (name == own || strings.HasSuffix(own, "CCID") && strings.HasSuffix(name, "CCID"))
}

// foreign says that a final cannot be this command's: an SMS error for a command that has nothing to do with messages is
// the late result of a submit that was given up.
func (ex *exchange) foreign(final string) bool {
	return strings.HasPrefix(final, "+CMS ERROR") && !strings.HasPrefix(ex.name, "+CM") && !strings.HasPrefix(ex.name, "+CN") &&
		!strings.HasPrefix(ex.name, "+CP") && !strings.HasPrefix(ex.name, "+CS")
}

// result is what became of an exchange.
type result struct {
	info      []string
	final     string
	broken    string
	held      int
	submitted time.Time
}

// current returns the newest exchange.
func (f *filter) current() *exchange {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.last
}

// settle returns what ex came to; one that is still open is given up, and its final owed.
func (f *filter) settle(ex *exchange) result {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.ex == ex {
		f.ex = nil
		f.owed++
		f.unsettled = f.unsettled || !ex.submitted.IsZero()
	}
	return result{ex.info, ex.final, ex.broken, ex.held, ex.submitted}
}
