package configs_test

import (
	"flag"
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
)

var update = flag.Bool("update", false, "write the generated page of the manual anew")

const metricsIntro = `# Metrics

Every metric at ` + "`/metrics`" + `, from the code. Beside them stand the Go runtime's and the process's own (` + "`go_…`, `process_…`" + `).

Label sets are closed: no label ever holds a number, an account or free text, and 8 modems with 50 countries make 4,000 series at
the most. Histograms come in classic buckets and, to a Prometheus that asks for them, natively. Alerts and a dashboard made of them:
[watch it](/docs/howto/prometheus).

| Metric | Labels | What it counts |
|---|---|---|
`

var explained = regexp.MustCompile(`fqName: "(otpost_[a-z0-9_]+)", help: "(.*?)",(?: unit: ".*?",)? constLabels: .*variableLabels: \{([^}]*)\}`)

// The manual's page is made from what the packages register. After a change: go test ./configs -run ReferencePage -update
func TestReferencePage(t *testing.T) {
	const page = "../api/docs/reference/metrics.md"
	ch := make(chan *prometheus.Desc)
	reg := registered(t)
	go func() {
		defer close(ch)
		reg.Describe(ch)
	}()
	rows := map[string]string{}
	for d := range ch {
		if m := explained.FindStringSubmatch(d.String()); m != nil {
			labels := strings.FieldsFunc(m[3], func(r rune) bool { return r == ',' || r == ' ' })
			if len(labels) > 0 {
				labels = []string{"`" + strings.Join(labels, "`, `") + "`"}
			}
			rows[m[1]] = fmt.Sprintf("| `%s` | %s | %s |\n", m[1], strings.Join(labels, ""), strings.ReplaceAll(m[2], "|", `\|`))
		}
	}
	if len(rows) < 30 {
		t.Fatalf("found only %d metrics", len(rows))
	}
	got := metricsIntro
	for _, name := range slices.Sorted(maps.Keys(rows)) {
		got += rows[name]
	}
	if *update {
		must(t, os.WriteFile(page, []byte(got), 0o644))
	}
	want, err := os.ReadFile(page)
	must(t, err)
	if diff := cmp.Diff(strings.Split(string(want), "\n"), strings.Split(got, "\n")); diff != "" {
		t.Errorf("the page does not say what is exported; go test ./configs -run ReferencePage -update (-page +code):\n%s", diff)
	}
}
