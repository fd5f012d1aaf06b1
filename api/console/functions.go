package console

import (
	"crypto/rand"
	"fmt"
	"html/template"
	"math"
	"strconv"
	"time"

	"otpost/api/wire"
)

// functions are what templates may call beside those of html/template.
func (c *Console) functions() template.FuncMap {
	return template.FuncMap{
		"t":          c.words.text,
		"tn":         c.words.count,
		"label":      c.words.label,
		"wait":       c.words.seconds,
		"took":       c.words.took,
		"between":    func(from, to time.Time) string { return c.words.took(to.Sub(from).Seconds()) },
		"money":      func(amount *float64) string { return strconv.FormatFloat(*amount, 'f', 2, 64) },
		"ratio":      func(part, whole float64) string { return percent(int(math.Round(part)), int(math.Round(whole))) },
		"percent":    percent,
		"signal":     c.words.signal,
		"ago":        func(at time.Time) string { return c.words.ago(c.now(), at) },
		"stamp":      func(at time.Time) string { return stamp(c.now(), at) },
		"rfc":        func(at time.Time) string { return at.UTC().Format(time.RFC3339) },
		"thousand":   thousands,
		"tone":       tone,
		"badge":      func(group, value string) badge { return badge{tone(group, value), c.words.label(group, value)} },
		"mark":       func(tone, name string) badge { return badge{tone, c.words.text(name)} },
		"pair":       func(a, b any) pair { return pair{a, b} },
		"themeafter": themeAfter,
		"once":       func() string { return rand.Text() },
		"modemstate": c.words.modemState,
		"keystate":   func(k wire.Key) badge { return c.words.keyState(c.now(), k) },
		"base":       func(path string) string { return Base + path },
	}
}

// pair hands two values to a part of a page.
type pair struct{ A, B any }

// badge is a state in a word and a colour.
type badge struct{ Tone, Text string }

// tone is the colour of a state: good, warn, bad, busy or quiet. The word is always there too.
func tone(group, value string) string {
	switch group + "." + value {
	case "message.delivered", "modem.ready", "outcome.accepted", "audit_outcome.ok", "identity.enabled", "key.active", "challenge.verified":
		return "good"
	case "message.sent", "message.sending", "message.queued", "modem.starting", "modem.searching", "identity.pending", "challenge.pending":
		return "busy"
	case "message.uncertain", "message.expired", "modem.recovering", "outcome.unknown", "modem.paused", "key.expiring":
		return "warn"
	case "message.failed", "message.undelivered", "modem.absent", "modem.down", "modem.sim-locked", "modem.sim-missing", "outcome.refused",
		"modem.quarantined", "challenge.blocked":
		return "bad"
	}
	if group == "audit_outcome" {
		return "warn" // a refusal
	}
	return "quiet"
}

// ago tells how long ago something was.
func (c *catalogue) ago(now, at time.Time) string {
	if at.IsZero() {
		return c.text("unit.never")
	}
	d := now.Sub(at)
	switch {
	case d < 5*time.Second:
		return c.text("unit.now")
	case d < time.Minute:
		return c.text("unit.ago", c.count("unit.seconds", int(d.Seconds())))
	case d < time.Hour:
		return c.text("unit.ago", c.count("unit.minutes", int(d.Minutes())))
	case d < 48*time.Hour:
		return c.text("unit.ago", c.count("unit.hours", int(d.Hours())))
	}
	return c.text("unit.ago", c.count("unit.days", int(d.Hours()/24)))
}

// stamp tells when something was, in UTC, as shortly as it is clear.
func stamp(now, at time.Time) string {
	at, now = at.UTC(), now.UTC()
	switch {
	case at.IsZero():
		return "–"
	case at.Year() == now.Year() && at.YearDay() == now.YearDay():
		return at.Format("15:04:05")
	case at.Year() == now.Year():
		return at.Format("2 Jan 15:04:05")
	}
	return at.Format("2 Jan 2006 15:04")
}

// thousands writes a number with thin spaces between thousands.
func thousands(n any) string {
	if p, ok := n.(*int); ok {
		n = *p
	}
	s := fmt.Sprint(n)
	for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + "\u202f" + s[i:]
	}
	return s
}

// percent writes a part of a whole.
func percent(part, whole int) string {
	if whole == 0 {
		return "–"
	}
	return strconv.Itoa(int(math.Round(100*float64(part)/float64(whole)))) + " %"
}

// took tells how long something took, as precisely as it matters.
func (c *catalogue) took(seconds float64) string {
	switch {
	case seconds < 10:
		return c.text("unit.s", strconv.FormatFloat(max(seconds, 0), 'f', 1, 64))
	case seconds < 90:
		return c.text("unit.s", strconv.FormatFloat(seconds, 'f', 0, 64))
	case seconds < 90*60:
		return c.text("unit.min", int(math.Round(seconds/60)))
	case seconds < 48*3600:
		return c.text("unit.h", int(math.Round(seconds/3600)))
	}
	return c.text("unit.d", int(math.Round(seconds/86400)))
}
