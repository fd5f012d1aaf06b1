package console

import (
	"fmt"
	"testing"
	"testing/synctest"
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

// A session whose owner does nothing ends by itself, whether or not anybody asks for it: its key is forgotten and its stream
// ends. One that is used, or that ended before, is not touched.
func TestIdleSessionEndsByItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		all := newSessions()
		idle, _ := all.start(time.Now(), "key", wire.Caller{}, false)
		used, value := all.start(time.Now(), "key", wire.Caller{}, false)
		out, _ := all.start(time.Now(), "key", wire.Caller{}, false)
		all.end(out)
		time.Sleep(idleLife - time.Minute)
		if idle.ctx.Err() != nil {
			t.Error("ended before its time")
		}
		used.touch(time.Now())
		time.Sleep(2 * time.Minute)
		if idle.ctx.Err() == nil || kept(all) != 1 {
			t.Errorf("%d sessions are kept; the idle one's stream goes on: %t", kept(all), idle.ctx.Err() == nil)
		}
		if all.find(time.Now(), value) != used || used.ctx.Err() != nil {
			t.Error("one that was used ended")
		}
		time.Sleep(wholeLife)
		if kept(all) != 0 || used.ctx.Err() == nil {
			t.Error("one is kept beyond its life")
		}
	})
}

// What a session is to be told is bounded: who only sends forms and never reads a page is told of the latest.
func TestNotesAreBounded(t *testing.T) {
	all := newSessions()
	s, _ := all.start(time.Now(), "key", wire.Caller{}, false)
	defer all.end(s)
	for i := range 3 * maxNotes {
		s.tell(note{Text: fmt.Sprint(i)})
	}
	got := s.told()
	if len(got) != maxNotes || got[maxNotes-1].Text != fmt.Sprint(3*maxNotes-1) {
		t.Errorf("told %d notes: %v", len(got), got)
	}
}

func kept(t sessions) int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.all)
}
