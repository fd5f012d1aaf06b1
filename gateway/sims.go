package gateway

import (
	"slices"
	"strconv"
	"time"

	"otpost/gateway/store"
)

const paceWindow = time.Minute

// A simRecord is what one SIM has sent, durable and by ICCID: neither a restart nor another port renews it.
type simRecord struct {
	Day        string    `json:"day"` // 2006-01-02 in the configured zone
	DayCount   int       `json:"day_count"`
	Month      string    `json:"month"` // 2006-01
	MonthCount int       `json:"month_count"`
	Recent     []int64   `json:"recent,omitempty"` // unix milliseconds of the parts of the last minute, oldest first
	Blocked    string    `json:"blocked,omitempty"`
	BlockedAt  time.Time `json:"blocked_at,omitzero"`
	Blocks     int       `json:"blocks,omitempty"` // in a row, without a success in between
	Codes      float64   `json:"codes,omitempty"`  // codes sent, fading with every new one
	Verified   float64   `json:"verified,omitempty"`
}

// Limits are what a SIM may send; zero is no limit.
type limits struct{ minute, day, month int }

// quarantine pauses of a SIM that was refused for its credit, by how often in a row.
const (
	firstQuarantine = 15 * time.Minute
	lastQuarantine  = 6 * time.Hour
)

// textShare is the part of every quota that texts leave to codes: a fifth.
const textShare = 5

const monthOnly = "2006-01"

// appendDay is AppendFormat for time.DateOnly. Every send looks at every SIM, and reading a layout takes most of that.
func appendDay(b []byte, t time.Time) []byte {
	y, m, d := t.Date()
	if y < 1000 || y > 9999 {
		return t.AppendFormat(b, time.DateOnly)
	}
	b = strconv.AppendInt(b, int64(y), 10)
	return append(b, '-', '0'+byte(m/10), '0'+byte(m%10), '-', '0'+byte(d/10), '0'+byte(d%10))
}

// roll forgets what lies in an earlier minute, day or month. A clock that shows an earlier one renews nothing.
func (s *simRecord) roll(now time.Time, loc *time.Location) {
	var scratch [16]byte
	day := appendDay(scratch[:0], now.In(loc))
	if string(day) > s.Day {
		s.Day, s.DayCount = string(day), 0
	}
	if month := day[:len(day)-len("-02")]; string(month) > s.Month {
		s.Month, s.MonthCount = string(month), 0
	}
	low := now.Add(-paceWindow).UnixMilli()
	old := 0
	for old < len(s.Recent) && s.Recent[old] <= low {
		old++
	}
	s.Recent = s.Recent[old:] // copies of the record share what is behind: it is never written to
}

// forgive makes good for a clock that was far ahead when the record was written: else the SIM would rest until that day.
// Only for a now that is believed.
func (s *simRecord) forgive(now time.Time, loc *time.Location) {
	last := now.Add(clockAhead)
	var scratch [16]byte
	day := appendDay(scratch[:0], now.In(loc))
	if s.Day > string(day) && s.Day > last.In(loc).Format(time.DateOnly) {
		s.Day, s.DayCount = string(day), 0
	}
	if month := day[:len(day)-len("-02")]; s.Month > string(month) && s.Month > last.In(loc).Format(monthOnly) {
		s.Month, s.MonthCount = string(month), 0
	}
	if n := len(s.Recent); n > 0 && s.Recent[n-1] > now.Add(paceWindow).UnixMilli() {
		high := now.Add(paceWindow).UnixMilli()
		s.Recent = slices.DeleteFunc(slices.Clone(s.Recent), func(ms int64) bool { return ms > high })
	}
	if s.BlockedAt.After(last) {
		s.BlockedAt = now
	}
}

// take counts n parts, at instants that only grow. The caller has rolled the record.
func (s *simRecord) take(now time.Time, n int, l limits) {
	s.DayCount += n
	s.MonthCount += n
	s.Recent = slices.Clip(s.Recent)
	for range n {
		s.Recent = append(s.Recent, now.UnixMilli())
	}
	if keep := max(minRecent, 2*l.minute, n); len(s.Recent) > keep {
		s.Recent = s.Recent[len(s.Recent)-keep:]
	}
}

// minRecent is how many parts are remembered even if the modem has no pace: the next one that holds the SIM may have.
const minRecent = 64

// giveBack returns n parts to the day and the month: nothing was submitted. The minute's pace stays used.
func (s *simRecord) giveBack(n int) {
	s.DayCount, s.MonthCount = max(0, s.DayCount-n), max(0, s.MonthCount-n)
}

// unsend gives back the last n parts that were counted, also to the pace: the modem was never busy with them.
func (s *simRecord) unsend(n int) {
	s.giveBack(n)
	s.Recent = s.Recent[:max(0, len(s.Recent)-n)]
}

const unlimited = 1 << 30

