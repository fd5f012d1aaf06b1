package journal

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"time"
)

const (
	patience = 100 * time.Millisecond // for a journal that does not read
	pause    = time.Second            // in which nothing is offered to it after that
)

// writer sends entries to the journal's socket.
type writer struct {
	socket   string
	fallback io.Writer

	mu      sync.Mutex // guards what follows
	conn    *net.UnixConn
	stuck   time.Time // until then the journal is not asked
	dropped int       // entries that it did not take in time
}

// write sends an entry, to the fallback if there is no journal.
func (w *writer) write(now time.Time, priority int, message string, all []pair) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if now.Before(w.stuck) {
		w.dropped++
		return
	}
	if w.dropped > 0 {
		lost := []pair{{"lines", fmt.Sprint(w.dropped)}}
		if w.send(entry(4, text("the journal did not read, and lines were dropped", lost), lost)) == nil {
			w.dropped = 0
		}
	}
	err := w.send(entry(priority, message, all))
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		w.dropped++
		w.stuck = now.Add(pause)
	case err != nil:
		// A line that nobody can take is lost: there is nowhere to say so.
		_, _ = fmt.Fprintf(w.fallback, "<%d>%s\n", priority, message)
	}
}

// send sends b. A journal that was restarted has a new socket, so it is tried once more.
func (w *writer) send(b []byte) error {
	err := w.once(b)
	if err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		return err
	}
	return w.once(b)
}

func (w *writer) once(b []byte) error {
	if w.conn == nil {
		c, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: w.socket, Net: "unixgram"})
		if err != nil {
			return err
		}
		w.conn = c
	}
	err := w.conn.SetWriteDeadline(time.Now().Add(patience))
	if err == nil {
		_, err = w.conn.Write(b)
	}
	if err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
		_ = w.conn.Close() // it is of no use any more
		w.conn = nil
	}
	return err
}
