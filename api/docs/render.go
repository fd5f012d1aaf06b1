package docs

import (
	"bytes"
	"fmt"
	"html/template"
	"io"
	"strings"
	"sync"

	"github.com/yuin/goldmark"
	"github.com/yuin/goldmark/extension"
	"github.com/yuin/goldmark/parser"
)

// Manual renders pages. It is safe for concurrent use.
type Manual struct {
	parts []Part
	pages map[string]func() (template.HTML, error) // by <part>/<name>, rendered when they are first asked for
}

// New reads the pages' titles; nothing is rendered yet.
func New() *Manual {
	m := &Manual{pages: map[string]func() (template.HTML, error){}}
	md := goldmark.New(goldmark.WithExtensions(extension.Table), goldmark.WithParserOptions(parser.WithAutoHeadingID()))
	for _, o := range outline() {
		part := Part{Name: o.name, Title: o.title}
		for _, name := range o.pages {
			key := o.name + "/" + name
			source, ok := Markdown(key)
			if !ok {
				panic("docs: the outline names " + key + ", which is not there") // a test makes the manual
			}
			title, summary := describe(source)
			part.Pages = append(part.Pages, Page{Path: "/docs/" + key, Title: title, Summary: summary})
			m.pages[key] = sync.OnceValues(func() (template.HTML, error) { return render(md, key) })
		}
		if o.name == "reference" {
			part.Pages = append(part.Pages, elsewhere()...)
		}
		m.parts = append(m.parts, part)
	}
	return m
}

// elsewhere are the pages of the reference that the daemon makes itself.
func elsewhere() []Page {
	return []Page{
		{Path: "/docs/api", Title: "HTTP API", Summary: "Every call with its fields, answers and examples, from the OpenAPI document at /openapi.json."},
		{Path: "/problems", Title: "Problems", Summary: "What each code of an error answer means, and what to do."},
	}
}

// Parts are the manual's parts, in reading order.
func (m *Manual) Parts() []Part { return m.parts }

func render(md goldmark.Markdown, key string) (template.HTML, error) {
	source, _ := Markdown(key)
	var b bytes.Buffer
	if err := md.Convert(source, &b); err != nil {
		return "", fmt.Errorf("render %s: %w", key, err)
	}
	// What is wider than the window scrolls by itself, with the keyboard too. Text cannot hold these marks: it is escaped.
	marks := strings.NewReplacer("<pre>", `<pre tabindex="0">`, "<table>", `<div class="wide" tabindex="0"><table>`, "</table>", "</table></div>")
	return template.HTML(marks.Replace(b.String())), nil // our own pages, without raw HTML
}

// Frame is what stands in the manual's frame: a title, the path that is shown as the current one, and the text.
type Frame struct {
	Title, Path string
	Body        template.HTML
}

// Page finds <part>/<name>; false: there is no such page.
func (m *Manual) Page(name string) (Frame, bool, error) {
	page, ok := m.pages[name]
	if !ok {
		return Frame{}, false, nil
	}
	body, err := page()
	return Frame{Title: m.title("/docs/" + name), Path: "/docs/" + name, Body: body}, true, err
}

func (m *Manual) title(path string) string {
	for _, part := range m.parts {
		for _, p := range part.Pages {
			if p.Path == path {
				return p.Title
			}
		}
	}
	return ""
}

// Contents is the manual's first page.
func (m *Manual) Contents() (Frame, error) {
	var b bytes.Buffer
	err := contents.Execute(&b, m.parts)
	return Frame{Title: "Manual", Path: "/docs", Body: template.HTML(b.String())}, err // made by html/template
}

// Write writes a whole page of HTML.
func (m *Manual) Write(w io.Writer, f Frame) error {
	return layout.Execute(w, struct {
		Frame
		Parts []Part
	}{f, m.parts})
}

var contents = template.Must(template.New("contents").Parse(`<h1>Otpost</h1>
<p>A self-hosted gateway for SMS one-time codes: one daemon drives GSM and LTE modems, and gives a portal's backend a local HTTP API to
turn SMS security codes on and off and to confirm logins and withdrawals.</p>
{{range .}}<h2 id="{{.Name}}">{{.Title}}</h2>
<dl>{{range .Pages}}<dt><a href="{{.Path}}">{{.Title}}</a></dt><dd>{{.Summary}}</dd>
{{end}}</dl>
{{end}}`))

var layout = template.Must(template.New("layout").Parse(`<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{{.Title}} · Otpost</title>
<link rel="stylesheet" href="/docs/manual.css"><link rel="icon" href="data:,"></head>
<body><header><a class="skip" href="#text">Skip to the text</a><a class="home" href="/docs">Otpost</a>
<nav aria-label="Parts">{{range .Parts}}<a href="/docs#{{.Name}}">{{.Title}}</a>{{end}}<a href="/console/">Console</a><a class="narrow" href="#contents">Contents</a></nav></header>
<div class="frame"><main id="text" tabindex="-1">
{{.Body}}
</main>
<nav id="contents" aria-label="Contents">{{$path := .Path}}{{range .Parts}}<h2>{{.Title}}</h2>
<ul>{{range .Pages}}<li><a href="{{.Path}}"{{if eq .Path $path}} aria-current="page"{{end}}>{{.Title}}</a></li>
{{end}}</ul>
{{end}}</nav></div></body></html>
`))
