// Package support makes the bundle that an operator can hand to somebody else: what is needed to find a fault, and nothing
// that is a secret or names a person. Redaction is by leaving out (accounts, phones) and by shortening (identities of modems
// and SIMs, every other long number).
package support

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"regexp"
	"time"

	"go.yaml.in/yaml/v3"

	"otpost/api/wire"
	"otpost/cmd/otpost/config"
)

// File is one file of a bundle.
type File struct {
	Name string
	Data []byte
}

// Write writes the files as a tar.gz whose entries stand in one folder.
func Write(w io.Writer, now time.Time, files []File) error {
	zip := gzip.NewWriter(w)
	out := tar.NewWriter(zip)
	folder := "otpost-support-" + now.UTC().Format("20060102-150405") + "/"
	for _, f := range files {
		head := &tar.Header{Name: folder + f.Name, Mode: 0o600, Size: int64(len(f.Data)), ModTime: now.UTC().Truncate(time.Second), Typeflag: tar.TypeReg}
		if err := out.WriteHeader(head); err != nil {
			return fmt.Errorf("write %s: %w", f.Name, err)
		}
		if _, err := out.Write(f.Data); err != nil {
			return fmt.Errorf("write %s: %w", f.Name, err)
		}
	}
	return errors.Join(out.Close(), zip.Close())
}

// JSON is v as a file, scrubbed.
func JSON(name string, v any) (File, error) {
	b, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return File{}, fmt.Errorf("encode %s: %w", name, err)
	}
	return File{Name: name, Data: append(Scrub(b), '\n')}, nil
}

// longNumber is what may be a phone, an IMEI, an ICCID or an IMSI.
var longNumber = regexp.MustCompile(`[0-9]{7,}`)

// Scrub shortens every long number to its last two digits.
func Scrub(b []byte) []byte {
	return longNumber.ReplaceAllFunc(b, func(n []byte) []byte { return append([]byte("…"), n[len(n)-2:]...) })
}

// Config is the configuration without what may hold a secret or a number: addresses keep their host only, and a reset
// hook its program only. Secrets are in files, whose names stay.
func Config(cfg config.Config) (File, error) {
	cfg.PIN.URL = host(cfg.PIN.URL)
	hooks := make([]config.Webhook, len(cfg.Webhooks))
	for i, w := range cfg.Webhooks {
		w.URL = host(w.URL)
		hooks[i] = w
	}
	cfg.Webhooks = hooks
	modems := make([]config.Modem, len(cfg.Modems))
	for i, m := range cfg.Modems {
		m.ResetHook = m.ResetHook[:min(len(m.ResetHook), 1)]
		modems[i] = m
	}
	cfg.Modems = modems
	var b bytes.Buffer
	enc := yaml.NewEncoder(&b)
	if err := errors.Join(enc.Encode(cfg), enc.Close()); err != nil {
		return File{}, fmt.Errorf("encode the configuration: %w", err)
	}
	return File{Name: "config.yaml", Data: Scrub(b.Bytes())}, nil
}

// host is an address without user, path and query, in which tokens are kept by some.
func host(s string) string {
	u, err := url.Parse(s)
	if s == "" || err != nil {
		return ""
	}
	return u.Scheme + "://" + u.Host + "/…"
}

// Modems are the modems with whole seconds, so that no fraction passes for a number and is shortened.
func Modems(all *wire.Modems) (File, error) {
	out := wire.Modems{Modems: []wire.Modem{}}
	for _, m := range all.Modems {
		m.Since, m.LastGoodAt = m.Since.Truncate(time.Second), m.LastGoodAt.Truncate(time.Second)
		out.Modems = append(out.Modems, m)
	}
	return JSON("modems.json", out)
}

// eventFacts are the facts of an event that say nothing about a person.
func eventFacts() []string {
	return []string{"message_id", "status", "kind", "parts", "attempts", "purpose", "error", "country", "modem", "state", "old", "new", "challenge", "inbox_id"}
}

// Events are the last events, without accounts and phones.
func Events(all []wire.Event) (File, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	for _, e := range all {
		out := wire.Event{ID: e.ID, Type: e.Type, At: e.At.Truncate(time.Second), Data: map[string]any{}}
		for _, name := range eventFacts() {
			if v, ok := e.Data[name]; ok {
				out.Data[name] = v
			}
		}
		if err := enc.Encode(out); err != nil {
			return File{}, fmt.Errorf("encode the events: %w", err)
		}
	}
	return File{Name: "events.jsonl", Data: Scrub(b.Bytes())}, nil
}
