package docs

import (
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// Every page stands in the outline, once, and says in its first lines what it is.
func TestOutlineIsWhole(t *testing.T) {
	titles := map[string]bool{}
	var known []string
	for _, part := range New().Parts() {
		for _, p := range part.Pages {
			if titles[p.Title] || p.Title == "" || strings.HasPrefix(p.Title, "#") {
				t.Errorf("%s: the title %q is missing or another page's", p.Path, p.Title)
			}
			titles[p.Title] = true
			if len(p.Summary) < 40 || strings.ContainsAny(p.Summary, "`|#") {
				t.Errorf("%s: the first paragraph does not say what the page is: %q", p.Path, p.Summary)
			}
			known = append(known, strings.TrimPrefix(p.Path, "/docs/")+".md")
		}
	}
	err := fs.WalkDir(files, ".", func(name string, d fs.DirEntry, err error) error {
		if err == nil && path.Ext(name) == ".md" && !slices.Contains(known, name) {
			t.Errorf("%s is not in the outline", name)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// Every page is rendered whole: programs in place, no raw HTML left out, no line of the source wider than a screen.
func TestPagesRender(t *testing.T) {
	m := New()
	raw := regexp.MustCompile(`<!-- raw HTML omitted -->|file=[a-z]`)
	for name := range m.pages {
		f, ok, err := m.Page(name)
		if !ok || err != nil || len(f.Body) < 200 || f.Title == "" {
			t.Errorf("%s: %v %v, %d bytes called %q", name, ok, err, len(f.Body), f.Title)
		}
		if found := raw.FindString(string(f.Body)); found != "" {
			t.Errorf("%s: %s", name, found)
		}
	}
	if _, ok, _ := m.Page("howto/none"); ok {
		t.Error("found a page that is not there")
	}
}

func TestPlain(t *testing.T) {
	if got, want := plain("A [link](/docs/x) to `code`,\n**bold**."), "A link to code, bold."; got != want {
		t.Errorf("plain = %q, want %q", got, want)
	}
}
