package store

import (
	"fmt"
	"log/slog"
	"strings"

	"github.com/dgraph-io/badger/v4"
)

// badgerLog hands the engine's log on. What it calls information is of use only when it is being debugged.
type badgerLog struct{ log *slog.Logger }

var _ badger.Logger = badgerLog{}

func text(format string, args []any) slog.Attr {
	return slog.String("text", strings.TrimSpace(fmt.Sprintf(format, args...)))
}

// Errorf implements badger.Logger.
func (l badgerLog) Errorf(format string, args ...any) {
	l.log.Error("store engine", text(format, args))
}

// Warningf implements badger.Logger.
func (l badgerLog) Warningf(format string, args ...any) {
	l.log.Warn("store engine", text(format, args))
}

// Infof implements badger.Logger.
func (l badgerLog) Infof(format string, args ...any) { l.log.Debug("store engine", text(format, args)) }

// Debugf implements badger.Logger.
func (l badgerLog) Debugf(format string, args ...any) {
	l.log.Debug("store engine", text(format, args))
}
