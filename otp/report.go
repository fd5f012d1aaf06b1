package otp

import (
	"context"
	"slices"
	"strings"
	"time"

	"otpost/gateway/store"
)

const (
	reportPrefix = "otp/report/"
	reportDays   = 30
)

// refusalLabel is the limit or rule that e stands for, from a closed set.
func refusalLabel(e *Error) string {
	if e.Limit != "" {
		return e.Limit
	}
	return string(e.Code)
}

// reported are the refusals that limits and rules about destinations make; the others are about the request.
var reported = []Code{RateLimited, Blocked, ResendTooEarly, CountryNotAllowed, NumberNotAllowed}

// reportRefusal counts a refusal for metrics and, if a limit made it, for the limits report.
func (w *work) reportRefusal(e *Error) error {
	label := refusalLabel(e)
	w.count(func() { w.metrics.refusals.WithLabelValues(label).Inc() })
	if !slices.Contains(reported, e.Code) {
		return nil
	}
	return w.report(label, func(l *ReportLine) { l.Refused++ })
}

// observed counts what a guard in mode observe would have refused.
func (w *work) observed(limit string) error {
	w.note("observed", limit)
	w.count(func() { w.metrics.observed.WithLabelValues(limit).Inc() })
	return w.report(limit, func(l *ReportLine) { l.WouldRefuse++ })
}

// ReportLine is what one limit or rule did on one day, for one country where it is known.
type ReportLine struct {
	Limit       string `json:"limit"`
	Country     string `json:"country,omitempty"`
	Refused     int    `json:"refused,omitempty"`
	WouldRefuse int    `json:"would_refuse,omitempty"`
}

// ReportDay is one day of the limits report, in UTC.
type ReportDay struct {
	Day   string       `json:"day"` // 2006-01-02
	Lines []ReportLine `json:"lines"`
}

// PumpingState is where one destination stands with the pumping guard.
type PumpingState struct {
	Destination string // country, or calling code and three digits
	Unverified  int    // sends of the last 24 h
	Verified    int    // codes of the last 24 h
	Budget      int
	Blocked     time.Duration // that is left; in mode observe: that would be
}

// LimitsReport is what limits refused, and what the pumping guard would have refused.
type LimitsReport struct {
	Mode         PumpingMode
	Days         []ReportDay    // newest first
	Destinations []PumpingState // the nearest to their budget first
}

func (w *work) report(limit string, f func(*ReportLine)) error {
	name := w.now.UTC().Format(time.DateOnly)
	d, _, err := loadCount[ReportDay](w.Service, w.tx, reportPrefix+name)
	if err != nil {
		return err
	}
	d.Day = name
	i := slices.IndexFunc(d.Lines, func(l ReportLine) bool { return l.Limit == limit && l.Country == w.country })
	if i < 0 {
		d.Lines, i = append(d.Lines, ReportLine{Limit: limit, Country: w.country}), len(d.Lines)
	}
	f(&d.Lines[i])
	return store.Save(w.tx, reportPrefix+name, d, w.now.Add((reportDays+1)*day))
}

// LimitsReport returns the last days (at most 30), and where every destination stands now.
func (s *Service) LimitsReport(ctx context.Context, now time.Time, days int) (LimitsReport, error) {
	r := LimitsReport{Mode: s.policy.Pumping.Mode}
	oldest := now.UTC().AddDate(0, 0, 1-min(max(days, 1), reportDays)).Format(time.DateOnly)
	err := s.cfg.KV.View(ctx, func(tx store.Txn) (err error) {
		r.Days, r.Destinations = nil, nil
		err = eachRecord(s, tx, reportPrefix, func(d ReportDay) {
			if d.Day >= oldest {
				r.Days = append(r.Days, d)
			}
		})
		if err != nil {
			return err
		}
		return eachRecord(s, tx, pumpingPrefix, func(t traffic) {
			r.Destinations = append(r.Destinations, t.state(s.policy.Pumping, now))
		})
	})
	slices.SortFunc(r.Days, func(a, b ReportDay) int { return strings.Compare(b.Day, a.Day) })
	slices.SortFunc(r.Destinations, func(a, b PumpingState) int {
		if a.headroom() != b.headroom() {
			return a.headroom() - b.headroom()
		}
		return strings.Compare(a.Destination, b.Destination)
	})
	return r, err
}

func (p PumpingState) headroom() int {
	if p.Blocked > 0 {
		return -1
	}
	return p.Budget - p.Unverified
}

func (t traffic) state(p PumpingPolicy, now time.Time) PumpingState {
	t.settle(now)
	floor := p.CountryFloor
	if strings.HasPrefix(t.Name, "+") {
		floor = p.PrefixFloor
	}
	state := PumpingState{Destination: t.Name, Unverified: t.unverified(), Budget: t.budget(p, floor), Blocked: t.Wall.left(now)}
	for _, h := range t.Hours {
		state.Verified += h.Verified
	}
	return state
}

// eachRecord calls f for every record under prefix that opens.
func eachRecord[T any](s *Service, tx store.Txn, prefix string, f func(T)) error {
	var keys []string
	err := store.Keys(tx, store.Range{Prefix: prefix}, func(key string) bool {
		keys = append(keys, key)
		return true
	})
	if err != nil {
		return err
	}
	for _, key := range keys {
		v, err := store.Load[T](tx, key)
		if rotten(err) == key {
			s.leftOut(err, "it is left out")
			continue
		}
		if err != nil {
			return err
		}
		f(v)
	}
	return nil
}
