package store

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/dgraph-io/badger/v4"

	"otpost/gateway/store/keys"
)

func newTestSealer(t testing.TB, r *keys.Ring) *sealer {
	t.Helper()
	s, err := newSealer(r)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestSeal(t *testing.T) {
	s := newTestSealer(t, newRing(t))
	for _, value := range []string{"", "x", strings.Repeat("value", 1000), strings.Repeat("v", squeezeFrom), aRecord, string(make([]byte, 900<<10))} {
		sealed := s.seal(nil, "t/a", []byte(value))
		if again := s.seal(nil, "t/a", []byte(value)); bytes.Equal(sealed, again) {
			t.Error("the same value sealed twice looks the same")
		}
		got, err := s.open("t/a", sealed)
		if err != nil || string(got) != value {
			t.Fatalf("opened as %.20q, %v", got, err)
		}
		if over := len(sealed) - len(value); over+16 > entryOverhead {
			t.Errorf("a seal adds %d bytes; entryOverhead is %d", over, entryOverhead)
		}
		if _, err := s.open("t/b", sealed); !errors.Is(err, errNotOpened) {
			t.Errorf("opened under another name: %v", err)
		}
	}
}

// Every change of one bit, and every cut, is noticed.
func TestSealNoticesChanges(t *testing.T) {
	s := newTestSealer(t, newRing(t))
	for _, value := range []string{"value", aRecord} {
		noticesChanges(t, s, s.seal(nil, "t/a", []byte(value)))
	}
}

func noticesChanges(t *testing.T, s *sealer, sealed []byte) {
	t.Helper()
	var corrupt *CorruptError
	other := bytes.Clone(sealed)
	other[0] ^= sealPlain ^ sealSqueezed
	if _, err := s.open("t/a", other); !errors.Is(err, errNotOpened) {
		t.Errorf("opened as if of the other version: %v", err)
	}
	for i := range sealed {
		for bit := range 8 {
			changed := bytes.Clone(sealed)
			changed[i] ^= 1 << bit
			if _, err := s.open("t/a", changed); !errors.As(err, &corrupt) || corrupt.Key != "t/a" {
				t.Fatalf("byte %d bit %d: %v", i, bit, err)
			}
		}
		if _, err := s.open("t/a", sealed[:i]); !errors.As(err, &corrupt) {
			t.Fatalf("cut at %d: %v", i, err)
		}
	}
}

// FuzzOpen: whatever bytes lie in the store, opening them neither panics nor succeeds, unless they are a seal's own.
func FuzzOpen(f *testing.F) {
	s := newTestSealer(f, newRing(f))
	id := s.current
	f.Add([]byte{})
	f.Add([]byte{sealPlain, 0xff})
	f.Add(append([]byte{sealPlain, byte(len(id))}, id...))
	f.Add(s.seal(nil, "t/other", []byte("x")))
	f.Fuzz(func(t *testing.T, b []byte) {
		if v, err := s.open("t/a", b); err == nil {
			t.Fatalf("%x opened as %q", b, v)
		}
		got, err := s.open("t/a", s.seal(nil, "t/a", b))
		if err != nil || !bytes.Equal(got, b) {
			t.Fatalf("sealed and opened: %x, %v", got, err)
		}
	})
}

// raw changes the engine's records behind the store's back.
func raw(t *testing.T, dir string, f func(*badger.Txn) error) {
	t.Helper()
	db, err := badger.Open(EngineOptions(filesIn(dir).db, nil))
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(db.Update(f), db.Close()); err != nil {
		t.Fatal(err)
	}
}

func sealedValue(txn *badger.Txn, key string) ([]byte, error) {
	item, err := txn.Get([]byte(key))
	if err != nil {
		return nil, err
	}
	return item.ValueCopy(nil)
}

// A record that was altered, or put in another's place, is an error that names it: to Get, to Scan and to Load, in
// views and in updates, and never "not found".
func TestTamperedRecords(t *testing.T) {
	cfg := BadgerConfig{Dir: t.TempDir(), Keys: newRing(t)}
	b := mustOpen(t, cfg)
	fill(t, b, 4)
	mustClose(t, b)
	raw(t, cfg.Dir, func(txn *badger.Txn) error {
		one, err1 := sealedValue(txn, "t/000001")
		two, err2 := sealedValue(txn, "t/000002")
		two[len(two)-1] ^= 1
		return errors.Join(err1, err2, txn.Set([]byte("t/000000"), one), txn.Set([]byte("t/000002"), two),
			txn.Set([]byte("t/000003"), []byte("never sealed")))
	})
	b = mustOpen(t, cfg)
	check := func(tx Txn) error {
		for _, key := range []string{"t/000000", "t/000002", "t/000003"} {
			_, err := tx.Get(key)
			_, lerr := Load[string](tx, key)
			serr := tx.Scan(Range{Prefix: key}, func(string, []byte) bool { t.Errorf("%s was scanned", key); return true })
			for _, err := range []error{err, lerr, serr} {
				var corrupt *CorruptError
				if !errors.As(err, &corrupt) || corrupt.Key != key || errors.Is(err, ErrNotFound) {
					t.Errorf("%s: %v, want a CorruptError that names it", key, err)
				}
			}
		}
		_, err := tx.Get("t/000001")
		return err
	}
	if err := errors.Join(b.View(t.Context(), check), b.Update(t.Context(), check)); err != nil {
		t.Errorf("the sound record: %v", err)
	}
}

// Nothing that was stored can be read from the files; the control finds what is planted.
func TestNoPlaintextInFiles(t *testing.T) {
	dir := t.TempDir()
	b := mustOpen(t, BadgerConfig{Dir: dir, Keys: newRing(t)})
	root := b.Secrets().root()
	fill(t, b, 200)
	live := copyDir(t, dir) // the log
	mustClose(t, b)         // the tables
	for name, d := range map[string]string{"open": live, "closed": dir} {
		for _, secret := range [][]byte{[]byte("canary value"), root[:]} {
			if file := find(t, d, secret); file != "" {
				t.Errorf("%s: %q is in %s", name, secret, file)
			}
		}
		if find(t, d, []byte("meta/store/commit")) == "" {
			t.Errorf("%s: not even the key is found: the search is broken", name)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "planted"), []byte("a canary value here"), 0o600); err != nil {
		t.Fatal(err)
	}
	if find(t, dir, []byte("canary value")) == "" {
		t.Error("the planted value was not found")
	}
}

func find(t *testing.T, dir string, what []byte) (file string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		if bytes.Contains(b, what) {
			file = path
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return file
}

func TestReopen(t *testing.T) {
	cfg := BadgerConfig{Dir: t.TempDir(), Keys: newRing(t)}
	b := mustOpen(t, cfg)
	p, k, id := b.Secrets().Pseudonym("phone", "x"), b.Secrets().Key("x"), b.note.id
	fill(t, b, 7)
	commits := b.engine.durable.Load()
	mustClose(t, b)
	b = mustOpen(t, cfg)
	if b.Secrets().Pseudonym("phone", "x") != p || !bytes.Equal(b.Secrets().Key("x"), k) || b.note.id != id {
		t.Error("the store's secrets or name changed")
	}
	if n := countAll(t, b, "t/"); n != 7 || b.engine.durable.Load() != commits {
		t.Errorf("%d records, commit %d; want 7, %d", n, b.engine.durable.Load(), commits)
	}
	other := mustOpen(t, BadgerConfig{Dir: t.TempDir(), Keys: cfg.Keys})
	if other.Secrets().Pseudonym("phone", "x") == p {
		t.Error("two stores share their secrets")
	}
}

// Collection is the engine's, never early, and only of what asked for it.
func TestCollect(t *testing.T) {
	b := mustOpen(t, BadgerConfig{Dir: t.TempDir(), Keys: newRing(t)})
	now := time.Now()
	err := b.Update(t.Context(), func(tx Txn) error {
		return errors.Join(tx.Set("t/never", nil, never), tx.Set("t/later", nil, now.Add(time.Hour)),
			tx.Set("t/just past", nil, now)) // a bad key
	})
	if err == nil {
		t.Fatal("a key with a space was taken")
	}
	err = b.Update(t.Context(), func(tx Txn) error {
		return errors.Join(tx.Set("t/never", nil, never), tx.Set("t/later", nil, now.Add(time.Hour)),
			tx.Set("t/just-past", nil, now), tx.Set("t/long-past", nil, now.Add(-time.Hour)), tx.Set("t/epoch", nil, time.Unix(0, 0)))
	})
	if err != nil {
		t.Fatal(err)
	}
	if n := countAll(t, b, "t/"); n != 3 {
		t.Errorf("%d records left, want 3", n)
	}
	r := b.newReader()
	defer r.close()
	for key, want := range map[string]time.Time{"t/never": {}, "t/later": now.Add(time.Hour)} {
		rec, err := r.get(key)
		if off := rec.collect.Sub(want); err != nil || off < 0 || off > time.Second {
			t.Errorf("%s is collected at %v (%v), want %v", key, rec.collect, err, want)
		}
	}
}
