// Package journal writes the log to systemd's journal in its native protocol, so that each attribute is a field of its own:
//
//	journalctl -u otpost OTPOST_REQUEST_ID=req-4kq2…
//
// A journal that is gone or that does not read must not hold up the daemon: what cannot be written there goes to a fallback,
// and what the journal does not take in time is dropped and counted. See systemd.io/JOURNAL_NATIVE_PROTOCOL.
package journal

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"log/slog"
	"strconv"
	"strings"
	"time"
)

// Socket is where journald listens.
const Socket = "/run/systemd/journal/socket"

// prefix keeps the fields apart from journald's own, such as MESSAGE and PRIORITY.
const prefix = "OTPOST_"

// Handler is a slog.Handler. It is safe for concurrent use.
type Handler struct {
	level slog.Leveler
	out   *writer
	group string // of what comes next, with a dot at its end
	attrs []pair
}

var _ slog.Handler = (*Handler)(nil)

// pair is an attribute, flattened.
type pair struct{ key, value string }

// NewHandler returns a handler that writes to the journal's socket, and to fallback what the journal does not take. It connects
// when there is something to write.
func NewHandler(socket string, fallback io.Writer, level slog.Leveler) *Handler {
	return &Handler{level: level, out: &writer{socket: socket, fallback: fallback}}
}

// Enabled implements slog.Handler.
func (h *Handler) Enabled(_ context.Context, l slog.Level) bool { return l >= h.level.Level() }

// WithAttrs implements slog.Handler.
func (h *Handler) WithAttrs(attrs []slog.Attr) slog.Handler {
	c := *h
	c.attrs = append([]pair(nil), h.attrs...)
	for _, a := range attrs {
		c.attrs = flatten(c.attrs, h.group, a)
	}
	return &c
}

// WithGroup implements slog.Handler.
func (h *Handler) WithGroup(name string) slog.Handler {
	if name == "" {
		return h
	}
	c := *h
	c.group += name + "."
	return &c
}

// Handle implements slog.Handler. It returns no error: there is nobody left to tell.
func (h *Handler) Handle(_ context.Context, r slog.Record) error {
	all := append([]pair(nil), h.attrs...)
	r.Attrs(func(a slog.Attr) bool {
		all = flatten(all, h.group, a)
		return true
	})
	h.out.write(time.Now(), priority(r.Level), text(r.Message, all), all)
	return nil
}

// flatten adds an attribute, or those of a group, to all. What hides itself when it is logged stays hidden.
func flatten(all []pair, group string, a slog.Attr) []pair {
	v := a.Value.Resolve()
	if v.Kind() == slog.KindGroup {
		if a.Key != "" {
			group += a.Key + "."
		}
		for _, inner := range v.Group() {
			all = flatten(all, group, inner)
		}
		return all
	}
	if a.Key == "" {
		return all
	}
	value := v.String()
	if v.Kind() == slog.KindTime {
		value = v.Time().Format(time.RFC3339Nano)
	}
	return append(all, pair{group + a.Key, value})
}

// text is what people read: the message, and the attributes behind it.
func text(message string, all []pair) string {
	var b strings.Builder
	b.WriteString(message)
	for _, p := range all {
		b.WriteString(" " + p.key + "=")
		if p.value == "" || strings.ContainsFunc(p.value, func(r rune) bool { return r <= ' ' || r == '"' || r == '=' || r == 0x7f }) {
			b.WriteString(strconv.Quote(p.value))
		} else {
			b.WriteString(p.value)
		}
	}
	return b.String()
}

// priority is syslog's number of a level.
func priority(l slog.Level) int {
	switch {
	case l >= slog.LevelError:
		return 3
	case l >= slog.LevelWarn:
		return 4
	case l >= slog.LevelInfo:
		return 6
	}
	return 7
}

// entry encodes one entry.
func entry(priority int, message string, all []pair) []byte {
	b := fmt.Appendf(nil, "PRIORITY=%d\nSYSLOG_IDENTIFIER=otpost\n", priority)
	b = field(b, "MESSAGE", message)
	for _, p := range all {
		b = field(b, name(p.key), p.value)
	}
	return b
}

// field encodes a field: on a line, or, when its value has several, by its length.
func field(b []byte, name, value string) []byte {
	b = append(b, name...)
	if !strings.Contains(value, "\n") {
		return append(append(append(b, '='), value...), '\n')
	}
	b = binary.LittleEndian.AppendUint64(append(b, '\n'), uint64(len(value)))
	return append(append(b, value...), '\n')
}

// name makes the field's name of a key: at most 64 capitals, digits and underscores.
func name(key string) string {
	return prefix + strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z':
			return r - 'a' + 'A'
		case r >= 'A' && r <= 'Z', r >= '0' && r <= '9':
			return r
		}
		return '_'
	}, key[:min(len(key), 64-len(prefix))])
}
