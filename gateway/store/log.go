package store

import (
	"context"
	"fmt"
	"log/slog"
	"strings"

	"github.com/dgraph-io/badger/v4"
)

// badgerLog hands the engine's log on. What it calls information is of use only when it is being debugged.
type badgerLog struct{ log *slog.Logger }

var _ badger.Logger = badgerLog{}

// at hands a line on if anybody wants it: the engine tells of each commit, and to make a text of that takes longer than to
// find out that nobody does.
func (l badgerLog) at(level slog.Level, format string, args []any) {
	if ctx := context.Background(); l.log.Enabled(ctx, level) {
		l.log.Log(ctx, level, "store engine", slog.String("text", strings.TrimSpace(fmt.Sprintf(format, args...))))
	}
}

// Errorf implements badger.Logger.
func (l badgerLog) Errorf(format string, args ...any) { l.at(slog.LevelError, format, args) }

// Warningf implements badger.Logger.
func (l badgerLog) Warningf(format string, args ...any) { l.at(slog.LevelWarn, format, args) }

// Infof implements badger.Logger.
func (l badgerLog) Infof(format string, args ...any) { l.at(slog.LevelDebug, format, args) }

// Debugf implements badger.Logger.
func (l badgerLog) Debugf(format string, args ...any) { l.at(slog.LevelDebug, format, args) }
