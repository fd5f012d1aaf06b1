package main

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/alecthomas/kong"
	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the generated page of the manual anew")

const commandsIntro = `# Commands

Every command of the program with its flags and examples, from the declaration that parses the command line.

All of them take ` + "`--help`" + `. Exit codes: 0 it worked; 1 it did not, and standard error says why; 2 the command line was wrong and
nothing was done; 78 the configuration is wrong. ` + "`NO_COLOR`" + ` is heeded. Most print JSON with ` + "`--json`" + `. The same text is a manual
page: ` + "`otpost man | man -l -`" + `.

## Reaching the daemon

Commands that ask the daemon find its socket through the configuration, or go to another machine with a key from a file:

| Flag | What it says |
|---|---|
`

// The manual's page is made from the declaration of the commands. After a change: go test ./cmd/otpost -run ReferencePage -update
func TestReferencePage(t *testing.T) {
	const page = "../../api/docs/reference/commands.md"
	var cli commands
	parser, err := kong.New(&cli, kong.Name("otpost"), kong.Description(description))
	if err != nil {
		t.Fatal(err)
	}
	got := commandsPage(parser.Model)
	if *update {
		if err := os.WriteFile(page, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(strings.Split(string(want), "\n"), strings.Split(got, "\n")); diff != "" {
		t.Errorf("the page does not say what the program does; go test ./cmd/otpost -run ReferencePage -update (-page +code):\n%s", diff)
	}
}

// reaching are the flags of every command that asks the daemon; they are told once.
var reaching = []string{"config", "socket", "address", "key-file", "ca-file"}

func commandsPage(app *kong.Application) string {
	var b strings.Builder
	b.WriteString(commandsIntro)
	for _, leaf := range app.Leaves(true) {
		if asksDaemon(leaf) {
			for _, f := range leaf.Flags {
				if !f.Hidden && isReaching(f) {
					flagRow(&b, f)
				}
			}
			break
		}
	}
	group := ""
	for _, leaf := range app.Leaves(true) {
		first, _, grouped := strings.Cut(leaf.Path(), " ")
		if grouped && first != group {
			fmt.Fprintf(&b, "\n## otpost %s\n", first)
		}
		group = first
		commandPart(&b, leaf, grouped)
	}
	return b.String()
}

func commandPart(b *strings.Builder, leaf *kong.Node, grouped bool) {
	mark := "##"
	if grouped {
		mark = "###"
	}
	usage := "otpost " + leaf.Path()
	for _, p := range leaf.Positional {
		usage += " " + p.Summary()
	}
	fmt.Fprintf(b, "\n%s `%s`\n\n%s", mark, usage, leaf.Help)
	if asksDaemon(leaf) {
		b.WriteString(" It asks the daemon.")
	}
	b.WriteString("\n")
	head := "\n| Flag | What it says |\n|---|---|\n"
	for _, f := range leaf.Flags {
		if f.Hidden || f.Name == "help" || asksDaemon(leaf) && isReaching(f) {
			continue
		}
		b.WriteString(head)
		head = ""
		flagRow(b, f)
	}
	text, examples, found := strings.Cut(leaf.Detail, "Examples:")
	if text = strings.TrimSpace(text); text != "" {
		fmt.Fprintf(b, "\n%s\n", text)
	}
	if found {
		fmt.Fprintf(b, "\n```\n%s\n```\n", strings.TrimSpace(strings.ReplaceAll(examples, "\n    ", "\n")))
	}
}

func asksDaemon(leaf *kong.Node) bool {
	for _, f := range leaf.Flags {
		if f.Name == "ca-file" {
			return true
		}
	}
	return false
}

func isReaching(f *kong.Flag) bool {
	for _, name := range reaching {
		if f.Name == name {
			return true
		}
	}
	return false
}

func flagRow(b *strings.Builder, f *kong.Flag) {
	name := f.Summary()
	if f.Short != 0 {
		name = "-" + string(f.Short) + ", " + name
	}
	fmt.Fprintf(b, "| `%s` | %s |\n", name, strings.ReplaceAll(f.Help, "|", `\|`))
}
