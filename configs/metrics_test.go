package configs_test

import (
	"encoding/json"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"otpost/api/docs"
)

// query is a PromQL expression and where it stands.
type query struct{ where, expr string }

// queries are all expressions of rules, dashboard and runbook.
func queries(t *testing.T) []query {
	t.Helper()
	var all []query
	alerts, records := rules(t)
	for _, r := range append(alerts, records...) {
		all = append(all, query{"rule " + r.Alert + r.Record, r.Expr})
	}
	for _, p := range dashboard(t).Panels {
		for _, target := range p.Targets {
			all = append(all, query{"panel " + p.Title, target.Expr})
		}
	}
	for _, v := range dashboard(t).Templating.List {
		all = append(all, query{"variable " + v.Name, v.Definition})
	}
	for _, name := range docs.Names("runbook") {
		page, _ := docs.Markdown("runbook/" + name)
		for _, code := range regexp.MustCompile("`[^`\n]*otpost_[^`\n]*`").FindAllString(string(page), -1) {
			all = append(all, query{"runbook " + name, strings.Trim(code, "`")})
		}
	}
	return all
}

type grafana struct {
	Panels []struct {
		Title, Description, Type string
		Targets                  []struct{ Expr string }
	}
	Templating struct {
		List []struct{ Name, Definition string }
	}
}

func dashboard(t *testing.T) grafana {
	t.Helper()
	b, err := os.ReadFile("grafana/otpost.json")
	must(t, err)
	var d grafana
	must(t, json.Unmarshal(b, &d))
	return d
}

// always are the labels that Prometheus itself gives.
var always = []string{"job", "instance", "le"}

var (
	metricOf = regexp.MustCompile(`\b((?:otpost|process|go)_[a-z0-9_]+)(\{[^}]*\})?`)
	grouping = regexp.MustCompile(`\bby \(([^)]*)\)`)
	strange  = regexp.MustCompile(`_(bucket|sum|count)$`)
)

// TestQueriesNameExportedMetrics checks each name and each label of every query against what the packages export.
func TestQueriesNameExportedMetrics(t *testing.T) {
	known := described(t)
	for name, labels := range sampled(scraped(t)) {
		if _, ok := known[name]; !ok {
			known[name] = labels
		}
	}
	all := queries(t)
	if len(all) < 50 {
		t.Fatalf("found only %d queries", len(all))
	}
	for _, q := range all {
		for _, fault := range faults(q.expr, known) {
			t.Errorf("%s: %s\n  %s", q.where, fault, q.expr)
		}
	}
}

// faults says which names and labels of expr nobody exports.
func faults(expr string, known families) []string {
	var out []string
	var usable []string
	for _, m := range metricOf.FindAllStringSubmatch(expr, -1) {
		labels, ok := known[m[1]]
		if !ok {
			labels, ok = known[strange.ReplaceAllString(m[1], "")]
		}
		if !ok {
			out = append(out, "no such metric: "+m[1])
			continue
		}
		usable = append(usable, labels...)
		for _, l := range labelOf.FindAllStringSubmatch(m[2], -1) {
			if !slices.Contains(labels, l[1]) && !slices.Contains(always, l[1]) {
				out = append(out, fmt.Sprintf("%s has no label %s", m[1], l[1]))
			}
		}
	}
	for _, g := range grouping.FindAllStringSubmatch(expr, -1) {
		for _, l := range strings.Split(g[1], ",") {
			l = strings.TrimSpace(l)
			if len(usable) > 0 && !slices.Contains(usable, l) && !slices.Contains(always, l) {
				out = append(out, "grouped by "+l+", which no metric here has")
			}
		}
	}
	return out
}

func TestFaultsAreFound(t *testing.T) {
	known := families{"otpost_up": {"modem"}, "otpost_send_seconds": {"lane"}}
	for _, tc := range []struct {
		expr string
		want int
	}{
		{`sum by (modem) (otpost_up{modem="a",instance="b"})`, 0},
		{`histogram_quantile(0.9, sum by (lane, le) (rate(otpost_send_seconds_bucket[5m])))`, 0},
		{`otpost_upp`, 1},
		{`otpost_up{mdoem="a"}`, 1},
		{`sum by (lane) (otpost_up)`, 1},
	} {
		if got := faults(tc.expr, known); len(got) != tc.want {
			t.Errorf("faults(%s) = %v, want %d", tc.expr, got, tc.want)
		}
	}
}

// TestMetricsPage holds the page to Prometheus' conventions, to our prefix, and to no numbers or ids in labels.
func TestMetricsPage(t *testing.T) {
	page := scraped(t)
	for name := range sampled(page) {
		if !regexp.MustCompile(`^(otpost|go|process|promhttp)_`).MatchString(name) {
			t.Errorf("%s has not our prefix", name)
		}
	}
	if strings.Contains(page, "7700900123") {
		t.Error("a phone number stands in the metrics")
	}
	promtool(t, page, "check", "metrics")
}

// TestDashboardPanels holds each panel to a title, words and a query; the first row is about codes on phones.
func TestDashboardPanels(t *testing.T) {
	d := dashboard(t)
	if len(d.Panels) == 0 || d.Panels[0].Title != "Codes on phones" {
		t.Fatal("the dashboard does not begin with codes on phones")
	}
	titles := map[string]bool{}
	for _, p := range d.Panels {
		if titles[p.Title] {
			t.Errorf("two panels are called %q", p.Title)
		}
		titles[p.Title] = true
		if p.Type != "row" && (len(p.Description) < 10 || len(p.Targets) == 0) {
			t.Errorf("panel %q lacks words or queries", p.Title)
		}
	}
}
