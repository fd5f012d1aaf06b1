package console

import (
	"fmt"
	"maps"
	"slices"
	"strconv"

	"otpost/api/client"
	"otpost/api/wire"
)

const auditShown = 100

// auditPage is a page of the trail, newest first.
type auditPage struct {
	Entries      []auditLine
	Last         uint64
	Older, Newer string
}

// auditLine is an entry with its facts in order.
type auditLine struct {
	wire.AuditEntry
	Sorted []pair
}

// audit shows the trail's end, or the entries up to a number.
func audit(q *request) error {
	to, err := strconv.ParseUint(q.URL.Query().Get("to"), 10, 53)
	var found *wire.Audit
	if err != nil || to == 0 {
		found, err = q.api.AuditTail(q.Context(), auditShown)
	} else {
		first := to - min(to, auditShown) + 1
		found, err = q.api.Audit(q.Context(), first, int(to-first)+1)
	}
	if err != nil {
		return err
	}
	p := auditPage{Last: found.Last}
	for _, e := range slices.Backward(found.Entries) {
		line := auditLine{AuditEntry: e}
		for _, name := range slices.Sorted(maps.Keys(e.Facts)) {
			line.Sorted = append(line.Sorted, pair{name, e.Facts[name]})
		}
		p.Entries = append(p.Entries, line)
	}
	if n := len(found.Entries); n > 0 {
		if first := found.Entries[0].Seq; first > 1 {
			p.Older = auditAt(first - 1)
		}
		if last := found.Entries[n-1].Seq; last < found.Last {
			p.Newer = auditAt(min(last+auditShown, found.Last))
		}
	}
	return q.show("audit", q.console.words.text("audit.title"), p)
}

func auditAt(to uint64) string { return fmt.Sprintf("%saudit?to=%d", Base, to) }

// checkAudit reads all of the trail, which may take a while.
func checkAudit(q *request) error {
	c, err := q.api.CheckAudit(q.Context())
	if err != nil {
		return q.done(err, Base+"audit", "audit.title")
	}
	if !c.Good {
		return q.done(&client.Problem{Title: q.console.words.text("audit.broken", c.BrokenAt), Detail: c.Why}, Base+"audit", "audit.title")
	}
	return q.done(nil, Base+"audit", "audit.checked", c.Entries, c.LastHash)
}
