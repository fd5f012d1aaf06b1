package gateway

import (
	"cmp"
	"slices"
	"time"

	"otpost/driver"
	"otpost/gateway/store"
)

// maxLately is how many parts are remembered for their reports: those of the last minutes, which is when most reports come.
const maxLately = 4096

// A latelyPart is a part that waits for its report, by the name of its refRecord: prefix and message.
type latelyPart struct {
	prefix, id string
	at         time.Time
}

// lately is by what references parts went out in the last minutes. A reference comes again every 256 parts, so the store holds
// as many of each as a SIM sends in a day for every 256, and to find the one that a report is about is to open and read them
// all; the one that the report's own time points to is among the latest.
//
// What it holds are names; whether a record is there the store tells. A name is noted before its record is written. It belongs
// to functions that the store runs one after the other.
type lately struct {
	since time.Time // every part handed over later is here; endless before Run
	parts []latelyPart
	next  int                 // where the next part goes once parts is full: the oldest is there
	ids   map[string][]string // by prefix
}

func (l *lately) add(p latelyPart) {
	if slices.Contains(l.ids[p.prefix], p.id) {
		// Sent once more by the same SIM with the same reference: its record has the later time.
		if i := slices.IndexFunc(l.parts, func(q latelyPart) bool { return q.prefix == p.prefix && q.id == p.id }); p.at.After(l.parts[i].at) {
			l.parts[i].at = p.at
		}
		return
	}
	l.ids[p.prefix] = append(l.ids[p.prefix], p.id)
	if len(l.parts) < maxLately {
		l.parts = append(l.parts, p)
		return
	}
	l.drop(l.parts[l.next])
	l.parts[l.next] = p
	l.next = (l.next + 1) % maxLately
}

func (l *lately) drop(p latelyPart) {
	if p.at.After(l.since) {
		l.since = p.at
	}
	ids := l.ids[p.prefix]
	if ids = slices.DeleteFunc(ids, func(id string) bool { return id == p.id }); len(ids) == 0 {
		delete(l.ids, p.prefix)
		return
	}
	l.ids[p.prefix] = ids
}

// settles says whether a report is about a hand-over of that time rather than about any that is not remembered.
func (l *lately) settles(at time.Time, r driver.Report) bool {
	d := distance(at, r)
	return d < clockSpread && d < r.Sent.Sub(l.since)
}

// A candidate is a part that a report may be about.
type candidate struct {
	id  string
	ref refRecord
}

// candidates returns the parts that a report may be about, the nearest in time first; those behind it may be left out.
func (g *Gateway) candidates(tx store.Txn, now time.Time, prefix string, r driver.Report) ([]candidate, error) {
	found, err := g.remembered(tx, now, prefix, r)
	if err != nil || len(found) > 0 {
		return found, err
	}
	err = scan(g, tx, store.Range{Prefix: prefix, Reverse: true}, func(key string, ref refRecord) bool {
		if g.mayBe(now, ref, r) {
			found = append(found, candidate{key[len(prefix):], ref})
		}
		return true
	})
	nearestFirst(found, r)
	return found, err
}

// remembered returns the candidates in memory if the nearest of all is among them and its message is there, else none.
func (g *Gateway) remembered(tx store.Txn, now time.Time, prefix string, r driver.Report) ([]candidate, error) {
	g.mu.Lock()
	ids := slices.Sorted(slices.Values(g.lately.ids[prefix]))
	g.mu.Unlock()
	var found []candidate
	for _, id := range slices.Backward(ids) {
		ref, err := store.Load[refRecord](tx, prefix+id)
		switch {
		case isNotFound(err):
		case rotten(err) == prefix+id:
			g.leftOut(prefix+id, err)
		case err != nil:
			return nil, err
		case g.mayBe(now, ref, r):
			found = append(found, candidate{id, ref})
		}
	}
	if nearestFirst(found, r); len(found) == 0 || !g.isNearest(found[0], r) {
		return nil, nil
	}
	if _, err := g.Lookup(tx, found[0].id); err != nil {
		return nil, nil // then another one may be meant
	}
	return found, nil
}

func (g *Gateway) isNearest(c candidate, r driver.Report) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.lately.settles(c.ref.At, r)
}

// remember notes a part that is about to wait for its report.
func (g *Gateway) remember(prefix, id string, at time.Time) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.lately.add(latelyPart{prefix, id, at})
}

// rememberFrom says that from now on all parts are noted. An id is newer than what was handed over before it, also if the clock
// was set back since.
func (g *Gateway) rememberFrom(now time.Time) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.lately.since = now; g.ids.newest().After(now) {
		g.lately.since = g.ids.newest()
	}
}

// mayBe says whether a report with a part's reference may be about it.
func (g *Gateway) mayBe(now time.Time, ref refRecord, r driver.Report) bool {
	return now.Sub(ref.At) <= g.cfg.ReportWait && samePhone(ref.To, r.Recipient) && ref.plausible(r, clockLoose)
}

func nearestFirst(found []candidate, r driver.Report) {
	slices.SortStableFunc(found, func(a, b candidate) int { return cmp.Compare(distance(a.ref.At, r), distance(b.ref.At, r)) })
}
