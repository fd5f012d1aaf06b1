package bulk

import (
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
)

// Row is one line of a list: a number and the text for it. Both are secrets.
type Row struct {
	Line     int
	To, Text string
}

// String keeps the row out of logs and errors.
func (r Row) String() string { return fmt.Sprintf("line %d", r.Line) }

// numberColumns are the names that a list's column of numbers may have.
func numberColumns() []string { return []string{"to", "number", "phone", "recipient", "msisdn"} }

// ReadList reads a CSV file with a header: a column of numbers (to, number, phone, recipient or msisdn) and, if each has its
// own, a column text. template is the text where a row has none; {column} in it stands for the row's value. Every mistake
// is found before anything is sent.
func ReadList(r io.Reader, template string) ([]Row, error) {
	in := csv.NewReader(r)
	in.TrimLeadingSpace = true
	header, err := in.Read()
	if errors.Is(err, io.EOF) {
		return nil, errors.New("the list is empty; its first line names the columns, like: to,text")
	}
	if err != nil {
		return nil, listError(err)
	}
	columns, err := columnsOf(header)
	if err != nil {
		return nil, err
	}
	if err := checkTemplate(template, columns); err != nil {
		return nil, err
	}
	var rows []Row
	for {
		cells, err := in.Read()
		if errors.Is(err, io.EOF) {
			return rows, nil
		}
		if err != nil {
			return nil, listError(err)
		}
		line, _ := in.FieldPos(0)
		row, err := rowOf(columns, cells, template)
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", line, err)
		}
		row.Line = line
		rows = append(rows, row)
	}
}

// listError says where a list is no CSV without repeating what stands there.
func listError(err error) error {
	if p, ok := errors.AsType[*csv.ParseError](err); ok {
		return fmt.Errorf("line %d: %w", p.Line, p.Err)
	}
	return fmt.Errorf("read the list: %w", err)
}

// columnsOf checks the header; the column of numbers becomes "to".
func columnsOf(header []string) ([]string, error) {
	columns := make([]string, len(header))
	for i, name := range header {
		name = strings.ToLower(strings.TrimSpace(strings.TrimPrefix(name, "\ufeff")))
		if slices.Contains(numberColumns(), name) {
			name = "to"
		}
		if slices.Contains(columns, name) {
			return nil, fmt.Errorf("line 1: the column %q stands twice", name)
		}
		columns[i] = name
	}
	if !slices.Contains(columns, "to") {
		return nil, fmt.Errorf("line 1 names no column of numbers; call it one of %s", strings.Join(numberColumns(), ", "))
	}
	return columns, nil
}

// checkTemplate finds a {name} that no column has: people would read it.
func checkTemplate(template string, columns []string) error {
	for rest := template; ; {
		_, after, ok := strings.Cut(rest, "{")
		if !ok {
			return nil
		}
		name, after, ok := strings.Cut(after, "}")
		if !ok || !slices.Contains(columns, name) {
			return fmt.Errorf("the text names {%s}, which is no column of the list (%s)", name, strings.Join(columns, ", "))
		}
		rest = after
	}
}

func rowOf(columns, cells []string, template string) (Row, error) {
	var row Row
	var pairs []string
	for i, name := range columns {
		value := strings.TrimSpace(cells[i])
		pairs = append(pairs, "{"+name+"}", value)
		switch name {
		case "to":
			row.To = value
		case "text":
			row.Text = value
		}
	}
	if row.Text == "" {
		row.Text = strings.NewReplacer(pairs...).Replace(template)
	}
	switch {
	case row.To == "":
		return row, errors.New("there is no number")
	case row.Text == "":
		return row, errors.New("there is no text; fill the column text, or give --text for all")
	}
	return row, nil
}
