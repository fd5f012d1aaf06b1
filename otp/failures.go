package otp

import (
	"math"
	"time"
)

const (
	day = 24 * time.Hour
	// forgetFailures is how long a counter that nobody touched is remembered. It is far over the longest block.
	forgetFailures = 90 * day
	maxKnown       = 16
	knownFor       = 180 * day
	// freshFor is how long a success need not be noted again. It is far under knownFor.
	freshFor = day
	forever  = time.Duration(math.MaxInt64)
)

// failures counts consecutive wrong answers of one subject: an account, a phone, or an account's PIN. It lives outside
// every challenge, so that no send ever resets it.
//
// Against somebody else's malice it knows actors: the client addresses that have succeeded for an account, the accounts
// that have succeeded on a phone. Once there is one, all others together ("strangers") may use only a part of the guesses
// and then are blocked on their own, so that their failures never block those who are known. Whoever guesses, no more than
// FailurePolicy.Max wrong answers are compared between two blocks.
type failures struct {
	Own       int       `json:"own,omitempty"`      // in the present row, by the known
	Others    int       `json:"others,omitempty"`   // in the present row, by strangers
	Row       int       `json:"row,omitempty"`      // since the last success
	Everyone  block     `json:"everyone,omitzero"`  // the wall for all
	Strangers block     `json:"strangers,omitzero"` // the wall for strangers
	Locked    bool      `json:"locked,omitempty"`   // only an unlock helps
	Known     []known   `json:"known,omitempty"`    // newest last
	At        time.Time `json:"at,omitzero"`        // last change
}

// known is an actor that has succeeded. ID is a pseudonym.
type known struct {
	ID string    `json:"id"`
	At time.Time `json:"at"`
}

// block is a wall that stands for a time. The level survives it: the next one stands twice as long.
type block struct {
	Since time.Time     `json:"since,omitzero"`
	For   time.Duration `json:"for,omitempty"`
	Level int           `json:"level,omitempty"`
}

// settle brings f up to now. An instant in the future means that the clock was set back: it counts from now on, so that a
// step of the clock neither opens a wall early nor keeps it longer than its time. It tells whether f has to be saved.
func (f *failures) settle(now time.Time) bool {
	if f.At.IsZero() {
		return false
	}
	if now.Sub(f.At) > forgetFailures && !f.Locked {
		*f = failures{Known: f.Known}
	}
	changed := f.Everyone.clamp(now)
	changed = f.Strangers.clamp(now) || changed
	if f.At.After(now) {
		f.At, changed = now, true
	}
	if f.Everyone.over(now) {
		f.Own, f.Others = 0, 0
	}
	if f.Strangers.over(now) {
		f.Others = 0
	}
	return changed
}

func (b *block) clamp(now time.Time) bool {
	if b.Since.After(now) {
		b.Since = now
		return true
	}
	return false
}

// over ends a block whose time has passed and tells whether it did.
func (b *block) over(now time.Time) bool {
	if b.Since.IsZero() || now.Sub(b.Since) < b.For {
		return false
	}
	b.Since, b.For = time.Time{}, 0
	return true
}

func (b *block) left(now time.Time) time.Duration {
	if b.Since.IsZero() {
		return 0
	}
	return max(0, b.For-now.Sub(b.Since))
}

func (b *block) raise(p FailurePolicy, now time.Time) {
	b.Since, b.For = now, p.Block
	for range b.Level {
		b.For = min(2*b.For, p.MaxBlock)
	}
	b.Level++
}

// stranger tells whether actor is to be held apart. Without an actor there is nothing to tell apart by.
func (f *failures) stranger(actor string) bool {
	if actor == "" || len(f.Known) == 0 {
		return false
	}
	for _, k := range f.Known {
		if k.ID == actor {
			return false
		}
	}
	return true
}

// blocked returns how long actor still has to wait; zero: not at all.
func (f *failures) blocked(now time.Time, actor string) time.Duration {
	if f.Locked {
		return forever
	}
	wait := f.Everyone.left(now)
	if f.stranger(actor) {
		wait = max(wait, f.Strangers.left(now))
	}
	return wait
}

// raise counts one answer as wrong, before it is compared. f is settled and not blocked for actor.
func (f *failures) raise(p FailurePolicy, now time.Time, actor string) {
	f.At = now
	f.Row++
	if f.stranger(actor) {
		f.Others++
		if f.Others >= p.Strangers {
			f.Strangers.raise(p, now)
		}
	} else {
		f.Own++
	}
	if f.Own+f.Others >= p.Max {
		f.Everyone.raise(p, now)
	}
	f.Locked = f.Row >= p.LockAfter
}

// left is how many answers actor may still give before a block.
func (f *failures) left(p FailurePolicy, now time.Time, actor string) int {
	if f.blocked(now, actor) > 0 {
		return 0
	}
	n := p.Max - f.Own - f.Others
	if f.stranger(actor) {
		n = min(n, p.Strangers-f.Others)
	}
	return max(0, n)
}

// clear is a success of actor, which from now on is known.
func (f *failures) clear(now time.Time, actor string) {
	kept := make([]known, 0, len(f.Known)+1)
	for _, k := range f.Known {
		if k.ID != actor && now.Sub(k.At) < knownFor {
			kept = append(kept, k)
		}
	}
	if actor != "" {
		kept = append(kept, known{ID: actor, At: now})
	}
	*f = failures{Known: kept[max(0, len(kept)-maxKnown):], At: now}
}

// welcomes tells whether a success of actor changes nothing worth writing: there is no failure to clear, and either no
// actor to note or a success of that actor's noted that is not a day old.
func (f *failures) welcomes(now time.Time, actor string) bool {
	if f.Row > 0 || f.Own > 0 || f.Others > 0 || f.Locked || f.Everyone != (block{}) || f.Strangers != (block{}) {
		return false
	}
	for _, k := range f.Known {
		if k.ID == actor {
			return now.Sub(k.At).Abs() < freshFor
		}
	}
	return actor == ""
}

// unlock is an operator's pardon: it forgets the failures and keeps who is known.
func (f *failures) unlock(now time.Time) { *f = failures{Known: f.Known, At: now} }
