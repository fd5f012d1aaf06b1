package browser

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha512"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// axe-core, as npm has it. A new version changes both lines.
const (
	axeVersion   = "4.14.1"
	axeIntegrity = "FHfa+lmNjQZfJz1q8wKqIDwC6DExcHt/pkjNQb09a3NPjCKg2rhu5qb2S4r76ASyFNNtuFooJpZe37OgudVGtQ=="
)

// axeSource fetches axe-core by npm, which keeps it, and returns its script.
func axeSource(t *testing.T) string {
	t.Helper()
	npm, dir := need(t, "npm"), t.TempDir()
	cmd := exec.Command(npm, "pack", "--silent", "--prefer-offline", "--pack-destination", dir, "axe-core@"+axeVersion)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatalf("npm pack axe-core: %v: %s", err, out)
		}
		t.Skipf("axe-core cannot be had (npm pack: %v); it needs the network once", err)
	}
	packed, err := os.ReadFile(filepath.Join(dir, "axe-core-"+axeVersion+".tgz"))
	if err != nil {
		t.Fatal(err)
	}
	if sum := sha512.Sum512(packed); base64.StdEncoding.EncodeToString(sum[:]) != axeIntegrity {
		t.Fatal("axe-core is not the one that was chosen: its checksum differs")
	}
	source, err := fileOf(packed, "package/axe.min.js")
	if err != nil {
		t.Fatal(err)
	}
	return source
}

// fileOf reads one file of a packed npm package.
func fileOf(packed []byte, name string) (string, error) {
	unzipped, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		return "", err
	}
	for r := tar.NewReader(unzipped); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return "", fmt.Errorf("no %s in the package", name)
		}
		if err != nil {
			return "", err
		}
		if h.Name == name {
			b, err := io.ReadAll(r)
			return string(b), err
		}
	}
}

// finding is what axe-core finds wrong with a page.
type finding struct {
	ID, Impact, Help string
	Nodes            []struct {
		HTML           string
		FailureSummary string
	}
}

// What axe-core looks at: everything, or only what a change of colours can spoil.
const (
	allRules    = `{resultTypes: ["violations"]}`
	colourRules = `{resultTypes: ["violations"], runOnly: ["color-contrast", "link-in-text-block"]}`
)

// accessible fails the test for each serious or critical finding on the page.
func (b *tab) accessible(what, rules string) {
	b.t.Helper()
	if !eval[bool](b, "Boolean(window.axe)") {
		eval[bool](b, b.world.axe+"\n;true")
	}
	for _, f := range eval[[]finding](b, `axe.run(document, `+rules+`).then(r => r.violations)`) {
		if f.Impact != "serious" && f.Impact != "critical" {
			continue
		}
		for _, n := range f.Nodes {
			b.t.Errorf("%s: %s, %s: %s\n  %s\n  %s", what, f.Impact, f.ID, f.Help, n.HTML, strings.ReplaceAll(n.FailureSummary, "\n", "\n  "))
		}
	}
}
