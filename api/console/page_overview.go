package console

import (
	"time"

	"otpost/api/wire"
)

// overviewPage is how codes fare now.
type overviewPage struct {
	Recent   wire.Recent
	Lanes    []wire.LaneQueue
	Waiting  int
	Total    int // recent messages
	Shares   []share
	Modems   []wire.Modem
	Alerts   []alert
	Webhooks []wire.Webhook
}

// share is a state's part of the recent messages, as a piece of a bar of 100.
type share struct {
	State, Tone string
	Count       int
	X, Width    float64
}

// alert is something that somebody should do something about.
type alert struct {
	Tone, Text string
	Page       string // of the manual; empty: none
}

// overview is the first page.
func overview(q *request) error {
	o, err := q.api.Overview(q.Context())
	if err != nil {
		return err
	}
	modems, err := q.api.Modems(q.Context())
	if err != nil {
		return err
	}
	hooks, err := q.api.Webhooks(q.Context())
	if err != nil {
		return err
	}
	p := overviewPage{Recent: o.Recent, Lanes: o.Lanes, Modems: modems.Modems, Webhooks: hooks.Webhooks}
	for _, l := range o.Lanes {
		p.Waiting += l.Waiting
	}
	p.Total, p.Shares = sharesOf(o.Recent.Messages)
	w := watch{words: q.console.words, now: q.console.now()}
	w.daemon(o)
	w.modems(modems.Modems)
	w.webhooks(hooks.Webhooks)
	p.Alerts = w.alerts
	return q.show("overview", q.console.words.text("overview.title"), p)
}

// states are those of a message, as the bar shows them.
func states() []string {
	return []string{"delivered", "sent", "sending", "queued", "uncertain", "expired", "undelivered", "failed", "canceled"}
}

func sharesOf(counts map[string]int) (total int, all []share) {
	for _, n := range counts {
		total += n
	}
	x := 0.0
	for _, s := range states() {
		n := counts[s]
		if n == 0 {
			continue
		}
		width := 100 * float64(n) / float64(total)
		all = append(all, share{State: s, Tone: tone("message", s), Count: n, X: x, Width: width})
		x += width
	}
	return total, all
}

// When the overview speaks up. The alerts of configs/prometheus look at the same things over time.
const (
	slowCodes    = 30.0 // seconds that 95 of 100 codes take to the network
	fewCodes     = 5    // too few to say anything
	manyLost     = 3    // messages
	lostShare    = 0.1
	weakSignal   = -105 // dBm
	lateWebhooks = 10 * time.Minute
)

// watch finds what needs attention.
type watch struct {
	words  *catalogue
	now    time.Time
	alerts []alert
}

// say adds an alert by the name of its text; about names the alert's page of the manual.
func (w *watch) say(tone, about, name string, args ...any) {
	page := ""
	if about != "" {
		page = "/docs/runbook/" + about
	}
	w.alerts = append(w.alerts, alert{tone, w.words.text("alert."+name, args...), page})
}

func (w *watch) daemon(o *wire.Overview) {
	if o.StorageLow {
		w.say("bad", "OtpostStorageLow", "storage")
	}
	if s := o.Recent.Sent; s.Count >= fewCodes && s.P95 > slowCodes {
		w.say("warn", "OtpostCodesSlow", "slow", w.words.took(s.P95))
	}
	lost, all := 0, 0
	for state, n := range o.Recent.Messages {
		all += n
		if state == "failed" || state == "undelivered" || state == "expired" || state == "uncertain" {
			lost += n
		}
	}
	if lost > manyLost && float64(lost) > lostShare*float64(all) {
		w.say("warn", "OtpostMessagesFailing", "failing", lost, all)
	}
}

func (w *watch) modems(all []wire.Modem) {
	able := 0
	for _, m := range all {
		switch {
		case m.Paused:
			w.say("warn", "", "paused", m.Name)
		case m.Quarantined != "":
			w.say("bad", "OtpostSIMExhausted", "resting", m.Name, w.words.label("class", m.Quarantined))
		case m.State != "ready":
			w.say("bad", "OtpostModemDown", "modem", m.Name, w.words.label("modem", m.State), w.words.ago(w.now, m.Since))
		case m.DayLeft != nil && *m.DayLeft == 0:
			w.say("warn", "OtpostSIMExhausted", "quota", m.Name)
		default:
			able++
		}
		if m.State == "ready" && m.SignalDBm != 0 && m.SignalDBm < weakSignal {
			w.say("warn", "OtpostModemDown", "signal", m.Name, m.SignalDBm)
		}
	}
	if able == 0 {
		w.say("bad", "OtpostNoModem", "none")
	}
}

func (w *watch) webhooks(all []wire.Webhook) {
	for _, h := range all {
		switch {
		case !h.OffSince.IsZero():
			w.say("bad", "OtpostWebhooksFailing", "hook_off", h.Name)
		case h.Pending > 0 && w.now.Sub(h.OldestAt) > lateWebhooks:
			w.say("warn", "OtpostWebhooksFailing", "hook_late", h.Name, h.Pending)
		}
	}
}
