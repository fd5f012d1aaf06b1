// Package runbook holds a page for each alert of configs/prometheus/rules.yml: what it means and what to do. The alerts link to
// /docs/runbook/<Alert>.
package runbook

import (
	"embed"
	"strings"
)

//go:embed *.md
var pages embed.FS

// Page returns the Markdown of an alert's page, and whether there is one.
func Page(alert string) ([]byte, bool) {
	b, err := pages.ReadFile(alert + ".md")
	return b, err == nil
}

// Alerts are the names of the alerts that have a page, sorted.
func Alerts() []string {
	entries, err := pages.ReadDir(".")
	if err != nil {
		panic("runbook: the embedded pages cannot be listed: " + err.Error())
	}
	names := make([]string, 0, len(entries))
	for _, e := range entries {
		names = append(names, strings.TrimSuffix(e.Name(), ".md"))
	}
	return names
}
