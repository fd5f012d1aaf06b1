package manual

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/alecthomas/kong"
	"github.com/google/go-cmp/cmp"
)

// cli is a small command line of every kind.
type cli struct {
	Modem struct {
		List struct {
			JSON  bool   `help:"Print JSON."`
			State string `enum:",ready,down" default:"" short:"s" help:"Only these. More text."`
			Limit int    `help:"How many."`
		} `cmd:"" help:"List modems. And more."`
		Show showCmd `cmd:"" help:"Show one."`
	} `cmd:"" help:"Modems."`
	Shell struct {
		Name string `arg:"" enum:"bash,zsh" help:"Which."`
	} `cmd:"" help:"Shells."`
	Secret struct{} `cmd:"" hidden:"" help:"Not shown."`
}

type showCmd struct {
	Name string `arg:"" help:"Its name."`
}

func (*showCmd) Help() string {
	return "It says .all of it\nwith a \\ in it.\n\nExamples:\n\n    prog modem show x\n    .dot"
}

func app(t *testing.T) *kong.Application {
	t.Helper()
	k, err := kong.New(&cli{}, kong.Name("prog"), kong.Description("A program.\n\nTry:  prog modem list"))
	if err != nil {
		t.Fatal(err)
	}
	return k.Model
}

func TestComplete(t *testing.T) {
	for _, c := range []struct{ line, want string }{
		{"", "modem shell"},
		{"mo", "modem"},
		{"modem ", "list show"},
		{"modem l", "list"},
		{"modem list --", "--help --json --state --limit"},
		{"modem list --s", "--state"},
		{"modem list --state ", "ready down"},
		{"modem list --state r", "ready"},
		{"modem list -s d", "down"},
		{"modem list --state=", "--state=ready --state=down"},
		{"modem list --state=d", "--state=down"},
		{"modem list --json ", ""},
		{"modem list --limit ", ""},
		{"modem list --state ready --l", "--limit"},
		{"modem list --state=ready --l", "--limit"},
		{"modem --json list --l", "--limit"},
		{"modem show ", ""},
		{"shell ", "bash zsh"},
		{"shell z", "zsh"},
		{"secret", ""},
		{"nonsense ", "modem shell"},
		{"modem list --nothing=", ""},
	} {
		words := strings.Split(c.line, " ")
		var got []string
		for _, cand := range Complete(app(t), words) {
			got = append(got, cand.Word)
		}
		if d := cmp.Diff(c.want, strings.Join(got, " ")); d != "" {
			t.Errorf("%q (-want +got)\n%s", c.line, d)
		}
	}
	if got := Complete(app(t), []string{"modem", "l"}); len(got) != 1 || got[0].Help != "List modems" {
		t.Errorf("help of a command: %+v", got)
	}
	if got := Complete(app(t), nil); len(got) != 2 {
		t.Errorf("no words: %+v", got)
	}
}

// Whatever stands on the line, completing it ends, and what it gives begins like the last word.
func FuzzComplete(f *testing.F) {
	f.Add("modem list --state=re")
	f.Fuzz(func(t *testing.T, line string) {
		words := strings.Split(line, " ")
		for _, c := range Complete(app(t), words) {
			if !strings.HasPrefix(c.Word, words[len(words)-1]) {
				t.Errorf("%q goes on with %q", line, c.Word)
			}
		}
	})
}

func TestScripts(t *testing.T) {
	for _, shell := range Shells() {
		if !strings.Contains(Script(shell), "otpost complete -- ") {
			t.Errorf("%s: %q", shell, Script(shell))
		}
		if _, err := exec.LookPath(shell); err != nil {
			t.Logf("%s is not installed: its script is not read by it", shell)
			continue
		}
		cmd := exec.Command(shell, "-n")
		cmd.Stdin = strings.NewReader(Script(shell))
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%s -n: %v: %s", shell, err, out)
		}
	}
	if Script("tcsh") != "" {
		t.Error("there is a script for a shell that is not listed")
	}
}