// allows says whether n parts may go out now, or the first piece of them. A message that is longer than its lane's share of a
// minute goes in pieces of that length, a minute apart, so that codes keep what is left to them.
func (s *simRecord) allows(n int, lane Lane, l limits) bool {
	return s.inQuota(n, lane, l) && fits(pieceOf(n, lane, l), lane, l.minute, len(s.Recent))
}

// pieceOf returns how many of n parts one hand-over takes.
func pieceOf(n int, lane Lane, l limits) int {
	return min(n, shareOf(lane, orUnlimited(l.minute)))
}

// inQuota says whether day and month allow n parts.
func (s *simRecord) inQuota(n int, lane Lane, l limits) bool {
	return fits(n, lane, l.day, s.DayCount) && fits(n, lane, l.month, s.MonthCount)
}

// fits says whether n parts are within the lane's share of a limit. What it leaves to codes and they have used does not count
// against a message that needs nearly all of it: together they stay within the limit.
func fits(n int, lane Lane, limit, used int) bool {
	share := shareOf(lane, limit)
	return limit == 0 || used+n <= share || n <= share && used <= limit-share
}

// shareOf is how much of a limit a lane may use.
func shareOf(lane Lane, limit int) int {
	if lane == LaneText {
		limit -= limit / textShare
	}
	return limit
}

// quotaLeft returns what the day and the month allow, and when they begin anew if that is nothing.
func (s *simRecord) quotaLeft(now time.Time, loc *time.Location, l limits) (int, time.Time) {
	left, until := unlimited, time.Time{}
	y, m, d := now.In(loc).Date()
	if l.day > 0 {
		left = max(0, l.day-s.DayCount)
		until = dayBegins(y, m, d+1, loc)
	}
	if month := l.month - s.MonthCount; l.month > 0 && month < left {
		left = max(0, month)
		until = dayBegins(y, m+1, 1, loc)
	}
	return left, until
}

// dayBegins returns the first instant of a day. Where summer time begins or ends at midnight that is not what time.Date makes
// of it: there may be no midnight, and it may come twice.
func dayBegins(y int, m time.Month, d int, loc *time.Location) time.Time {
	day := time.Date(y, m, d, 12, 0, 0, 0, loc).Day()
	t := time.Date(y, m, d, 0, 0, 0, 0, loc)
	if t.Day() != day { // before the gap
		_, t = t.ZoneBounds()
	}
	if first := t.Add(-time.Hour); first.Day() == day {
		return first
	}
	return t
}

// block quarantines the SIM, longer every time.
func (s *simRecord) block(now time.Time, why string) {
	if s.blockedUntil().After(now) {
		return
	}
	s.Blocked, s.BlockedAt = why, now
	s.Blocks++
}

func (s *simRecord) blockedUntil() time.Time {
	switch s.Blocked {
	case "":
		return time.Time{}
	case unreadable:
		return endless
	}
	return s.BlockedAt.Add(backoff(firstQuarantine, lastQuarantine, s.Blocks))
}

// endless is when a rest ends that no time ends.
var endless = time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC)

// unblock ends a quarantine because the SIM has sent, which it does not if its counters are unreadable.
func (s *simRecord) unblock() {
	if s.Blocked != unreadable {
		s.Blocked, s.BlockedAt, s.Blocks = "", time.Time{}, 0
	}
}

// sentCode counts a code, verified one that came back. Both fade, so that the last hundred or so decide.
func (s *simRecord) sentCode() {
	const fade = 0.99
	s.Codes, s.Verified = s.Codes*fade+1, s.Verified*fade
}

func (s *simRecord) verifiedCode() { s.Verified++ }

func (g *Gateway) simKey(iccid string) string {
	return "gw/sim/" + g.cfg.Secrets.Pseudonym("iccid", iccid)
}

func (g *Gateway) loadSIM(tx store.Txn, now time.Time, iccid string) (simRecord, error) {
	key := g.simKey(iccid)
	s, err := load[simRecord](tx, key)
	if rotten(err) == key {
		s, err = g.salvage(iccid, err), nil
	}
	if err != nil {
		return s, err
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.refresh(&s, now)
	return s, nil
}

// refresh brings a record to the present. The caller holds mu.
func (g *Gateway) refresh(s *simRecord, now time.Time) {
	if !g.clock.behind(now) {
		s.forgive(now, g.cfg.Location)
	}
	s.roll(now, g.cfg.Location)
}

// saveSIM writes the record and lets the copy in memory follow the commit.
func (g *Gateway) saveSIM(tx store.Txn, iccid string, s simRecord) error {
	tx.OnDone(func(committed bool) {
		if committed {
			g.mu.Lock()
			defer g.mu.Unlock()
			g.sims[iccid] = &s
		}
	})
	return store.Save(tx, g.simKey(iccid), s, time.Time{})
}

// load reads a record that need not be there yet.
func load[T any](tx store.Txn, key string) (T, error) {
	v, err := store.Load[T](tx, key)
	if isNotFound(err) {
		err = nil
	}
	return v, err
}
