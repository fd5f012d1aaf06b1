package api

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humamux"
	"github.com/gorilla/mux"

	"otpost/api/wire"
)

const (
	maxBody       = 64 << 10
	accessKey     = "access"
	idempotentKey = "idempotent"
	securityName  = "key"
)

// call is what the document and the middleware need to know about an operation.
type call struct {
	id, method, path string
	tag              string
	summary          string
	about            string
	status           int      // of success; 0: 200, or 204 without a body
	may              []Scope  // beside admin; nil: admin only
	anyone           bool     // any known caller
	loopback         bool     // and anybody on this machine
	codes            []string // problems beyond those that every call can have
	once             bool     // takes Idempotency-Key
	example          any      // of the body
	answer           any      // example of success
}

// newHuma is huma on r with our formats, problems and none of its own pages.
func newHuma(r *mux.Router, version string) huma.API {
	installProblems()
	cfg := huma.DefaultConfig("Otpost", version)
	cfg.Info.Description = apiAbout
	cfg.Info.License = &huma.License{Name: "Apache-2.0", Identifier: "Apache-2.0"}
	cfg.OpenAPIPath, cfg.DocsPath, cfg.SchemasPath = "", "", ""
	cfg.CreateHooks = nil
	cfg.Formats = jsonFormats()
	cfg.RejectUnknownQueryParameters = true
	cfg.Transformers = []huma.Transformer{addRequestID}
	cfg.Tags = tags()
	cfg.Components.SecuritySchemes = map[string]*huma.SecurityScheme{securityName: {Type: "http", Scheme: "bearer",
		Description: "An API key, `otp_live_…`. Its scopes: " + scopeNames(Scopes()) + "; admin may do everything. On the unix socket the operators need none."}}
	cfg.Components.Examples = problemExamples()
	return humamux.New(r, cfg)
}

// register adds a call: its document, who may make it, and its handler, whose errors go through problemOf.
func register[I, O any](s *Server, c call, h func(context.Context, *I) (*O, error)) {
	op := c.operation()
	huma.Register(s.api, op, func(ctx context.Context, in *I) (*O, error) {
		out, err := h(ctx, in)
		if err != nil {
			return nil, s.problemOf(ctx, err)
		}
		return out, nil
	})
}

func (c call) operation() huma.Operation {
	op := huma.Operation{OperationID: c.id, Method: c.method, Path: c.path, Tags: []string{c.tag}, Summary: c.summary,
		Description: c.describe(), DefaultStatus: c.status, MaxBodyBytes: maxBody + 1, BodyReadTimeout: -1,
		Responses: c.responses(), Metadata: map[string]any{accessKey: c.access(), idempotentKey: c.once}}
	for _, scope := range append(slices.Clone(c.may), ScopeAdmin) {
		op.Security = append(op.Security, map[string][]string{securityName: {string(scope)}})
	}
	if c.anyone {
		op.Security = []map[string][]string{{securityName: {}}}
	}
	if c.loopback {
		op.Security = append(op.Security, map[string][]string{})
	}
	if c.example != nil {
		op.RequestBody = &huma.RequestBody{Content: map[string]*huma.MediaType{"application/json": {Example: c.example}}}
	}
	if c.once {
		op.Parameters = append(op.Parameters, idempotencyParam())
	}
	return op
}

func (c call) access() access {
	if c.anyone {
		return access{loopback: c.loopback}
	}
	return access{scopes: append(slices.Clone(c.may), ScopeAdmin), loopback: c.loopback}
}

func (c call) describe() string {
	who := "Scope: " + scopeNames(append(slices.Clone(c.may), ScopeAdmin)) + "."
	if c.anyone {
		who = "Any key."
	}
	if c.loopback {
		who += " No key is needed on loopback."
	}
	return strings.TrimSpace(c.about + "\n\n" + who)
}

// responses documents the answers: the success with its example, and each status with the codes it can carry.
func (c call) responses() map[string]*huma.Response {
	codes := append([]string{codeInvalidRequest, codeUnauthenticated, codeForbidden, codeRateLimited, codeInternal, codeUnavailable}, c.codes...)
	if c.once {
		codes = append(codes, codeIdempotencyInFlight, codeIdempotencyMismatch)
	}
	byStatus := map[int][]kind{}
	for _, k := range kinds {
		if slices.Contains(codes, k.code) || c.method != http.MethodGet && (k.code == codeTooLarge || k.code == codeMediaType) {
			byStatus[k.status] = append(byStatus[k.status], k)
		}
	}
	out := map[string]*huma.Response{}
	for status, ks := range byStatus {
		out[strconv.Itoa(status)] = problemResponse(ks)
	}
	if c.answer != nil {
		status := c.status
		if status == 0 {
			status = http.StatusOK
		}
		out[strconv.Itoa(status)] = &huma.Response{Description: http.StatusText(status),
			Content: map[string]*huma.MediaType{"application/json": {Example: c.answer}}}
	}
	return out
}

func problemResponse(ks []kind) *huma.Response {
	var about []string
	examples := map[string]*huma.Example{}
	for _, k := range ks {
		about = append(about, "`"+k.code+"`: "+k.title)
		examples[k.code] = &huma.Example{Ref: "#/components/examples/" + k.code}
	}
	return &huma.Response{Description: strings.Join(about, "; "), Content: map[string]*huma.MediaType{
		"application/problem+json": {Schema: &huma.Schema{Ref: "#/components/schemas/Problem"}, Examples: examples}}}
}

// body reads the whole body before the handler runs, within the limits, so that what follows works on memory.
func (s *Server) body(ctx huma.Context, next func(huma.Context)) {
	r, w := humamux.Unwrap(ctx)
	if r.Body == nil || r.Body == http.NoBody {
		next(ctx)
		return
	}
	b, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		writeProblem(w, r, bodyProblem(err))
		return
	}
	if ctx.Operation().RequestBody == nil && len(bytes.TrimSpace(b)) > 0 && string(bytes.TrimSpace(b)) != "{}" {
		writeProblem(w, r, problem(codeInvalidRequest, "this call takes no body"))
		return
	}
	info := infoOf(r.Context())
	info.body = b
	info.again.Reset(b)
	r.Body = &info.again
	next(ctx)
}

func bodyProblem(err error) *wire.Problem {
	var (
		large *http.MaxBytesError
		slow  net.Error
	)
	switch {
	case errors.As(err, &large):
		return problem(codeTooLarge, "the body is larger than 64 KiB")
	case errors.As(err, &slow) && slow.Timeout():
		return problem(codeTimeout, "the body did not arrive in time")
	}
	return problem(codeInvalidRequest, "the body could not be read to its end")
}
