package bulk

import (
	"bufio"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// Line is one line of a report. It holds no number and no text: To is masked by the daemon, and Key is a keyed hash.
type Line struct {
	Line    int       `json:"line"`
	Key     string    `json:"key"`
	Outcome Outcome   `json:"outcome"`
	To      string    `json:"to,omitempty"`
	Message string    `json:"message,omitempty"` // its id
	Error   string    `json:"error,omitempty"`   // the problem's code
	At      time.Time `json:"at,omitzero"`
}

// head is a report's first line.
type head struct {
	Report string `json:"otpost_report"` // the version of the form
	Run    string `json:"run"`           // 128 random bits: what the keys are made from
}

const version = "1"

// Report is a file of JSON lines that a run appends to. It belongs to one process, which holds a lock on it.
type Report struct {
	file *os.File
	run  []byte
	done map[string]Outcome
}

// OpenReport opens the report at path, or begins one. A last line that a crash has cut off is dropped.
func OpenReport(path string) (*Report, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open the report: %w", err)
	}
	r := &Report{file: f, done: map[string]Outcome{}}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		return nil, errors.Join(fmt.Errorf("report %s: another run is writing it", path), f.Close())
	}
	if err := r.read(); err != nil {
		return nil, errors.Join(fmt.Errorf("report %s: %w; is it a report? give another --report", path, err), f.Close())
	}
	return r, nil
}

// read takes in what earlier runs wrote, and stands behind it.
func (r *Report) read() error {
	in := bufio.NewReader(r.file)
	var end int64
	for n := 1; ; n++ {
		b, err := in.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			break // a line without its end was being written
		}
		if err != nil {
			return err
		}
		if n == 1 {
			err = r.readHead(b)
		} else {
			err = r.readLine(b)
		}
		if err != nil {
			return fmt.Errorf("line %d: %w", n, err)
		}
		end += int64(len(b))
	}
	if r.run == nil {
		if info, err := r.file.Stat(); err != nil || info.Size() > 0 {
			return errors.Join(errors.New("it has no first line of ours"), err)
		}
	}
	if err := r.file.Truncate(end); err != nil {
		return err
	}
	if _, err := r.file.Seek(end, io.SeekStart); err != nil {
		return err
	}
	if r.run != nil {
		return nil
	}
	r.run = make([]byte, 16)
	if _, err := rand.Read(r.run); err != nil {
		return err
	}
	return r.append(head{Report: version, Run: hex.EncodeToString(r.run)})
}

func (r *Report) readHead(b []byte) (err error) {
	var h head
	if err := json.Unmarshal(b, &h); err != nil {
		return err
	}
	if h.Report != version {
		return errors.New("not a report that this version reads")
	}
	r.run, err = hex.DecodeString(h.Run)
	if err == nil && len(r.run) != 16 {
		err = errors.New("the run's name is cut off")
	}
	return err
}

func (r *Report) readLine(b []byte) error {
	var l Line
	if err := json.Unmarshal(b, &l); err != nil {
		return err
	}
	r.done[l.Key] = l.Outcome
	return nil
}

// Key names a row of this report's list for ever: a row that is changed is another row.
func (r *Report) Key(row Row) string {
	mac := hmac.New(sha256.New, r.run)
	fmt.Fprintf(mac, "%d %q %q", row.Line, row.To, row.Text)
	return "bulk-" + hex.EncodeToString(mac.Sum(nil)[:16])
}

// Outcome is what an earlier run wrote down for key; empty: nothing.
func (r *Report) Outcome(key string) Outcome { return r.done[key] }

// Write appends a line.
func (r *Report) Write(l Line) error {
	r.done[l.Key] = l.Outcome
	return r.append(l)
}

func (r *Report) append(v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("write the report: %w", err)
	}
	if _, err := r.file.Write(append(b, '\n')); err != nil {
		return fmt.Errorf("write the report: %w", err)
	}
	return nil
}

// Close makes the report durable and gives it up.
func (r *Report) Close() error { return errors.Join(r.file.Sync(), r.file.Close()) }
