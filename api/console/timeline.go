package console

import (
	"regexp"
	"time"

	"otpost/api/wire"
)

var messageID = regexp.MustCompile(`^msg_[0-9a-z]{26}$`)

// timeline tells a message's way in steps.
type timeline struct {
	words *catalogue
	m     *wire.Message
	all   []station
}

// steps are accepted, each hand-over to a modem, sent, delivered, verified, or how else it ended, and what is awaited.
func (t *timeline) steps() []station {
	m := t.m
	t.add("good", "accepted", t.words.label("lane", m.Lane), m.CreatedAt)
	for _, a := range m.History {
		t.attempt(a)
	}
	if !m.SentAt.IsZero() {
		t.add("good", "sent", t.words.count("message.parts", m.Parts), m.SentAt)
	}
	switch m.Status {
	case "queued":
		t.add("busy", "waits", t.why(), time.Time{})
	case "sending":
		t.add("busy", "sending", "", time.Time{})
	case "sent":
		t.add("busy", "unconfirmed", "", time.Time{})
	case "uncertain":
		t.add("warn", "uncertain", t.why(), time.Time{})
	case "delivered":
		t.add("good", "delivered", "", m.DeliveredAt)
	default:
		t.add(tone("message", m.Status), m.Status, t.why(), m.FinalAt)
	}
	switch {
	case m.Verified:
		t.add("good", "verified", "", time.Time{})
	case m.Kind == "code" && (m.Status == "sent" || m.Status == "delivered"):
		t.add("quiet", "unverified", "", time.Time{})
	}
	return t.all
}

func (t *timeline) attempt(a wire.Attempt) {
	name := "handed"
	if a.Again {
		name = "handed_again"
	}
	where := a.Modem
	if a.SIM != "" {
		where = t.words.text("message.on_sim", a.Modem, a.SIM)
	}
	t.add("quiet", name, where, a.ClaimedAt)
	if a.Outcome == "" {
		return
	}
	text := ""
	if a.Code != "" {
		text = t.words.label("cause", a.Code)
		if text != a.Code {
			text = t.words.text("message.cause", text, a.Code)
		}
	}
	if a.Class != "" {
		text = t.words.text("message.class", text, t.words.label("class", a.Class))
	}
	t.add(tone("outcome", a.Outcome), "verdict_"+a.Outcome, text, a.DoneAt)
}

// why is the reason that the message carries, in words where there are some.
func (t *timeline) why() string {
	if t.m.Error == "" {
		return ""
	}
	text := t.words.label("cause", t.m.Error)
	if text == t.m.Error {
		return text
	}
	return t.words.text("message.cause", text, t.m.Error)
}

func (t *timeline) add(tone, name, text string, at time.Time) {
	s := station{Tone: tone, Title: t.words.text("step." + name), Text: text, At: at}
	if !at.IsZero() && len(t.all) > 0 {
		s.After = t.words.text("message.after", t.words.took(at.Sub(t.m.CreatedAt).Seconds()))
	}
	t.all = append(t.all, s)
}
