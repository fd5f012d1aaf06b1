// Package docs is the manual that the daemon serves at /docs: Markdown pages, and what turns them into HTML that needs no
// network, no script and no style but its own. It knows nothing of HTTP.
//
// A page is a file <part>/<name>.md here and stands at /docs/<part>/<name>. Its title is its first heading, its summary its
// first paragraph. A code block whose info string says file=<path> is filled from that file of this folder, so that the
// programs in the manual are the ones that the tests run. Links between pages are written as the daemon serves them.
package docs

import (
	"bytes"
	"embed"
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strings"
)

//go:embed manual.css tutorial howto reference explanation runbook
var files embed.FS

// Part is a part of the manual: its heading and its pages in reading order.
type Part struct {
	Name, Title string
	Pages       []Page
}

// Page is a page as the table of contents shows it.
type Page struct {
	Path           string // as served, like /docs/howto/tls
	Title, Summary string
}

// outline is the manual's order. Pages of other packages stand in it by their path.
func outline() []struct {
	name, title string
	pages       []string
} {
	return []struct {
		name, title string
		pages       []string
	}{
		{"tutorial", "Tutorial", []string{"demo", "first-modem", "portal"}},
		{"howto", "How to", []string{"install", "modem", "tls", "keys", "backup", "prometheus", "webhooks", "container", "migrate", "typescript", "identity-providers"}},
		{"reference", "Reference", []string{"configuration", "commands", "metrics"}},
		{"explanation", "Explanation", []string{"delivery", "threats", "promises", "mended"}},
		{"runbook", "Alerts", runbook()},
	}
}

// runbook are the alerts' pages, sorted.
func runbook() []string { return Names("runbook") }

// Names are the pages of a part, sorted.
func Names(part string) []string {
	found, err := fs.Glob(files, part+"/*.md")
	if err != nil {
		panic("docs: the pages cannot be listed: " + err.Error()) // the pattern is ours
	}
	for i, f := range found {
		found[i] = strings.TrimSuffix(path.Base(f), ".md")
	}
	return found
}

// File returns a file of this folder as it is, such as a program of the tutorial.
func File(name string) ([]byte, bool) {
	b, err := files.ReadFile(name)
	return b, err == nil
}

// filled matches an empty code block that a file is to stand in.
var filled = regexp.MustCompile("(?m)^```([a-z]+) file=([a-zA-Z0-9/._-]+)\n```$")

// Markdown returns the page <part>/<name> with its programs in place, and whether there is one.
func Markdown(name string) ([]byte, bool) {
	b, ok := File(name + ".md")
	if !ok {
		return nil, false
	}
	return filled.ReplaceAllFunc(b, func(block []byte) []byte {
		m := filled.FindSubmatch(block)
		code, ok := File(string(m[2]))
		if !ok {
			panic(fmt.Sprintf("docs: %s shows %s, which is not there", name, m[2])) // a test renders every page
		}
		return slices.Concat([]byte("```"), m[1], []byte("\n"), code, []byte("```"))
	}), true
}

// describe finds a page's title and summary.
func describe(markdown []byte) (title, summary string) {
	head, rest, _ := bytes.Cut(markdown, []byte("\n"))
	title = strings.TrimPrefix(string(head), "# ")
	paragraph, _, _ := bytes.Cut(bytes.TrimSpace(rest), []byte("\n\n"))
	return title, plain(string(paragraph))
}

var link = regexp.MustCompile(`\[([^]]*)\]\([^)]*\)`)

// plain takes the marks out of a paragraph of Markdown.
func plain(s string) string {
	s = link.ReplaceAllString(s, "$1")
	return strings.Join(strings.Fields(strings.NewReplacer("`", "", "**", "", "*", "").Replace(s)), " ")
}
