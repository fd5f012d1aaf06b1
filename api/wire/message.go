package wire

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"time"
)

// SendMessage is the body of POST /v1/messages.
type SendMessage struct {
	To       Secret `json:"to" minLength:"1" maxLength:"64" doc:"The recipient, E.164 (or national digits when a default region is configured)." example:"+447700900123"`
	Text     Secret `json:"text" minLength:"1" maxLength:"1600" doc:"What to send; several SMS when it is long." example:"Your parcel is at the desk."`
	Priority string `json:"priority,omitempty" enum:"low,normal,high" default:"normal" doc:"High goes before the other texts; codes of challenges always go first." example:"normal"`
	TTL      string `json:"ttl,omitempty" maxLength:"8" pattern:"^[1-9][0-9]{0,5}[smh]$" patternDescription:"a duration such as 90s, 30m or 24h" doc:"How long it is worth sending, 10s to 72h; not sent afterwards. 1h when absent." example:"30m"`
	Flash    bool   `json:"flash,omitempty" doc:"Shown at once and not stored by the phone (class 0)." example:"false"`
}

// Message is one outgoing text. Its content is never shown.
type Message struct {
	ID          string    `json:"id" doc:"The message's id." example:"msg_01k9w3b5x8t2q4r6s7v9y0z1a2"`
	To          string    `json:"to" doc:"The recipient, masked." example:"+44********23"`
	Kind        string    `json:"kind" enum:"code,text" doc:"The code of a challenge, or a plain text." example:"text"`
	Lane        string    `json:"lane" enum:"withdrawal,login,enrol,text" doc:"The lane that it waits in: withdrawals and operations, logins, turning on and off, plain texts." example:"text"`
	Purpose     string    `json:"purpose,omitempty" doc:"What a code is for." example:"login"`
	Country     string    `json:"country,omitempty" doc:"The recipient's country, where it is known." example:"GB"`
	Status      string    `json:"status" enum:"queued,sending,sent,delivered,undelivered,failed,expired,canceled,uncertain" doc:"Where it stands. Uncertain: it may have gone out." example:"queued"`
	Modem       string    `json:"modem,omitempty" doc:"The modem that had it last." example:"sim800"`
	Parts       int       `json:"parts,omitempty" doc:"How many SMS it takes; known once it was handed over." example:"1"`
	Attempts    int       `json:"attempts" doc:"How often it was handed to a modem." example:"0"`
	Error       string    `json:"error,omitempty" doc:"Why it ended, as a stable code." example:"cms-38"`
	Verified    bool      `json:"verified,omitempty" doc:"Whether its code came back." example:"false"`
	CreatedAt   time.Time `json:"created_at" doc:"When it was accepted."`
	SentAt      time.Time `json:"sent_at,omitzero" doc:"When the network took it."`
	DeliveredAt time.Time `json:"delivered_at,omitzero" doc:"When the phone confirmed it."`
	FinalAt     time.Time `json:"final_at,omitzero" doc:"When it came to its end."`
	NotAfter    time.Time `json:"not_after" doc:"Nothing is transmitted after this."`
	History     []Attempt `json:"history,omitempty" doc:"Each hand-over to a modem, oldest first; only when one message is asked for."`
}

// Messages is one page of messages, newest first.
type Messages struct {
	Messages []Message `json:"messages" nullable:"false" doc:"The page."`
	Next     string    `json:"next,omitempty" doc:"Cursor of the next page; absent on the last." example:"msg_01k9w3b5x8t2q4r6s7v9y0z1a2"`
}

// Recipient is the body of POST /v1/recipients.
type Recipient struct {
	To Secret `json:"to" minLength:"1" maxLength:"64" doc:"The phone, E.164 (or national digits when a default region is configured)." example:"+447700900123"`
}

// NamedRecipient is a phone's name for filters.
type NamedRecipient struct {
	Recipient string `json:"recipient" doc:"The name to list by; it does not tell the number." example:"rcp_p7xk2m9qv4c3ws8d"`
	To        string `json:"to" doc:"The phone, masked." example:"+44********23"`
}

// InboxMessage is one inbound text. It is for people who may read what was sent to the modems' own numbers.
type InboxMessage struct {
	ID         string    `json:"id" doc:"The text's id." example:"in_01k9w3b5x8t2q4r6s7v9y0z1a2"`
	Modem      string    `json:"modem" doc:"The modem that got it." example:"sim800"`
	From       string    `json:"from" doc:"Who sent it, as the network wrote it." example:"+447700900456"`
	Text       string    `json:"text" doc:"What it says." example:"STOP"`
	SentAt     time.Time `json:"sent_at,omitzero" doc:"The network's time of it."`
	ReceivedAt time.Time `json:"received_at" doc:"When it was read from the modem."`
}

