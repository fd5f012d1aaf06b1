package gateway

import (
	"context"
	"log/slog"
	"time"
)

// moved logs a committed change of a message: at level info when it has gone out, may have, or has ended, else at debug. The
// line carries the id of the request that asked for the message, and neither number nor text.
func (g *Gateway) moved(m *Message, was Status, now time.Time) {
	ended := m.Final() && m.FinalAt.Equal(now)
	if m.Status == was && !ended {
		return
	}
	level := slog.LevelDebug
	if ended || m.Status == Sent || m.Status == Uncertain {
		level = slog.LevelInfo
	}
	log := g.cfg.Log
	if !log.Enabled(context.Background(), level) {
		return
	}
	attrs := append(m.trace(), slog.String("status", string(m.Status)), slog.Bool("ended", ended), slog.String("lane", m.Lane.String()),
		slog.Int("attempts", len(m.Attempts)), slog.Duration("age", now.Sub(m.CreatedAt)))
	if modem := m.modem(); modem != "" {
		attrs = append(attrs, slog.String("modem", modem))
	}
	if m.Error != "" {
		attrs = append(attrs, slog.String("code", m.Error))
	}
	log.LogAttrs(context.Background(), level, "message", attrs...)
}

// trace is by what a message's log lines are found: its id, and that of the request that asked for it.
func (m *Message) trace() []slog.Attr {
	attrs := []slog.Attr{slog.String("message_id", m.ID)}
	if m.Request != "" {
		attrs = append(attrs, slog.String("request_id", m.Request))
	}
	return attrs
}
