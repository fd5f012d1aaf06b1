package console

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"

	"otpost/api/client"
	"otpost/api/wire"
)

// simPhone is a simulated phone, as GET /v1/simulator/phones has it.
type simPhone struct {
	Number   string    `json:"number"`
	Messages int       `json:"messages"`
	LastAt   time.Time `json:"last_at"`
}

// simText is a text on a simulated phone, as GET /v1/simulator/messages has it.
type simText struct {
	ID         uint64    `json:"id"`
	To         string    `json:"to"`
	Text       string    `json:"text"`
	Code       string    `json:"code"`
	Parts      int       `json:"parts"`
	Flash      bool      `json:"flash"`
	Modem      string    `json:"modem"`
	ReceivedAt time.Time `json:"received_at"`
}

// simFault is a fault as it is ordered; durations are texts such as 30s.
type simFault struct {
	Kind   string `json:"kind"`
	Modem  string `json:"modem,omitempty"`
	To     string `json:"to,omitempty"`
	At     string `json:"at,omitempty"`
	For    string `json:"for,omitempty"`
	Sends  int    `json:"sends,omitempty"`
	Delay  string `json:"delay,omitempty"`
	Cause  int    `json:"cause,omitempty"`
	Status int    `json:"status,omitempty"`
}

// simFaultState is a fault in the list, and how far it got.
type simFaultState struct {
	simFault
	ID     string    `json:"id"`
	Active bool      `json:"active"`
	Hits   int       `json:"hits"`
	Left   int       `json:"left"` // -1: no limit
	Until  time.Time `json:"until"`
}

// simModem is a simulated modem.
type simModem struct {
	Name   string `json:"name"`
	Number string `json:"number"`
}

// simulator calls the simulator's part of the API as the page's reader.
type simulator struct{ c *client.Client }

func (s simulator) phones(ctx context.Context) ([]simPhone, error) {
	var out struct {
		Phones []simPhone `json:"phones"`
	}
	err := s.c.Do(ctx, http.MethodGet, "/v1/simulator/phones", nil, nil, &out)
	return out.Phones, err
}

// texts are the newest on a phone ("": on all), newest first.
func (s simulator) texts(ctx context.Context, to string, limit int) ([]simText, error) {
	q := url.Values{"limit": {strconv.Itoa(limit)}}
	if to != "" {
		q.Set("to", to)
	}
	return s.find(ctx, q)
}

// wait waits until a phone gets a text after the one given, for so long at most.
func (s simulator) wait(ctx context.Context, after uint64, patience time.Duration) ([]simText, error) {
	return s.find(ctx, url.Values{"limit": {"1"}, "after_id": {strconv.FormatUint(after, 10)}, "wait": {patience.String()}})
}

func (s simulator) find(ctx context.Context, q url.Values) ([]simText, error) {
	var out struct {
		Messages []simText `json:"messages"`
	}
	err := s.c.Do(ctx, http.MethodGet, "/v1/simulator/messages", q, nil, &out)
	return out.Messages, err
}

// empty deletes what is on a phone.
func (s simulator) empty(ctx context.Context, number string) error {
	return s.c.Do(ctx, http.MethodDelete, "/v1/simulator/messages", url.Values{"to": {number}}, nil, nil)
}

func (s simulator) modems(ctx context.Context) ([]simModem, error) {
	var out struct {
		Modems []simModem `json:"modems"`
	}
	err := s.c.Do(ctx, http.MethodGet, "/v1/simulator/modems", nil, nil, &out)
	return out.Modems, err
}

func (s simulator) faults(ctx context.Context) ([]simFaultState, error) {
	var out struct {
		Faults []simFaultState `json:"faults"`
	}
	err := s.c.Do(ctx, http.MethodGet, "/v1/simulator/faults", nil, nil, &out)
	return out.Faults, err
}

func (s simulator) order(ctx context.Context, f simFault) error {
	return s.c.Do(ctx, http.MethodPost, "/v1/simulator/faults", nil, f, nil)
}

// end ends a fault; "" ends all.
func (s simulator) end(ctx context.Context, id string) error {
	path := "/v1/simulator/faults"
	if id != "" {
		path += "/" + url.PathEscape(id)
	}
	return s.c.Do(ctx, http.MethodDelete, path, nil, nil, nil)
}

// write sends a text from a handset to a modem ("": the only one).
func (s simulator) write(ctx context.Context, from, to, text string) error {
	in := map[string]string{"from": from, "text": text}
	if to != "" {
		in["to"] = to
	}
	return s.c.Do(ctx, http.MethodPost, "/v1/simulator/texts", nil, in, nil)
}

// bubble is one text of a thread, to the phone or from it.
type bubble struct {
	Mine    bool // written on the handset
	Text    string
	At      time.Time
	Code    string
	Expires time.Time // when the code ends; zero: unknown
	Left    int       // seconds until then
	Parts   int
	Flash   bool
	Modem   string
}

// thread puts together what a phone got and what was written on it, oldest first. The simulated phone knows the text alone; when its
// code ends stands with the message that carried it, one of those sent to that phone, which is found by the time.
func thread(now time.Time, number string, got []simText, wrote []wire.InboxMessage, sent []wire.Message) []bubble {
	var all []bubble
	for _, t := range got {
		b := bubble{Text: t.Text, At: t.ReceivedAt, Code: t.Code, Parts: t.Parts, Flash: t.Flash, Modem: t.Modem}
		if t.Code != "" {
			b.Expires = expiryOf(t, sent)
			b.Left = left(now, b.Expires)
		}
		all = append(all, b)
	}
	for _, m := range wrote {
		if m.From == number {
			all = append(all, bubble{Mine: true, Text: m.Text, At: m.ReceivedAt, Modem: m.Modem})
		}
	}
	slices.SortStableFunc(all, func(a, b bubble) int { return a.At.Compare(b.At) })
	return all
}

// left is how many whole seconds are left; 0 when it is over.
func left(now, end time.Time) int { return max(0, int(end.Sub(now).Seconds())) }

// clockSlack is how much earlier a phone may have a text than the message that carried it says.
const clockSlack = time.Second

// expiryOf is the end of the code in a text: that of the newest code that was accepted before the text came. The messages are
// newest first.
func expiryOf(t simText, sent []wire.Message) time.Time {
	for _, m := range sent {
		if m.Kind == "code" && m.CreatedAt.Before(t.ReceivedAt.Add(clockSlack)) {
			return m.NotAfter
		}
	}
	return time.Time{}
}
