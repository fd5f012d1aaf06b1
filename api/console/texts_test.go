package console

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"html/template"
	"io/fs"
	"log/slog"
	"net/http"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"text/template/parse"
	"time"
)

func newConsole(t *testing.T) *Console {
	t.Helper()
	c, err := New(Config{API: http.NotFoundHandler(), Log: slog.New(slog.DiscardHandler), Simulated: true})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// Whatever a template or the code asks the catalogue for by a fixed name is there.
func TestEveryTextIsThere(t *testing.T) {
	c := newConsole(t)
	asked := 0
	want := func(where, name string) {
		asked++
		if _, ok := c.words.texts[name]; !ok {
			t.Errorf("%s: there is no text %s", where, name)
		}
	}
	for page, tmpl := range c.pages {
		for _, one := range tmpl.Templates() {
			askedByTemplate(page+" "+one.Name(), one, want)
		}
	}
	askedByCode(t, want)
	for _, e := range menu() {
		want("menu", "nav."+e.name)
	}
	for _, s := range states() {
		want("states", "message."+s)
	}
	for _, k := range []string{"active", "expiring", "expired", "revoked"} {
		want("keys", "key."+k)
	}
	if asked < 300 {
		t.Errorf("only %d texts are asked for", asked)
	}
}

// askedByTemplate finds t "name" and tn "name".
func askedByTemplate(where string, tmpl *template.Template, want func(where, name string)) {
	if tmpl.Tree == nil {
		return
	}
	walk(tmpl.Tree.Root, func(n parse.Node) {
		call, ok := n.(*parse.CommandNode)
		if !ok || len(call.Args) < 2 {
			return
		}
		f, ok := call.Args[0].(*parse.IdentifierNode)
		if !ok {
			return
		}
		for i, arg := range call.Args[1:] {
			name, ok := arg.(*parse.StringNode)
			switch {
			case !ok:
			case f.Ident == "t" && i == 0, f.Ident == "mark" && i == 1:
				want(where, name.Text)
			case f.Ident == "tn" && i == 0:
				want(where, name.Text+".one")
				want(where, name.Text+".other")
			}
		}
	})
}

// walk calls f for each node of a template.
func walk(n parse.Node, f func(parse.Node)) {
	f(n)
	list := func(all ...*parse.ListNode) {
		for _, l := range all {
			if l != nil {
				walk(l, f)
			}
		}
	}
	switch n := n.(type) {
	case *parse.ListNode:
		for _, c := range n.Nodes {
			walk(c, f)
		}
	case *parse.ActionNode:
		walk(n.Pipe, f)
	case *parse.PipeNode:
		for _, c := range n.Cmds {
			walk(c, f)
		}
	case *parse.CommandNode:
		for _, c := range n.Args {
			walk(c, f)
		}
	case *parse.IfNode:
		walk(n.Pipe, f)
		list(n.List, n.ElseList)
	case *parse.RangeNode:
		walk(n.Pipe, f)
		list(n.List, n.ElseList)
	case *parse.WithNode:
		walk(n.Pipe, f)
		list(n.List, n.ElseList)
	case *parse.TemplateNode:
		if n.Pipe != nil {
			walk(n.Pipe, f)
		}
	}
}

// askedByCode finds words.text("name") and its like.
func askedByCode(t *testing.T, want func(where, name string)) {
	at := map[string]int{"text": 0, "done": 2, "sorry": 1, "say": 2}
	prefix := map[string]string{"say": "alert."}
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		tree, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(tree, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok {
				return true
			}
			sel, ok := call.Fun.(*ast.SelectorExpr)
			if !ok {
				return true
			}
			i, ok := at[sel.Sel.Name]
			if !ok || len(call.Args) <= i {
				return true
			}
			if lit, ok := call.Args[i].(*ast.BasicLit); ok && lit.Kind == token.STRING {
				if name, err := strconv.Unquote(lit.Value); err == nil && !strings.HasSuffix(name, ".") {
					want(file, prefix[sel.Sel.Name]+name)
				}
			}
			return true
		})
	}
}

