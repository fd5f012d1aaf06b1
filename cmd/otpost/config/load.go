package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"reflect"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Load reads the file at path, lays environ ("OTPOST_LISTEN=…", as os.Environ gives it) over it, and validates the
// whole. Every error names the file and, where there is one, line and key; all that is wrong with keys and shapes is said
// at once, and then all that is wrong with values.
func Load(path string, environ []string) (Config, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return Config{}, fmt.Errorf("read configuration: %w", err)
	}
	return Parse(path, b, environ)
}

// Parse is Load for a file already read; name stands in its errors.
func Parse(name string, b []byte, environ []string) (Config, error) {
	cfg := Default()
	root, err := parseTree(b)
	if err == nil {
		err = errors.Join(overlay(root, environ), known(root, reflect.TypeFor[Config](), ""))
	}
	if err == nil {
		err = decode(root, &cfg)
	}
	if err == nil {
		err = cfg.validate(root)
	}
	if err != nil {
		return Config{}, prefix(name, err)
	}
	return cfg, nil
}

// parseTree returns the document's top mapping; an empty file is an empty mapping.
func parseTree(b []byte) (*yaml.Node, error) {
	var doc yaml.Node
	dec := yaml.NewDecoder(bytes.NewReader(b))
	switch err := dec.Decode(&doc); {
	case errors.Is(err, io.EOF):
		return &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map"}, nil
	case err != nil:
		return nil, errors.New(strings.TrimPrefix(err.Error(), "yaml: "))
	}
	if err := dec.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		return nil, errors.New("the file holds more than one document; keep one")
	}
	root := doc.Content[0]
	if root.Kind == yaml.ScalarNode && root.Tag == "!!null" {
		return &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map"}, nil
	}
	if root.Kind != yaml.MappingNode {
		return nil, fmt.Errorf("line %d: the file must be a mapping of keys to values", root.Line)
	}
	return root, nil
}

func decode(root *yaml.Node, cfg *Config) error {
	err := root.Decode(cfg)
	var te *yaml.TypeError
	if !errors.As(err, &te) {
		return err
	}
	var all []error
	for _, e := range te.Errors {
		all = append(all, errors.New(e))
	}
	return errors.Join(all...)
}

// known refuses every key that t has no field for, at any depth, keys that stand twice, and values of the wrong shape.
func known(n *yaml.Node, t reflect.Type, path string) error {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	var all []error
	switch {
	case n.Kind == yaml.AliasNode:
		all = append(all, atLine(n.Line, "%s is an alias; write the value out", path))
	case n.Kind == yaml.SequenceNode && t.Kind() == reflect.Slice:
		for i, c := range n.Content {
			all = append(all, known(c, t.Elem(), fmt.Sprintf("%s[%d]", path, i)))
		}
	case n.Kind == yaml.MappingNode && t.Kind() == reflect.Map:
		for i := 0; i+1 < len(n.Content); i += 2 {
			all = append(all, known(n.Content[i+1], t.Elem(), join(path, n.Content[i].Value)))
		}
	case n.Kind == yaml.MappingNode && t.Kind() == reflect.Struct:
		all = append(all, knownFields(n, t, path))
	default:
		all = append(all, shape(n, t, path))
	}
	return errors.Join(all...)
}

// shape says what belongs at path when n is not it. Durations and sizes read themselves.
func shape(n *yaml.Node, t reflect.Type, path string) error {
	scalar := n.Kind == yaml.ScalarNode
	want := ""
	switch own := reflect.PointerTo(t).Implements(reflect.TypeFor[yaml.Unmarshaler]()); {
	case scalar && (n.Tag == "!!null" || own):
	case own:
		want = "one value"
	case t.Kind() == reflect.Slice:
		want = "a list, like [a, b]"
	case t.Kind() == reflect.Struct || t.Kind() == reflect.Map:
		want = "a mapping of keys to values"
	case t.Kind() == reflect.Int && (!scalar || n.Tag != "!!int"):
		want = "a whole number"
	case t.Kind() == reflect.Bool && (!scalar || n.Tag != "!!bool"):
		want = "true or false"
	case t.Kind() == reflect.String && !scalar:
		want = "a text"
	}
	if want == "" {
		return nil
	}
	return atLine(n.Line, "%s must be %s", path, want)
}

