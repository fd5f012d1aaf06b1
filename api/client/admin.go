package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"otpost/api/wire"
)

// LimitsReport says what the limits refused in the last days, and where every destination stands.
func (c *Client) LimitsReport(ctx context.Context, days int) (*wire.LimitsReport, error) {
	return call[wire.LimitsReport](ctx, c, http.MethodGet, path("limits", "report"), url.Values{"days": {strconv.Itoa(days)}}, nil)
}

// Audit reads a page of the audit trail, beginning with the entry of that number (1 is the first).
func (c *Client) Audit(ctx context.Context, from uint64, limit int) (*wire.Audit, error) {
	q := url.Values{"from": {strconv.FormatUint(from, 10)}, "limit": {strconv.Itoa(limit)}}
	return call[wire.Audit](ctx, c, http.MethodGet, path("audit"), q, nil)
}

// AuditTail reads the last entries of the audit trail, oldest first.
func (c *Client) AuditTail(ctx context.Context, limit int) (*wire.Audit, error) {
	q := url.Values{"tail": {"true"}, "limit": {strconv.Itoa(limit)}}
	return call[wire.Audit](ctx, c, http.MethodGet, path("audit"), q, nil)
}

// auditPatience is how long a check of the whole trail may take.
const auditPatience = 10 * time.Minute

// CheckAudit checks the whole audit trail. A trail that is broken is no error but an answer.
func (c *Client) CheckAudit(ctx context.Context) (*wire.AuditCheck, error) {
	patient := *c
	patient.timeout = max(c.timeout, auditPatience)
	return call[wire.AuditCheck](ctx, &patient, http.MethodGet, path("audit", "check"), nil, nil)
}

// backupTrailer ends a whole backup.
const backupTrailer = "Otpost-Backup-Records"

// ErrCutOff means that a backup did not come to its end: what was written is worth nothing.
var ErrCutOff = errors.New("the backup was cut off")

// Backup writes a backup of the running daemon to w, encrypted to age public keys, and returns how many records it holds.
// It may take long, so only ctx bounds it.
func (c *Client) Backup(ctx context.Context, w io.Writer, recipients ...string) (int, error) {
	res, err := c.send(ctx, http.MethodPost, path("backup"), nil, wire.CreateBackup{Recipients: recipients})
	if err != nil {
		return 0, err
	}
	defer res.Body.Close()
	if _, err := io.Copy(w, res.Body); err != nil {
		return 0, fmt.Errorf("%w: %w", ErrCutOff, err)
	}
	n, err := strconv.Atoi(res.Trailer.Get(backupTrailer))
	if err != nil {
		return 0, ErrCutOff
	}
	return n, nil
}

// Metrics writes the daemon's metrics to w, in Prometheus' text format.
func (c *Client) Metrics(ctx context.Context, w io.Writer) error {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	res, err := c.send(ctx, http.MethodGet, "/metrics", nil, nil)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if _, err := io.Copy(w, io.LimitReader(res.Body, maxAnswer)); err != nil {
		return fmt.Errorf("read the metrics: %w", err)
	}
	return nil
}
