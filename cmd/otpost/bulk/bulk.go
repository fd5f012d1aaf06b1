// Package bulk sends one text to many numbers and keeps a report beside the list, so that a run that was cut off goes on
// where it ended: what is in the report is not sent again, and what was on its way when the run ended is sent under the same
// idempotency key, which the daemon answers once.
package bulk

import (
	"context"
	"errors"
	"fmt"
	"time"

	"otpost/api/client"
	"otpost/api/wire"
)

// Sender sends one text; calls with the same idempotency key send it once. A refusal is a *client.Problem.
type Sender interface {
	Send(ctx context.Context, key string, in wire.SendMessage) (*wire.Message, error)
}

// Outcome is what became of a row.
type Outcome string

// The outcomes.
const (
	Accepted  Outcome = "accepted"  // the daemon has it, and owns it from then on
	Refused   Outcome = "refused"   // nothing was sent; a later run tries again
	Duplicate Outcome = "duplicate" // the same text to the same number stands further up in the list; not sent
	Unknown   Outcome = "unknown"   // the daemon was stopped while it took the row: look it up; not sent again
)

// Tally counts rows by outcome.
type Tally struct {
	Rows    int `json:"rows"`
	Before  int `json:"before"` // done by an earlier run
	Now     int `json:"accepted"`
	Refused int `json:"refused"`
	Twice   int `json:"duplicate"`
	Unknown int `json:"unknown"`
}

// Good says whether every row is with the daemon, or needs not be.
func (t Tally) Good() bool { return t.Refused == 0 && t.Unknown == 0 }

// Job is one list on its way.
type Job struct {
	Rows     []Row
	Report   *Report
	Sender   Sender
	Message  wire.SendMessage        // all but To and Text
	Progress func(done int, t Tally) // called behind each row; nil: nobody looks
}

// Run sends what is left of the list. Its error means that the run was cut off; calling it again goes on.
func (j *Job) Run(ctx context.Context) (Tally, error) {
	t := Tally{Rows: len(j.Rows)}
	seen := map[string]bool{}
	for i, row := range j.Rows {
		if err := j.one(ctx, row, seen, &t); err != nil {
			return t, fmt.Errorf("line %d: %w", row.Line, err)
		}
		if j.Progress != nil {
			j.Progress(i+1, t)
		}
	}
	return t, nil
}

// one sends a row, unless that was done before, and writes down what became of it.
func (j *Job) one(ctx context.Context, row Row, seen map[string]bool, t *Tally) error {
	twin := row.To + "\x00" + row.Text
	key := j.Report.Key(row)
	switch before := j.Report.Outcome(key); {
	case before == Accepted || before == Unknown:
		t.Before++
		seen[twin] = true
		return nil
	case seen[twin]:
		t.Twice++
		return j.Report.Write(Line{Line: row.Line, Key: key, Outcome: Duplicate})
	}
	seen[twin] = true
	line := Line{Line: row.Line, Key: key, Outcome: Accepted, At: time.Now().UTC()}
	m, err := j.send(ctx, row, key)
	var p *client.Problem
	switch {
	case err == nil:
		t.Now++
		line.Message, line.To = m.ID, m.To
	case errors.As(err, &p) && p.Code == "idempotency-in-flight":
		t.Unknown++
		line.Outcome, line.Error = Unknown, p.Code
	case errors.As(err, &p) && p.Status != 401 && p.Status != 403:
		t.Refused++
		line.Outcome, line.Error = Refused, p.Code
	default:
		return err // a daemon that is gone, a key that may not: no use to go on
	}
	return j.Report.Write(line)
}

// Waits for a daemon that has no room just now. The whole run does not wait longer than that for one row.
const (
	waitLeast = time.Second
	waitMost  = 30 * time.Second
	waitTries = 20
)

// send sends a row, and waits as long as the daemon says there is no room now.
func (j *Job) send(ctx context.Context, row Row, key string) (*wire.Message, error) {
	in := j.Message
	in.To, in.Text = wire.Secret(row.To), wire.Secret(row.Text)
	for try := 1; ; try++ {
		m, err := j.Sender.Send(ctx, key, in)
		p, ok := errors.AsType[*client.Problem](err)
		if !ok || try == waitTries || p.Code != "no-capacity" && p.Code != "rate-limited" && p.Code != "unavailable" {
			return m, err
		}
		timer := time.NewTimer(min(max(time.Duration(p.RetryAfter)*time.Second, waitLeast), waitMost))
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return nil, ctx.Err()
		}
	}
}
