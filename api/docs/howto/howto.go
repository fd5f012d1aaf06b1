// Package howto holds the how-to pages that the daemon serves at /docs/howto/<page>.
package howto

import (
	"embed"
	"strings"
)

//go:embed *.md
var pages embed.FS

// Page returns the Markdown of a page, and whether there is one.
func Page(name string) ([]byte, bool) {
	b, err := pages.ReadFile(name + ".md")
	return b, err == nil
}

// Names are the pages, sorted.
func Names() []string {
	entries, err := pages.ReadDir(".")
	if err != nil {
		panic("howto: the embedded pages cannot be listed: " + err.Error())
	}
	names := make([]string, 0, len(entries))
	for _, e := range entries {
		names = append(names, strings.TrimSuffix(e.Name(), ".md"))
	}
	return names
}
