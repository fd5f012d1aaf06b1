package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"filippo.io/age"
	"github.com/google/go-cmp/cmp"
)

func newIdentity(t testing.TB) *age.X25519Identity {
	t.Helper()
	id, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// contents is everything that a store holds, but for the engine's own count.
func contents(t testing.TB, kv KV) map[string]string {
	t.Helper()
	all := map[string]string{"pseudonym": kv.(interface{ Secrets() *Secrets }).Secrets().Pseudonym("a", "b")}
	err := kv.View(t.Context(), func(tx Txn) error {
		return tx.(*txn).base.scan(Range{}, func(key string, rec record) bool {
			if key != commitKey && key != identityKey {
				all[key] = string(rec.value) + rec.collect.UTC().Format(time.RFC3339)
			}
			return true
		})
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func backup(t testing.TB, kv KV, r age.Recipient) []byte {
	t.Helper()
	var b bytes.Buffer
	sum, err := Backup(t.Context(), kv, &b, r)
	if err != nil {
		t.Fatal(err)
	}
	if sum.Records == 0 || time.Since(sum.Created) > time.Minute {
		t.Errorf("summary %+v", sum)
	}
	return b.Bytes()
}

// filled makes a store with records of all sorts.
func filled(t testing.TB, n int) *Badger {
	t.Helper()
	b := mustOpen(t, BadgerConfig{Dir: t.TempDir(), Keys: newRing(t)})
	fill(t, b, n)
	err := b.Update(t.Context(), func(tx Txn) error {
		return errors.Join(tx.Set("t/empty", nil, never), tx.Set("t/big", bytes.Repeat([]byte{0xff}, 300<<10), never),
			tx.Set("u/collected", []byte{0, 1, 2}, time.Now().Add(time.Hour)))
	})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestBackupAndRestore(t *testing.T) {
	b := filled(t, 30)
	id := newIdentity(t)
	file := backup(t, b, id.Recipient())
	if bytes.Contains(file, []byte("canary value")) {
		t.Error("the backup is readable")
	}
	sum, err := Check(t.Context(), bytes.NewReader(file), id)
	if err != nil || sum.Records != 34 { // with the identity
		t.Errorf("check: %+v, %v", sum, err)
	}
	want := contents(t, b)
	for name, r := range map[string]io.Reader{"file": bytes.NewReader(file), "pipe": io.MultiReader(bytes.NewReader(file))} {
		cfg := BadgerConfig{Dir: filepath.Join(t.TempDir(), "new"), Keys: newRing(t)} // another key file
		got, err := RestoreBadger(t.Context(), r, cfg, id)
		if diff := cmp.Diff(sum, got); diff != "" || err != nil {
			t.Fatalf("%s: %v (-checked +restored):\n%s", name, err, diff)
		}
		for range 2 { // also after being opened once
			restored := mustOpen(t, cfg)
			if diff := cmp.Diff(want, contents(t, restored)); diff != "" {
				t.Errorf("%s (-want +got):\n%.2000s", name, diff)
			}
			mustClose(t, restored)
		}
		if _, err := RestoreBadger(t.Context(), bytes.NewReader(file), cfg, id); !errors.Is(err, ErrNotEmpty) {
			t.Errorf("%s: restore over a store: %v", name, err)
		}
	}
	m := NewMemory()
	if _, err := Restore(t.Context(), bytes.NewReader(file), m, id); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, contents(t, m)); diff != "" {
		t.Errorf("memory (-want +got):\n%.2000s", diff)
	}
	again := backup(t, m, id.Recipient())
	if sum2, err := Check(t.Context(), bytes.NewReader(again), id); err != nil || sum2.Records != sum.Records {
		t.Errorf("backup of what was restored: %+v, %v", sum2, err)
	}
}

// A restore writes as much at a time as a commit takes, however small or large the records are that come together.
func TestRestoreOfAllSizes(t *testing.T) {
	b := mustOpen(t, BadgerConfig{Dir: t.TempDir(), Keys: newRing(t)})
	l := &loader{ctx: t.Context(), dst: b}
	n := 0
	for _, some := range []struct{ records, size int }{{999, 260}, {1, 400 << 10}, {2500, 0}, {1, 440 << 10}, {3, 200 << 10}, {700, 700}} {
		for range some.records {
			if err := l.add(fmt.Sprintf("t/%d", n), record{value: noise(some.size), collect: never}); err != nil {
				t.Fatalf("record %d of %d bytes: %v", n, some.size, err)
			}
			n++
		}
	}
	if err := l.flush(); err != nil {
		t.Fatal(err)
	}
	if got := countAll(t, b, "t/"); got != n {
		t.Errorf("%d records, want %d", got, n)
	}
}

// A backup is one state, though updates go on while it is made.
func TestBackupUnderLoad(t *testing.T) {
	b := filled(t, 200)
	move := func(n int) error {
		return b.Update(t.Context(), func(tx Txn) error {
			return errors.Join(Save(tx, "a/first", n, never), Save(tx, "z/last", n, never))
		})
	}
	if err := move(0); err != nil {
		t.Fatal(err)
	}
	stop, ended := make(chan struct{}), make(chan error, 1)
	go func() {
		for n := 1; ; n++ {
			select {
			case <-stop:
				ended <- nil
				return
			default:
				if err := move(n); err != nil {
					ended <- err
					return
				}
			}
		}
	}()
	id := newIdentity(t)
	for range 5 {
		m := NewMemory()
		if _, err := Restore(t.Context(), bytes.NewReader(backup(t, b, id.Recipient())), m, id); err != nil {
			t.Fatal(err)
		}
		all := contents(t, m)
		if all["a/first"] != all["z/last"] || all["a/first"] == "" {
			t.Errorf("first %q, last %q", all["a/first"], all["z/last"])
		}
	}
	close(stop)
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// TestBackupMutations: of a thousand altered or cut backups none is restored, and none leaves anything behind.
func TestBackupMutations(t *testing.T) {
	b := mustOpen(t, BadgerConfig{Dir: t.TempDir(), Keys: newRing(t)})
	fill(t, b, 300) // more than one chunk of the encryption
	id := newIdentity(t)
	file := backup(t, b, id.Recipient())
	for i := range 1000 * *soak {
		bad := bytes.Clone(file)
		what := ""
		switch n := rand.IntN(len(bad)); i % 4 {
		case 0:
			bad, what = bad[:n], fmt.Sprint("cut at ", n)
		case 1:
			bad, what = append(bad[:n], bad[n+1:]...), fmt.Sprint("without byte ", n)
		case 2:
			bad, what = append(bad, byte(n)), "with a byte more"
		default:
			bit := rand.IntN(8)
			bad[n] ^= 1 << bit
			what = fmt.Sprintf("with bit %d of byte %d flipped", bit, n)
		}
		if _, err := Check(t.Context(), bytes.NewReader(bad), id); err == nil {
			t.Fatalf("a backup %s passes", what)
		}
		if i >= 12 {
			continue
		}
		cfg := BadgerConfig{Dir: filepath.Join(t.TempDir(), "new"), Keys: newRing(t)}
		var r io.Reader = bytes.NewReader(bad)
		if i >= 4 {
			r = io.MultiReader(r) // no rewinding: it is noticed in the middle
		}
		if _, err := RestoreBadger(t.Context(), r, cfg, id); err == nil {
			t.Fatalf("a backup %s was restored", what)
		}
		if left, _ := filepath.Glob(cfg.Dir + "/*"); len(left) > 0 {
			t.Errorf("a backup %s left %v", what, left)
		}
	}
}

func TestBackupWrongIdentity(t *testing.T) {
	file := backup(t, NewMemory(), newIdentity(t).Recipient())
	var none *age.NoIdentityMatchError
	if _, err := Check(t.Context(), bytes.NewReader(file), newIdentity(t)); !errors.As(err, &none) {
		t.Errorf("got %v", err)
	}
}

// A store in which a restore did not end does not open.
func TestRestoreInterrupted(t *testing.T) {
	id := newIdentity(t)
	m := NewMemory()
	fill(t, m, 3000)
	file := backup(t, m, id.Recipient())
	cfg := BadgerConfig{Dir: t.TempDir(), Keys: newRing(t)}
	b := mustOpen(t, cfg)
	ctx, cancel := context.WithCancel(t.Context())
	n := 0
	r := io.TeeReader(bytes.NewReader(file), writeFunc(func(p []byte) (int, error) {
		if n += len(p); n > len(file)/2 {
			cancel()
		}
		return len(p), nil
	}))
	if _, err := Restore(ctx, r, b, id); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want it canceled in the middle", err)
	}
	if n := countAll(t, b, "t/"); n == 0 || n == 3000 {
		t.Errorf("%d records were restored, want some", n)
	}
	mustClose(t, b)
	if err := openErr(t, cfg); !strings.Contains(err.Error(), "has not ended: delete the folder") {
		t.Errorf("got %v", err)
	}
}

type writeFunc func([]byte) (int, error)

func (f writeFunc) Write(p []byte) (int, error) { return f(p) }

func TestBackupFailures(t *testing.T) {
	b := filled(t, 500)
	id := newIdentity(t)
	full := errors.New("disk full")
	_, err := Backup(t.Context(), b, writeFunc(func([]byte) (int, error) { return 0, full }), id.Recipient())
	if !errors.Is(err, full) {
		t.Errorf("got %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var out bytes.Buffer
	if _, err := Backup(ctx, b, &out, id.Recipient()); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	if _, err := Check(t.Context(), &out, id); err == nil {
		t.Error("what a failed backup wrote passes for one")
	}
}

// stream is a whole stream of some records.
func stream(t testing.TB, recs ...keyed) []byte {
	t.Helper()
	var b bytes.Buffer
	s, err := newStreamWriter(&b, time.Unix(1e9, 0))
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range recs {
		if err := s.record(r.key, r.rec); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.end(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// FuzzStream: a stream that is read to its end says the same when it is written again.
func FuzzStream(f *testing.F) {
	f.Add([]byte(""))
	f.Add([]byte("{}\n"))
	f.Add(stream(f))
	f.Add(stream(f, keyed{"a", record{}}, keyed{"b/c", record{value: []byte("x"), collect: time.Unix(5, 7)}}))
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := newStreamReader(bytes.NewReader(b))
		if err != nil {
			return
		}
		var recs []keyed
		for {
			key, rec, err := s.next()
			if err == io.EOF {
				break
			}
			if err != nil {
				if !errors.Is(err, errStream) {
					t.Fatalf("%v is no errStream", err)
				}
				return
			}
			recs = append(recs, keyed{key, rec})
		}
		again, err := newStreamReader(bytes.NewReader(stream(t, recs...)))
		if err != nil {
			t.Fatal(err)
		}
		for _, want := range recs {
			key, rec, err := again.next()
			if err != nil || key != want.key || !bytes.Equal(rec.value, want.rec.value) || !rec.collect.Equal(want.rec.collect) {
				t.Fatalf("%s came again as %s, %v", want.key, key, err)
			}
		}
	})
}

// The stream's own guards, behind those of the encryption.
func TestStreamRefuses(t *testing.T) {
	good := stream(t, keyed{"a", record{value: []byte("value")}})
	for i := range good {
		bad := bytes.Clone(good)
		bad[i] ^= 0x20
		if err := readAll(bad); err == nil {
			t.Errorf("byte %d changed: not noticed", i)
		}
		if err := readAll(good[:i]); !errors.Is(err, errStream) {
			t.Errorf("cut at %d: %v", i, err)
		}
	}
	if err := readAll(append(bytes.Clone(good), 0)); !errors.Is(err, errStream) {
		t.Errorf("with a byte more: %v", err)
	}
	if err := readAll(good); err != nil {
		t.Errorf("the good one: %v", err)
	}
	if err := readAll([]byte(`{"otpost_backup":2,"created":"2026-01-01T00:00:00Z"}` + "\n")); err == nil ||
		!strings.Contains(err.Error(), "format 2") {
		t.Errorf("a later format: %v", err)
	}
}

func readAll(b []byte) error {
	s, err := newStreamReader(bytes.NewReader(b))
	for err == nil {
		_, _, err = s.next()
	}
	if err == io.EOF {
		return nil
	}
	return err
}
