package api

import (
	"net/http"
	"os"
	"regexp"
	"strings"
	"testing"

	"otpost/api/docs"
)

// manualPaths are all pages that are HTML.
func manualPaths() []string {
	paths := []string{"/docs", "/problems"}
	for _, part := range docs.New().Parts() {
		for _, p := range part.Pages {
			paths = append(paths, p.Path)
		}
	}
	for _, kind := range kinds {
		paths = append(paths, problem(kind.code, "").Type)
	}
	return paths
}

// Every page opens, also each problem's type, and the pages take nothing from elsewhere.
func TestPages(t *testing.T) {
	k := newKit(t)
	pages := map[string]string{"/docs/start.js": "text/javascript", "/docs/swagger-ui.css": "text/css", "/docs/manual.css": "text/css",
		"/docs/swagger-ui-bundle.js": "application/javascript"}
	for _, path := range manualPaths() {
		pages[path] = "text/html"
	}
	outside := regexp.MustCompile(`<(?:link|script|img|iframe|object|embed|source)[^>]* (?:src|href)="(?:https?:)?//`)
	inline := regexp.MustCompile(`<script>|<script [^s]|<style| style=| on[a-z]+=|javascript:`)
	for path, kind := range pages {
		r := k.do("GET", path, "", "", "Accept-Encoding: gzip")
		if r.StatusCode != http.StatusOK || !strings.HasPrefix(r.Header.Get("Content-Type"), kind) {
			t.Errorf("%s: %d %s", path, r.StatusCode, r.Header.Get("Content-Type"))
		}
		csp := r.Header.Get("Content-Security-Policy")
		if !strings.HasPrefix(csp, "default-src 'none';") || strings.Contains(csp, "script-src 'unsafe") || strings.Contains(csp, "http") || strings.Contains(csp, "*") {
			t.Errorf("%s: policy %q", path, csp)
		}
		if path != "/docs/api" && kind == "text/html" && (strings.Contains(csp, "script-src") || strings.Contains(csp, "unsafe")) {
			t.Errorf("%s: policy %q lets scripts in, or styles of the page", path, csp)
		}
		if kind == "text/html" && (outside.Match(r.body) || inline.Match(r.body)) {
			t.Errorf("%s takes something from elsewhere, or has script or style in the page: %s", path, r.body)
		}
	}
	for _, path := range []string{"/problems/none", "/docs/none.js", "/docs/howto/none", "/docs/runbook/none", "/docs/howto/..%2fdocs.go", "/docs/howto/docs.go", "/docs/../openapi.json"} {
		if r := k.do("GET", path, "", ""); r.StatusCode != http.StatusNotFound && r.StatusCode != http.StatusBadRequest {
			t.Errorf("%s: %d, want 404", path, r.StatusCode)
		}
	}
}

var (
	hrefs   = regexp.MustCompile(`href="(/[^"#]*|)(#[^"]+)?"`)
	ids     = regexp.MustCompile(` id="([^"]+)"`)
	heading = regexp.MustCompile(`<h1[^>]*>[^<]`)
)

// No link of the manual leads nowhere: neither to a page that is not there, nor to a place in a page that is not there.
func TestManualLinks(t *testing.T) {
	k := newKit(t)
	known := map[string]map[string]bool{} // the ids of every page
	open := func(path string) map[string]bool {
		if known[path] == nil {
			known[path] = map[string]bool{}
			r := k.do("GET", path, "", "")
			if r.StatusCode != http.StatusOK {
				return nil
			}
			known[path][""] = true
			for _, id := range ids.FindAllStringSubmatch(string(r.body), -1) {
				if known[path][id[1]] {
					t.Errorf("%s has two places called %s", path, id[1])
				}
				known[path][id[1]] = true
			}
		}
		return known[path]
	}
	links := 0
	for _, path := range manualPaths() {
		page := string(k.do("GET", path, "", "").body)
		if path != "/docs/api" && len(heading.FindAllString(page, -1)) != 1 {
			t.Errorf("%s has not one heading of the first order", path)
		}
		for _, m := range hrefs.FindAllStringSubmatch(page, -1) {
			links++
			target, place := m[1], strings.TrimPrefix(m[2], "#")
			if target == "" {
				target = path
			}
			if !open(target)[place] && target != "/console/" { // the console has tests of its own
				t.Errorf("%s links to %s#%s, which is not there", path, target, place)
			}
		}
	}
	if links < 500 {
		t.Errorf("looked at only %d links", links)
	}
	for _, path := range referred(t) {
		if r := k.do("GET", path, "", ""); r.StatusCode != http.StatusOK && r.StatusCode != http.StatusUnauthorized {
			t.Errorf("README refers to %s: %d", path, r.StatusCode)
		}
	}
}

