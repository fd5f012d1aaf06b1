package api

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"time"

	"otpost/api/wire"
	"otpost/gateway"
	"otpost/gateway/store"
)

const (
	defaultTTL = time.Hour
	minTTL     = 10 * time.Second
	maxTTL     = 72 * time.Hour
	pageSize   = 50
)

// MessagePath is the message in a path.
type MessagePath struct {
	ID string `path:"id" maxLength:"64" pattern:"^[A-Za-z0-9_-]{1,64}$" patternDescription:"a message's id" doc:"The message's id." example:"msg_01k9w3b5x8t2q4r6s7v9y0z1a2"`
}

// Page asks for one page of a list.
type Page struct {
	Limit  int    `query:"limit" minimum:"1" maximum:"200" default:"50" doc:"How many at most."`
	Cursor string `query:"cursor" maxLength:"128" pattern:"^[A-Za-z0-9_./:=-]*$" patternDescription:"a cursor" doc:"From the page before."`
}

func (s *Server) messageCalls() {
	may := []Scope{ScopeMessages}
	register(s, call{id: sendMessageID, method: http.MethodPost, path: "/v1/messages", tag: "messages", may: may, status: http.StatusAccepted, once: true,
		summary: "Send a text", about: "For texts that are made elsewhere, such as an identity provider's own codes. A key with a profile may use that system's own form (see the how-to pages).",
		codes:   []string{"country-not-allowed", "number-not-allowed", "invalid-phone", "rate-limited", "no-capacity", "no-modem", "storage-low"},
		example: map[string]any{"to": "+447700900123", "text": "Your parcel is at the desk."}, answer: exampleMessage()}, s.sendMessage)
	register(s, call{id: "list-messages", method: http.MethodGet, path: "/v1/messages", tag: "messages", may: append(may, ScopeOps),
		summary: "List messages", about: "Newest first; texts and full numbers are not shown. A page may be short, or empty, and still have a next one, when few messages are chosen.",
		answer: wire.Messages{Messages: []wire.Message{exampleMessage()}}}, s.listMessages)
	register(s, call{id: "name-recipient", method: http.MethodPost, path: "/v1/recipients", tag: "messages", may: append(may, ScopeOps),
		summary: "Name a phone for a filter", about: "So that no number is written into an address: list its messages by the name.",
		codes: []string{"invalid-phone", "country-not-allowed", "number-not-allowed"}, example: map[string]any{"to": "+447700900123"},
		once: true, answer: wire.NamedRecipient{Recipient: "rcp_p7xk2m9qv4c3ws8d", To: "+44********23"}}, s.nameRecipient)
	register(s, call{id: "get-message", method: http.MethodGet, path: "/v1/messages/{id}", tag: "messages", may: append(may, ScopeOps),
		summary: "Look at a message", codes: []string{"not-found"}, answer: exampleMessage()}, s.getMessage)
	register(s, call{id: "cancel-message", method: http.MethodDelete, path: "/v1/messages/{id}", tag: "messages", may: may, status: http.StatusNoContent,
		summary: "Cancel a queued text", about: "The text of a code is the portal's: only admin may cancel it here.", codes: []string{"not-found", "too-late"}}, s.cancelMessage)
	register(s, call{id: "list-inbox", method: http.MethodGet, path: "/v1/inbox", tag: "messages", may: may,
		summary: "List inbound texts", about: "What was sent to the modems' own numbers, newest first.",
		answer: wire.Inbox{Messages: []wire.InboxMessage{{ID: "in_01k9w3b5x8t2q4r6s7v9y0z1a2", Modem: "sim800", From: "+447700900456", Text: "STOP", ReceivedAt: exampleTime(0)}}}}, s.listInbox)
}

