package api

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"sync"

	"github.com/danielgtaylor/huma/v2"

	"otpost/api/wire"
)

const apiAbout = `Otpost sends SMS one-time codes over modems of your own and checks the answers.

Errors are application/problem+json (RFC 9457) with a stable ` + "`code`" + `; ` + "`type`" + ` opens a page about it.
Phones in answers are masked; codes, PINs and keys are never in an answer. Times are RFC 3339 in UTC.
A POST that sends or changes takes ` + "`Idempotency-Key`" + ` (IETF draft-ietf-httpapi-idempotency-key-header): the same key with the same request
gets the same answer for 24 hours.`

func tags() []*huma.Tag {
	return []*huma.Tag{
		{Name: "accounts", Description: "PIN, grade and SMS security codes of an account: Enable, Verify, Disable."},
		{Name: "challenges", Description: "Confirm a login, a withdrawal or another operation with a code."},
		{Name: "messages", Description: "Plain texts, and how every message fares."},
		{Name: "modems", Description: "The modems and their SIMs."},
		{Name: "events", Description: "What happened, as it happens."},
		{Name: "keys", Description: "API keys and their scopes."},
		{Name: "admin", Description: "Limits report, audit trail and backup."},
		{Name: "simulator", Description: "What the simulated phones got; only with a simulated modem."},
		{Name: "health", Description: "For supervisors and load balancers."},
	}
}

func idempotencyParam() *huma.Param {
	n := 255
	return &huma.Param{Name: "Idempotency-Key", In: "header", Example: "8e03978e-40d5-43dd-bc93-6894a57f9324",
		Description: "A name of your choice for this one request, e.g. a UUID. Repeated with the same request within 24 hours it gets the same answer.",
		Schema:      &huma.Schema{Type: "string", MaxLength: &n}}
}

// addRequestID puts the request's id into problems that huma writes.
func addRequestID(ctx huma.Context, _ string, v any) (any, error) {
	if p, ok := v.(*wire.Problem); ok {
		q := *p
		if i := infoOf(ctx.Context()); i != nil {
			q.RequestID = i.id
		}
		return &q, nil
	}
	return v, nil
}

// Document returns the OpenAPI 3.1 document as indented JSON.
func (s *Server) Document() ([]byte, error) {
	b, err := json.Marshal(s.api.OpenAPI())
	if err != nil {
		return nil, fmt.Errorf("encode the OpenAPI document: %w", err)
	}
	var out bytes.Buffer
	if err := json.Indent(&out, b, "", "  "); err != nil {
		return nil, fmt.Errorf("indent the OpenAPI document: %w", err)
	}
	out.WriteByte('\n')
	return out.Bytes(), nil
}

// documentCalls serves the document; it holds no secrets, so no key is asked for.
func (s *Server) documentCalls() {
	document := sync.OnceValues(s.Document)
	s.router.HandleFunc("/openapi.json", s.public("/openapi.json", func(w http.ResponseWriter, r *http.Request) {
		b, err := document()
		if err != nil {
			writeProblem(w, r, s.problemOf(r.Context(), err))
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(b) // a client that is gone needs no answer
	})).Methods(http.MethodGet, http.MethodHead)
}

// public names the route of a page that anybody may see.
func (s *Server) public(route string, next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		infoOf(r.Context()).route = route
		next(w, r)
	}
}