var (
	actions    = regexp.MustCompile(`(?s)\{\{.*?\}\}`)
	tags       = regexp.MustCompile(`(?s)<[^>]*>`)
	attributes = regexp.MustCompile(`\b(?:title|placeholder|alt|aria-label|aria-description|data-label|label|content)="([^"]*)"`)
	commands   = regexp.MustCompile(`(?s)<pre class="command">.*?</pre>`)
	word       = regexp.MustCompile(`\pL{2,}`)
)

// No template holds a word of its own, neither as text nor in an attribute that people read or hear.
func TestTemplatesHoldNoWords(t *testing.T) {
	files, err := fs.Glob(templateFiles, "templates/*.html")
	if err != nil || len(files) < 10 {
		t.Fatalf("%d templates: %v", len(files), err)
	}
	for _, file := range files {
		b, err := templateFiles.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		s := actions.ReplaceAllString(commands.ReplaceAllString(string(b), ""), "")
		for _, m := range attributes.FindAllStringSubmatch(s, -1) {
			if w := word.FindString(m[1]); w != "" && m[1] != "light dark" && !strings.ContainsAny(m[1], "0123456789") { // examples hold digits
				t.Errorf("%s: the attribute %q holds a word", file, m[0])
			}
		}
		if w := word.FindString(tags.ReplaceAllString(s, " ")); w != "" {
			t.Errorf("%s holds the word %q", file, w)
		}
	}
	if word.FindString(tags.ReplaceAllString(actions.ReplaceAllString(`<p title="x">{{t "a"}} Hello</p>`, ""), " ")) != "Hello" {
		t.Error("the search finds no word where one is")
	}
}

// Files with a name twice, or with a value that is no text, are refused.
func TestCatalogueIsStrict(t *testing.T) {
	c := &catalogue{texts: map[string]string{}}
	if err := c.add("", map[string]any{"a": map[string]any{"b": "text"}}); err != nil || c.text("a.b") != "text" {
		t.Errorf("%v: %q", err, c.text("a.b"))
	}
	for _, bad := range []map[string]any{{"a": map[string]any{"b": "again"}}, {"n": 1}, {"n": true}} {
		if err := c.add("", bad); err == nil {
			t.Errorf("%v is taken", bad)
		}
	}
	if _, err := loadCatalogue("xx"); err == nil {
		t.Error("a language without texts is taken")
	}
}

// Times and numbers as pages write them.
func TestWriting(t *testing.T) {
	c := newConsole(t)
	now := time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC)
	ten := 10_000
	for _, tt := range []struct{ got, want string }{
		{c.words.ago(now, now.Add(-2*time.Second)), "just now"},
		{c.words.ago(now, now.Add(-time.Minute)), "1 minute ago"},
		{c.words.ago(now, now.Add(-47*time.Hour)), "47 hours ago"},
		{c.words.ago(now, now.Add(-72*time.Hour)), "3 days ago"},
		{c.words.ago(now, time.Time{}), "never"},
		{stamp(now, now.Add(-time.Hour)), "11:00:00"},
		{stamp(now, now.Add(-24*time.Hour)), "3 Mar 12:00:00"},
		{stamp(now, now.Add(-365*24*time.Hour)), "4 Mar 2025 12:00"},
		{stamp(now, time.Time{}), "–"},
		{thousands(1234567), "1\u202f234\u202f567"},
		{thousands(-123), "-123"},
		{thousands(&ten), "10\u202f000"},
		{percent(1, 3), "33 %"},
		{percent(1, 0), "–"},
		{c.words.took(0.04), "0.0 s"},
		{c.words.took(-1), "0.0 s"},
		{c.words.took(61), "61 s"},
		{c.words.took(600), "10 min"},
		{c.words.took(7200), "2 h"},
		{c.words.took(200_000), "2 days"},
		{c.words.seconds(90), "90 seconds"},
		{c.words.seconds(121), "3 minutes"},
		{c.words.seconds(3600), "1 hour"},
		{c.words.seconds(7201), "3 hours"},
		{c.words.signal(0), "unknown"},
		{c.words.signal(-110), "-110 dBm, weak"},
		{fmt.Sprint(fields("a, b;c\n d")), "[a b c d]"},
	} {
		if tt.got != tt.want {
			t.Errorf("%q, want %q", tt.got, tt.want)
		}
	}
}
