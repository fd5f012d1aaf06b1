package bulk

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"otpost/api/client"
	"otpost/api/wire"
)

// daemon is a Sender that keeps the promise of idempotency keys. fail is asked before each send: an error means that the
// answer is lost, and whether the text was taken before that is told apart.
type daemon struct {
	byKey map[string]*wire.Message
	sent  []string
	fail  func(to string) (taken bool, err error)
}

func (d *daemon) Send(_ context.Context, key string, in wire.SendMessage) (*wire.Message, error) {
	if m := d.byKey[key]; m != nil {
		return m, nil
	}
	take := func() *wire.Message {
		d.sent = append(d.sent, string(in.To)+": "+string(in.Text))
		d.byKey[key] = &wire.Message{ID: fmt.Sprintf("msg_%d", len(d.sent)), To: "masked"}
		return d.byKey[key]
	}
	if d.fail != nil {
		if taken, err := d.fail(string(in.To)); err != nil {
			if taken {
				take()
			}
			return nil, err
		}
	}
	return take(), nil
}

const three = "to,name\n+447700900101,Ann\n+447700900102,Bob\n+447700900103,Cat\n"

func rowsOf(t *testing.T, list, template string) []Row {
	t.Helper()
	rows, err := ReadList(strings.NewReader(list), template)
	if err != nil {
		t.Fatal(err)
	}
	return rows
}

// run is one run of the program on a list.
func run(t *testing.T, path string, d *daemon, rows []Row) (Tally, error) {
	t.Helper()
	r, err := OpenReport(path)
	if err != nil {
		t.Fatal(err)
	}
	tally, err := (&Job{Rows: rows, Report: r, Sender: d}).Run(context.Background())
	if cerr := r.Close(); cerr != nil {
		t.Error(cerr)
	}
	return tally, err
}

// However a run is cut off at each row, before or after the daemon took it, the next ones send every row exactly once.
func TestResume(t *testing.T) {
	rows := rowsOf(t, three, "Hello {name}")
	want := []string{"+447700900101: Hello Ann", "+447700900102: Hello Bob", "+447700900103: Hello Cat"}
	for _, at := range rows {
		for _, taken := range []bool{false, true} {
			t.Run(fmt.Sprintf("line %d, taken %v", at.Line, taken), func(t *testing.T) {
				path := filepath.Join(t.TempDir(), "report")
				d := &daemon{byKey: map[string]*wire.Message{}}
				lost := errors.New("connection lost")
				d.fail = func(to string) (bool, error) {
					if to == at.To {
						return taken, lost
					}
					return false, nil
				}
				if _, err := run(t, path, d, rows); !errors.Is(err, lost) {
					t.Fatalf("cut off: %v", err)
				}
				d.fail = nil
				tally, err := run(t, path, d, rows)
				if err != nil || !tally.Good() || tally.Now+tally.Before != 3 {
					t.Errorf("%+v, %v", tally, err)
				}
				again, err := run(t, path, d, rows)
				if err != nil || again.Before != 3 || again.Now != 0 {
					t.Errorf("third run: %+v, %v", again, err)
				}
				if diff := cmp.Diff(want, d.sent); diff != "" {
					t.Errorf("(-want +got)\n%s", diff)
				}
			})
		}
	}
}

// A refused row does not stop the others and is tried again; one whose fate is not known is not.
func TestRefusals(t *testing.T) {
	path := filepath.Join(t.TempDir(), "report")
	rows := rowsOf(t, three, "x")
	d := &daemon{byKey: map[string]*wire.Message{}, fail: func(to string) (bool, error) {
		switch to {
		case "+447700900101":
			return false, &client.Problem{Status: 422, Code: "invalid-phone"}
		case "+447700900102":
			return false, &client.Problem{Status: 409, Code: "idempotency-in-flight"}
		}
		return false, nil
	}}
	tally, err := run(t, path, d, rows)
	if diff := cmp.Diff(Tally{Rows: 3, Now: 1, Refused: 1, Unknown: 1}, tally); diff != "" || err != nil {
		t.Errorf("%v (-want +got)\n%s", err, diff)
	}
	d.fail = nil
	tally, err = run(t, path, d, rows)
	if diff := cmp.Diff(Tally{Rows: 3, Now: 1, Before: 2}, tally); diff != "" || err != nil {
		t.Errorf("%v (-want +got)\n%s", err, diff)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(b), "7009001") {
		t.Errorf("the report holds a number:\n%s", b)
	}
}

// A key that may not send ends the run at once.
func TestForbidden(t *testing.T) {
	d := &daemon{byKey: map[string]*wire.Message{}, fail: func(string) (bool, error) {
		return false, &client.Problem{Status: 403, Code: "forbidden"}
	}}
	tally, err := run(t, filepath.Join(t.TempDir(), "report"), d, rowsOf(t, three, "x"))
	if err == nil || tally.Refused != 0 {
		t.Errorf("%+v, %v", tally, err)
	}
}

