package sim

import (
	"context"
	"errors"
	"io"
	"sync"
	"time"
)

// maxPending bounds what waits to be written: a modem whose host does not read drops what it has to say.
const maxPending = 256 << 10

// maxUnheard bounds the lines that nobody asked for and nobody reads: beyond it a modem keeps them to itself.
const maxUnheard = 8 << 10

// session is one connection to the modem's port.
type session struct {
	rw  io.ReadWriter
	out outbox

	mu        sync.Mutex // guards unplugged
	unplugged bool
}

// outbox holds what the modem has said and the port has not yet taken.
type outbox struct {
	mu      sync.Mutex // guards the fields below
	data    []byte
	pause   time.Duration // before each byte; zero: all at once
	ended   bool
	changed chan struct{} // holds one token when one of them changed
	gone    chan struct{} // closed with ended: ends a slow write
}

func newSession(rw io.ReadWriter) *session {
	return &session{rw: rw, out: outbox{changed: make(chan struct{}, 1), gone: make(chan struct{})}}
}

func (o *outbox) put(b []byte) {
	o.mu.Lock()
	if !o.ended && len(o.data)+len(b) <= maxPending {
		o.data = append(o.data, b...)
	}
	o.mu.Unlock()
	o.signal()
}

// unheard says that the host has not been reading for a while.
func (o *outbox) unheard() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.data) > maxUnheard
}

// slow sets the pause before each byte, of those that wait too.
func (o *outbox) slow(d time.Duration) {
	o.mu.Lock()
	o.pause = d
	o.mu.Unlock()
	o.signal()
}

func (o *outbox) end() {
	o.mu.Lock()
	if !o.ended {
		o.ended = true
		close(o.gone)
	}
	o.mu.Unlock()
	o.signal()
}

func (o *outbox) signal() {
	select {
	case o.changed <- struct{}{}:
	default:
	}
}

// take is what to write next, after which pause: one byte if there is a pause, else everything, so that an answer is
// one write.
func (o *outbox) take() (b []byte, pause time.Duration, ended bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	n := len(o.data)
	if o.pause > 0 {
		n = min(n, 1)
	}
	b, o.data = o.data[:n:n], o.data[n:]
	return b, o.pause, o.ended
}

// drain writes until the session ends. A write that fails ends it too: the reader learns the same from the port.
func (o *outbox) drain(w io.Writer) {
	for {
		b, pause, ended := o.take()
		switch {
		case ended:
			return
		case len(b) == 0:
			<-o.changed
			continue
		case pause > 0:
			select {
			case <-time.After(pause):
			case <-o.gone:
				return
			}
		}
		if _, err := w.Write(b); err != nil {
			o.end()
			return
		}
	}
}

// interrupt ends the session: pending reads and writes return.
func (s *session) interrupt() {
	s.out.end()
	if d, ok := s.rw.(interface{ SetDeadline(time.Time) error }); ok && d.SetDeadline(time.Unix(1, 0)) == nil {
		return
	}
	if c, ok := s.rw.(io.Closer); ok {
		_ = c.Close() // the port is being given up
	}
}

// unplug ends the session as a pulled plug does: the other side sees a hang-up.
func (s *session) unplug() {
	s.mu.Lock()
	s.unplugged = true
	s.mu.Unlock()
	s.interrupt()
	if c, ok := s.rw.(io.Closer); ok {
		_ = c.Close() // as above
	}
}

// verdict turns what ended the reading into Serve's answer.
func (s *session) verdict(ctx context.Context, err error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.unplugged:
		return ErrUnplugged
	case ctx.Err() != nil, errors.Is(err, io.EOF), errors.Is(err, io.ErrClosedPipe), s.ended():
		return nil
	}
	return err
}

func (s *session) ended() bool {
	s.out.mu.Lock()
	defer s.out.mu.Unlock()
	return s.out.ended
}

func (m *Modem) connect(rw io.ReadWriter) (*session, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	switch {
	case m.closed:
		return nil, ErrClosed
	case m.back != nil:
		if c, ok := rw.(io.Closer); ok {
			_ = c.Close() // nobody is there
		}
		return nil, ErrUnplugged
	case m.sess != nil:
		return nil, ErrBusy
	}
	m.sess = newSession(rw)
	m.sess.out.slow(m.faults.pause)
	if d, ok := rw.(interface{ SetDeadline(time.Time) error }); ok {
		_ = d.SetDeadline(time.Time{}) // what cannot have deadlines is closed instead
	}
	return m.sess, nil
}

func (m *Modem) disconnect(s *session) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.sess == s {
		m.sess = nil
		m.at.hangUp()
	}
}

// read feeds the interpreter until the port ends.
func (m *Modem) read(r io.Reader, s *session) error {
	buf := make([]byte, 4096)
	for {
		n, err := r.Read(buf)
		if n > 0 {
			m.mu.Lock()
			m.feed(buf[:n])
			m.mu.Unlock()
		}
		if err != nil {
			return err
		}
	}
}
