package api

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"math"
	"net/http"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"otpost/api/wire"
	"otpost/gateway"
	"otpost/gateway/store"
	"otpost/otp"
)

// The codes of problems that arise here, beside otp's own.
const (
	codeInvalidRequest      = string(otp.InvalidRequest)
	codeUnauthenticated     = "unauthenticated"
	codeForbidden           = "forbidden"
	codeNotFound            = string(otp.NotFound)
	codeMethodNotAllowed    = "method-not-allowed"
	codeNotAcceptable       = "not-acceptable"
	codeTimeout             = "request-timeout"
	codeTooLate             = "too-late"
	codeIdempotencyInFlight = "idempotency-in-flight"
	codeIdempotencyMismatch = "idempotency-mismatch"
	codeTooLarge            = "too-large"
	codeMediaType           = "unsupported-media-type"
	codeRateLimited         = string(otp.RateLimited)
	codeInternal            = "internal"
	codeNoCapacity          = "no-capacity"
	codeNoModem             = "no-modem"
	codeModemFailed         = "modem-failed"
	codeUnavailable         = "unavailable"
	codeStorageLow          = "storage-low"
)

// problem makes a problem of a known code.
func problem(code, detail string) *wire.Problem {
	k := kindOf(code)
	return &wire.Problem{Type: "/problems/" + k.code, Title: k.title, Status: k.status, Code: k.code, Detail: detail}
}

// after adds when it is worth trying again, in whole seconds and at least one.
func after(p *wire.Problem, d time.Duration) *wire.Problem {
	p.RetryAfter = int(math.Ceil(max(d, time.Second).Seconds()))
	return p
}

// problemOf is the one place where an error becomes an answer. Details of refusals are meant for the caller; everything
// else goes to the log only.
func (s *Server) problemOf(ctx context.Context, err error) *wire.Problem {
	var (
		known    *wire.Problem
		refusal  *otp.Error
		capacity *gateway.CapacityError
		corrupt  *store.CorruptError
		invalid  *gateway.InvalidError
	)
	switch {
	case errors.As(err, &known):
		return known
	case errors.As(err, &refusal):
		return refused(refusal)
	case errors.As(err, &invalid):
		p := problem(codeInvalidRequest, invalid.Field+": "+invalid.Reason)
		p.Errors = []wire.InvalidPart{{Location: invalid.Field, Message: invalid.Reason}}
		return p
	case errors.As(err, &capacity) && capacity.NoModem:
		return after(problem(codeNoModem, "no modem can take the message now"), capacity.RetryAfter)
	case errors.As(err, &capacity):
		return after(problem(codeNoCapacity, "the queue is too long for the message to arrive in time"), capacity.RetryAfter)
	case errors.Is(err, gateway.ErrStorageLow), errors.Is(err, store.ErrFull):
		return problem(codeStorageLow, "free disk space is below the reserve; sending is off until there is room")
	case errors.Is(err, gateway.ErrNotFound):
		return problem(codeNotFound, "there is no such message")
	case errors.Is(err, gateway.ErrNoEndpoint):
		return problem(codeNotFound, "there is no such webhook in the configuration")
	case errors.Is(err, gateway.ErrTooLate):
		return problem(codeTooLate, "the message is with a modem already, or has ended")
	case ctx.Err() != nil:
		return after(problem(codeUnavailable, "the request was given up before it was answered"), time.Second)
	}
	s.log.LogAttrs(ctx, slog.LevelError, "request failed", requestAttrs(ctx, slog.Any("error", err))...)
	if errors.As(err, &corrupt) || errors.Is(err, store.ErrUnknown) || errors.Is(err, store.ErrClosed) {
		return after(problem(codeUnavailable, "the store cannot answer now; the daemon's log says why"), 5*time.Second)
	}
	return problem(codeInternal, "the daemon's log says why, under this request's id")
}

// refused maps a refusal of the rules.
func refused(e *otp.Error) *wire.Problem {
	p := problem(string(e.Code), e.Detail)
	switch e.Code {
	case otp.RateLimited:
		p.Limit = e.Limit
		after(p, e.RetryAfter)
	case otp.Blocked, otp.ResendTooEarly, otp.PINUnavailable:
		after(p, e.RetryAfter)
	case otp.VerificationFailed:
		p.AttemptsLeft = e.AttemptsLeft
	case otp.ChallengeOver:
		p.ChallengeStatus = string(e.Status)
	}
	return p
}

// installProblems makes huma answer with our problems and compare names exactly. The hooks are globals of the library;
// what is set never changes.
var installProblems = sync.OnceFunc(func() {
	huma.ValidateStrictCasing = true
	huma.NewError = func(status int, msg string, errs ...error) huma.StatusError { return fromHuma(status, msg, errs) }
})

// fromHuma translates huma's own findings: a request that does not fit the schema is 400, whatever huma thinks.
func fromHuma(status int, _ string, errs []error) *wire.Problem {
	switch status {
	case http.StatusRequestEntityTooLarge:
		return problem(codeTooLarge, "the body is larger than 64 KiB")
	case http.StatusUnsupportedMediaType:
		return problem(codeMediaType, "send the body as application/json")
	case http.StatusRequestTimeout:
		return problem(codeTimeout, "the body did not arrive in time")
	case http.StatusNotAcceptable:
		return problem(codeNotAcceptable, "answers are application/json")
	case http.StatusBadRequest, http.StatusUnprocessableEntity:
		p := problem(codeInvalidRequest, "the request does not have the form that the call asks for")
		for _, err := range errs {
			p.Errors = append(p.Errors, invalidPart(err))
		}
		if len(errs) == 0 {
			p.Detail = "a body is needed"
		}
		return p
	default:
		return problem(codeInternal, "the daemon's log says why, under this request's id")
	}
}

// A member's name that may be repeated: it looks like a name, and could not be a code, a PIN or a phone.
var speakable = regexp.MustCompile(`^(body|path|query|header|cookie)([.][A-Za-z_-]{1,40}|\[[0-9]{1,4}\]){0,6}$`)

// What huma says with a value or a Go type in it is said without.
var echoes = regexp.MustCompile(`^(expected string to be RFC [0-9]+ [a-z-]+|expected string to be regex|expected duration):.*`)

// invalidPart translates one finding. Messages about bodies are ours (see strictJSON) or huma's fixed ones.
func invalidPart(err error) wire.InvalidPart {
	var detail *huma.ErrorDetail
	if !errors.As(err, &detail) {
		return wire.InvalidPart{Message: "not understood"}
	}
	where := detail.Location
	for where != "" && !speakable.MatchString(where) {
		where = where[:max(0, strings.LastIndexAny(where, ".["))]
	}
	return wire.InvalidPart{Location: where, Message: echoes.ReplaceAllString(detail.Message, "$1")}
}

// writeProblem answers with p outside huma.
func writeProblem(w http.ResponseWriter, r *http.Request, p *wire.Problem) {
	q := *p
	if i := infoOf(r.Context()); i != nil {
		q.RequestID = i.id
	}
	b, err := json.Marshal(q)
	if err != nil {
		http.Error(w, "internal", http.StatusInternalServerError)
		return
	}
	for k, v := range q.GetHeaders() {
		w.Header()[k] = v
	}
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(q.Status)
	_, _ = w.Write(append(b, '\n')) // a client that is gone needs no answer
}
