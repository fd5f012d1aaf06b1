package store

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"otpost/gateway/store/keys"
)

// The tests with real faults run the store in a child process: the test's own binary, told by the environment to be a
// child instead. It writes with several goroutines and says each acknowledged record on its standard output.
const (
	childEnv     = "OTPOST_STORE_CHILD" // the data folder
	childKeys    = "OTPOST_STORE_KEYS"
	childReserve = "OTPOST_STORE_RESERVE"
	childNoSync  = "OTPOST_STORE_NOSYNC"
	childWriters = 8
)

// The child's exit codes.
const (
	exitOpen = 2
	exitDead = 3
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(childEnv); dir != "" {
		os.Exit(child(dir))
	}
	os.Exit(m.Run())
}

func child(dir string) int {
	ring, err := keys.Load(os.Getenv(childKeys))
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return exitOpen
	}
	var reserve int64
	_, _ = fmt.Sscan(os.Getenv(childReserve), &reserve) // unset: the default
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	unsynced := os.Getenv(childNoSync) != ""
	b, err := OpenBadger(ctx, BadgerConfig{Dir: dir, Keys: ring, Reserve: reserve, unsynced: unsynced,
		Log: slog.New(slog.NewTextHandler(os.Stderr, nil))})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return exitOpen
	}
	say("open\n")
	var wg sync.WaitGroup
	if !unsynced { // the housekeeping makes the log's blocks ahead, and what is there already is synced with them
		wg.Go(func() { _ = b.Run(ctx) }) // its error is that the store is dead
	}
	for w := range childWriters {
		wg.Go(func() { childWrite(ctx, b, w) })
	}
	select {
	case <-ctx.Done():
	case <-b.Dead():
		wg.Wait() // each is told ErrUnknown at once
		return exitDead
	}
	wg.Wait()
	if err := b.Close(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return exitOpen
	}
	return 0
}

// childWrite writes record after record, each saying its number, and the worker's count in the same update.
func childWrite(ctx context.Context, b *Badger, w int) {
	was := ""
	for ctx.Err() == nil {
		n := 0
		err := b.Update(ctx, func(tx Txn) (err error) {
			if n, err = Load[int](tx, countName(w)); err != nil && !errors.Is(err, ErrNotFound) {
				return err
			}
			n++
			return errors.Join(Save(tx, countName(w), n, never), tx.Set(recordName(w, n), []byte(recordText(w, n)), never))
		})
		switch {
		case err == nil:
			say(fmt.Sprintf("ack %d %d\n", w, n))
			was = ""
		case err.Error() != was: // said once
			was = err.Error()
			say(fmt.Sprintf("err %s\n", was))
		case errors.Is(err, ErrFull):
			<-time.After(time.Millisecond) // try again
		case errors.Is(err, ErrUnknown):
			return
		}
	}
}

// say tells the parent, in one write, so that it is not torn; and again if just that is the call that is made to fail.
func say(line string) {
	if _, err := os.Stdout.WriteString(line); err != nil {
		_, _ = os.Stdout.WriteString(line)
	}
}

func countName(w int) string     { return fmt.Sprintf("t/%d/count", w) }
func recordName(w, n int) string { return fmt.Sprintf("t/%d/n/%08d", w, n) }

// recordText is of different lengths, and is not squeezed to less.
func recordText(w, n int) string {
	filling := make([]byte, n%150)
	_, _ = rand.NewChaCha8([32]byte{byte(w), byte(n), byte(n >> 8), byte(n >> 16)}).Read(filling) // never fails
	return fmt.Sprintf("record %d of %d %x", n, w, filling)
}

// bench is a data folder, its keys, and what the children acknowledged.
type bench struct {
	dir, keys string
	env       []string
	acked     [childWriters]int
	errs      map[string]int
	lines     int
}

func newBench(t *testing.T, dir string, env ...string) *bench {
	t.Helper()
	path := filepath.Join(t.TempDir(), "keys")
	if _, err := keys.Create(path, randomReader{}); err != nil {
		t.Fatal(err)
	}
	return &bench{dir: dir, keys: path, env: env, errs: map[string]int{}}
}

// process is a child under way.
type process struct {
	*exec.Cmd
	out    *os.File
	lines  *bufio.Reader
	stderr strings.Builder
}

// start runs a child, through the given command if any, until it has opened the store.
func (h *bench) start(t *testing.T, through ...string) *process {
	t.Helper()
	p := h.launch(t, through...)
	if line := h.read(t, p, 20*time.Second); line != "open" {
		t.Fatalf("the child said %q: %s", line, p.stderr.String())
	}
	return p
}

