package config

import (
	"flag"
	"fmt"
	"os"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the generated page of the manual anew")

const referenceIntro = `# Configuration

Every key of ` + "`/etc/otpost/otpost.yaml`" + ` with its default, from the code, and the reference file that explains them.

The file is read strictly: an unknown key is an error that names its line and the nearest right key. Only ` + "`countries` and `modems`" + `
must be given. A key can be set by an environment variable too, which goes before the file: ` + "`OTPOST_`" + `, capitals, two underscores
for each step down. Lists and mappings are written as YAML, as in ` + "`OTPOST_COUNTRIES='[GB, IE]'`" + `. Secrets stand in files that the
configuration names, never in it.

Check a file with ` + "`otpost config check`" + `, print it with every default in place with ` + "`otpost config show`" + `.

## The reference file

` + "```yaml\n%s```" + `

## All keys

| Key | Kind | Default | Environment |
|---|---|---|---|
%s`

// The manual's page is made from the types, the defaults and the reference file. After a change: go test ./cmd/otpost/config -update
func TestReferencePage(t *testing.T) {
	const page = "../../../api/docs/reference/configuration.md"
	file, err := os.ReadFile("../../../configs/otpost.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var rows strings.Builder
	tabulate(&rows, "", reflect.ValueOf(Default()))
	got := fmt.Sprintf(referenceIntro, file, rows.String())
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
		t.Errorf("the page does not say what the code does; go test ./cmd/otpost/config -update (-page +code):\n%s", diff)
	}
}

// tabulate writes a row for each key of a struct and of those below it.
func tabulate(b *strings.Builder, above string, v reflect.Value) {
	for i := range v.NumField() {
		f, key := v.Field(i), above+v.Type().Field(i).Tag.Get("yaml")
		kind := f.Type()
		if kind.Kind() == reflect.Pointer {
			kind = kind.Elem()
		}
		variable := "`OTPOST_" + strings.ToUpper(strings.ReplaceAll(key, ".", "__")) + "`"
		if strings.ContainsAny(key, "<[") {
			variable = ""
		}
		switch {
		case kind.Kind() == reflect.Struct:
			tabulate(b, key+".", f)
			continue
		case kind.Kind() == reflect.Slice && kind.Elem().Kind() == reflect.Struct:
			fmt.Fprintf(b, "| `%s` | list | %s | %s |\n", key, initial(f), variable)
			tabulate(b, key+"[].", reflect.Zero(kind.Elem()))
			continue
		case kind.Kind() == reflect.Map && kind.Elem().Kind() == reflect.Struct:
			fmt.Fprintf(b, "| `%s` | mapping | %s | %s |\n", key, initial(f), variable)
			tabulate(b, key+".<name>.", reflect.Zero(kind.Elem()))
			continue
		}
		if key == "modems[].baud" {
			f = reflect.ValueOf(DefaultBaud)
		}
		fmt.Fprintf(b, "| `%s` | %s | %s | %s |\n", key, kindName(kind), initial(f), variable)
	}
}

func kindName(t reflect.Type) string {
	switch t {
	case reflect.TypeFor[Duration]():
		return "duration"
	case reflect.TypeFor[Size]():
		return "size"
	}
	switch t.Kind() {
	case reflect.Slice:
		return "list of " + kindName(t.Elem()) + "s"
	case reflect.Map:
		return "mapping"
	case reflect.Bool:
		return "true or false"
	case reflect.Int:
		return "number"
	}
	return t.Kind().String()
}

// initial is a value as it stands in a file; nothing where there is none.
func initial(v reflect.Value) string {
	if v.IsZero() && v.Kind() != reflect.Bool && v.Kind() != reflect.Int {
		return ""
	}
	return "`" + fmt.Sprint(v.Interface()) + "`"
}
