package console

import (
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"otpost/api/client"
	"otpost/api/wire"
)

// shownTexts is how many of the newest texts the list of phones looks at, and shownMessages of the newest messages a thread.
const (
	shownTexts    = 500
	shownMessages = 200
)

// phonesPage is the list of simulated phones, one's thread, and the faults.
type phonesPage struct {
	Phones []phoneLine
	Open   string // the number of the open thread; "": none
	Thread []bubble
	Modems []simModem
	Faults []simFaultState
	Kinds  []faultGroup
	Points []string
}

// phoneLine is a phone in the list.
type phoneLine struct {
	Number, Path string
	Preview      string
	LastAt       time.Time
	Unread       int
	Current      bool
}

// phones shows the simulated phones, and one's thread when its number is asked for. Opening a thread reads it.
func phones(q *request) error {
	page := phonesPage{Open: strings.TrimSpace(q.FormValue("number")), Kinds: faultKinds(), Points: faultPoints()}
	sim := simulator{q.api}
	var err error
	if page.Open != "" {
		if page.Thread, err = q.thread(page.Open); err != nil {
			return err
		}
	}
	if page.Phones, err = q.phoneLines(page.Open); err != nil {
		return err
	}
	if page.Modems, err = sim.modems(q.Context()); err != nil {
		return err
	}
	if page.Faults, err = sim.faults(q.Context()); err != nil {
		return err
	}
	return q.show("phones", q.console.words.text("phones.title"), page)
}

// thread reads one phone's texts, and notes that they have been seen.
func (q *request) thread(number string) ([]bubble, error) {
	got, err := simulator{q.api}.texts(q.Context(), number, shownTexts)
	if err != nil {
		return nil, err
	}
	if len(got) > 0 {
		q.session.readTo(number, got[0].ID)
	}
	sent, err := q.sentTo(number)
	if err != nil {
		return nil, err
	}
	wrote, err := q.inbox()
	if err != nil {
		return nil, err
	}
	return thread(q.console.now(), number, got, wrote, sent), nil
}

// sentTo are the newest messages to a phone, as far as the visitor may see them. A number that nothing can be sent to has none.
func (q *request) sentTo(number string) ([]wire.Message, error) {
	named, err := q.api.NameRecipient(q.Context(), number)
	if _, refused := errors.AsType[*client.Problem](err); refused {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	sent, err := q.api.FindMessages(q.Context(), client.MessageFilter{Recipient: named.Recipient}, client.Page{Limit: shownMessages})
	if err != nil {
		return nil, err
	}
	return sent.Messages, nil
}

// inbox is what was written to the modems, as far as the visitor may read that.
func (q *request) inbox() ([]wire.InboxMessage, error) {
	if !q.may(scopeMessages) {
		return nil, nil
	}
	in, err := q.api.Inbox(q.Context(), client.Page{Limit: shownMessages})
	if err != nil {
		return nil, err
	}
	return in.Messages, nil
}

// phoneLines are all phones, the one with the newest text first, with how many texts of each the visitor has not seen.
func (q *request) phoneLines(open string) ([]phoneLine, error) {
	sim := simulator{q.api}
	all, err := sim.phones(q.Context())
	if err != nil {
		return nil, err
	}
	texts, err := sim.texts(q.Context(), "", shownTexts)
	if err != nil {
		return nil, err
	}
	all = slices.DeleteFunc(all, func(p simPhone) bool { return p.Messages == 0 }) // emptied
	lines := make([]phoneLine, len(all))
	at := make(map[string]*phoneLine, len(all))
	for i, p := range all {
		lines[i] = phoneLine{Number: p.Number, Path: threadPath(p.Number), LastAt: p.LastAt, Current: p.Number == open}
		at[p.Number] = &lines[i]
	}
	read := q.session.readBy()
	for _, t := range texts {
		line := at[t.To]
		if line == nil {
			continue
		}
		if line.Preview == "" {
			line.Preview = t.Text
		}
		if t.ID > read[t.To] {
			line.Unread++
		}
	}
	return lines, nil
}

// threadPath is where a phone's thread is shown.
func threadPath(number string) string {
	return Base + "phones?" + url.Values{"number": {number}}.Encode()
}

// writeText sends a text from a handset to a modem.
func writeText(q *request) error {
	from := strings.TrimSpace(q.PostFormValue("number"))
	err := simulator{q.api}.write(q.Context(), from, q.PostFormValue("modem"), q.PostFormValue("text"))
	return q.done(err, threadPath(from), "phones.written")
}

// emptyPhone deletes what a phone got.
func emptyPhone(q *request) error {
	number := strings.TrimSpace(q.PostFormValue("number"))
	if number == "" {
		return q.done(nil, Base+"phones", "phones.none_chosen")
	}
	return q.done(simulator{q.api}.empty(q.Context(), number), Base+"phones", "phones.emptied")
}

// faultGroup are the kinds of faults that strike at one place.
type faultGroup struct {
	Name  string
	Kinds []string
}

// faultKinds are those that the simulator knows, the ones that one tries first foremost.
func faultKinds() []faultGroup {
	return []faultGroup{
		{"send", []string{"cms", "error", "lost-result", "late-result", "bare-ok", "wrong-reference"}},
		{"network", []string{"delay", "lose", "slow", "no-report", "late-report", "duplicate-report", "failed-report"}},
		{"modem", []string{"lost-port", "silence", "no-network", "garbage", "echo", "loopback", "urc-flood", "boot-loop", "stuck-prompt", "pin",
			"slow-bytes", "storage-full", "partial-line"}},
	}
}

// faultPoints are where in a send a fault can strike.
func faultPoints() []string {
	return []string{"now", "before-prompt", "after-submit", "after-accept", "mid-line"}
}

// orderFault switches a fault on.
func orderFault(q *request) error {
	f := simFault{Kind: q.PostFormValue("kind"), Modem: q.PostFormValue("modem"), To: strings.TrimSpace(q.PostFormValue("to")),
		At: q.PostFormValue("at"), For: seconds(q.PostFormValue("for")), Delay: seconds(q.PostFormValue("delay")),
		Sends: q.number("sends", 0), Cause: q.number("cause", 0), Status: q.number("status", 0)}
	err := simulator{q.api}.order(q.Context(), f)
	return q.done(err, Base+"phones#faults", "phones.fault_on", q.console.words.label("fault", f.Kind))
}

// seconds lets a bare number be seconds, as people write it.
func seconds(s string) string {
	s = strings.TrimSpace(s)
	if _, err := strconv.ParseFloat(s, 64); err == nil {
		return s + "s"
	}
	return s
}

// endFault switches one fault off, or all of them.
func endFault(q *request) error {
	err := simulator{q.api}.end(q.Context(), q.PostFormValue("id"))
	if p, ok := errors.AsType[*client.Problem](err); ok && p.Status == http.StatusNotFound {
		err = nil // it has ended by itself
	}
	return q.done(err, Base+"phones#faults", "phones.fault_off")
}