// launch runs a child, which may fail.
func (h *bench) launch(t *testing.T, through ...string) *process {
	t.Helper()
	args := append(through, os.Args[0])
	p := &process{Cmd: exec.Command(args[0], args[1:]...)}
	p.Env = append(append(os.Environ(), childEnv+"="+h.dir, childKeys+"="+h.keys), h.env...)
	p.Stderr = &p.stderr
	p.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	p.Stdout = w
	p.out, p.lines = r, bufio.NewReader(r)
	err = p.Start()
	_ = w.Close() // the child has its own
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.end(); _ = r.Close() })
	return p
}

// end kills the child, and what it was run through, if they still live.
func (p *process) end() {
	_ = syscall.Kill(-p.Process.Pid, syscall.SIGKILL) // they may have ended
	_ = p.Wait()
}

// read returns the child's next line and notes what it acknowledges; "" if there is none within d.
func (h *bench) read(t *testing.T, p *process, d time.Duration) string {
	t.Helper()
	_ = p.out.SetReadDeadline(time.Now().Add(d)) // a pipe has deadlines
	line, err := p.lines.ReadString('\n')
	if errors.Is(err, os.ErrDeadlineExceeded) || err == io.EOF {
		return ""
	}
	if err != nil {
		t.Fatal(err)
	}
	line = strings.TrimSpace(line)
	h.lines++
	var w, n int
	if _, err := fmt.Sscanf(line, "ack %d %d", &w, &n); err == nil {
		if n != h.acked[w]+1 && n != h.acked[w]+2 { // +2: one was done, but its answer did not get out before a kill
			t.Errorf("writer %d acknowledged %d after %d", w, n, h.acked[w])
		}
		h.acked[w] = n
	}
	if text, ok := strings.CutPrefix(line, "err "); ok {
		h.errs[text]++
	}
	return line
}

// readFor notes what the child says for d.
func (h *bench) readFor(t *testing.T, p *process, d time.Duration) {
	t.Helper()
	for end := time.Now().Add(d); time.Now().Before(end); {
		h.read(t, p, time.Until(end))
	}
}

// readUntil notes what the child says until something holds, for as long as a busy machine may take.
func (h *bench) readUntil(t *testing.T, p *process, holds func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !holds(); {
		if h.read(t, p, time.Until(end)) == "" {
			t.Fatalf("the child ended, or said nothing of it for 20 s: %s", p.stderr.String())
		}
	}
}

// drain notes what the child has said and not been read yet. It must have ended or been stopped.
func (h *bench) drain(t *testing.T, p *process) {
	t.Helper()
	for h.read(t, p, 50*time.Millisecond) != "" {
	}
}

// lost opens the store and returns how many acknowledged records are not there.
func (h *bench) lost(t *testing.T) (lost int) {
	t.Helper()
	ring, err := keys.Load(h.keys)
	if err != nil {
		t.Fatal(err)
	}
	b, err := OpenBadger(t.Context(), BadgerConfig{Dir: h.dir, Keys: ring, free: func(string) (int64, error) { return 1 << 30, nil }})
	if errors.Is(err, ErrOlder) {
		t.Log(err)
		return total(h.acked) // not passed over in silence, but gone
	}
	if err != nil {
		t.Fatalf("after the fault: %v", err)
	}
	defer mustClose(t, b)
	err = b.View(t.Context(), func(tx Txn) error {
		for w := range h.acked {
			n, err := Load[int](tx, countName(w))
			if err != nil && !errors.Is(err, ErrNotFound) {
				return err
			}
			if n < h.acked[w] {
				lost += h.acked[w] - n
			}
			if err := h.checkRecords(tx, w, n); err != nil {
				return err
			}
			h.acked[w] = n // where the next child goes on
		}
		return nil
	})
	if err != nil {
		t.Errorf("after the fault: %v", err)
	}
	return lost
}

// checkRecords: the count and the records were written together, so there are as many, and whole.
func (h *bench) checkRecords(tx Txn, w, count int) error {
	n := 0
	var wrong error
	err := tx.Scan(Range{Prefix: fmt.Sprintf("t/%d/n/", w)}, func(key string, value []byte) bool {
		n++
		if key != recordName(w, n) || string(value) != recordText(w, n) {
			wrong = fmt.Errorf("record %d of writer %d is %s: %.40q", n, w, key, value)
		}
		return wrong == nil
	})
	if err == nil && wrong == nil && n != count {
		wrong = fmt.Errorf("writer %d has %d records and counts %d", w, n, count)
	}
	return errors.Join(err, wrong)
}

func total(acked [childWriters]int) (n int) {
	for _, a := range acked {
		n += a
	}
	return n
}