// The same text to the same number goes out once.
func TestDuplicates(t *testing.T) {
	d := &daemon{byKey: map[string]*wire.Message{}}
	path := filepath.Join(t.TempDir(), "report")
	rows := rowsOf(t, "to,text\n+447700900101,a\n+447700900101,a\n+447700900101,b\n", "")
	for range 2 {
		tally, err := run(t, path, d, rows)
		if err != nil || tally.Twice != 1 {
			t.Errorf("%+v, %v", tally, err)
		}
	}
	if diff := cmp.Diff([]string{"+447700900101: a", "+447700900101: b"}, d.sent); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

// A report whose last line was cut off is read without it; one in use, or that is none, is refused and left as it is.
func TestReport(t *testing.T) {
	path := filepath.Join(t.TempDir(), "report")
	d := &daemon{byKey: map[string]*wire.Message{}}
	rows := rowsOf(t, three, "x")
	if _, err := run(t, path, d, rows); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for cut := len(b) - 1; cut > len(b)-20; cut-- {
		if err := os.WriteFile(path, b[:cut], 0o600); err != nil {
			t.Fatal(err)
		}
		if tally, err := run(t, path, d, rows); err != nil || tally.Before != 2 || tally.Now != 1 {
			t.Errorf("cut at %d: %+v, %v", cut, tally, err)
		}
	}
	if len(d.sent) != 3 {
		t.Errorf("sent %d times", len(d.sent))
	}
	r, err := OpenReport(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := OpenReport(path); err == nil || !strings.Contains(err.Error(), "another run is writing it") {
		t.Errorf("a report in use: %v", err)
	}
	if err := r.Close(); err != nil {
		t.Error(err)
	}
	for _, other := range []string{three, "no line", `{"otpost_report":"2","run":"00"}` + "\n", "[]\n"} {
		if err := os.WriteFile(path, []byte(other), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := OpenReport(path); err == nil {
			t.Errorf("%q was taken for a report", other)
		}
		if b, err := os.ReadFile(path); err != nil || string(b) != other {
			t.Errorf("%q was changed to %q (%v)", other, b, err)
		}
	}
}

func TestReadList(t *testing.T) {
	for _, c := range []struct{ name, list, template, want string }{
		{"no line", "", "x", "the list is empty"},
		{"no numbers", "name,age\nAnn,3\n", "x", "line 1 names no column of numbers"},
		{"twice", "to,phone\n1,2\n", "x", `line 1: the column "to" stands twice`},
		{"no number", "to\n+447700900101\n\" \"\n", "x", "line 3: there is no number"},
		{"no text", "to,text\n+447700900101,\n", "", "line 2: there is no text"},
		{"unknown column", "to,name\n+447700900101,Ann\n", "Hi {nam}", "the text names {nam}, which is no column of the list (to, name)"},
		{"open brace", "to\n+447700900101\n", "Hi {", "the text names {}"},
		{"ragged", "to,name\n+447700900101\n", "x", "line 2: wrong number of fields"},
		{"bare quote", "to,name\n+447700900101,A\"nn\n", "x", "line 2: bare \""},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := ReadList(strings.NewReader(c.list), c.template)
			if err == nil || !strings.HasPrefix(err.Error(), c.want) {
				t.Errorf("%v, want %s", err, c.want)
			}
			if err != nil && strings.Contains(err.Error(), "900101") {
				t.Errorf("the error holds a number: %v", err)
			}
		})
	}
	got := rowsOf(t, "\ufeffPhone , name,text\n\"+44 7700 900101\",Ann,\n+447700900102,{name},own\n", "Hi {name} {text}")
	want := []Row{{2, "+44 7700 900101", "Hi Ann "}, {3, "+447700900102", "own"}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

// Whatever a list holds, a row that comes out has a number and a text, and the same list gives the same rows.
func FuzzReadList(f *testing.F) {
	f.Add(three, "Hello {name}")
	f.Add("to,text\n1,\"a\nb\"\n", "")
	f.Fuzz(func(t *testing.T, list, template string) {
		rows, err := ReadList(strings.NewReader(list), template)
		if err != nil {
			return
		}
		for _, r := range rows {
			if r.To == "" || r.Text == "" || r.Line < 2 {
				t.Errorf("row %q", []any{r.Line, r.To, r.Text})
			}
		}
		again, err := ReadList(strings.NewReader(list), template)
		if err != nil || !cmp.Equal(rows, again) {
			t.Errorf("the second reading differs: %v", err)
		}
	})
}
