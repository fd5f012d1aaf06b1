package console

import (
	"bytes"
	"embed"
	"fmt"
	"html/template"
	"io/fs"
	"net/http"
	"path"
	"strings"

	"otpost/api/wire"
)

//go:embed templates/*.html
var templateFiles embed.FS

// The files that every page is made with.
const (
	layoutFile = "layout.html"
	partsFiles = "parts*.html"
)

// pages are the templates by name: layout, parts and the page's own.
type pages map[string]*template.Template

// frame is what a template gets.
type frame struct {
	Title    string
	Menu     []menuItem
	Notes    []note
	SignedIn bool
	Demo     bool
	Who      wire.Caller
	Theme    string
	Path     string // to come back to
	CSRF     string
	Live     bool // the page is to be kept true by script
	Assets   map[string]string
	Data     any

	request *request
}

// menuItem is an entry of the menu as it is shown.
type menuItem struct {
	Text, Path string
	Current    bool
}

// May says whether the visitor has one of the scopes, or admin.
func (f frame) May(scopes ...string) bool { return f.request.may(scopes...) }

func (c *Console) parse() (pages, error) {
	base, err := template.New("").Funcs(c.functions()).ParseFS(templateFiles, "templates/"+layoutFile, "templates/"+partsFiles)
	if err != nil {
		return nil, fmt.Errorf("read the templates: %w", err)
	}
	files, err := fs.Glob(templateFiles, "templates/*.html")
	if err != nil {
		return nil, fmt.Errorf("find the templates: %w", err)
	}
	all := pages{}
	for _, file := range files {
		name := path.Base(file)
		if shared, _ := path.Match(partsFiles, name); shared || name == layoutFile {
			continue
		}
		one, err := base.Clone()
		if err != nil {
			return nil, fmt.Errorf("copy the layout: %w", err)
		}
		if _, err := one.ParseFS(templateFiles, file); err != nil {
			return nil, fmt.Errorf("read template %s: %w", name, err)
		}
		all[strings.TrimSuffix(name, ".html")] = one
	}
	return all, nil
}

// show answers with a page: the template of that name in the layout. A page that a form brought forth is not kept true,
// since it cannot be read again.
func (q *request) show(name, title string, data any) error {
	page := q.console.pages[name]
	if page == nil {
		return fmt.Errorf("there is no template %s", name)
	}
	f := frame{Title: title, Theme: q.theme(), Path: q.URL.RequestURI(), Assets: q.console.assets.paths, Data: data, request: q}
	if q.Method != http.MethodGet {
		f.Path = Base
	}
	if s := q.session; s != nil {
		f.SignedIn, f.Demo, f.Who, f.CSRF = true, s.demo, s.who, s.csrf
		f.Live = q.Method == http.MethodGet && q.status == 0
		f.Menu = q.menu()
		if !q.live() {
			f.Notes = s.told()
		}
	}
	var b bytes.Buffer
	if err := page.ExecuteTemplate(&b, "layout", f); err != nil {
		return fmt.Errorf("write page %s: %w", name, err)
	}
	q.w.Header().Set("Content-Type", "text/html; charset=utf-8")
	if q.status != 0 {
		q.w.WriteHeader(q.status)
	}
	_, _ = q.w.Write(b.Bytes()) // a browser that is gone needs no page
	return nil
}

func (q *request) menu() []menuItem {
	var items []menuItem
	for _, e := range menu() {
		if e.simulated && !q.console.cfg.Simulated || !q.may(e.may...) {
			continue
		}
		items = append(items, menuItem{Text: q.console.words.text("nav." + e.name), Path: Base + e.path, Current: e.name == q.route.nav})
	}
	return items
}

func (q *request) theme() string {
	c, err := q.Cookie(themeCookie)
	if err != nil {
		return "auto"
	}
	return themeOf(c.Value)
}
