package api

import (
	"bytes"
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humamux"

	"otpost/api/wire"
	"otpost/gateway/store"
)

// Idempotency-Key, by draft-ietf-httpapi-idempotency-key-header: the same key with the same request from the same caller
// gets the same answer for 24 hours, across restarts.
//
// A request first claims its key durably, then is done, then its answer is kept durably, and only then is it answered. A
// request that was refused before it did anything (bad form, limits, no capacity) gives its claim back. A claim that a
// killed daemon left is not taken over, since what the request did is not known: nothing is ever done twice.
//
// A kept answer may hold a secret: a new key's token, a challenge's client secret. So it is sealed to the very name that
// was given, of which the store has only a keyed hash: beside the key file and the store it takes the caller's
// Idempotency-Key to read it.
const (
	idempotencyHeader = "Idempotency-Key"
	keptFor           = 24 * time.Hour
	keepWithin        = 5 * time.Second // for writing an answer down after the caller has gone
)

// keptAnswer is the record of one Idempotency-Key. It holds answers only, never requests: a keyed hash stands for those.
type keptAnswer struct {
	Print   []byte    `json:"print"`            // keyed hash of the request
	Boot    string    `json:"boot"`             // which run of the daemon claimed it
	At      time.Time `json:"at"`               // when
	Status  int       `json:"status,omitempty"` // 0: not answered yet
	Answer  []byte    `json:"answer,omitempty"` // a sealedAnswer, by claimName.seal
	Request string    `json:"request"`          // id of the first request
}

// sealedAnswer is what is kept of an answer beside its status.
type sealedAnswer struct {
	Header map[string]string `json:"header"`
	Body   []byte            `json:"body"`
}

// claimName is an Idempotency-Key of one caller.
type claimName struct {
	record string
	aead   cipher.AEAD
}

func (s *Server) claimName(caller, name string) (claimName, error) {
	full := caller + "\x00" + name
	mac := hmac.New(sha256.New, s.cfg.Secrets.Key("api/idempotency-answer"))
	mac.Write([]byte(full))
	block, err := aes.NewCipher(mac.Sum(nil))
	if err != nil {
		return claimName{}, err
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	return claimName{record: "api/idem/" + s.cfg.Secrets.Pseudonym("api/idempotency", full), aead: aead}, err
}

func (c claimName) seal(a *heldAnswer) ([]byte, error) {
	kept := sealedAnswer{Header: map[string]string{}, Body: a.body.Bytes()}
	for name, values := range a.header {
		kept.Header[name] = values[0]
	}
	b, err := json.Marshal(kept)
	return c.aead.Seal(nil, nil, b, nil), err
}

func (c claimName) open(k *keptAnswer) (*heldAnswer, error) {
	b, err := c.aead.Open(nil, nil, k.Answer, nil)
	if err != nil {
		return nil, fmt.Errorf("open the answer kept for %s: %w", c.record, err)
	}
	var kept sealedAnswer
	if err := json.Unmarshal(b, &kept); err != nil {
		return nil, fmt.Errorf("read the answer kept for %s: %w", c.record, err)
	}
	return &heldAnswer{header: headerOf(kept.Header), status: k.Status, body: *bytes.NewBuffer(kept.Body)}, nil
}

// idempotent is the middleware. It runs after admission and after the body was read.
func (s *Server) idempotent(ctx huma.Context, next func(huma.Context)) {
	r, w := humamux.Unwrap(ctx)
	given := r.Header.Values(idempotencyHeader)
	if once, _ := ctx.Operation().Metadata[idempotentKey].(bool); !once || len(given) == 0 {
		next(ctx)
		return
	}
	name, p := idempotencyName(given)
	if p != nil {
		writeProblem(w, r, p)
		return
	}
	info := infoOf(r.Context())
	claim, err := s.claimName(info.who.id, name)
	if err != nil {
		writeProblem(w, r, s.problemOf(r.Context(), err))
		return
	}
	mine := keptAnswer{Print: s.fingerprint(r, info.body), Boot: s.boot, At: s.now().UTC(), Request: info.id}
	kept, err := s.claim(r.Context(), claim.record, mine)
	if err != nil {
		writeProblem(w, r, s.problemOf(r.Context(), err))
		return
	}
	if kept != nil {
		s.replay(w, r, claim, kept, mine)
		return
	}
	// From here on the request is done to its end, whether or not the caller waits for it.
	r = r.WithContext(context.WithoutCancel(r.Context()))
	answer := &heldAnswer{header: http.Header{}}
	settled := false
	defer func() {
		if !settled { // a panic: what the request did is not known, so its claim stays
			s.log.LogAttrs(r.Context(), slog.LevelError, "request with an idempotency key did not end", requestAttrs(r.Context())...)
		}
	}()
	next(humamux.NewContext(ctx.Operation(), r, answer))
	settled = true
	s.settle(r.Context(), claim, mine, answer)
	answer.send(w)
}

// idempotencyName takes the key as the draft writes it (a quoted string) and bare.
func idempotencyName(given []string) (string, *wire.Problem) {
	name := strings.TrimSpace(given[0])
	if n := len(name); n >= 2 && name[0] == '"' && name[n-1] == '"' {
		name = name[1 : n-1]
	}
	bad := strings.IndexFunc(name, func(r rune) bool { return r < 0x20 || r > 0x7e }) >= 0
	if len(given) > 1 || name == "" || len(name) > 255 || bad {
		p := problem(codeInvalidRequest, "Idempotency-Key is one name of 1 to 255 visible characters")
		p.Errors = []wire.InvalidPart{{Location: "header." + idempotencyHeader, Message: "expected 1 to 255 visible characters"}}
		return "", p
	}
	return name, nil
}

// fingerprint stands for a request. It is keyed, because requests hold PINs.
func (s *Server) fingerprint(r *http.Request, body []byte) []byte {
	mac := hmac.New(sha256.New, s.cfg.Secrets.Key("api/idempotency"))
	fmt.Fprintf(mac, "%q %q %q %q\n", r.Method, r.URL.EscapedPath(), r.URL.RawQuery, r.Header.Get("Content-Type"))
	mac.Write(body)
	return mac.Sum(nil)
}

// claim writes mine down, or returns what is there already.
func (s *Server) claim(ctx context.Context, record string, mine keptAnswer) (*keptAnswer, error) {
	var found *keptAnswer
	err := s.cfg.KV.Update(ctx, func(tx store.Txn) error {
		found = nil
		old, err := store.Load[keptAnswer](tx, record)
		if err == nil && mine.At.Sub(old.At) < keptFor {
			found = &old
			return nil
		}
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return err
		}
		return store.Save(tx, record, mine, mine.At.Add(keptFor))
	})
	return found, err
}