func (s *Server) sendMessage(ctx context.Context, in *struct{ Body wire.SendMessage }) (*answer[wire.Message], error) {
	now := s.now()
	var drafts []gateway.Draft
	for _, to := range append([]wire.Secret{in.Body.To}, infoOf(ctx).others...) {
		one := in.Body
		one.To = to
		d, err := s.draft(now, one)
		if err != nil {
			return nil, err
		}
		d.Request = infoOf(ctx).id
		drafts = append(drafts, d)
	}
	var first gateway.Message
	who := infoOf(ctx).who
	err := s.cfg.KV.Update(ctx, func(tx store.Txn) error {
		if err := s.countTexts(tx, now, who, drafts); err != nil {
			return err
		}
		for i, d := range drafts {
			m, err := s.cfg.Gateway.Enqueue(tx, now, d)
			if err != nil {
				return err
			}
			if i == 0 {
				first = m
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return &answer[wire.Message]{messageOf(first)}, nil
}

// draft checks a text and makes a message of it. A text with priority high goes before other texts, in the lane of
// enabling and disabling; codes for logins and withdrawals still go first.
func (s *Server) draft(now time.Time, b wire.SendMessage) (gateway.Draft, error) {
	to, country, err := s.cfg.Rules.CheckPhone(string(b.To))
	if err != nil {
		return gateway.Draft{}, err
	}
	ttl := defaultTTL
	if b.TTL != "" {
		if ttl, err = time.ParseDuration(b.TTL); err != nil || ttl < minTTL || ttl > maxTTL {
			return gateway.Draft{}, problem(codeInvalidRequest, "ttl is 10s to 72h")
		}
	}
	if strings.TrimSpace(string(b.Text)) == "" {
		return gateway.Draft{}, problem(codeInvalidRequest, "text is empty")
	}
	lane := gateway.LaneText
	if b.Priority == "high" {
		lane = gateway.LaneEnrol
	}
	return gateway.Draft{To: to, Country: country, Kind: gateway.KindText, Lane: lane, Text: string(b.Text),
		NotAfter: now.Add(ttl), Flash: b.Flash}, nil
}

func (s *Server) listMessages(ctx context.Context, in *struct {
	Page
	Status    string `query:"status" enum:"queued,sending,sent,delivered,undelivered,failed,expired,canceled,uncertain" doc:"Only these."`
	Modem     string `query:"modem" maxLength:"64" pattern:"^[A-Za-z0-9._-]{0,64}$" patternDescription:"a modem's name" doc:"Only those that this modem had last." example:"sim800"`
	Recipient string `query:"recipient" maxLength:"64" pattern:"^(rcp_[A-Za-z0-9_-]{1,60})?$" patternDescription:"a name from POST /v1/recipients" doc:"Only those to this phone, by the name that POST /v1/recipients gave."`
}) (*answer[wire.Messages], error) {
	ms, next, err := s.cfg.Gateway.Messages(ctx, gateway.Filter{Status: gateway.Status(in.Status), Modem: in.Modem, Recipient: in.Recipient,
		Limit: in.Limit, Cursor: in.Cursor})
	if err != nil {
		return nil, err
	}
	out := wire.Messages{Messages: make([]wire.Message, len(ms)), Next: next}
	for i, m := range ms {
		out.Messages[i] = messageOf(m)
	}
	return &answer[wire.Messages]{out}, nil
}

func (s *Server) nameRecipient(_ context.Context, in *struct{ Body wire.Recipient }) (*answer[wire.NamedRecipient], error) {
	to, _, err := s.cfg.Rules.CheckPhone(string(in.Body.To))
	if err != nil {
		return nil, err
	}
	return &answer[wire.NamedRecipient]{wire.NamedRecipient{Recipient: s.cfg.Gateway.RecipientName(to), To: maskPhone(to)}}, nil
}

func (s *Server) getMessage(ctx context.Context, in *MessagePath) (*answer[wire.Message], error) {
	var m gateway.Message
	err := s.cfg.KV.View(ctx, func(tx store.Txn) (err error) {
		m, err = s.cfg.Gateway.Lookup(tx, in.ID)
		return err
	})
	if err != nil {
		return nil, err
	}
	out := messageOf(m)
	out.History = historyOf(m)
	return &answer[wire.Message]{out}, nil
}

// historyOf is what the ledger knows of each hand-over.
func historyOf(m gateway.Message) []wire.Attempt {
	all := make([]wire.Attempt, len(m.Attempts))
	for i, a := range m.Attempts {
		all[i] = wire.Attempt{Modem: a.Modem, SIM: a.ICCID[max(0, len(a.ICCID)-4):], Outcome: string(a.Outcome), Class: string(a.Class),
			Code: a.Code, Again: a.Again, ClaimedAt: a.ClaimedAt.UTC(), DoneAt: a.DoneAt.UTC()}
		for _, ref := range a.References {
			all[i].References = append(all[i].References, int(ref))
		}
	}
	return all
}

func (s *Server) cancelMessage(ctx context.Context, in *MessagePath) (*nothing, error) {
	now, who := s.now(), infoOf(ctx).who
	return nil, s.cfg.KV.Update(ctx, func(tx store.Txn) error {
		m, err := s.cfg.Gateway.Lookup(tx, in.ID)
		if err != nil {
			return err
		}
		if m.Kind != gateway.KindText && !slices.Contains(who.scopes, ScopeAdmin) {
			return problem(codeForbidden, "this message is a code's; whoever asked for it can cancel its challenge")
		}
		return s.cfg.Gateway.Cancel(tx, now, in.ID)
	})
}

func (s *Server) listInbox(ctx context.Context, in *Page) (*answer[wire.Inbox], error) {
	items, next, err := s.cfg.Gateway.Inbox(ctx, in.Limit, in.Cursor)
	if err != nil {
		return nil, err
	}
	out := wire.Inbox{Messages: make([]wire.InboxMessage, len(items)), Next: next}
	for i, m := range items {
		out.Messages[i] = wire.InboxMessage{ID: m.ID, Modem: m.Modem, From: m.From, Text: m.Text, SentAt: m.Sent.UTC(), ReceivedAt: m.At.UTC()}
	}
	return &answer[wire.Inbox]{out}, nil
}

// messageOf is a message as callers may see it: no text, and a number with its middle hidden.
func messageOf(m gateway.Message) wire.Message {
	out := wire.Message{ID: m.ID, To: maskPhone(m.To), Kind: string(m.Kind), Lane: m.Lane.String(), Purpose: m.Purpose, Country: m.Country,
		Status: string(m.Status), Parts: m.Parts, Attempts: len(m.Attempts), Error: m.Error, Verified: m.Verified, CreatedAt: m.CreatedAt.UTC(),
		SentAt: m.SentAt.UTC(), DeliveredAt: m.DeliveredAt.UTC(), FinalAt: m.FinalAt.UTC(), NotAfter: m.NotAfter.UTC()}
	if n := len(m.Attempts); n > 0 {
		out.Modem = m.Attempts[n-1].Modem
	}
	return out
}

// maskPhone leaves the first two digits and the last two.
func maskPhone(e164 string) string {
	const head, tail = len("+44"), 2
	if len(e164) <= head+tail {
		return strings.Repeat("*", len(e164))
	}
	return e164[:head] + strings.Repeat("*", len(e164)-head-tail) + e164[len(e164)-tail:]
}
