package api

import (
	"context"
	"math"
	"net/http"
	"slices"
	"time"

	"otpost/api/wire"
	"otpost/gateway"
)

const (
	overviewLooks = 300 // messages looked at: enough for a 95th percentile, few enough to be read at every glance
	overviewSpan  = 24 * time.Hour
)

func (s *Server) overviewCall() {
	register(s, call{id: "overview", method: http.MethodGet, path: "/v1/overview", tag: "messages", may: []Scope{ScopeOps},
		summary: "See how codes fare", about: "What waits in each lane, and how the latest messages (300 at most) fared. For curves over time scrape /metrics.",
		answer: exampleOverview()}, s.overview)
}

func (s *Server) overview(ctx context.Context, _ *struct{}) (*answer[wire.Overview], error) {
	latest, more, err := s.cfg.Gateway.Messages(ctx, gateway.Filter{Limit: overviewLooks})
	if err != nil {
		return nil, err
	}
	out := wire.Overview{Lanes: []wire.LaneQueue{}, Recent: recentOf(latest, s.now()), StorageLow: s.cfg.Gateway.StoreLow()}
	out.Recent.All = out.Recent.All || more == ""
	for _, l := range s.cfg.Gateway.Waiting() {
		out.Lanes = append(out.Lanes, wire.LaneQueue{Lane: l.Lane.String(), Waiting: l.Waiting, OldestSeconds: l.Oldest.Seconds()})
	}
	return &answer[wire.Overview]{out}, nil
}

// recentOf sums up messages, newest first. All says that one was met which is too old.
func recentOf(latest []gateway.Message, now time.Time) wire.Recent {
	r := wire.Recent{Messages: map[string]int{}}
	var sent, phone []time.Duration
	for _, m := range latest {
		if now.Sub(m.CreatedAt) > overviewSpan {
			r.All = true
			break
		}
		r.Since = m.CreatedAt.UTC()
		r.Messages[string(m.Status)]++
		if m.Kind != gateway.KindCode {
			continue
		}
		r.Codes++
		if m.Verified {
			r.Verified++
		}
		if m.Status == gateway.Delivered {
			r.Delivered++
			phone = append(phone, m.DeliveredAt.Sub(m.CreatedAt))
		}
		if !m.SentAt.IsZero() {
			sent = append(sent, m.SentAt.Sub(m.CreatedAt))
		}
	}
	r.Sent, r.Phone = spreadOf(sent), spreadOf(phone)
	return r
}

// spreadOf takes percentiles by the nearest rank.
func spreadOf(took []time.Duration) wire.Spread {
	n := len(took)
	if n == 0 {
		return wire.Spread{}
	}
	slices.Sort(took)
	rank := func(p float64) float64 { return took[int(math.Ceil(p*float64(n)))-1].Seconds() }
	return wire.Spread{Count: n, P50: rank(0.50), P95: rank(0.95)}
}

func exampleOverview() wire.Overview {
	return wire.Overview{Lanes: []wire.LaneQueue{{Lane: "withdrawal"}, {Lane: "login", Waiting: 3, OldestSeconds: 1.2}, {Lane: "enrol"}, {Lane: "text"}},
		Recent: wire.Recent{Since: exampleTime(0), All: true, Messages: map[string]int{"delivered": 118, "sent": 2}, Codes: 120, Delivered: 118, Verified: 110,
			Sent: wire.Spread{Count: 120, P50: 1.1, P95: 2.4}, Phone: wire.Spread{Count: 118, P50: 2.1, P95: 4.9}}}
}
