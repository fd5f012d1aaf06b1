package gateway

import (
	"fmt"
	"log/slog"
)

// Messages and drafts hold numbers, texts and accounts. However they are printed or logged, they say only which they are.

// String, GoString and LogValue keep number and text out of logs and errors.
func (m Message) String() string {
	return fmt.Sprintf("message %s (%s, lane %s, %d attempts, error %q)", m.ID, m.Status, m.Lane, len(m.Attempts), m.Error)
}

// GoString is String.
func (m Message) GoString() string { return m.String() }

// LogValue says the same in fields.
func (m Message) LogValue() slog.Value {
	return slog.GroupValue(slog.String("id", m.ID), slog.String("status", string(m.Status)), slog.String("lane", m.Lane.String()))
}

// String, GoString and LogValue keep number and text out of logs and errors.
func (d Draft) String() string { return fmt.Sprintf("draft of a %s, lane %s", d.Kind, d.Lane) }

// GoString is String.
func (d Draft) GoString() string { return d.String() }

// LogValue is String.
func (d Draft) LogValue() slog.Value { return slog.StringValue(d.String()) }

// String, GoString and LogValue keep number and text out of logs and errors.
func (i InboxItem) String() string { return "inbound text " + i.ID }

// GoString is String.
func (i InboxItem) GoString() string { return i.String() }

// LogValue is String.
func (i InboxItem) LogValue() slog.Value { return slog.StringValue(i.String()) }
