package driver

import (
	"context"
	"errors"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Bounds of the reports kept while the handler refuses them.
const (
	maxDebts    = 4096
	debtsAtOnce = 32
	debtLimit   = 24 * time.Hour
)

// routeReports finds a +CNMI that routes delivery reports here: handed over directly (ds=1) before kept in storage
// (ds=2), before none; texts always kept (mt=1), so that they survive us. What the modem lists is tried first, but many
// list what they refuse and refuse to list what they take (quirks Q33, Q34).
func (s *session) routeReports() {
	listed := ""
	if out, err := s.l.query("+CNMI=?"); err == nil && len(out) > 0 {
		listed = out[0]
	} else if info, err := s.l.command("+CNMI=?", commandTime); err == nil && len(info) > 0 {
		listed = info[0]
	}
	s.caps.reports = 0
	for _, set := range cnmiLadder(parseRanges(listed)) {
		if _, err := s.l.command("+CNMI="+set.String(), commandTime); err == nil {
			s.caps.reports = set[3]
			break
		}
	}
	s.m.change(func(st *Status) { st.Reports = s.caps.reports > 0 })
	if s.caps.reports == 0 {
		s.m.log.Warn("modem routes no delivery reports; messages stay at sent")
	}
}

// cnmi is mode, mt, bm, ds, bfr (27.005 3.4.1).
type cnmi [5]int

func (c cnmi) String() string {
	s := make([]string, len(c))
	for i, n := range c {
		s[i] = strconv.Itoa(n)
	}
	return strings.Join(s, ",")
}

// cnmiLadder orders the settings to try: those that the modem lists, then the usual ones.
func cnmiLadder(ranges [][]int) []cnmi {
	var out []cnmi
	add := func(c cnmi) {
		if !slices.Contains(out, c) {
			out = append(out, c)
		}
	}
	usual := []cnmi{{2, 1, 0, 1, 0}, {2, 1, 0, 2, 0}, {1, 1, 0, 1, 0}, {2, 1, 0, 1, 1}, {1, 1, 0, 2, 0}, {2, 1, 2, 1, 0},
		{2, 1, 0, 0, 0}, {1, 1, 0, 0, 0}, {2, 1, 0, 0, 1}, {1, 0, 0, 0, 0}}
	if len(ranges) >= 5 {
		for _, ds := range []int{1, 2} {
			if slices.Contains(ranges[3], ds) {
				add(cnmi{prefer(ranges[0], 2, 1, 3), prefer(ranges[1], 1, 0), prefer(ranges[2], 0, 2), ds, prefer(ranges[4], 0, 1)})
			}
		}
	}
	for _, ds := range []int{1, 2, 0} {
		for _, c := range usual {
			if c[3] == ds {
				add(c)
			}
		}
	}
	slices.SortStableFunc(out, func(a, b cnmi) int { return dsRank(a[3]) - dsRank(b[3]) })
	return out
}

func dsRank(ds int) int { return map[int]int{1: 0, 2: 1, 0: 2}[ds] }

// prefer returns the first of want that is in have, else the first of want.
func prefer(have []int, want ...int) int {
	for _, w := range want {
		if slices.Contains(have, w) {
			return w
		}
	}
	return want[0]
}

var (
	rangeGroup = regexp.MustCompile(`\(([^()]*)\)`)
	rangeItem  = regexp.MustCompile(`^([0-9]{1,3})(?: *- *([0-9]{1,3}))?$`)
)

// parseRanges reads "(0-3),(0,1),(0,2),(0,1),(0,1)".
func parseRanges(s string) [][]int {
	var out [][]int
	for _, g := range rangeGroup.FindAllStringSubmatch(s, 16) {
		var set []int
		for item := range strings.SplitSeq(g[1], ",") {
			m := rangeItem.FindStringSubmatch(strings.TrimSpace(item))
			if m == nil {
				continue
			}
			low, _ := strconv.Atoi(m[1]) // digits only
			high := low
			if m[2] != "" {
				high, _ = strconv.Atoi(m[2]) // digits only
			}
			for n := low; n <= high; n++ {
				set = append(set, n)
			}
		}
		out = append(out, set)
	}
	return out
}

// arrived takes a PDU that the modem handed over directly: it is stored nowhere else.
func (s *session) arrived(ctx context.Context, pdu string) {
	in, err := decode(pdu)
	switch {
	case err != nil:
		s.received("undecodable")
	case in.report != nil:
		s.report(ctx, *in.report)
	default:
		_ = s.text(ctx, slot{}, in.deliver) // the handler's refusal is logged; there is no copy to come back to
	}
}

// report hands a delivery report on. One that the handler does not take is kept and offered again.
func (s *session) report(ctx context.Context, r Report) {
	r.ICCID = s.caps.iccid
	r.At = time.Now()
	s.received("report")
	if s.beside(func() error { return s.offer(ctx, r) }) == nil {
		return
	}
	s.m.debts = append(s.m.debts, debt{r, time.Now()})
	if len(s.m.debts) > maxDebts {
		s.m.debts = s.m.debts[1:]
		s.received("report-lost")
	}
}

// handlerPatience bounds how long the handler may hold up the loop (but for sends, which go first, see beside), and with it a
// verdict that has come: what it does not take in time is offered again.
const handlerPatience = 5 * time.Second

func (s *session) offer(ctx context.Context, r Report) error {
	ctx, cancel := context.WithTimeout(ctx, handlerPatience)
	defer cancel()
	return s.m.cfg.Handler.Report(ctx, s.m.cfg.Name, r)
}

// debt is a report that the handler did not take, and since when.
type debt struct {
	report Report
	since  time.Time
}

// payDebts offers the kept reports again, oldest first, a few at a time so that sends go in between. One that is refused
// again does not hold up the others; it is given up after debtLimit.
func (s *session) payDebts(ctx context.Context) error {
	var kept []debt
	n := min(len(s.m.debts), debtsAtOnce)
	for _, d := range s.m.debts[:n] {
		err := s.offer(ctx, d.report)
		switch {
		case err == nil:
		case time.Since(d.since) > debtLimit:
			s.received("report-lost")
			s.m.log.Warn("delivery report never taken", "error", err)
		default:
			kept = append(kept, d)
		}
	}
	s.m.debts = append(s.m.debts[n:], kept...)
	return nil
}

func (s *session) received(kind string) {
	s.m.metrics.received.WithLabelValues(s.m.cfg.Name, kind).Inc()
}

var errKept = errors.New("not taken")
