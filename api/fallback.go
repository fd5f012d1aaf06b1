package api

import (
	"fmt"
	"net/http"
	"strings"

	"github.com/gorilla/mux"
)

// notFound answers paths that are no call's. An id with an encoded slash ends up here; it gets an answer of its own.
func (s *Server) notFound(w http.ResponseWriter, r *http.Request) {
	if raw := strings.ToLower(r.URL.RawPath); strings.Contains(raw, "%2f") || strings.Contains(raw, "%5c") {
		writeProblem(w, r, problem(codeInvalidRequest, "an id in the path may not hold a slash"))
		return
	}
	writeProblem(w, r, problem(codeNotFound, "there is no such call"))
}

func (s *Server) methodNotAllowed(w http.ResponseWriter, r *http.Request) {
	var allowed []string
	for _, m := range []string{http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodDelete} {
		try := r.Clone(r.Context())
		try.Method = m
		var match mux.RouteMatch
		if s.router.Match(try, &match) && match.MatchErr == nil {
			allowed = append(allowed, m)
		}
	}
	w.Header().Set("Allow", strings.Join(allowed, ", "))
	writeProblem(w, r, problem(codeMethodNotAllowed, "this path takes "+strings.Join(allowed, ", ")))
}

// typeName is what may be said of a panic's value.
func typeName(v any) string { return fmt.Sprintf("%T", v) }
