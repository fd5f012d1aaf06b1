// Package configs_test checks the reference files for Prometheus and Grafana against the program itself and with
// Prometheus' own tool.
package configs_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"

	"otpost/api/docs"
)

// promtool runs Prometheus' tool in the rules' folder. It skips the test where the tool is missing, which under CI=true is
// a failure.
func promtool(t *testing.T, stdin string, args ...string) {
	t.Helper()
	tool, err := exec.LookPath("promtool")
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("promtool is not installed")
		}
		t.Skip("promtool is not installed")
	}
	cmd := exec.Command(tool, args...)
	cmd.Dir, cmd.Stdin = "prometheus", strings.NewReader(stdin)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("promtool %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

func TestRulesAreValid(t *testing.T) {
	promtool(t, "", "check", "rules", "--lint=all", "--lint-fatal", "rules.yml")
}

func TestScrapeExampleIsValid(t *testing.T) {
	promtool(t, "", "check", "config", "--syntax-only", "prometheus.yml")
}

func TestAlertsFireAndStaySilent(t *testing.T) { promtool(t, "", "test", "rules", "rules_test.yml") }

type rule struct {
	Alert       string
	Record      string
	Expr        string
	Labels      map[string]string
	Annotations map[string]string
}

func rules(t *testing.T) (alerts, records []rule) {
	t.Helper()
	var file struct{ Groups []struct{ Rules []rule } }
	load(t, "prometheus/rules.yml", &file)
	for _, g := range file.Groups {
		for _, r := range g.Rules {
			if r.Alert != "" {
				alerts = append(alerts, r)
			} else {
				records = append(records, r)
			}
		}
	}
	return alerts, records
}

func load(t *testing.T, path string, into any) {
	t.Helper()
	b, err := os.ReadFile(filepath.FromSlash(path))
	must(t, err)
	must(t, yaml.Unmarshal(b, into))
}

// TestAlertsAreFewAndHelp holds each alert to a name, words, a severity and a page; and the pages to an alert each.
func TestAlertsAreFewAndHelp(t *testing.T) {
	alerts, _ := rules(t)
	if n := len(alerts); n == 0 || n > 12 {
		t.Errorf("%d alerts, want 1 to 12: nobody reads more", n)
	}
	var names []string
	for _, a := range alerts {
		names = append(names, a.Alert)
		if !regexp.MustCompile(`^Otpost([A-Z]+[a-z]*)+$`).MatchString(a.Alert) {
			t.Errorf("%s is not CamelCase", a.Alert)
		}
		if s := a.Labels["severity"]; s != "page" && s != "ticket" {
			t.Errorf("%s has severity %q, want page or ticket", a.Alert, s)
		}
		for _, k := range []string{"summary", "description"} {
			if len(a.Annotations[k]) < 20 {
				t.Errorf("%s has %s %q, want a sentence", a.Alert, k, a.Annotations[k])
			}
		}
		if got, want := a.Annotations["runbook_url"], "http://{{ $labels.instance }}/docs/runbook/"+a.Alert; got != want {
			t.Errorf("%s links to %s, want %s", a.Alert, got, want)
		}
	}
	slices.Sort(names)
	if diff := cmp.Diff(names, docs.Names("runbook")); diff != "" {
		t.Errorf("pages in api/docs/runbook (-alerts +pages):\n%s", diff)
	}
}

var pageLink = regexp.MustCompile(`\]\((Otpost\w+)\)`)

func TestRunbookPages(t *testing.T) {
	for _, name := range docs.Names("runbook") {
		page, ok := docs.Markdown("runbook/" + name)
		text := string(page)
		if !ok || !strings.HasPrefix(text, "# "+name+"\n") || !strings.Contains(text, "\n## What to do\n") {
			t.Errorf("page of %s has no title or no part What to do:\n%s", name, text)
		}
		for _, m := range pageLink.FindAllStringSubmatch(text, -1) {
			if _, ok := docs.Markdown("runbook/" + m[1]); !ok {
				t.Errorf("page of %s links to %s, which is not there", name, m[1])
			}
		}
	}
	if _, ok := docs.Markdown("runbook/../../docs"); ok {
		t.Error("a page outside the folder was served")
	}
}

// TestEveryAlertHasBothTests holds each alert to a unit test in which it fires and one in which it does not.
func TestEveryAlertHasBothTests(t *testing.T) {
	var file struct {
		Tests []struct {
			AlertRuleTest []struct {
				Alertname string      `yaml:"alertname"`
				ExpAlerts []yaml.Node `yaml:"exp_alerts"`
			} `yaml:"alert_rule_test"`
		}
	}
	load(t, "prometheus/rules_test.yml", &file)
	fires, silent := map[string]bool{}, map[string]bool{}
	for _, tc := range file.Tests {
		for _, a := range tc.AlertRuleTest {
			fires[a.Alertname] = fires[a.Alertname] || len(a.ExpAlerts) > 0
			silent[a.Alertname] = silent[a.Alertname] || len(a.ExpAlerts) == 0
		}
	}
	alerts, _ := rules(t)
	for _, a := range alerts {
		if !fires[a.Alert] || !silent[a.Alert] {
			t.Errorf("%s: tested firing %t, tested silent %t; want both", a.Alert, fires[a.Alert], silent[a.Alert])
		}
	}
}
