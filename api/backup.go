package api

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"time"

	"filippo.io/age"
	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humamux"

	"otpost/api/wire"
	"otpost/gateway/store"
)

// BackupTrailer names the trailer field that ends a whole backup: the number of its records. An answer without it was cut
// off.
const BackupTrailer = "Otpost-Backup-Records"

const (
	backupType   = "application/age-encryption"
	backupWithin = 15 * time.Second // a reader that takes longer for one piece is dropped: it holds a state of the store
)

func (s *Server) backupCall() {
	const path = "/v1/backup"
	register(s, call{id: "create-backup", method: http.MethodPost, path: path, tag: "admin",
		summary: "Back up the store", about: "One consistent state of everything but the key file, encrypted with age while the daemon goes on. The trailer `" +
			BackupTrailer + "` ends a whole answer; without it the backup was cut off and is worth nothing.",
		example: map[string]any{"recipients": []string{"age1qyqszqgpqyqszqgpqyqszqgpqyqszqgpqyqszqgpqyqszqgpqyqs3290gq"}}}, s.backup)
	s.api.OpenAPI().Paths[path].Post.Responses["200"] = &huma.Response{Description: "OK", Content: map[string]*huma.MediaType{
		backupType: {Schema: &huma.Schema{Type: "string", Format: "binary"}, Example: "age-encryption.org/v1…"}}}
}

func (s *Server) backup(_ context.Context, in *struct{ Body wire.CreateBackup }) (*huma.StreamResponse, error) {
	recipients, err := age.ParseRecipients(strings.NewReader(strings.Join(in.Body.Recipients, "\n")))
	if err != nil {
		p := problem(codeInvalidRequest, "recipients holds age public keys")
		p.Errors = []wire.InvalidPart{{Location: "body.recipients", Message: "expected age public keys, age1…"}}
		return nil, p
	}
	return &huma.StreamResponse{Body: func(hctx huma.Context) {
		r, w := humamux.Unwrap(hctx)
		s.streamBackup(w, r, recipients)
	}}, nil
}

// streamBackup writes the backup as it is read. When that fails in the middle the answer is cut off, without the trailer.
func (s *Server) streamBackup(w http.ResponseWriter, r *http.Request, recipients []age.Recipient) {
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	defer context.AfterFunc(s.drain, cancel)()
	w.Header().Set("Content-Type", backupType)
	w.Header().Set("Trailer", BackupTrailer)
	w.WriteHeader(http.StatusOK)
	out := &timedWriter{w: w, rc: http.NewResponseController(w)}
	err := unsupportedIsFine(out.rc.Flush())
	var sum store.Summary
	if err == nil {
		sum, err = store.Backup(ctx, s.cfg.KV, out, recipients...)
	}
	if err != nil {
		s.log.LogAttrs(ctx, slog.LevelError, "backup was cut off", requestAttrs(r.Context(), slog.Any("error", err))...)
		panic(http.ErrAbortHandler)
	}
	w.Header().Set(BackupTrailer, strconv.Itoa(sum.Records))
	s.log.LogAttrs(ctx, slog.LevelInfo, "backup made", requestAttrs(r.Context(), slog.Int("records", sum.Records))...)
}

// timedWriter gives each write a deadline of its own.
type timedWriter struct {
	w  http.ResponseWriter
	rc *http.ResponseController
}

// Write writes b within backupWithin.
func (t *timedWriter) Write(b []byte) (int, error) {
	deadline := time.Now().Add(backupWithin)
	if err := unsupportedIsFine(t.rc.SetReadDeadline(time.Time{})); err != nil {
		return 0, fmt.Errorf("write the backup: %w", err)
	}
	if err := unsupportedIsFine(t.rc.SetWriteDeadline(deadline)); err != nil {
		return 0, fmt.Errorf("write the backup: %w", err)
	}
	return t.w.Write(b)
}
