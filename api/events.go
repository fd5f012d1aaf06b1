package api

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humamux"

	"otpost/api/wire"
	"otpost/gateway"
)

const (
	eventsRoute = "/v1/events"
	heartbeat   = 15 * time.Second // comments keep proxies from closing a quiet stream
	writeWithin = 15 * time.Second // a reader that takes longer for one event is dropped
)

func (s *Server) eventCalls() {
	register(s, call{id: "stream-events", method: http.MethodGet, path: eventsRoute, tag: "events", may: []Scope{ScopePortal, ScopeOps},
		summary: "Follow the events", about: "Server-sent events (`text/event-stream`): `id`, `event` (the type) and `data` (an event as JSON). " +
			"With `after` or `Last-Event-ID` the stream begins after that event; without, it begins at the moment of the call: nothing that happens once the answer's header is there is left out. " +
			"`follow=false` gives what has happened so far (without `after`: all that is kept) and ends the answer at the newest event. A comment comes every 15 seconds."}, s.streamEvents)
	op := s.api.OpenAPI().Paths[eventsRoute].Get
	op.Responses["200"] = &huma.Response{Description: "OK", Content: map[string]*huma.MediaType{"text/event-stream": {
		Schema: s.api.OpenAPI().Components.Schemas.Schema(typeOf[wire.Event](), true, "Event"), Example: wire.Event{ID: "evt_01k9w3b5x8t2q4r6s7v9y0z1a2", Type: "message.delivered", At: exampleTime(0), Account: "client-4711"}}}}
}

func (s *Server) streamEvents(ctx context.Context, in *struct {
	After  string `query:"after" maxLength:"64" pattern:"^evt_[0-7][0-9a-hjkmnp-tv-z]{25}$" patternDescription:"an event's id" doc:"Go on after this event."`
	Follow bool   `query:"follow" default:"true" doc:"false: end at the newest event instead of waiting for more."`
	LastID string `header:"Last-Event-ID" maxLength:"64" pattern:"^evt_[0-7][0-9a-hjkmnp-tv-z]{25}$" patternDescription:"an event's id" doc:"Set by browsers when they reconnect; as after."`
}) (*huma.StreamResponse, error) {
	after, give := cmp.Or(in.LastID, in.After), s.pastEvents
	if in.Follow {
		give = s.followEvents
		if after == "" {
			var err error
			if after, err = s.cfg.Gateway.LastEvent(ctx); err != nil {
				return nil, s.problemOf(ctx, err)
			}
		}
	}
	return &huma.StreamResponse{Body: func(hctx huma.Context) {
		r, w := humamux.Unwrap(hctx)
		ctx, cancel := context.WithCancel(r.Context())
		defer cancel()
		defer context.AfterFunc(s.drain, cancel)()
		w.Header().Set("Content-Type", "text/event-stream")
		w.Header().Set("X-Accel-Buffering", "no")
		w.WriteHeader(http.StatusOK)
		out := &eventWriter{w: w, rc: http.NewResponseController(w), still: func() bool { return s.stillIn(r) }}
		// The first lines are an event without data: nobody sees it, but a browser that is cut off goes on from there.
		if out.write(": events follow\n"+idLine(after)+"\n") == nil {
			give(ctx, out, after)
		}
	}}, nil
}

// stillIn says whether the key that a request came with is still good. One that came without went by its connection.
func (s *Server) stillIn(r *http.Request) bool {
	auth := r.Header.Get("Authorization")
	if auth == "" {
		return true
	}
	token, ok := bearerOf(r, auth)
	if !ok {
		return false
	}
	_, err := s.keys.Authenticate(r.Context(), s.now(), token, sourceOf(r))
	return err == nil
}

func idLine(id string) string {
	if id == "" {
		return ""
	}
	return "id: " + id + "\n"
}

// pastEvents writes the events so far. An answer that ends before the newest is cut off, so that it does not look whole.
func (s *Server) pastEvents(ctx context.Context, out *eventWriter, after string) {
	if err := s.cfg.Gateway.PastEvents(ctx, after, out.event); err != nil {
		s.log.LogAttrs(ctx, slog.LevelWarn, "past events were cut off", requestAttrs(ctx, slog.Any("error", err))...)
		panic(http.ErrAbortHandler)
	}
}

// followEvents writes events and heartbeats until the reader goes, is too slow, has no good key any more, or the server drains. Events run in a
// goroutine of its own, which has ended when followEvents returns.
func (s *Server) followEvents(ctx context.Context, out *eventWriter, after string) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	events, ended := make(chan gateway.Event), make(chan error, 1)
	go func() {
		ended <- s.cfg.Gateway.Events(ctx, after, func(e gateway.Event) error {
			select {
			case events <- e:
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		})
	}()
	if err := out.pump(events, ended); err != nil {
		cancel()
		<-ended
	}
}

// eventWriter writes to one reader; each write has a deadline.
type eventWriter struct {
	w     http.ResponseWriter
	rc    *http.ResponseController
	still func() bool // the reader may be told more
}

var errNoLonger = errors.New("the key is good no more")

// pump writes until a write fails or the reader may be told no more (an error), or the source ends (nil).
func (o *eventWriter) pump(events <-chan gateway.Event, ended <-chan error) error {
	beat := time.NewTicker(heartbeat)
	defer beat.Stop()
	for {
		tell := func() error { return o.comment("still here") }
		select {
		case e := <-events:
			tell = func() error { return o.event(e) }
		case <-beat.C:
		case <-ended:
			return nil
		}
		if !o.still() {
			return errNoLonger
		}
		if err := tell(); err != nil {
			return err
		}
	}
}

func (o *eventWriter) event(e gateway.Event) error {
	b, err := json.Marshal(wire.Event{ID: e.ID, Type: e.Type, At: e.At.UTC(), Account: e.Account, Data: e.Data})
	if err != nil {
		return fmt.Errorf("encode event %s: %w", e.ID, err)
	}
	return o.write(fmt.Sprintf("id: %s\nevent: %s\ndata: %s\n\n", e.ID, e.Type, b))
}

func (o *eventWriter) comment(s string) error { return o.write(": " + s + "\n\n") }

func (o *eventWriter) write(s string) error {
	now := time.Now()
	if err := errors.Join(unsupportedIsFine(o.rc.SetReadDeadline(time.Time{})), unsupportedIsFine(o.rc.SetWriteDeadline(now.Add(writeWithin)))); err != nil {
		return err
	}
	if _, err := o.w.Write([]byte(s)); err != nil {
		return err
	}
	return o.rc.Flush()
}

// unsupportedIsFine lets in-process writers without deadlines pass.
func unsupportedIsFine(err error) error {
	if errors.Is(err, http.ErrNotSupported) {
		return nil
	}
	return err
}
