package client

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"otpost/api/wire"
)

// EventStream is an open stream of events. It belongs to one goroutine, but for Close.
type EventStream struct {
	body  io.ReadCloser
	lines *bufio.Scanner
}

// OpenEvents opens the stream of events after the one named after; "" is now: all that happens once OpenEvents has
// returned is in the stream. So open it first and look at the state of things then, and nothing falls in between. The
// stream ends with ctx, and has to be closed.
func (c *Client) OpenEvents(ctx context.Context, after string) (*EventStream, error) {
	return c.openEvents(ctx, after, url.Values{})
}

func (c *Client) openEvents(ctx context.Context, after string, q url.Values) (*EventStream, error) {
	if after != "" {
		q.Set("after", after)
	}
	res, err := c.send(ctx, http.MethodGet, path("events"), q, nil)
	if err != nil {
		return nil, err
	}
	s := &EventStream{body: res.Body, lines: bufio.NewScanner(res.Body)}
	s.lines.Buffer(nil, 1<<20)
	return s, nil
}

// Next waits for the next event. io.EOF means that the daemon ended the stream.
func (s *EventStream) Next() (wire.Event, error) {
	var e wire.Event
	for s.lines.Scan() {
		data, ok := strings.CutPrefix(s.lines.Text(), "data: ")
		if !ok {
			continue
		}
		if err := json.Unmarshal([]byte(data), &e); err != nil {
			return e, fmt.Errorf("read an event: %w", err)
		}
		return e, nil
	}
	if err := s.lines.Err(); err != nil {
		return e, fmt.Errorf("follow the events: %w", err)
	}
	return e, io.EOF
}

// Close ends the stream.
func (s *EventStream) Close() error { return s.body.Close() }

// Each calls f for each event until the stream ends (io.EOF), breaks, or f fails (its error).
func (s *EventStream) Each(f func(wire.Event) error) error {
	for {
		e, err := s.Next()
		if err != nil {
			return err
		}
		if err := f(e); err != nil {
			return err
		}
	}
}

// Events calls f for each event after the one named after ("" for those from now on), until ctx is done (nil), f fails
// (its error) or the stream breaks (an error; go on after the last event seen). It is one goroutine's work: the caller's.
func (c *Client) Events(ctx context.Context, after string, f func(wire.Event) error) error {
	s, err := c.OpenEvents(ctx, after)
	if err != nil {
		return quietly(ctx, err)
	}
	defer s.Close()
	return s.Follow(ctx, f)
}

// Follow is Each for a stream that is meant to go on until ctx is done, which is no error then; its end by the daemon is
// one.
func (s *EventStream) Follow(ctx context.Context, f func(wire.Event) error) error {
	var failed error
	err := s.Each(func(e wire.Event) error {
		failed = f(e)
		return failed
	})
	switch {
	case failed != nil:
		return failed
	case errors.Is(err, io.EOF):
		err = errors.New("the daemon ended the stream of events")
	}
	return quietly(ctx, err)
}

// PastEvents calls f for each event after the one named after ("" for all that are kept) that has happened by now.
func (c *Client) PastEvents(ctx context.Context, after string, f func(wire.Event) error) error {
	s, err := c.openEvents(ctx, after, url.Values{"follow": {"false"}})
	if err != nil {
		return err
	}
	defer s.Close()
	if err := s.Each(f); !errors.Is(err, io.EOF) {
		return err
	}
	return nil
}

// quietly makes an end that the caller asked for no error.
func quietly(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil
	}
	return err
}
