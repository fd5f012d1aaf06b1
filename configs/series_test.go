package configs_test

import (
	"maps"
	"slices"
	"strings"
	"testing"
)

// most is the most series that a daemon with 8 modems and 50 countries may export: little for Prometheus, and a bound that a
// label with open values would break at once.
const most = 4_000

// values are how many values each label can have with 8 modems and 50 countries. A label that is not here is new: say here what
// bounds it.
var values = map[string]int{
	"modem": 9, "country": 51, // and none, and unknown
	"state": 9, "lane": 4, "quota": 3, "class": 9, "step": 6, "kind": 8, "outcome": 10, "reason": 12, "purpose": 5, "limit": 30,
	"endpoint": 4, "listener": 3, "cap": 3, "version": 1, "goversion": 1,
	"code":   40,              // a carrier uses a few of the table's codes
	"status": 6,               // of one route
	"route":  60, "method": 1, // each route has its own
	"mode": 3,
}

// rare are families whose labels do not meet in every combination.
var rare = map[string]int{
	"otpost_messages_refused_total": 60,            // a code has one class
	"otpost_messages_total":         9 * 4 * 9 / 2, // queued and expired mostly have no modem, the others always one
	"otpost_modem_submits_total":    9 * (2 + 9),   // only a refusal has a class
}

// TestSeriesAreBounded adds up the most series that every family can have.
func TestSeriesAreBounded(t *testing.T) {
	page := scraped(t)
	buckets := map[string]int{}
	for line := range strings.Lines(page) {
		if name, rest, ok := strings.Cut(line, "_bucket{"); ok && strings.Contains(rest, `le="+Inf"`) {
			first := buckets[name]
			buckets[name] = max(first, strings.Count(page, name+"_bucket{")/strings.Count(page, name+"_count"))
		}
	}
	total := 0
	known := described(t)
	for _, name := range slices.Sorted(maps.Keys(known)) {
		n, ok := rare[name]
		if !ok {
			n = 1
			for _, label := range known[name] {
				count, ok := values[label]
				if !ok && strings.HasPrefix(name, "otpost_") {
					t.Errorf("%s: nothing bounds label %s", name, label)
				}
				n *= max(count, 1)
			}
		}
		if b := buckets[name]; b > 0 {
			n *= b + 2
		}
		total += n
		t.Logf("%6d %s %v", n, name, known[name])
	}
	t.Logf("%6d in all", total)
	if total > most {
		t.Errorf("up to %d series, want at most %d", total, most)
	}
}