// Inbox is one page of inbound texts, newest first.
type Inbox struct {
	Messages []InboxMessage `json:"messages" nullable:"false" doc:"The page."`
	Next     string         `json:"next,omitempty" doc:"Cursor of the next page; absent on the last." example:"in_01k9w3b5x8t2q4r6s7v9y0z1a2"`
}

// Modem is one modem as the gateway sees it.
type Modem struct {
	Name         string            `json:"name" doc:"The modem's name in the configuration." example:"sim800"`
	State        string            `json:"state" doc:"absent, starting, searching, ready, recovering, sim-locked, sim-missing, down." example:"ready"`
	Since        time.Time         `json:"since,omitzero" doc:"Since when it is in this state."`
	Paused       bool              `json:"paused" doc:"Taken out of routing by an operator." example:"false"`
	Quarantined  string            `json:"quarantined,omitempty" doc:"Why its SIM is kept out of routing: credit (used up or barred), or unreadable (its counters do not open; resume lets them begin anew)." example:"credit"`
	SignalDBm    int               `json:"signal_dbm,omitempty" doc:"Signal strength; absent when unknown." example:"-71"`
	Operator     string            `json:"operator,omitempty" doc:"The network it is registered with." example:"EE"`
	Registration string            `json:"registration,omitempty" doc:"home, roaming, searching, denied, none, unknown." example:"home"`
	Device       string            `json:"device,omitempty" doc:"The port it is on now." example:"/dev/ttyUSB0"`
	Manufacturer string            `json:"manufacturer,omitempty" doc:"As the modem says." example:"SIMCOM"`
	Model        string            `json:"model,omitempty" doc:"As the modem says." example:"SIM800C"`
	Revision     string            `json:"revision,omitempty" doc:"As the modem says." example:"R14.18"`
	IMEI         string            `json:"imei,omitempty" doc:"The modem's identity." example:"867567021234567"`
	ICCID        string            `json:"iccid,omitempty" doc:"The SIM's identity." example:"8944110068341234567"`
	Reports      bool              `json:"reports" doc:"Whether delivery reports come in." example:"true"`
	StorageUsed  int               `json:"storage_used" doc:"Messages held in the modem's memory." example:"0"`
	StorageTotal int               `json:"storage_total" doc:"Room in the modem's memory." example:"20"`
	Queue        int               `json:"queue" doc:"Messages that only wait for this modem." example:"0"`
	SentToday    int               `json:"sent_today" doc:"SMS sent by its SIM today." example:"12"`
	DayLeft      *int              `json:"day_left,omitempty" doc:"SMS left today; absent: no limit." example:"488"`
	MonthLeft    *int              `json:"month_left,omitempty" doc:"SMS left this month; absent: no limit." example:"9876"`
	MinuteLeft   *int              `json:"minute_left,omitempty" doc:"SMS left this minute; absent: no limit." example:"10"`
	Balance      *float64          `json:"balance,omitempty" doc:"Its SIM's balance as the network told it last; absent: not asked for, or not told for long." example:"12.5"`
	BalanceAt    time.Time         `json:"balance_at,omitzero" doc:"When the network told it."`
	Resets       map[string]uint64 `json:"resets,omitempty" doc:"Recovery steps taken, by step."`
	LastError    string            `json:"last_error,omitempty" doc:"The last thing that went wrong." example:"no prompt within 10s"`
	LastGoodAt   time.Time         `json:"last_good_at,omitzero" doc:"The last sensible answer."`
}

// Modems are all modems in the order of the configuration.
type Modems struct {
	Modems []Modem `json:"modems" nullable:"false" doc:"All modems."`
}

// USSD is the body of POST /v1/modems/{name}/ussd.
type USSD struct {
	Code Secret `json:"code" minLength:"1" maxLength:"160" pattern:"^[0-9*#+]+$" patternDescription:"a USSD code: digits, * and #" doc:"The code to dial." example:"*100#"`
}

// USSDAnswer is what the network said to a USSD code.
type USSDAnswer struct {
	Answer string `json:"answer" doc:"The network's text." example:"Your balance is 12.50"`
}

// TraceLine is one line between the daemon and a modem.
type TraceLine struct {
	At        time.Time `json:"at" doc:"When it went over the line."`
	Direction string    `json:"direction" enum:"to-modem,from-modem" doc:"Who wrote it." example:"from-modem"`
	Line      string    `json:"line" doc:"The line, without PDUs, texts, PINs, USSD and full numbers; one of unknown kind shows its length only." example:"+CSQ: 20,99"`
}

