package console

import (
	"embed"
	"fmt"
	"io/fs"
	"strings"

	"go.yaml.in/yaml/v3"

	"otpost/api/client"
)

//go:embed texts/*/*.yaml
var textFiles embed.FS

// catalogue holds every text of the console in one language, by name: "messages.title". It does not change once loaded.
type catalogue struct {
	language string
	texts    map[string]string
}

// loadCatalogue reads the files of a language. A name may stand in one of them only.
func loadCatalogue(language string) (*catalogue, error) {
	c := &catalogue{language: language, texts: map[string]string{}}
	files, err := fs.Glob(textFiles, "texts/"+language+"/*.yaml")
	if err != nil || len(files) == 0 {
		return nil, fmt.Errorf("no texts for %s: %w", language, err)
	}
	for _, file := range files {
		b, err := textFiles.ReadFile(file)
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", file, err)
		}
		var tree map[string]any
		if err := yaml.Unmarshal(b, &tree); err != nil {
			return nil, fmt.Errorf("read %s: %w", file, err)
		}
		if err := c.add("", tree); err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
	}
	return c, nil
}

func (c *catalogue) add(prefix string, tree map[string]any) error {
	for name, v := range tree {
		full := prefix + name
		switch v := v.(type) {
		case string:
			if _, twice := c.texts[full]; twice {
				return fmt.Errorf("text %s stands twice", full)
			}
			c.texts[full] = v
		case map[string]any:
			if err := c.add(full+".", v); err != nil {
				return err
			}
		default:
			return fmt.Errorf("text %s is %T: put it in quotes", full, v)
		}
	}
	return nil
}

// text returns a text; its verbs (%s, %d) take args. A name without a text shows as itself, which a test finds.
func (c *catalogue) text(name string, args ...any) string {
	s, ok := c.texts[name]
	if !ok {
		return name
	}
	if len(args) == 0 {
		return s
	}
	return fmt.Sprintf(s, args...)
}

// count returns the text for so many: name.one or name.other, whose first verb takes n.
func (c *catalogue) count(name string, n int, args ...any) string {
	form := ".other"
	if n == 1 {
		form = ".one"
	}
	return c.text(name+form, append([]any{n}, args...)...)
}

// label returns the text for a value that the API gave, or the value where there is none.
func (c *catalogue) label(group, value string) string {
	if s, ok := c.texts[group+"."+value]; ok {
		return s
	}
	return value
}

// seconds tells a time to wait.
func (c *catalogue) seconds(n int) string {
	switch {
	case n < 120:
		return c.count("unit.seconds", n)
	case n < 7200 && n%3600 != 0:
		return c.count("unit.minutes", (n+59)/60)
	}
	return c.count("unit.hours", (n+3599)/3600)
}

// problem is what the API refused, in words.
func (c *catalogue) problem(p *client.Problem) string {
	s := p.Title
	if p.Detail != "" && !strings.EqualFold(p.Detail, p.Title) {
		s += ": " + p.Detail
	}
	for _, e := range p.Errors {
		s += "; " + strings.TrimPrefix(e.Location, "body.") + ": " + e.Message
	}
	if p.RetryAfter > 0 {
		s += ". " + c.text("problem.retry", c.seconds(p.RetryAfter))
	}
	return s
}
