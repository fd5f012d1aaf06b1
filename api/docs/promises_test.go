package docs

import (
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const root = "../../"

var (
	declared = regexp.MustCompile(`(?m)^func ((?:Test|Fuzz)\w+)\(`)
	named    = regexp.MustCompile("`((?:Test|Fuzz)[A-Z0-9]\\w*)`")
	quoted   = regexp.MustCompile("`([^`]+)`")
	command  = regexp.MustCompile(`^go test (?:-race )?\./([a-z/]+) -run '([^']+)'(?: -fuzz '([^']+)' -fuzztime [0-9]+[xsmh])?(?: -timeout [0-9]+[mh])?(?: -args -(soak|seeds)=[0-9]+)?$`)
)

// tests are the tests and fuzz targets of a package, and their source.
type tests struct {
	names  []string
	source string
}

// tree holds the packages that were read so far.
type tree map[string]tests

func (all tree) in(t *testing.T, pkg string) (p tests) {
	t.Helper()
	if p, ok := all[pkg]; ok {
		return p
	}
	files, err := filepath.Glob(filepath.Join(root, pkg, "*_test.go"))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		p.source += string(b)
	}
	for _, m := range declared.FindAllStringSubmatch(p.source, -1) {
		p.names = append(p.names, m[1])
	}
	all[pkg] = p
	return p
}

// run returns the tests that a command of the page would run, and complains if it is no command that go test takes.
func (all tree) run(t *testing.T, cmd string) (names []string) {
	t.Helper()
	m := command.FindStringSubmatch(cmd)
	if m == nil {
		t.Errorf("not a command that the page may show: %s", cmd)
		return nil
	}
	pkg := all.in(t, m[1])
	if m[4] != "" && !strings.Contains(pkg.source, `flag.Int("`+m[4]+`"`) {
		t.Errorf("the tests of %s have no flag -%s: %s", m[1], m[4], cmd)
	}
	for i, pattern := range m[2:4] {
		re, err := regexp.Compile(pattern)
		if err != nil {
			t.Errorf("%s: %v", cmd, err)
			continue
		}
		for _, name := range pkg.names {
			if pattern != "" && re.MatchString(name) && (i == 0 || strings.HasPrefix(name, "Fuzz")) {
				names = append(names, name)
			}
		}
	}
	return names
}

// cells splits a row of a table; a pipe in a cell is written \|.
func cells(row string) []string {
	row = strings.ReplaceAll(strings.Trim(row, "| "), `\|`, "\x00")
	all := strings.Split(row, " | ")
	for i := range all {
		all[i] = strings.ReplaceAll(all[i], "\x00", "|")
	}
	return all
}

// proofs are the rows of a page that end with a command.
func proofs(t *testing.T, page string) (rows [][]string) {
	t.Helper()
	b, ok := Markdown("explanation/" + page)
	if !ok {
		t.Fatalf("there is no page %s", page)
	}
	for line := range strings.Lines(string(b)) {
		if row := cells(strings.TrimSpace(line)); strings.HasPrefix(line, "|") && strings.Contains(row[len(row)-1], "`") {
			rows = append(rows, row)
		}
	}
	return rows
}

// Each row of both pages names tests that are there, and commands that run those tests and no others.
func TestProofsRun(t *testing.T) {
	all := tree{}
	for page, least := range map[string]int{"promises": 70, "mended": 45} {
		rows := proofs(t, page)
		if len(rows) < least {
			t.Errorf("%s has %d rows, want %d at least", page, len(rows), least)
		}
		for _, row := range rows {
			want, got := map[string]bool{}, map[string]bool{}
			for _, m := range named.FindAllStringSubmatch(row[len(row)-2], -1) {
				want[m[1]] = true
			}
			for _, m := range quoted.FindAllStringSubmatch(row[len(row)-1], -1) {
				names := all.run(t, m[1])
				if len(names) == 0 {
					t.Errorf("%s: nothing is run by %s", page, m[1])
				}
				for _, name := range names {
					got[name] = true
				}
			}
			if len(row) > 2 && !maps.Equal(want, got) {
				t.Errorf("%s: the row %q names %v and runs %v", page, row[0], slices.Sorted(maps.Keys(want)), slices.Sorted(maps.Keys(got)))
			}
		}
	}
}

// The page leaves out no test that carries an invariant's name.
func TestEveryInvariantIsNamed(t *testing.T) {
	b, _ := Markdown("explanation/promises")
	found := map[string]bool{}
	for _, pkg := range []string{"otp", "gateway", "cmd/otpost/daemon", "driver", "api"} {
		for _, name := range (tree{}).in(t, pkg).names {
			if number, ok := strings.CutPrefix(name, "TestInvariant"); ok {
				found[number[:1]] = true
				if !strings.Contains(string(b), "`"+name+"`") {
					t.Errorf("the page does not name %s of %s", name, pkg)
				}
			}
		}
	}
	if got := slices.Sorted(maps.Keys(found)); strings.Join(got, "") != "1234567" {
		t.Errorf("tests are named for the invariants %v, want 1 to 7", got)
	}
}

// What the rows are held to is found when it is wrong.
func TestProofsThatAreWrong(t *testing.T) {
	for _, cmd := range []string{"go test ./otp", "go test ./otp -run TestX", "go test ./otp -run '^TestX$' && true", "rm -r .", "go test ../x -run '^TestX$'"} {
		if command.MatchString(cmd) {
			t.Errorf("%s passes for a command", cmd)
		}
	}
	if names := (tree{}).run(t, "go test ./otp -run '^TestThatNobodyWrote$'"); len(names) != 0 {
		t.Errorf("ran %v", names)
	}
	if got := cells("| a | `x -run '^(A\\|B)$'` |"); len(got) != 2 || got[1] != "`x -run '^(A|B)$'`" {
		t.Errorf("cells = %q", got)
	}
}
