package console

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"net/http"
	"sync"
	"time"

	"otpost/api/wire"
)

const (
	cookieName  = "otpost_console"
	idleLife    = 30 * time.Minute
	wholeLife   = 12 * time.Hour
	maxSessions = 256
	maxNotes    = 8 // that wait for a page to show them
)

// session is somebody who has signed in. Its key is in memory only and never shown.
type session struct {
	name   [sha256.Size]byte // of the cookie's value, which itself is not kept
	key    wire.Secret
	who    wire.Caller
	csrf   string
	began  time.Time
	demo   bool // signed in unasked
	ctx    context.Context
	cancel context.CancelFunc // ends what still runs for it
	idle   *time.Timer        // looks whether it is over; under the sessions' mu

	mu    sync.Mutex
	seen  time.Time // last request by a person; under mu
	notes []note    // to be shown with the next page; under mu
	pages pageState // what pages remember of the visitor; under mu
}

// note is a word about what was just done.
type note struct {
	Good bool
	Text string
}

func (s *session) tell(n note) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.notes = append(s.notes, n)
	s.notes = s.notes[max(0, len(s.notes)-maxNotes):]
}

func (s *session) told() []note {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := s.notes
	s.notes = nil
	return all
}

// over says whether the session has ended by itself.
func (s *session) over(now time.Time) bool { return s.left(now) <= 0 }

// left is how long it goes on if its owner does nothing more.
func (s *session) left(now time.Time) time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	return min(s.began.Add(wholeLife).Sub(now), s.seen.Add(idleLife).Sub(now))
}

func (s *session) touch(now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.seen = now
}

// forged says whether a form's token is not the session's.
func (s *session) forged(token string) bool {
	return subtle.ConstantTimeCompare([]byte(token), []byte(s.csrf)) != 1
}

// sessions are those signed in, by the hash of their cookie. It is safe for concurrent use.
type sessions struct {
	mu  *sync.Mutex
	all map[[sha256.Size]byte]*session // under mu
}

func newSessions() sessions {
	return sessions{mu: &sync.Mutex{}, all: map[[sha256.Size]byte]*session{}}
}

// start makes a session and returns it with its cookie's value. Where there are too many, the one that began first goes.
func (t sessions) start(now time.Time, key wire.Secret, who wire.Caller, demo bool) (*session, string) {
	value := rand.Text() + rand.Text()
	s := &session{name: sha256.Sum256([]byte(value)), key: key, who: who, csrf: rand.Text(), began: now, seen: now, demo: demo}
	s.ctx, s.cancel = context.WithDeadline(context.Background(), now.Add(wholeLife))
	t.mu.Lock()
	defer t.mu.Unlock()
	for name, old := range t.all {
		if old.over(now) {
			t.drop(name)
		}
	}
	if len(t.all) >= maxSessions {
		var first *session
		for _, old := range t.all {
			if first == nil || old.began.Before(first.began) {
				first = old
			}
		}
		t.drop(first.name)
	}
	t.all[s.name] = s
	s.idle = time.AfterFunc(s.left(now), func() { t.endIdle(s) })
	return s, value
}

// endIdle ends a session whose owner has done nothing for too long, and looks again later at another: a key is not to stay in
// memory, nor a stream open, because nobody comes back.
func (t sessions) endIdle(s *session) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if left := s.left(time.Now()); left <= 0 {
		t.drop(s.name)
	} else if t.all[s.name] == s {
		s.idle.Reset(left)
	}
}

// find returns the session of a cookie's value, or nil.
func (t sessions) find(now time.Time, value string) *session {
	name := sha256.Sum256([]byte(value))
	t.mu.Lock()
	defer t.mu.Unlock()
	s := t.all[name]
	if s == nil {
		return nil
	}
	if s.over(now) {
		t.drop(name)
		return nil
	}
	return s
}

// end forgets a session and its key, and stops what runs for it.
func (t sessions) end(s *session) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.drop(s.name)
}

// drop forgets a session. The caller holds mu.
func (t sessions) drop(name [sha256.Size]byte) {
	if s := t.all[name]; s != nil {
		s.cancel()
		s.idle.Stop()
		delete(t.all, name)
	}
}

// cookie holds the value of a session; without one it is taken away.
func cookie(r *http.Request, value string) *http.Cookie {
	c := &http.Cookie{Name: cookieName, Value: value, Path: Base, HttpOnly: true, SameSite: http.SameSiteStrictMode,
		Secure: secure(r), MaxAge: int(wholeLife.Seconds())}
	if value == "" {
		c.MaxAge = -1
	}
	return c
}

// secure says whether the browser speaks TLS, to us or to a proxy before us. A proxy's word can only make the cookie
// stricter.
func secure(r *http.Request) bool {
	return r.TLS != nil || r.Header.Get("X-Forwarded-Proto") == "https"
}
