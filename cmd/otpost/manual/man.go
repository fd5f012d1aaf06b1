package manual

import (
	"fmt"
	"strings"

	"github.com/alecthomas/kong"
)

// Page is the text of a manual page beside what the command line itself says.
type Page struct {
	Version  string
	Date     string // of the release, 2006-01-02; empty: none is named
	Tagline  string // one line, for whatis(1)
	Sections []Section
}

// Section is a section of the page, with an entry for each pair of term and text.
type Section struct {
	Title   string
	Entries [][2]string
}

// Man is the program's manual page, in roff for man(7).
func Man(app *kong.Application, p Page) string {
	var b strings.Builder
	name := app.Name
	fmt.Fprintf(&b, ".TH %s 1 %q %q %q\n", strings.ToUpper(name), p.Date, name+" "+p.Version, "Otpost")
	fmt.Fprintf(&b, ".SH NAME\n%s \\- %s\n", roff(name), roff(p.Tagline))
	fmt.Fprintf(&b, ".SH SYNOPSIS\n.B %s\n.I command\n[\\fIflags\\fR]\n", roff(name))
	b.WriteString(".SH DESCRIPTION\n")
	paragraphs(&b, app.Help)
	b.WriteString(".SH COMMANDS\n")
	for _, leaf := range app.Leaves(true) {
		command(&b, name, leaf)
	}
	for _, s := range p.Sections {
		fmt.Fprintf(&b, ".SH %s\n", roff(s.Title))
		for _, e := range s.Entries {
			fmt.Fprintf(&b, ".TP\n.B %s\n%s\n", roff(e[0]), roff(e[1]))
		}
	}
	return b.String()
}

func command(b *strings.Builder, name string, leaf *kong.Node) {
	usage := leaf.Path()
	for _, p := range leaf.Positional {
		usage += " " + p.Summary()
	}
	fmt.Fprintf(b, ".SS %s %s\n", roff(name), roff(usage))
	paragraphs(b, leaf.Help)
	for _, f := range leaf.Flags {
		if !f.Hidden {
			flag(b, f)
		}
	}
	if leaf.Detail != "" {
		b.WriteString(".PP\n")
		paragraphs(b, leaf.Detail)
	}
}

func flag(b *strings.Builder, f *kong.Flag) {
	head := f.Summary()
	if f.Short != 0 {
		head = "-" + string(f.Short) + ", " + head
	}
	fmt.Fprintf(b, ".TP\n.B %s\n%s\n", roff(head), roff(f.Help))
}

// paragraphs writes text whose indented lines stand as they are: the examples.
func paragraphs(b *strings.Builder, text string) {
	literal, empty := false, true
	for line := range strings.SplitSeq(strings.TrimSpace(text), "\n") {
		indented := strings.HasPrefix(line, "    ")
		switch {
		case strings.TrimSpace(line) == "":
			if !literal && !empty {
				b.WriteString(".PP\n")
			}
			empty = true
			continue
		case indented && !literal:
			b.WriteString(".RS 4\n.nf\n")
		case !indented && literal:
			b.WriteString(".fi\n.RE\n.PP\n")
		}
		literal, empty = indented, false
		b.WriteString(roff(strings.TrimSpace(line)) + "\n")
	}
	if literal {
		b.WriteString(".fi\n.RE\n")
	}
}

// roff escapes text: backslashes, hyphens that must stay hyphens, and what would be a request at the begin of a line.
func roff(s string) string {
	s = strings.NewReplacer(`\`, `\e`, "-", `\-`, "\n", " ", "…", `\&...`, "→", `\(->`).Replace(s)
	if strings.HasPrefix(s, ".") || strings.HasPrefix(s, "'") {
		s = `\&` + s
	}
	return s
}