// Trace is the latest exchange with a modem.
type Trace struct {
	Lines []TraceLine `json:"lines" nullable:"false" doc:"Oldest first; some hundred at most."`
}

// Event is something that happened; the data of one server-sent event. It never holds a code, PIN, text or full phone.
type Event struct {
	ID      string         `json:"id" doc:"Ascending; give the last one seen to go on after it." example:"evt_01k9w3b5x8t2q4r6s7v9y0z1a2"`
	Type    string         `json:"type" doc:"What happened." example:"message.delivered"`
	At      time.Time      `json:"at" doc:"When it happened."`
	Account string         `json:"account,omitempty" doc:"The account it is about." example:"client-4711"`
	Data    map[string]any `json:"data,omitempty" doc:"Its facts, by type."`
}

// Health is the answer of /healthz and /readyz.
type Health struct {
	Status  string `json:"status" enum:"ok" doc:"ok; anything else is a problem." example:"ok"`
	Version string `json:"version,omitempty" doc:"The daemon's version." example:"1.0.0"`
}

// Problem is an error answer by RFC 9457, application/problem+json.
type Problem struct {
	Type            string        `json:"type" doc:"A page about this kind of problem, served by the daemon." example:"/problems/rate-limited"`
	Title           string        `json:"title" doc:"The kind of problem in words." example:"Too many requests"`
	Status          int           `json:"status" doc:"The HTTP status." example:"429"`
	Code            string        `json:"code" doc:"The kind of problem as a stable name." example:"rate-limited"`
	Detail          string        `json:"detail,omitempty" doc:"What was wrong with this request, for people." example:"this phone has had 5 codes in the last hour"`
	RequestID       string        `json:"request_id,omitempty" doc:"The request's id in the daemon's log." example:"req-8f3k2m9x4c7v1b6n"`
	Errors          []InvalidPart `json:"errors,omitempty" doc:"invalid-request: what is wrong where."`
	Limit           string        `json:"limit,omitempty" doc:"rate-limited: which limit." example:"phone-hour"`
	RetryAfter      int           `json:"retry_after,omitempty" doc:"Seconds until it is worth trying again; also in the header Retry-After." example:"1800"`
	AttemptsLeft    *int          `json:"attempts_left,omitempty" doc:"verification-failed: answers left before a block." example:"4"`
	ChallengeStatus string        `json:"challenge_status,omitempty" doc:"challenge-over: how it ended." example:"expired"`
}

// Error makes a Problem an error of the client.
func (p *Problem) Error() string {
	b, err := json.Marshal(p.Detail)
	if err != nil || p.Detail == "" {
		return p.Code
	}
	return p.Code + ": " + string(b[1:len(b)-1])
}

// InvalidPart says what is wrong with one part of a request. It never repeats the value.
type InvalidPart struct {
	Location string `json:"location,omitempty" doc:"Where: body.phone, path.account, query.limit, …" example:"body.phone"`
	Message  string `json:"message" doc:"What was expected." example:"expected string"`
}

// GetStatus is the HTTP status that the problem is answered with.
func (p *Problem) GetStatus() int { return p.Status }

// GetHeaders are the header fields that go with the problem.
func (p *Problem) GetHeaders() http.Header {
	h := http.Header{}
	if p.RetryAfter > 0 {
		h.Set("Retry-After", strconv.Itoa(p.RetryAfter))
	}
	if p.Limit != "" {
		h.Set("RateLimit", fmt.Sprintf("%q;r=0;t=%d", p.Limit, p.RetryAfter))
	}
	return h
}

// ContentType makes an answer of JSON one of application/problem+json.
func (p *Problem) ContentType(ct string) string {
	if ct == "application/json" {
		return "application/problem+json"
	}
	return ct
}

// SimulatedMessage is one text on a simulated phone; its code is shown because no real phone is involved.
type SimulatedMessage struct {
	To         string    `json:"to" doc:"The simulated phone." example:"+447700900123"`
	From       string    `json:"from" doc:"The simulated modem's number." example:"+447700900999"`
	Text       string    `json:"text" doc:"What it says." example:"Your code to turn on SMS security codes: 123456. Valid 5 min. Never share it."`
	Code       string    `json:"code,omitempty" doc:"The code in it, if there is one." example:"123456"`
	Parts      int       `json:"parts" doc:"How many SMS it took." example:"1"`
	ReceivedAt time.Time `json:"received_at" doc:"When the phone got it."`
}

// SimulatedMessages are what simulated phones got, newest first.
type SimulatedMessages struct {
	Messages []SimulatedMessage `json:"messages" nullable:"false" doc:"Newest first."`
}
