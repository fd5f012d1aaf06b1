package gateway

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/oklog/ulid/v2"

	"otpost/gateway/store"
)

// The prefixes of ids.
const (
	messagePrefix = "msg_"
	eventPrefix   = "evt_"
	inboxPrefix   = "in_"
)

func newIDs(random io.Reader) *ids { return &ids{entropy: ulid.Monotonic(random, 0)} }

func (s *ids) next(prefix string, now time.Time) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now = wall(now)
	if now.Before(s.last) {
		now = s.last
	}
	s.last = now
	return store.NewID(prefix, now, s.entropy)
}

// after makes sure that ids made from now on sort behind id, which an earlier run made.
func (s *ids) after(prefix, id string) {
	u, err := parseID(prefix, id)
	if err != nil {
		return // not one of ours: nothing to sort behind
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if t := u.Timestamp().Add(time.Millisecond); t.After(s.last) {
		s.last = t
	}
}

// newest returns the time of the newest id.
func (s *ids) newest() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.last
}

func parseID(prefix, id string) (ulid.ULID, error) {
	rest, ok := strings.CutPrefix(id, prefix)
	if !ok {
		return ulid.ULID{}, fmt.Errorf("id does not begin with %s", prefix)
	}
	u, err := ulid.ParseStrict(rest)
	if err != nil {
		return ulid.ULID{}, fmt.Errorf("read id: %w", err)
	}
	return u, nil
}

func formatID(prefix string, u ulid.ULID) string { return prefix + strings.ToLower(u.String()) }
