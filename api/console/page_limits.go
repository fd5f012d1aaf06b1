package console

import "otpost/api/wire"

const limitsDays = 14

// limitsPage is what the limits refused.
type limitsPage struct {
	*wire.LimitsReport
	Refused int
	Days    int
}

func limits(q *request) error {
	r, err := q.api.LimitsReport(q.Context(), limitsDays)
	if err != nil {
		return err
	}
	p := limitsPage{LimitsReport: r, Days: limitsDays}
	for _, d := range r.Days {
		for _, l := range d.Lines {
			p.Refused += l.Refused
		}
	}
	return q.show("limits", q.console.words.text("limits.title"), p)
}