// replay answers a request whose key was claimed before.
func (s *Server) replay(w http.ResponseWriter, r *http.Request, claim claimName, kept *keptAnswer, mine keptAnswer) {
	switch {
	case !hmac.Equal(kept.Print, mine.Print):
		writeProblem(w, r, problem(codeIdempotencyMismatch, "this Idempotency-Key came with another request before"))
	case kept.Status == 0 && kept.Boot != mine.Boot:
		writeProblem(w, r, problem(codeIdempotencyInFlight, "the daemon was stopped during the first request with this key, so what it did is not known; look it up and use a new key"))
	case kept.Status == 0:
		writeProblem(w, r, after(problem(codeIdempotencyInFlight, "the first request with this key is not answered yet"), time.Second))
	default:
		answer, err := claim.open(kept)
		if err != nil {
			writeProblem(w, r, s.problemOf(r.Context(), err))
			return
		}
		w.Header().Set("Idempotency-Replayed", "true")
		answer.send(w)
	}
}

// settle keeps an answer, or gives the claim back where nothing was done.
func (s *Server) settle(ctx context.Context, claim claimName, mine keptAnswer, a *heldAnswer) {
	ctx, cancel := context.WithTimeout(ctx, keepWithin)
	defer cancel()
	err := s.cfg.KV.Update(ctx, func(tx store.Txn) error {
		if a.nothingDone() {
			return tx.Delete(claim.record)
		}
		var err error
		if mine.Answer, err = claim.seal(a); err != nil {
			return err
		}
		mine.Status = a.status
		return store.Save(tx, claim.record, mine, mine.At.Add(keptFor))
	})
	if err != nil {
		s.log.LogAttrs(ctx, slog.LevelWarn, "answer not kept for its idempotency key", requestAttrs(ctx, slog.Any("error", err))...)
	}
}

func headerOf(m map[string]string) http.Header {
	h := http.Header{}
	for name, value := range m {
		h.Set(name, value)
	}
	return h
}

// heldAnswer holds an answer back until it is kept.
type heldAnswer struct {
	header http.Header
	status int
	body   bytes.Buffer
}

var _ http.ResponseWriter = (*heldAnswer)(nil)

// Header implements http.ResponseWriter.
func (a *heldAnswer) Header() http.Header { return a.header }

// WriteHeader implements http.ResponseWriter.
func (a *heldAnswer) WriteHeader(status int) {
	if a.status == 0 {
		a.status = status
	}
}

// Write implements http.ResponseWriter.
func (a *heldAnswer) Write(b []byte) (int, error) {
	a.WriteHeader(http.StatusOK)
	return a.body.Write(b)
}

// nothingDone says whether the answer is one of those that are given before anything was changed, and that may be another
// when the same request comes again. An internal error is not: what it left is not known.
func (a *heldAnswer) nothingDone() bool {
	switch a.status {
	case http.StatusBadRequest, http.StatusUnauthorized, http.StatusRequestTimeout, http.StatusRequestEntityTooLarge,
		http.StatusUnsupportedMediaType, http.StatusNotAcceptable, http.StatusTooManyRequests, http.StatusServiceUnavailable,
		http.StatusInsufficientStorage:
		return true
	}
	return false
}

func (a *heldAnswer) send(w http.ResponseWriter) {
	for name, values := range a.header {
		w.Header()[name] = values
	}
	a.WriteHeader(http.StatusOK)
	w.WriteHeader(a.status)
	_, _ = w.Write(a.body.Bytes()) // a client that is gone can ask again
}
