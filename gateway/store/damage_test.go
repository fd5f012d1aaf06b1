package store

import (
	"errors"
	"flag"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
)

var soak = flag.Int("soak", 1, "multiply the counts of long tests")

// TestDamage spoils the files of a store in every way that disks and people do. Whatever the engine makes of it, the
// store must either refuse to open, say of a record that it does not open, or have lost nothing; never does it open
// as if nothing had been, and never does it panic.
func TestDamage(t *testing.T) {
	cfg := BadgerConfig{Dir: t.TempDir(), Keys: newRing(t)}
	b := mustOpen(t, cfg)
	fill(t, b, 300)
	b.takeNote()
	live := copyDir(t, cfg.Dir) // its records are in the log
	mustClose(t, b)             // now they are in tables
	tests := []struct {
		name, dir, pattern string
		spoil              func(t *testing.T, path string)
		mayBeHarmless      bool // the spoiled byte may be one that does not count
	}{
		{"log flipped", live, "db/*.mem", flipUsed, true},
		{"log cut", live, "db/*.mem", cut, false},
		{"log emptied", live, "db/*.mem", empty, false},
		{"log missing", live, "db/*.mem", remove, false},
		{"manifest missing", cfg.Dir, "db/MANIFEST", remove, false},
		{"manifest flipped", cfg.Dir, "db/MANIFEST", flip, true},
		{"manifest cut", cfg.Dir, "db/MANIFEST", cut, true},
		{"table flipped", cfg.Dir, "db/*.sst", flip, true},
		{"table index flipped", cfg.Dir, "db/*.sst", flipIndex, false},
		{"table cut", cfg.Dir, "db/*.sst", cut, false},
		{"table emptied", cfg.Dir, "db/*.sst", empty, false},
		{"table missing", cfg.Dir, "db/*.sst", remove, false},
		{"side file flipped", cfg.Dir, "newest-commit", flip, false},
		{"side file cut", cfg.Dir, "newest-commit", cut, false},
		{"side file emptied", cfg.Dir, "newest-commit", empty, false},
		{"everything missing but the side file", cfg.Dir, "db/*", remove, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			noticed := 0
			rounds := 2 * *soak
			for range rounds {
				dir := copyDir(t, tt.dir)
				spoilAll(t, filepath.Join(dir, tt.pattern), tt.spoil)
				if judge(t, BadgerConfig{Dir: dir, Keys: cfg.Keys}, 300) {
					noticed++
				}
			}
			if !tt.mayBeHarmless && noticed < rounds {
				t.Errorf("noticed %d of %d times", noticed, rounds)
			}
			t.Logf("noticed %d of %d times", noticed, rounds)
		})
	}
}

// judge opens a spoiled store and tells whether the damage was noticed. Damage that was not must have done none.
func judge(t *testing.T, cfg BadgerConfig, records int) (noticed bool) {
	t.Helper()
	b, err := OpenBadger(t.Context(), cfg)
	if err != nil {
		t.Log(err)
		return true
	}
	defer mustClose(t, b)
	n := 0
	err = b.View(t.Context(), func(tx Txn) error {
		return tx.Scan(Range{Prefix: "t/"}, func(_ string, value []byte) bool { n++; return true })
	})
	var corrupt *CorruptError
	if errors.As(err, &corrupt) {
		return true
	}
	if n != records || err != nil {
		t.Errorf("opened without a word with %d of %d records (%v)", n, records, err)
	}
	return false
}

func spoilAll(t *testing.T, pattern string, spoil func(*testing.T, string)) {
	t.Helper()
	paths, err := filepath.Glob(pattern)
	if err != nil || len(paths) == 0 {
		t.Fatalf("nothing to spoil at %s: %v", pattern, err)
	}
	for _, path := range paths {
		spoil(t, path)
	}
}

func edit(t *testing.T, path string, change func([]byte) []byte) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err == nil {
		err = os.WriteFile(path, change(b), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func flip(t *testing.T, path string) {
	edit(t, path, func(b []byte) []byte {
		if len(b) > 0 {
			b[rand.IntN(len(b))] ^= 1 << rand.IntN(8)
		}
		return b
	})
}

// flipUsed flips a bit in the part of a sparse file that is in use.
func flipUsed(t *testing.T, path string) {
	edit(t, path, func(b []byte) []byte {
		n := len(b)
		for n > 0 && b[n-1] == 0 {
			n--
		}
		if n > 0 {
			b[rand.IntN(n)] ^= 1 << rand.IntN(8)
		}
		return b
	})
}

// flipIndex flips a bit in a table's index, shortly before its footer.
func flipIndex(t *testing.T, path string) {
	edit(t, path, func(b []byte) []byte {
		b[len(b)-40-rand.IntN(40)] ^= 1 << rand.IntN(8)
		return b
	})
}

func cut(t *testing.T, path string) {
	edit(t, path, func(b []byte) []byte {
		n := len(b)
		for n > 0 && b[n-1] == 0 {
			n--
		}
		return b[:n/2]
	})
}

func empty(t *testing.T, path string) { edit(t, path, func([]byte) []byte { return nil }) }

func remove(t *testing.T, path string) {
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
}