func knownFields(n *yaml.Node, t reflect.Type, path string) error {
	fields := fieldTypes(t)
	seen := map[string]int{}
	var all []error
	for i := 0; i+1 < len(n.Content); i += 2 {
		key := n.Content[i]
		ft, ok := fields[key.Value]
		switch line, twice := seen[key.Value]; {
		case !ok:
			all = append(all, atLine(key.Line, "unknown key %q%s", join(path, key.Value), suggest(key.Value, fields)))
		case twice:
			all = append(all, atLine(key.Line, "key %q stands already in line %d", join(path, key.Value), line))
		default:
			all = append(all, known(n.Content[i+1], ft, join(path, key.Value)))
		}
		seen[key.Value] = key.Line
	}
	return errors.Join(all...)
}

func fieldTypes(t reflect.Type) map[string]reflect.Type {
	m := map[string]reflect.Type{}
	for f := range t.Fields() {
		m[f.Tag.Get("yaml")] = f.Type
	}
	return m
}

func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}

// overlay sets the keys that OTPOST_… variables name: OTPOST_LISTEN is listen, OTPOST_LIMITS__PHONE_DAY is
// limits.phone_day (two underscores step into a mapping). A value is read as YAML. OTPOST_TEST_… is left to the tests.
func overlay(root *yaml.Node, environ []string) error {
	var all []error
	for _, kv := range slices.Sorted(slices.Values(environ)) {
		name, value, _ := strings.Cut(kv, "=")
		rest, ok := strings.CutPrefix(name, "OTPOST_")
		if !ok || strings.HasPrefix(rest, "TEST_") {
			continue
		}
		if err := setPath(root, strings.Split(strings.ToLower(rest), "__"), value); err != nil {
			all = append(all, fmt.Errorf("environment variable %s: %w", name, err))
		}
	}
	return errors.Join(all...)
}

func setPath(n *yaml.Node, path []string, value string) error {
	fields := fieldTypes(reflect.TypeFor[Config]())
	if _, ok := fields[path[0]]; !ok {
		return fmt.Errorf("names the unknown key %q%s", strings.Join(path, "."), suggest(path[0], fields))
	}
	for _, key := range path[:len(path)-1] {
		n = child(n, key, yaml.MappingNode)
		if n.Kind != yaml.MappingNode {
			return fmt.Errorf("%q is no mapping in the file", key)
		}
	}
	var doc yaml.Node
	if err := yaml.Unmarshal([]byte(value), &doc); err != nil || len(doc.Content) != 1 {
		doc.Content = []*yaml.Node{{Kind: yaml.ScalarNode, Value: value}}
	}
	*child(n, path[len(path)-1], yaml.ScalarNode) = *doc.Content[0]
	return nil
}

// child returns the value of key in the mapping n, adding it when it is not there.
func child(n *yaml.Node, key string, kind yaml.Kind) *yaml.Node {
	if v := lookup(n, key); v != nil {
		return v
	}
	v := &yaml.Node{Kind: kind}
	n.Content = append(n.Content, &yaml.Node{Kind: yaml.ScalarNode, Value: key}, v)
	return v
}

func lookup(n *yaml.Node, key string) *yaml.Node {
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == key {
			return n.Content[i+1]
		}
	}
	return nil
}

// atLine is an error at a line of the file; line 0 is a key that the environment gave.
func atLine(line int, format string, args ...any) error {
	if line == 0 {
		return fmt.Errorf(format, args...)
	}
	return fmt.Errorf("line %d: %s", line, fmt.Sprintf(format, args...))
}

// prefix puts name before each of the joined errors.
func prefix(name string, err error) error {
	var all []error
	for _, line := range strings.Split(err.Error(), "\n") {
		if rest, ok := strings.CutPrefix(line, "line "); ok {
			all = append(all, errors.New(name+":"+rest))
		} else {
			all = append(all, errors.New(name+": "+line))
		}
	}
	return errors.Join(all...)
}
