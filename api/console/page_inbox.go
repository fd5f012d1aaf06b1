package console

import (
	"net/url"

	"otpost/api/client"
	"otpost/api/wire"
)

// inboxPage is what was sent to the modems' own numbers.
type inboxPage struct {
	Messages []wire.InboxMessage
	Later    bool
	Next     string
}

func inbox(q *request) error {
	cursor := q.URL.Query().Get("cursor")
	found, err := q.api.Inbox(q.Context(), client.Page{Limit: messagesPage, Cursor: cursor})
	if err != nil {
		return err
	}
	p := inboxPage{Messages: found.Messages, Later: cursor != ""}
	if found.Next != "" {
		p.Next = Base + "inbox?" + url.Values{"cursor": {found.Next}}.Encode()
	}
	return q.show("inbox", q.console.words.text("inbox.title"), p)
}
