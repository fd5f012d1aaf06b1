package api

import (
	"cmp"
	"errors"
	"slices"
	"time"

	"otpost/gateway"
	"otpost/gateway/store"
)

// TextLimits bound what a leaked or looping key can spend on plain texts; codes have limits of their own in otp. They are
// durable, counted in the transaction that accepts the text, by windows of the clock. Admins (who could make themselves
// another key) and operators on the socket have none. Zero fields take the defaults, negative ones lift a limit.
type TextLimits struct {
	PhoneHour int // 20 texts to one phone; alerts to a key's own recipients are not counted by phone
	PhoneDay  int // 60
	KeyDay    int // 5000 texts of one key
}

func (l TextLimits) withDefaults() TextLimits {
	return TextLimits{PhoneHour: cmp.Or(l.PhoneHour, 20), PhoneDay: cmp.Or(l.PhoneDay, 60), KeyDay: cmp.Or(l.KeyDay, 5000)}
}

// textCount is the record of one phone's or key's texts. The windows are numbered from the Unix epoch.
type textCount struct {
	Hour  int64 `json:"hour"`
	Hours int   `json:"hours"` // texts in it
	Day   int64 `json:"day"`
	Days  int   `json:"days"`
}

// countTexts counts texts against the limits, or refuses them all.
func (s *Server) countTexts(tx store.Txn, now time.Time, who principal, drafts []gateway.Draft) error {
	if slices.Contains(who.scopes, ScopeAdmin) {
		return nil
	}
	l := s.cfg.Texts
	for _, d := range drafts {
		if err := s.countText(tx, now, "key\x00"+who.id, "text-key", -1, l.KeyDay); err != nil {
			return err
		}
		if len(who.recipients) > 0 {
			continue
		}
		if err := s.countText(tx, now, "phone\x00"+d.To, "text-phone", l.PhoneHour, l.PhoneDay); err != nil {
			return err
		}
	}
	return nil
}

// countText counts one text of a subject; a limit of 0 or less is none.
func (s *Server) countText(tx store.Txn, now time.Time, subject, limit string, hour, day int) error {
	record := "api/texts/" + s.cfg.Secrets.Pseudonym("api/texts", subject)
	c, err := store.Load[textCount](tx, record)
	const anHour, aDay = int64(time.Hour / time.Second), 24 * int64(time.Hour/time.Second)
	unix := now.Unix()
	switch rot := new(store.CorruptError); {
	case errors.As(err, &rot) && hour > 0: // one phone: it counts as full
		s.cfg.Log.Error("count of a phone's texts does not open and counts as full", "record", record, "error", err)
		c = textCount{Hour: unix / anHour, Hours: hour, Day: unix / aDay, Days: day}
	case errors.As(err, &rot):
		s.cfg.Log.Error("count of a key's texts does not open and begins anew", "record", record, "error", err)
		c = textCount{}
	case err != nil && !errors.Is(err, store.ErrNotFound):
		return err
	}
	if h := unix / anHour; c.Hour < h { // a clock that was set back renews nothing
		c.Hour, c.Hours = h, 0
	}
	if d := unix / aDay; c.Day < d {
		c.Day, c.Days = d, 0
	}
	if hour > 0 && c.Hours >= hour {
		return textLimit(limit+"-hour", time.Duration((c.Hour+1)*anHour-unix)*time.Second)
	}
	if day > 0 && c.Days >= day {
		return textLimit(limit+"-day", time.Duration((c.Day+1)*aDay-unix)*time.Second)
	}
	c.Hours++
	c.Days++
	return store.Save(tx, record, c, now.Add(48*time.Hour))
}

func textLimit(limit string, wait time.Duration) error {
	p := after(problem(codeRateLimited, "too many texts; the member limit says of what"), wait)
	p.Limit = limit
	return p
}
