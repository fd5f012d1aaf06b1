package console

import (
	"fmt"
	"testing"
	"time"

	"otpost/api/wire"
)

// A session ends half an hour after the last thing its owner did, twelve hours after it began, and when it is ended; then
// its key is gone and what ran for it stops.
func TestSessionsExpire(t *testing.T) {
	began := time.Now() // a session's own deadline is by the real clock
	start := func() (sessions, *session, string) {
		all := newSessions()
		s, value := all.start(began, "key", wire.Caller{}, false)
		return all, s, value
	}
	all, s, value := start()
	if all.find(began.Add(idleLife-time.Second), value) != s {
		t.Error("gone before half an hour was over")
	}
	if all.find(began.Add(idleLife), value) != nil || len(all.all) != 0 || s.ctx.Err() == nil {
		t.Error("there after half an hour of nothing")
	}
	all, s, value = start()
	for at := began; at.Before(began.Add(wholeLife)); at = at.Add(idleLife / 2) {
		if all.find(at, value) != s {
			t.Fatalf("gone after %v, in use", at.Sub(began))
		}
		s.touch(at)
	}
	if all.find(began.Add(wholeLife), value) != nil {
		t.Error("there after twelve hours")
	}
	all, s, value = start()
	all.end(s)
	if all.find(began, value) != nil || s.ctx.Err() == nil {
		t.Error("there after its end")
	}
	if all.find(began, "") != nil || all.find(began, value+"x") != nil {
		t.Error("a value that is none finds a session")
	}
}

// There are never more sessions than the bound; the one that began first makes room, and those that are over go before.
func TestSessionsAreBounded(t *testing.T) {
	all, began := newSessions(), time.Now()
	var values []string
	for i := range maxSessions + 1 {
		_, value := all.start(began.Add(time.Duration(i)*time.Millisecond), "key", wire.Caller{}, false)
		values = append(values, value)
	}
	at := began.Add(time.Second)
	if len(all.all) != maxSessions || all.find(at, values[0]) != nil || all.find(at, values[1]) == nil || all.find(at, values[maxSessions]) == nil {
		t.Errorf("%d sessions; the first is there: %t", len(all.all), all.find(at, values[0]) != nil)
	}
	all.start(began.Add(time.Hour), "key", wire.Caller{}, false)
	if len(all.all) != 1 {
		t.Errorf("%d sessions after an hour of nothing, want 1", len(all.all))
	}
}

// A session's key shows in no way of printing it.
func TestSessionIsRedacted(t *testing.T) {
	s, _ := newSessions().start(time.Now(), "otp_live_secret", wire.Caller{}, false)
	for _, format := range []string{"%v", "%+v", "%s"} {
		if got := fmt.Sprintf(format, s.key); got != "redacted" {
			t.Errorf("%s: %q", format, got)
		}
	}
}
