package console

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"strconv"
	"time"
)

// inside makes requests to the API without a connection, on behalf of one request to the console: they come from the same
// address and carry the same id. It belongs to that request's goroutine.
type inside struct {
	api   http.Handler
	outer *http.Request
	w     http.ResponseWriter
}

var errCutOff = errors.New("the API broke off its answer")

// RoundTrip implements http.RoundTripper.
func (i inside) RoundTrip(r *http.Request) (res *http.Response, err error) {
	in := i.dress(r)
	out := &held{header: http.Header{}, rc: http.NewResponseController(i.w)}
	defer func() {
		if p := recover(); p == http.ErrAbortHandler {
			res, err = nil, errCutOff
		} else if p != nil {
			panic(p)
		}
	}()
	i.api.ServeHTTP(out, in)
	status := out.status
	if status == 0 {
		status = http.StatusOK
	}
	return &http.Response{Status: strconv.Itoa(status) + " " + http.StatusText(status), StatusCode: status, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: out.header, Body: io.NopCloser(&out.body), ContentLength: int64(out.body.Len()), Request: r}, nil
}

// dress makes a client's request one as a server gets it.
func (i inside) dress(r *http.Request) *http.Request {
	in := r.Clone(r.Context())
	in.RequestURI = r.URL.RequestURI()
	in.RemoteAddr = i.outer.RemoteAddr
	in.Host = i.outer.Host
	if id := i.w.Header().Get("X-Request-Id"); id != "" {
		in.Header.Set("X-Request-Id", id)
	}
	if in.Body == nil {
		in.Body = http.NoBody
	}
	return in
}

// held keeps an answer. Deadlines that the API sets, for an answer that may take minutes, go to the browser's connection.
type held struct {
	header http.Header
	status int
	body   bytes.Buffer
	rc     *http.ResponseController
}

// Header implements http.ResponseWriter.
func (h *held) Header() http.Header { return h.header }

// WriteHeader implements http.ResponseWriter.
func (h *held) WriteHeader(status int) {
	if h.status == 0 {
		h.status = status
	}
}

// Write implements http.ResponseWriter.
func (h *held) Write(b []byte) (int, error) { return h.body.Write(b) }

// SetReadDeadline is for http.ResponseController.
func (h *held) SetReadDeadline(t time.Time) error { return h.rc.SetReadDeadline(t) }

// SetWriteDeadline is for http.ResponseController.
func (h *held) SetWriteDeadline(t time.Time) error { return h.rc.SetWriteDeadline(t) }
