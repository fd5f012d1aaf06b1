package api

import (
	"context"
	"net/http"
	"strings"

	"otpost/api/console"
)

// mountConsole mounts the web console, which calls the API in this process.
func (s *Server) mountConsole() error {
	c, err := console.New(console.Config{API: http.HandlerFunc(s.fromInside), Log: s.log, Simulated: s.cfg.Network != nil})
	if err != nil {
		return err
	}
	s.console = c
	at := strings.TrimSuffix(console.Base, "/")
	s.router.PathPrefix(console.Base).HandlerFunc(s.public(console.Base, c.ServeHTTP))
	s.router.HandleFunc(at, s.public(console.Base, func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, console.Base, http.StatusSeeOther)
	})).Methods(http.MethodGet, http.MethodHead)
	return nil
}

// Console is the web console, for the demo to let its visitors in.
func (s *Server) Console() *console.Console { return s.console }

// fromInside answers a call that a page makes in this process. Who is at the other end of the connection and what else the
// outer request was given must count for nothing: only the key that the call carries does. A key that is good makes the
// browser's connection one of somebody known.
func (s *Server) fromInside(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("Authorization") == "" {
		writeProblem(w, r, problem(codeUnauthenticated, "send the header Authorization: Bearer <key>"))
		return
	}
	ctx := ofPage(r.Context())
	for _, key := range []any{connKey{}, peerKey{}, requestKey{}} {
		ctx = context.WithValue(ctx, key, nil)
	}
	r = r.WithContext(ctx)
	r.TLS = nil
	s.handler.ServeHTTP(w, r)
}
