package console

import (
	"net/url"
	"time"

	"otpost/api/client"
	"otpost/api/wire"
)

const messagesPage = 50

// messageList is a page of messages with the filter that chose them.
type messageList struct {
	Messages  []wire.Message
	States    []string
	Modems    []wire.Modem
	Status    string
	Modem     string
	Recipient string
	Phone     string // masked, where the filter names one and something was found
	Filtered  bool
	Later     bool // not the first page
	All       string
	Next      string
}

// messages lists messages; the filter is in the address, a phone by a name that does not tell it.
func messages(q *request) error {
	v := q.URL.Query()
	f := client.MessageFilter{Status: v.Get("status"), Modem: v.Get("modem"), Recipient: v.Get("recipient")}
	found, err := q.api.FindMessages(q.Context(), f, client.Page{Limit: messagesPage, Cursor: v.Get("cursor")})
	if err != nil {
		return err
	}
	p := messageList{Messages: found.Messages, States: states(), Status: f.Status, Modem: f.Modem, Recipient: f.Recipient,
		Filtered: f != client.MessageFilter{}, Later: v.Get("cursor") != "", All: Base + "messages"}
	if q.may(scopeOps) {
		modems, err := q.api.Modems(q.Context())
		if err != nil {
			return err
		}
		p.Modems = modems.Modems
	}
	if f.Recipient != "" && len(found.Messages) > 0 {
		p.Phone = found.Messages[0].To
	}
	if found.Next != "" {
		p.Next = messagesAt(f, found.Next)
	}
	return q.show("messages", q.console.words.text("messages.title"), p)
}

// messagesAt is the address of a page of messages.
func messagesAt(f client.MessageFilter, cursor string) string {
	v := url.Values{}
	for name, value := range map[string]string{"status": f.Status, "modem": f.Modem, "recipient": f.Recipient, "cursor": cursor} {
		if value != "" {
			v.Set(name, value)
		}
	}
	if len(v) == 0 {
		return Base + "messages"
	}
	return Base + "messages?" + v.Encode()
}

// findMessages takes what was searched for: a message's id, or a phone typed in full.
func findMessages(q *request) error {
	what := q.PostFormValue("what")
	if messageID.MatchString(what) {
		return q.redirect(Base + "messages/" + what)
	}
	f := client.MessageFilter{Status: q.PostFormValue("status"), Modem: q.PostFormValue("modem")}
	named, err := q.api.NameRecipient(q.Context(), what)
	if err != nil {
		return q.done(err, messagesAt(f, ""), "messages.found")
	}
	f.Recipient = named.Recipient
	return q.redirect(messagesAt(f, ""))
}

// messagePage is one message with its way.
type messagePage struct {
	wire.Message
	Steps []station
	Queue bool // it may still be canceled
}

// station is a step on a message's way.
type station struct {
	Tone  string
	Title string
	Text  string
	At    time.Time
	After string // since it was accepted
}

func message(q *request) error {
	m, err := q.api.Message(q.Context(), q.PathValue("id"))
	if err != nil {
		return err
	}
	t := timeline{words: q.console.words, m: m}
	return q.show("message", q.console.words.text("message.title"), messagePage{Message: *m, Steps: t.steps(), Queue: m.Status == "queued" && q.may(scopeMessages)})
}

// cancelMessage ends a message that still waits.
func cancelMessage(q *request) error {
	id := q.PathValue("id")
	return q.done(q.api.CancelMessage(q.Context(), id), Base+"messages/"+url.PathEscape(id), "message.canceled_now")
}
