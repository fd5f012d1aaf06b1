package api

import (
	"context"
	"errors"
	"math"
	"net/http"
	"time"

	"otpost/api/wire"
	"otpost/otp"
)

// auditMost is the largest page of the audit trail.
const auditMost = 1000

func (s *Server) adminCalls() {
	register(s, call{id: "limits-report", method: http.MethodGet, path: "/v1/limits/report", tag: "admin", may: []Scope{ScopeOps},
		summary: "What the limits refuse", about: "By day, limit and country, and where every destination stands with the pumping guard: what to look at before it is told to enforce.",
		answer: exampleLimits()}, s.limitsReport)
	register(s, call{id: "list-audit", method: http.MethodGet, path: "/v1/audit", tag: "admin",
		summary: "Read the audit trail", about: "Oldest first. Each entry names the hash of the one before. A page that is broken is refused: see GET /v1/audit/check.",
		codes: []string{codeUnavailable}, answer: wire.Audit{Entries: []wire.AuditEntry{exampleAudit()}}}, s.listAudit)
	register(s, call{id: "check-audit", method: http.MethodGet, path: "/v1/audit/check", tag: "admin",
		summary: "Check the audit trail", about: "Reads all of it, which may take a while.",
		answer: wire.AuditCheck{Good: true, Entries: 4711, LastHash: exampleAudit().Hash}}, s.checkAudit)
	s.backupCall()
}

func (s *Server) limitsReport(ctx context.Context, in *struct {
	Days int `query:"days" minimum:"1" maximum:"30" default:"7" doc:"How many days, today among them."`
}) (*answer[wire.LimitsReport], error) {
	r, err := s.cfg.Rules.LimitsReport(ctx, s.now(), in.Days)
	if err != nil {
		return nil, err
	}
	out := wire.LimitsReport{Mode: string(r.Mode), Days: []wire.LimitsDay{}, Destinations: []wire.LimitDestination{}}
	for _, d := range r.Days {
		day := wire.LimitsDay{Day: d.Day, Lines: []wire.LimitsLine{}}
		for _, l := range d.Lines {
			day.Lines = append(day.Lines, wire.LimitsLine(l))
		}
		out.Days = append(out.Days, day)
	}
	for _, d := range r.Destinations {
		out.Destinations = append(out.Destinations, wire.LimitDestination{Destination: d.Destination, Unverified: d.Unverified,
			Verified: d.Verified, Budget: d.Budget, BlockedFor: int(d.Blocked.Round(time.Second).Seconds())})
	}
	out.Conversions, err = s.conversions(ctx)
	return &answer[wire.LimitsReport]{out}, err
}

func (s *Server) conversions(ctx context.Context) ([]wire.Conversion, error) {
	all, err := s.cfg.Gateway.Conversions(ctx)
	if err != nil {
		return nil, err
	}
	out := []wire.Conversion{}
	for _, c := range all {
		out = append(out, wire.Conversion{Modem: c.Modem, Prefix: c.Prefix, Country: c.Country, Sent: tenth(c.Sent), Verified: tenth(c.Verified)})
	}
	return out, nil
}

func tenth(v float64) float64 { return math.Round(v*10) / 10 }

// errPageFull ends the reading of the trail.
var errPageFull = errors.New("the page is full")

func (s *Server) listAudit(ctx context.Context, in *struct {
	From  uint64 `query:"from" minimum:"1" maximum:"9007199254740991" default:"1" doc:"The number of the first entry."`
	Limit int    `query:"limit" minimum:"1" maximum:"1000" default:"200" doc:"How many at most."`
	Tail  bool   `query:"tail" doc:"The last page instead: as many as limit says, up to the end."`
}) (*answer[wire.Audit], error) {
	end, err := s.cfg.Rules.AuditEnd(ctx)
	if err != nil {
		return nil, err
	}
	if in.Tail {
		in.From = end - min(end, uint64(in.Limit)) + 1
	}
	out := wire.Audit{Entries: []wire.AuditEntry{}, Last: end}
	err = s.cfg.Rules.AuditExport(ctx, in.From, func(e otp.AuditEntry) error {
		if len(out.Entries) == min(in.Limit, auditMost) {
			out.Next = e.Seq
			return errPageFull
		}
		out.Entries = append(out.Entries, wire.AuditEntry(e))
		return nil
	})
	var broken *otp.ChainError
	switch {
	case errors.As(err, &broken):
		return nil, after(problem(codeUnavailable, "the audit trail is broken: "+broken.Error()), time.Hour)
	case err != nil && !errors.Is(err, errPageFull):
		return nil, err
	}
	return &answer[wire.Audit]{out}, nil
}

// auditPatience is how long a check of the whole trail may take.
const auditPatience = 10 * time.Minute

func (s *Server) checkAudit(ctx context.Context, _ *struct{}) (*answer[wire.AuditCheck], error) {
	extendDeadlines(ctx, auditPatience)
	entries, last, err := s.cfg.Rules.AuditVerify(ctx)
	out := wire.AuditCheck{Good: err == nil, Entries: entries, LastHash: last}
	var broken *otp.ChainError
	if errors.As(err, &broken) {
		out.BrokenAt, out.Why = broken.Seq, broken.Why
	} else if err != nil {
		return nil, err
	}
	return &answer[wire.AuditCheck]{out}, nil
}

func exampleLimits() wire.LimitsReport {
	return wire.LimitsReport{Mode: "observe",
		Days:         []wire.LimitsDay{{Day: "2026-03-04", Lines: []wire.LimitsLine{{Limit: "phone-hour", Country: "GB", Refused: 3}}}},
		Destinations: []wire.LimitDestination{{Destination: "GB", Unverified: 4, Verified: 120, Budget: 270}},
		Conversions:  []wire.Conversion{{Modem: "sim800", Prefix: "+44770", Country: "GB", Sent: 87.5, Verified: 80.1}}}
}

func exampleAudit() wire.AuditEntry {
	return wire.AuditEntry{Seq: 1, At: exampleTime(0), Action: "sms.enable", Outcome: "ok", Account: "p7xk2m", By: exampleKey().ID,
		Hash: "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"}
}
