package store

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"otpost/gateway/store/keys"
)

func newRing(t testing.TB) *keys.Ring {
	t.Helper()
	r, err := keys.Generate(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func mustOpen(t testing.TB, cfg BadgerConfig) *Badger {
	t.Helper()
	b, err := OpenBadger(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { mustClose(t, b) })
	return b
}

func mustClose(t testing.TB, b *Badger) {
	t.Helper()
	if err := b.Close(); err != nil {
		t.Errorf("close: %v", err)
	}
}

// openErr opens a store that must not open.
func openErr(t *testing.T, cfg BadgerConfig) error {
	t.Helper()
	b, err := OpenBadger(t.Context(), cfg)
	if err == nil {
		mustClose(t, b)
		t.Fatal("it opened")
	}
	return err
}

// noise returns n bytes that the store cannot squeeze.
func noise(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.Read(b) // never fails
	return b
}

// fill writes n records in updates of their own.
func fill(t testing.TB, kv KV, n int) {
	t.Helper()
	for i := range n {
		err := kv.Update(t.Context(), func(tx Txn) error {
			return tx.Set(fmt.Sprintf("t/%06d", i), []byte(strings.Repeat("canary value ", 20)), never)
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

// copyDir copies the folder of a store as a crash would leave it; the store may be open.
func copyDir(t testing.TB, dir string) string {
	t.Helper()
	to := filepath.Join(t.TempDir(), "copy")
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		target := filepath.Join(to, strings.TrimPrefix(path, dir))
		if d.IsDir() {
			return os.Mkdir(target, 0o700)
		}
		return copySparse(target, path)
	})
	if err != nil {
		t.Fatal(err)
	}
	return to
}

// copySparse copies a file but for its holes; the engine's files are mostly that.
func copySparse(to, from string) error {
	b, err := os.Open(from)
	if err != nil {
		return err
	}
	defer b.Close()
	st, err := b.Stat()
	if err != nil {
		return err
	}
	f, err := os.Create(to)
	if err != nil {
		return err
	}
	err = f.Truncate(st.Size())
	for at := int64(0); err == nil && at < st.Size(); {
		var hole int64
		if at, err = b.Seek(at, unix.SEEK_DATA); errors.Is(err, unix.ENXIO) {
			err = nil // no more data
			break
		}
		if err == nil {
			hole, err = b.Seek(at, unix.SEEK_HOLE)
		}
		if err == nil {
			_, err = io.Copy(io.NewOffsetWriter(f, at), io.NewSectionReader(b, at, hole-at))
		}
		at = hole
	}
	return errors.Join(err, f.Close())
}

func TestOpenLocked(t *testing.T) {
	cfg := BadgerConfig{Dir: t.TempDir(), Keys: newRing(t)}
	b := mustOpen(t, cfg)
	if err := openErr(t, cfg); !errors.Is(err, ErrLocked) || !strings.Contains(err.Error(), cfg.Dir) {
		t.Errorf("got %v, want ErrLocked naming the folder", err)
	}
	mustClose(t, b)
	mustOpen(t, cfg)
}

func TestOpenWrongKey(t *testing.T) {
	dir := t.TempDir()
	old := newRing(t)
	b := mustOpen(t, BadgerConfig{Dir: dir, Keys: old})
	fill(t, b, 10)
	mustClose(t, b)
	for _, sideFile := range []bool{true, false} {
		if !sideFile { // then the store itself is the test of the key
			if err := os.Remove(filesIn(dir).note); err != nil {
				t.Fatal(err)
			}
		}
		wrong := newRing(t)
		err := openErr(t, BadgerConfig{Dir: dir, Keys: wrong})
		var corrupt *CorruptError
		if !errors.As(err, &corrupt) || !errors.Is(err, keys.ErrUnknownKey) ||
			!strings.Contains(err.Error(), old.Current()) || !strings.Contains(err.Error(), wrong.Current()) {
			t.Errorf("side file %v: got %v, want it to name both keys", sideFile, err)
		}
	}
	b = mustOpen(t, BadgerConfig{Dir: dir, Keys: old})
	if n := countAll(t, b, "t/"); n != 10 {
		t.Errorf("%d records after the failed opens, want 10", n)
	}
}

func countAll(t testing.TB, kv KV, prefix string) (n int) {
	t.Helper()
	err := kv.View(t.Context(), func(tx Txn) error {
		return tx.Scan(Range{Prefix: prefix}, func(string, []byte) bool { n++; return true })
	})
	if err != nil {
		t.Errorf("scan %s: %v", prefix, err)
	}
	return n
}

// sameID makes a ring whose key has the id of r's, but other bytes.
func sameID(t *testing.T, r *keys.Ring) *keys.Ring {
	path := filepath.Join(t.TempDir(), "keys")
	line := r.Current() + " " + strings.Repeat("A", 42) + "E\n"
	if err := os.WriteFile(path, []byte(line), 0o600); err != nil {
		t.Fatal(err)
	}
	other, err := keys.Load(path)
	if err != nil {
		t.Fatal(err)
	}
	return other
}

func TestOpenOtherKeyOfSameID(t *testing.T) {
	cfg := BadgerConfig{Dir: t.TempDir(), Keys: newRing(t)}
	mustClose(t, mustOpen(t, cfg))
	other := BadgerConfig{Dir: cfg.Dir, Keys: sameID(t, cfg.Keys)}
	if err := openErr(t, other); !errors.Is(err, errNotOpened) {
		t.Errorf("got %v", err)
	}
	if err := os.Remove(filesIn(cfg.Dir).note); err != nil {
		t.Fatal(err)
	}
	if err := openErr(t, other); !errors.Is(err, errNotOpened) {
		t.Errorf("without side file: got %v", err)
	}
	mustOpen(t, cfg)
}

// An older copy of the data, or none, beside a newer side file is refused, and the message's advice works.
func TestOpenOlder(t *testing.T) {
	tests := []struct {
		name  string
		spoil func(t *testing.T, dir, older string)
	}{
		{"older copy", func(t *testing.T, dir, older string) { swap(t, filesIn(dir).db, filesIn(older).db) }},
		{"emptied", func(t *testing.T, dir, _ string) { swap(t, filesIn(dir).db, t.TempDir()) }},
		{"another store", func(t *testing.T, dir, _ string) {
			other := t.TempDir()
			b := mustOpen(t, BadgerConfig{Dir: other, Keys: testRing})
			fill(t, b, 50)
			mustClose(t, b)
			swap(t, filesIn(dir).db, filesIn(other).db)
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			cfg := BadgerConfig{Dir: t.TempDir(), Keys: testRing}
			b := mustOpen(t, cfg)
			fill(t, b, 5)
			mustClose(t, b)
			older := copyDir(t, cfg.Dir)
			b = mustOpen(t, cfg)
			fill(t, b, 5)
			mustClose(t, b)
			tt.spoil(t, cfg.Dir, older)
			err := openErr(t, cfg)
			if !errors.Is(err, ErrOlder) || !strings.Contains(err.Error(), "to accept the loss, delete "+filesIn(cfg.Dir).note) {
				t.Fatalf("got %v, want ErrOlder with advice", err)
			}
			if err := os.Remove(filesIn(cfg.Dir).note); err != nil {
				t.Fatal(err)
			}
			mustOpen(t, cfg)
		})
	}
}

// testRing is one key for tests that do not care which.
var testRing = func() *keys.Ring {
	r, err := keys.Generate(rand.Reader)
	if err != nil {
		panic(err)
	}
	return r
}()

func swap(t *testing.T, db, with string) {
	t.Helper()
	if err := os.RemoveAll(db); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(copyDir(t, with), db); err != nil {
		t.Fatal(err)
	}
}

// An open that fails as badger#2207 does after some SIGKILLs (a log file made, but still empty) is tried again.
func TestOpenRetries(t *testing.T) {
	cfg := BadgerConfig{Dir: t.TempDir(), Keys: newRing(t)}
	b := mustOpen(t, cfg)
	fill(t, b, 3)
	mustClose(t, b)
	if err := os.WriteFile(filepath.Join(filesIn(cfg.Dir).db, "00044.mem"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	b = mustOpen(t, cfg)
	if n := testutil.ToFloat64(b.metrics.retries); n != 1 {
		t.Errorf("opened after %v retries, want 1: does the test still make the fault?", n)
	}
	if n := countAll(t, b, "t/"); n != 3 {
		t.Errorf("%d records, want 3", n)
	}
}

func TestOpenFormat(t *testing.T) {
	cfg := BadgerConfig{Dir: t.TempDir(), Keys: newRing(t)}
	b := mustOpen(t, cfg)
	err := b.Update(t.Context(), func(tx Txn) error {
		id, err := Load[identity](tx, identityKey)
		if err != nil {
			return err
		}
		id.Format = format + 1
		return Save(tx, identityKey, id, never)
	})
	if err != nil {
		t.Fatal(err)
	}
	mustClose(t, b)
	if err := openErr(t, cfg); !strings.Contains(err.Error(), "run a newer one") {
		t.Errorf("got %v", err)
	}
}

// The largest value and the largest update that are taken, and the next ones, which are refused and change nothing.
func TestSizes(t *testing.T) {
	b := mustOpen(t, BadgerConfig{Dir: t.TempDir(), Keys: newRing(t)})
	set := func(n, size int) error {
		return b.Update(t.Context(), func(tx Txn) error {
			for i := range n {
				if err := tx.Set(fmt.Sprintf("t/%d/%d", size, i), noise(size), never); err != nil {
					return err
				}
			}
			return nil
		})
	}
	for _, tt := range []struct {
		n, size int
		want    error
	}{{1, 450 << 10, nil}, {1, 512 << 10, ErrTooBig}, {2000, 10, nil}, {9, 50 << 10, nil}, {10, 50 << 10, ErrTooBig}, {10000, 20, ErrTooBig}} {
		if err := set(tt.n, tt.size); err != tt.want {
			t.Errorf("%d values of %d bytes: %v, want %v", tt.n, tt.size, err, tt.want)
		}
		want := tt.n
		if tt.want != nil {
			want = 0
		}
		if tt.size != 50<<10 && countAll(t, b, fmt.Sprintf("t/%d/", tt.size)) != want {
			t.Errorf("%d values of %d bytes: %d are there", tt.n, tt.size, countAll(t, b, fmt.Sprintf("t/%d/", tt.size)))
		}
	}
	logs, err := filepath.Glob(filepath.Join(b.files.db, "*.vlog"))
	if err != nil || len(logs) != 1 {
		t.Fatalf("value logs: %v, %v", logs, err)
	}
	v, err := os.ReadFile(logs[0])
	if err != nil || len(strings.TrimRight(string(v), "\x00")) > 64 {
		t.Errorf("a value is in the value log (%v)", err)
	}
}

// disk is a faked disk.
type disk struct{ free int64 }

func (d *disk) bytes(string) (int64, error) { return d.free, nil }

func TestSpace(t *testing.T) {
	d := &disk{free: 10 << 30}
	cfg := BadgerConfig{Dir: t.TempDir(), Keys: newRing(t), free: d.bytes, Reserve: 8 << 20}
	b := mustOpen(t, cfg)
	f := filesIn(cfg.Dir)
	if st, err := os.Stat(f.ballast); err != nil || st.Size() != 3<<20 {
		t.Fatalf("reserve file: %v, %v; want 3 MiB", st, err)
	}
	write := func() error { return b.Update(t.Context(), func(tx Txn) error { return tx.Set("t/a", nil, never) }) }
	for _, step := range []struct {
		free int64
		low  bool
		err  error
	}{{8 << 20, false, nil}, {8<<20 - 1, true, nil}, {2 << 20, true, nil}, {2<<20 - 1, true, ErrFull}, {0, true, ErrFull}, {2 << 20, true, nil},
		{8<<20 + 1, true, nil}, {9 << 20, false, nil}, {8 << 20, false, nil}} {
		d.free = step.free
		if err := write(); err != step.err || b.Low() != step.low {
			t.Errorf("with %d bytes free: %v, low %v; want %v, %v", step.free, err, b.Low(), step.err, step.low)
		}
		if n := countAll(t, b, "t/"); n != 1 {
			t.Errorf("with %d bytes free: %d records can be read, want 1", step.free, n)
		}
	}
	d.free = 0
	mustClose(t, b)
	if _, err := os.Stat(f.ballast); !errors.Is(err, fs.ErrNotExist) {
		t.Error("closed on a full disk without freeing the reserve file")
	}
	if err := openErr(t, cfg); !errors.Is(err, ErrFull) || strings.Contains(err.Error(), f.ballast) {
		t.Errorf("got %v, want ErrFull without a word of a reserve file that is not there", err)
	}
	d.free = 8 << 20 // enough to open, too little for the reserve file
	mustClose(t, mustOpen(t, cfg))
	if _, err := os.Stat(f.ballast); !errors.Is(err, fs.ErrNotExist) {
		t.Error("the reserve file was made of the last free space")
	}
	d.free = 1 << 30
	mustClose(t, mustOpen(t, cfg))
	d.free = 0
	if err := openErr(t, cfg); !errors.Is(err, ErrFull) || !strings.Contains(err.Error(), "delete "+f.ballast) {
		t.Errorf("got %v, want it to offer the reserve file", err)
	}
	for _, want := range []int64{3 << 20, 0} {
		if size, err := FreeReserve(cfg.Dir); size != want || err != nil {
			t.Errorf("freed %d, %v; want %d", size, err, want)
		}
	}
}

func TestCloseTwice(t *testing.T) {
	b := mustOpen(t, BadgerConfig{Dir: t.TempDir(), Keys: newRing(t)})
	mustClose(t, b)
	mustClose(t, b)
	nothing := func(Txn) error { return nil }
	if err := b.Update(t.Context(), nothing); err != ErrClosed {
		t.Errorf("update: %v", err)
	}
	if err := b.View(t.Context(), nothing); err != ErrClosed {
		t.Errorf("view: %v", err)
	}
}

// Close waits for a view that is under way.
func TestCloseWaitsForViews(t *testing.T) {
	b := mustOpen(t, BadgerConfig{Dir: t.TempDir(), Keys: newRing(t)})
	inside, goOn, closed := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	viewed := make(chan error, 1)
	go func() {
		viewed <- b.View(t.Context(), func(tx Txn) error {
			close(inside)
			<-goOn
			_, err := tx.Get(identityKey)
			return err
		})
	}()
	<-inside
	go func() { closed <- b.Close() }()
	<-b.writer.ended
	select {
	case <-closed:
		t.Error("closed under a view")
	default:
	}
	close(goOn)
	if err := errors.Join(<-viewed, <-closed); err != nil {
		t.Error(err)
	}
}

// After Close nothing is left running. (The engine leaks when an open of its own fails, so this is not asked of every
// test.)
func TestCloseLeavesNothing(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	b := mustOpen(t, BadgerConfig{Dir: t.TempDir(), Keys: newRing(t)})
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- b.Run(ctx) }()
	fill(t, b, 5)
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	mustClose(t, b)
}

func TestUntilNight(t *testing.T) {
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Skip(err)
	}
	for _, tt := range []struct{ now, want string }{
		{"2026-01-05 00:00", "2026-01-05 03:30"},
		{"2026-01-05 03:30", "2026-01-06 03:30"},
		{"2026-01-31 23:59", "2026-02-01 03:30"},
		{"2026-03-29 01:59", "2026-03-29 03:30"}, // the night that is an hour shorter
		{"2026-10-25 02:30", "2026-10-25 03:30"},
	} {
		now, err1 := time.ParseInLocation("2006-01-02 15:04", tt.now, berlin)
		want, err2 := time.ParseInLocation("2006-01-02 15:04", tt.want, berlin)
		if got := now.Add(untilNight(now)); !got.Equal(want) || err1 != nil || err2 != nil {
			t.Errorf("after %s comes %v, want %s", tt.now, got, tt.want)
		}
	}
}

func TestNightly(t *testing.T) {
	var log strings.Builder
	b := mustOpen(t, BadgerConfig{Dir: t.TempDir(), Keys: newRing(t), Log: slog.New(slog.NewTextHandler(&log, nil))})
	fill(t, b, 20)
	b.nightly()
	if !strings.Contains(log.String(), "nightly check of the store done") {
		t.Errorf("log:\n%s", log.String())
	}
	if n := countAll(t, b, "t/"); n != 20 {
		t.Errorf("%d records, want 20", n)
	}
}

// A disk that is being filled fast stops commits before it is full, so that what the engine still does has room.
func TestTrend(t *testing.T) {
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	d := &disk{}
	s := newSpace(filesIn("x"), 100<<20, d.bytes)
	for _, step := range []struct {
		ms   int
		free int64 // MB
		soon int64
	}{
		{0, 1000, 1000},   // the first sample
		{10, 990, 990},    // too soon after it to say anything
		{100, 900, 400},   // 1000 MB/s
		{200, 890, 390},   // slower, but the fast loss is not forgotten
		{300, 690, -310},  // 2000 MB/s
		{1200, 690, -310}, // it stopped
		{1400, 690, 690},  // for long enough
		{1500, 990, 990},  // space was freed
	} {
		d.free = step.free << 20
		free, soon, err := s.sample(start.Add(time.Duration(step.ms) * time.Millisecond))
		if err != nil || free != step.free<<20 || soon>>20 != step.soon {
			t.Errorf("after %d ms: %d MB, soon %d (%v); want %d, %d", step.ms, free>>20, soon>>20, err, step.free, step.soon)
		}
	}
}

// Commits pause while the disk is being filled fast; they go on when that ends, and are refused when the floor is passed.
func TestPause(t *testing.T) {
	for _, tt := range []struct {
		name string
		stop int64 // MB at which the filling stops
		ok   bool
	}{{"it stops in time", 150, true}, {"it does not", 0, false}} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				start := time.Now()
				filling := func(string) (int64, error) { // 1000 MB/s from 700 MB
					return max(700-time.Since(start).Milliseconds(), tt.stop) << 20, nil
				}
				b := &Badger{space: newSpace(files{}, 256<<20, filling), metrics: newMetrics(nil), log: slog.New(slog.DiscardHandler)}
				if !b.awaitRoom() || time.Since(start) != 0 {
					t.Errorf("waited %v at first", time.Since(start))
				}
				time.Sleep(200 * time.Millisecond)
				ok := b.awaitRoom()
				free, _ := filling("")
				if ok != tt.ok {
					t.Errorf("room: %v after %v with %d MB", ok, time.Since(start), free>>20)
				}
				if waited := time.Since(start); ok && (free>>20 != tt.stop || waited < trendFades || waited > 2*trendFades) {
					t.Errorf("went on after %v with %d MB", waited, free>>20)
				}
			})
		})
	}
}
