package operate

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"golang.org/x/term"
)

// asJSON is the flag of every command that prints something a program may want to read.
type asJSON struct {
	JSON bool `help:"Print JSON."`
}

// print writes v as JSON, or as text says.
func (j asJSON) print(w io.Writer, v any, text func(w io.Writer)) error {
	if j.JSON {
		return PrintJSON(w, v)
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	text(t)
	return t.Flush()
}

// row writes one line of a table.
func row(w io.Writer, cells ...string) {
	fmt.Fprintln(w, strings.Join(cells, "\t"))
}

// pair writes one line of a sheet of facts, unless there is nothing to say.
func pair(w io.Writer, name string, value any) {
	if s := fmt.Sprint(value); s != "" {
		fmt.Fprintf(w, "%s\t%s\n", name, s)
	}
}

// clock is a time as people read it, in UTC; an unset one is nothing.
func clock(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format("2006-01-02 15:04:05Z")
}

// dash stands where there is nothing, so that columns can be told apart by programs too.
func dash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

// terminal says whether a person looks at w.
func terminal(w any) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// colour says whether w may be coloured: a terminal that can, and nobody who asked for none (no-color.org).
func colour(w io.Writer) bool {
	return os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb" && terminal(w)
}

// sure asks on the terminal before something that cannot be undone. Without a terminal --yes is needed.
func (con *Console) sure(yes bool, question string) error {
	if yes {
		return nil
	}
	if !terminal(con.in) {
		return UsageError(question + " Nobody is there to ask; say --yes")
	}
	fmt.Fprintf(con.err, "%s Type yes: ", question)
	answer, err := bufio.NewReader(con.in).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return fmt.Errorf("read the answer: %w", err)
	}
	if strings.TrimSpace(answer) != "yes" {
		return errors.New("nothing was done")
	}
	return nil
}
