package api

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"otpost/api/client"
	"otpost/api/wire"
	"otpost/gateway"
	"otpost/gateway/store"
)

// refusedAs fails the test unless err is a problem with this code.
func refusedAs(t testing.TB, err error, code string) *client.Problem {
	t.Helper()
	p, ok := errors.AsType[*client.Problem](err)
	if !ok || p.Code != code {
		t.Fatalf("got %v, want %s", err, code)
	}
	return p
}

// noError fails the test on an error.
func noError[T any](t testing.TB) func(T, error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// Every call of the client against a whole server.
func TestClient(t *testing.T) {
	t.Cleanup(func() { goleak.VerifyNone(t, goleak.IgnoreCurrent()) })
	k := newRealKit(t, func(c *Config) { c.Modems = fakeModems{} })
	_, socket := k.serve(t)
	c := must(client.New(client.Options{Socket: socket}))
	t.Cleanup(c.Close)
	ctx, account := t.Context(), "client-4711"
	accounts, challenges := noError[*wire.Account](t), noError[*wire.Challenge](t)

	_, err := c.Account(ctx, account)
	refusedAs(t, err, "not-found")
	if err := c.SetPIN(ctx, account, pin, ""); err != nil {
		t.Fatal(err)
	}
	challenges(c.EnableSMS(ctx, account, wire.Enable{Phone: mobile}))
	_, err = c.VerifyEnableSMS(ctx, account, "000000", "000001")
	if p := refusedAs(t, err, "verification-failed"); p.AttemptsLeft == nil {
		t.Errorf("attempts left are not told: %+v", p)
	}
	if a := accounts(c.VerifyEnableSMS(ctx, account, k.phone.code(t, mobile, 0), pin)); a.Grade != 1 {
		t.Errorf("grade %d", a.Grade)
	}
	once := client.WithIdempotencyKey(ctx, "login-1")
	login := challenges(c.CreateChallenge(once, wire.CreateChallenge{Account: account, Purpose: "login"}))
	if again := challenges(c.CreateChallenge(once, wire.CreateChallenge{Account: account, Purpose: "login"})); again.ID != login.ID {
		t.Error("a repeated request made another challenge")
	}
	_, err = c.ResendChallenge(ctx, login.ID)
	if p := refusedAs(t, err, "resend-too-early"); p.RetryAfter < 1 {
		t.Errorf("retry after %d", p.RetryAfter)
	}
	if v := challenges(c.VerifyChallenge(ctx, login.ID, wire.VerifyChallenge{Code: wire.Secret(k.phone.code(t, mobile, 1))})); v.Status != "verified" {
		t.Errorf("challenge is %s", v.Status)
	}
	other := challenges(c.CreateChallenge(ctx, wire.CreateChallenge{Account: account, Purpose: "login"}))
	if err := c.CancelChallenge(ctx, other.ID); err != nil {
		t.Error(err)
	}
	if v := challenges(c.Challenge(ctx, other.ID)); v.Status != "canceled" {
		t.Errorf("challenge is %s", v.Status)
	}
	accounts(c.UnlockAccount(ctx, account))
	if a := accounts(c.SetGrade(ctx, account, 2)); a.Grade != 2 {
		t.Errorf("grade %d", a.Grade)
	}
	clientMessages(t, k, c)
	clientModems(t, c)
	clientKeys(t, c)
	if err := c.EraseAccount(ctx, account); err != nil {
		t.Error(err)
	}
}

func clientMessages(t *testing.T, k *realKit, c *client.Client) {
	t.Helper()
	ctx := t.Context()
	m := noError[*wire.Message](t)(c.SendMessage(ctx, wire.SendMessage{To: "+447400123400", Text: "Hello", TTL: "30m"}))
	if got := k.phone.text(t, "+447400123400", 0); got != "Hello" {
		t.Errorf("the phone got %q", got)
	}
	k.settle(t)
	if got := noError[*wire.Message](t)(c.Message(ctx, m.ID)); got.Status != "sent" || got.Modem != "modem1" || got.To != "+44********00" {
		t.Errorf("message: %+v", got)
	}
	page := noError[*wire.Messages](t)(c.Messages(ctx, "sent", client.Page{Limit: 1}))
	if len(page.Messages) != 1 || page.Messages[0].ID != m.ID || page.Next == "" {
		t.Errorf("page: %+v", page)
	}
	next := noError[*wire.Messages](t)(c.Messages(ctx, "sent", client.Page{Limit: 1, Cursor: page.Next}))
	if len(next.Messages) != 1 || next.Messages[0].ID == m.ID {
		t.Errorf("next page: %+v", next)
	}
	refusedAs(t, c.CancelMessage(ctx, m.ID), "too-late")
	_, err := c.Messages(ctx, "", client.Page{Cursor: "msg_nonsense"})
	refusedAs(t, err, "invalid-request")
	noError[*wire.Inbox](t)(c.Inbox(ctx, client.Page{}))
}

func clientModems(t *testing.T, c *client.Client) {
	t.Helper()
	ctx, modem := t.Context(), noError[*wire.Modem](t)
	if list := noError[*wire.Modems](t)(c.Modems(ctx)); len(list.Modems) != 1 || list.Modems[0].State != "ready" || list.Modems[0].SignalDBm != -71 {
		t.Errorf("modems: %+v", list)
	}
	if m := modem(c.PauseModem(ctx, "modem1")); !m.Paused {
		t.Errorf("paused: %+v", m)
	}
	if m := modem(c.ResumeModem(ctx, "modem1")); m.Paused {
		t.Errorf("resumed: %+v", m)
	}
	modem(c.ResetModem(ctx, "modem1"))
	if got, err := c.DialUSSD(ctx, "modem1", "*100#"); err != nil || got != "Your balance is 12.50" {
		t.Errorf("USSD: %q, %v", got, err)
	}
	_, err := c.DialUSSD(ctx, "modem1", "*99#")
	refusedAs(t, err, "modem-failed")
	_, err = c.Modem(ctx, "modem2")
	refusedAs(t, err, "not-found")
}

func clientKeys(t *testing.T, c *client.Client) {
	t.Helper()
	ctx := t.Context()
	made := noError[*wire.CreatedKey](t)(c.CreateKey(ctx, wire.CreateKey{Name: "portal", Scopes: []string{"portal"}, AllowFrom: []string{"192.0.2.7", "2001:db8::/32"}}))
	if !wellFormed(made.Token) || made.Key.AllowFrom[0] != "192.0.2.7/32" {
		t.Errorf("key: %+v", made.Key)
	}
	rotated := noError[*wire.CreatedKey](t)(c.RotateKey(ctx, made.Key.ID, "10m"))
	if rotated.Token == made.Token || rotated.Key.RotatedAt.IsZero() {
		t.Errorf("rotated: %+v", rotated.Key)
	}
	if k := noError[*wire.Key](t)(c.RevokeKey(ctx, made.Key.ID)); k.RevokedAt.IsZero() {
		t.Errorf("revoked: %+v", k)
	}
	if list := noError[*wire.Keys](t)(c.Keys(ctx)); list.Keys[0].ID != made.Key.ID {
		t.Errorf("keys: %+v", list.Keys[0])
	}
	for _, in := range []wire.CreateKey{{Name: "n", Scopes: []string{"root"}}, {Name: "n", Scopes: []string{"ops"}, AllowFrom: []string{"here"}}, {Name: "n"}} {
		_, err := c.CreateKey(ctx, in)
		refusedAs(t, err, "invalid-request")
	}
}

// Events arrive as they happen and can be taken up after the last one seen; the stream ends when the server drains.
func TestEvents(t *testing.T) {
	t.Cleanup(func() { goleak.VerifyNone(t, goleak.IgnoreCurrent()) })
	k := newRealKit(t)
	address, _ := k.serve(t)
	c := must(client.New(client.Options{Address: address, Key: k.tokens[ScopePortal]}))
	t.Cleanup(c.Close)
	k.enrolled(t, "client-4711", mobile)
	k.settle(t)
	var all []wire.Event
	enough := errors.New("enough")
	err := c.Events(t.Context(), firstEvent, func(e wire.Event) error {
		all = append(all, e)
		if len(all) > 2 && e.Type == "account.sms_enabled" {
			return enough
		}
		return nil
	})
	if !errors.Is(err, enough) || all[len(all)-1].Account != "client-4711" {
		t.Fatalf("%v: %+v", err, all)
	}
	var rest []wire.Event
	err = c.Events(t.Context(), all[0].ID, func(e wire.Event) error {
		rest = append(rest, e)
		if len(rest) == len(all)-1 {
			return enough
		}
		return nil
	})
	if !errors.Is(err, enough) || rest[0].ID != all[1].ID {
		t.Errorf("after the first: %v %+v", err, rest)
	}
	_, err = c.Account(t.Context(), "client-4711")
	if err != nil {
		t.Fatal(err)
	}
	refusedAs(t, c.Events(t.Context(), "evt_nonsense", nil), "invalid-request")
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := c.Events(ctx, "", func(wire.Event) error { return nil }); err != nil {
		t.Errorf("a stream that its reader left: %v", err)
	}
	ended := make(chan error, 1)
	go func() { ended <- c.Events(t.Context(), firstEvent, func(wire.Event) error { k.stop(); return nil }) }()
	select {
	case err := <-ended:
		if err == nil {
			t.Error("the end of a stream by the server is no error for its reader")
		}
	case <-time.After(5 * time.Second):
		t.Error("the stream did not end when the server drained")
	}
}

// Whatever happens once the stream is open is in it, and what is past ends by itself at the newest.
func TestEventsAreExact(t *testing.T) {
	k := newRealKit(t)
	address, _ := k.serve(t)
	c := must(client.New(client.Options{Address: address, Key: k.tokens[ScopePortal]}))
	t.Cleanup(c.Close)
	past := func(after string) (ids []string) {
		if err := c.PastEvents(t.Context(), after, func(e wire.Event) error { ids = append(ids, e.ID); return nil }); err != nil {
			t.Fatal(err)
		}
		return ids
	}
	begun := len(past(""))
	const rounds = 50
	for i := range rounds {
		s, err := c.OpenEvents(t.Context(), "")
		if err != nil {
			t.Fatal(err)
		}
		id := ""
		if err := k.kv.Update(t.Context(), func(tx store.Txn) error {
			return k.queue.Emit(tx, time.Now(), gateway.Event{Type: "challenge.verified", Data: map[string]any{"round": i}})
		}); err != nil {
			t.Fatal(err)
		}
		if e, err := s.Next(); err != nil || e.Data["round"] != float64(i) {
			t.Fatalf("round %d: got %+v, %v", i, e, err)
		} else {
			id = e.ID
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		if got := past(id); len(got) != 0 {
			t.Errorf("past events after the newest: %v", got)
		}
	}
	if got := past(""); len(got) != begun+rounds {
		t.Errorf("%d events are past, want %d", len(got), begun+rounds)
	}
	first := string(k.do("GET", "/v1/events?follow=false", k.tokens[ScopeOps], "").body)
	if !strings.HasPrefix(first, ": events follow\n\n") || strings.Count(first, "\ndata: ") != begun+rounds {
		t.Errorf("the answer: %.300s", first)
	}
	enough := errors.New("enough")
	if err := c.PastEvents(t.Context(), "", func(wire.Event) error { return enough }); !errors.Is(err, enough) {
		t.Errorf("a reader that fails: %v", err)
	}
}

// A browser that is cut off before the first event goes on from where the stream began.
func TestEventsTellWhereTheyBegin(t *testing.T) {
	k := newRealKit(t)
	k.settle(t)
	last := must(k.queue.LastEvent(t.Context()))
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	r := mustRequest("GET", "/v1/events").WithContext(ctx)
	r.Header.Set("Authorization", "Bearer "+k.tokens[ScopeOps])
	if got := string(k.answer(r).body); !strings.HasPrefix(got, ": events follow\nid: "+last+"\n\n") {
		t.Errorf("the stream begins with %q", got)
	}
}

// firstEvent is before all events.
const firstEvent = "evt_00000000000000000000000000"