// referred are the daemon's pages and the repository's files that the documents at its top name; files are looked at here.
func referred(t *testing.T) (paths []string) {
	t.Helper()
	for _, document := range []string{"README.md", "SECURITY.md", "ARCHITECTURE.md", "CONTRIBUTING.md"} {
		b, err := os.ReadFile("../" + document)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range regexp.MustCompile("`(/(?:docs|problems|openapi|metrics|healthz|readyz)[a-zA-Z0-9/._-]*)`").FindAllStringSubmatch(string(b), -1) {
			paths = append(paths, m[1])
		}
		for _, m := range regexp.MustCompile("`([a-zA-Z0-9._-]+[.]md|(?:api|cmd|configs|driver|gateway|otp|systemd|[.]ci)/[a-zA-Z0-9/._-]*)`").FindAllStringSubmatch(string(b), -1) {
			if _, err := os.Stat("../" + m[1]); err != nil {
				t.Errorf("%s refers to %s: %v", document, m[1], err)
			}
		}
	}
	return paths
}

// A page is also there as it is written, and programs can be fetched.
func TestManualAsText(t *testing.T) {
	k := newKit(t)
	const page = "/docs/runbook/OtpostDown"
	for _, tc := range []struct{ path, accept, kind string }{
		{page, "", "text/html"}, {page, "*/*", "text/html"}, {page, "text/html,text/plain;q=0.5", "text/html"},
		{page, "text/plain", "text/plain"}, {page, "text/markdown", "text/plain"}, {page + "?format=md", "text/html", "text/plain"},
	} {
		r := k.do("GET", tc.path, "", "", "Accept: "+tc.accept)
		if r.StatusCode != http.StatusOK || !strings.HasPrefix(r.Header.Get("Content-Type"), tc.kind) {
			t.Errorf("%s with %q: %d %s, want %s", tc.path, tc.accept, r.StatusCode, r.Header.Get("Content-Type"), tc.kind)
		}
		if tc.kind == "text/plain" && !strings.HasPrefix(string(r.body), "# OtpostDown\n") {
			t.Errorf("%s with %q: %.60s", tc.path, tc.accept, r.body)
		}
	}
	for path, want := range map[string]string{"/docs/tutorial/portal.php": "<?php\n", "/docs/tutorial/portal.mjs": "import ", "/docs/tutorial/portal.go": "package main",
		"/docs/howto/typescript/enable.ts": "openapi-fetch", "/docs/howto/typescript/package.json": "openapi-typescript", "/docs/howto/typescript/package-lock.json": "lockfileVersion"} {
		r := k.do("GET", path, "", "")
		if r.StatusCode != http.StatusOK || !strings.HasPrefix(r.Header.Get("Content-Type"), "text/plain") || !strings.Contains(string(r.body), want) {
			t.Errorf("%s: %d %s: %.60s", path, r.StatusCode, r.Header.Get("Content-Type"), r.body)
		}
	}
	for _, path := range []string{"/docs/tutorial/none.php", "/docs/howto/typescript/none.ts", "/docs/tutorial/docs.go", "/docs/tutorial/..%2fdocs.go"} {
		if r := k.do("GET", path, "", ""); r.StatusCode != http.StatusNotFound && r.StatusCode != http.StatusBadRequest {
			t.Errorf("%s: %d, want 404", path, r.StatusCode)
		}
	}
	if r := k.do("GET", "/docs/", "", ""); r.StatusCode != http.StatusMovedPermanently || r.Header.Get("Location") != "/docs" {
		t.Errorf("/docs/: %d to %s, want /docs", r.StatusCode, r.Header.Get("Location"))
	}
}