// Each shell, with its script read, completes a line as the program says: what the program is asked for is recorded by a
// stand-in, and what it answers comes out of the shell.
func TestShellsComplete(t *testing.T) {
	dir := t.TempDir()
	put := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
		return path
	}
	put("otpost", `#!/bin/sh
printf '%s|' "$@" >>`+filepath.Join(dir, "asked")+`
printf 'list\tList the modems\nlisten:all\tWith a colon\n'
`)
	for _, shell := range []struct{ name, script string }{
		{"bash", `source "$1"; COMP_WORDS=(otpost modem li); COMP_CWORD=2; _otpost; printf '%s\n' "${COMPREPLY[@]}"`},
		// _describe is zsh's own and works on a line editor's line only; what it is given is what counts
		{"zsh", `compdef() { :; }; _files() { echo files; }; _describe() { print -rl -- "${(@P)2}"; }; source "$1"; words=(otpost modem li); CURRENT=3; _otpost`},
		{"fish", `source $argv[1]; complete -C "otpost modem li"`},
	} {
		t.Run(shell.name, func(t *testing.T) {
			if _, err := exec.LookPath(shell.name); err != nil {
				if os.Getenv("CI") == "true" {
					t.Fatalf("%s is not installed", shell.name)
				}
				t.Skipf("%s is not installed", shell.name)
			}
			args := []string{"-c", shell.script, shell.name, put("script", Script(shell.name))}
			if shell.name == "fish" {
				args = slices.Delete(args, 2, 3)
			}
			cmd := exec.Command(shell.name, args...)
			cmd.Env = append(os.Environ(), "PATH="+dir+":"+os.Getenv("PATH"), "HOME="+dir)
			out, err := cmd.CombinedOutput()
			if err != nil || !strings.Contains(string(out), "list") || !strings.Contains(string(out), "listen") {
				t.Errorf("%v: %s", err, out)
			}
			if shell.name == "zsh" && !strings.Contains(string(out), `listen\:all:With a colon`) || shell.name == "fish" && !strings.Contains(string(out), "list\tList the modems") {
				t.Errorf("what the words mean is lost: %q", out)
			}
			asked, err := os.ReadFile(filepath.Join(dir, "asked"))
			if err != nil || !strings.HasPrefix(string(asked), "complete|--|modem|li|") {
				t.Errorf("the program was asked %q, %v", asked, err)
			}
			_ = os.Remove(filepath.Join(dir, "asked")) // the next shell asks anew
		})
	}
}

// The page holds every command and flag that is not hidden, and groff has nothing against it.
func TestMan(t *testing.T) {
	got := Man(app(t), Page{Version: "1.0", Date: "2026-03-04", Tagline: "a program - to test", Sections: []Section{{"FILES", [][2]string{{"/etc/prog", ".hidden"}}}}})
	for _, want := range []string{
		".TH PROG 1 \"2026-03-04\" \"prog 1.0\"", `prog \- a program \- to test`, ".SS prog modem list\n", ".SS prog modem show <name>\n",
		`\-s, \-\-state=`, "It says .all of it\nwith a \\e in it.\n", ".RS 4\n.nf\nprog modem show x\n\\&.dot\n.fi\n", ".SH FILES\n.TP\n.B /etc/prog\n\\&.hidden\n",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("the page lacks %q:\n%s", want, got)
		}
	}
	if strings.Contains(got, "Not shown") {
		t.Error("the page shows a hidden command")
	}
	if _, err := exec.LookPath("groff"); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("groff is not installed")
		}
		t.Skip("groff is not installed: the page is not read by it")
	}
	cmd := exec.Command("groff", "-man", "-Tutf8", "-ww", "-z", "-k")
	cmd.Stdin = strings.NewReader(got)
	if out, err := cmd.CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("groff: %v: %s", err, out)
	}
}
