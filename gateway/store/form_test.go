package store

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"path/filepath"
	"testing"
	"time"

	"otpost/gateway/store/keys"
)

// Types of which a form could differ from what decoding gives have none.
func TestNoFormWhereJSONLosesSomething(t *testing.T) {
	type plain struct{ A string }
	type hidden struct{ _ string }
	type embedded struct{ plain }
	type Embedded struct{ Err error }
	for _, c := range []struct {
		name string
		has  bool
	}{
		{"plain", shapeOf[plain]() != nil},
		{"slice of pointers to plain", shapeOf[[]*plain]() != nil},
		{"time", shapeOf[time.Time]() != nil},
		{"named bytes", shapeOf[json.RawMessage]() == nil},
		{"map", shapeOf[map[string]string]() == nil},
		{"interface", shapeOf[Embedded]() == nil},
		{"hidden field", shapeOf[hidden]() == nil},
		{"embedded", shapeOf[embedded]() == nil},
		{"marshaler of its own", shapeOf[struct{ S Secrets }]() == nil},
		{"coded as a string", shapeOf[struct {
			N int `json:",string"`
		}]() == nil},
	} {
		if !c.has {
			t.Error(c.name)
		}
	}
}

// What a function changed of what it loaded is not there for the next one if it failed, nor is a record that cannot be
// encoded.
func TestFormsOfFailedFunctions(t *testing.T) {
	type counts struct {
		Of []int   `json:"of"`
		F  float64 `json:"f"`
	}
	failed := errors.New("failed")
	for _, e := range batchEngines(t) {
		t.Run(fmt.Sprintf("%T", e), func(t *testing.T) {
			mustUpdate(t, e, func(tx Txn) error { return Save(tx, "t/counts", counts{Of: []int{1, 2}}, never) })
			err := e.Update(t.Context(), func(tx Txn) error {
				c, err := Load[counts](tx, "t/counts")
				if err != nil {
					return err
				}
				c.Of[0] = 100
				return errors.Join(Save(tx, "t/counts", c, never), failed)
			})
			if !errors.Is(err, failed) {
				t.Fatal(err)
			}
			if err := e.Update(t.Context(), func(tx Txn) error { return Save(tx, "t/counts", counts{F: math.NaN()}, never) }); err == nil {
				t.Error("a record that JSON cannot hold was written")
			}
			mustUpdate(t, e, func(tx Txn) error {
				c, err := Load[counts](tx, "t/counts")
				if err == nil && c.Of[0] != 1 {
					t.Errorf("got %v", c.Of)
				}
				return err
			})
		})
	}
}

// Records written and read in every way are the same: as forms, as other types, as bytes, and by scans, in the transaction
// that wrote them, in the next, and by views.
func TestFormsAndBytesAgree(t *testing.T) {
	type one struct {
		N int `json:"n"`
	}
	type other struct {
		N int64 `json:"n"`
	}
	for _, e := range batchEngines(t) {
		t.Run(fmt.Sprintf("%T", e), func(t *testing.T) {
			want := 0
			check := func(tx Txn) error {
				a, err1 := Load[one](tx, "t/n")
				b, err2 := Load[other](tx, "t/n")
				raw, err3 := tx.Get("t/n")
				c := one{-1}
				err4 := tx.Scan(Range{Prefix: "t/n"}, func(_ string, v []byte) bool { return json.Unmarshal(v, &c) == nil })
				if a.N != want || int(b.N) != want || string(raw) != fmt.Sprintf(`{"n":%d}`, want) || c.N != want {
					t.Errorf("want %d, got %d, %d, %s, %d", want, a.N, b.N, raw, c.N)
				}
				return errors.Join(err1, err2, err3, err4)
			}
			for range 3 {
				want++
				mustUpdate(t, e, func(tx Txn) error { return errors.Join(Save(tx, "t/n", one{want}, never), check(tx)) })
				mustUpdate(t, e, check)
				want++
				mustUpdate(t, e, func(tx Txn) error {
					return errors.Join(tx.Set("t/n", fmt.Appendf(nil, `{"n":%d}`, want), never), check(tx))
				})
				mustUpdate(t, e, check)
				if err := e.View(t.Context(), check); err != nil {
					t.Error(err)
				}
				mustUpdate(t, e, func(tx Txn) error { return tx.Delete("t/n") })
				mustUpdate(t, e, func(tx Txn) error {
					if _, err := Load[one](tx, "t/n"); !errors.Is(err, ErrNotFound) {
						t.Errorf("deleted, and %v", err)
					}
					return nil
				})
			}
		})
	}
}

// A record that is also read as a type which holds only a part of it stays whole on every engine.
func TestFormsOfTwoTypes(t *testing.T) {
	type whole struct {
		A string `json:"a"`
		B string `json:"b"`
	}
	type part struct {
		A string `json:"a"`
	}
	want := whole{"a", "b"}
	save := func(tx Txn) error { return Save(tx, "t/a", want, never) }
	readPart := func(tx Txn) error {
		_, err := Load[part](tx, "t/a")
		return err
	}
	for _, e := range batchEngines(t) {
		t.Run(fmt.Sprintf("%T", e), func(t *testing.T) {
			check := func(tx Txn) error {
				got, err := Load[whole](tx, "t/a")
				if got != want {
					t.Errorf("%+v", got)
				}
				return err
			}
			mustUpdate(t, e, save)
			mustUpdate(t, e, readPart)
			mustUpdate(t, e, check)
			mustUpdate(t, e, func(tx Txn) error { return errors.Join(save(tx), readPart(tx), check(tx)) })
			mustUpdate(t, e, check)
			if err := e.View(t.Context(), check); err != nil {
				t.Error(err)
			}
		})
	}
}

// batchEngines are a Memory, and a Badger whose updates go through the writer.
func batchEngines(t *testing.T) []KV {
	t.Helper()
	dir := t.TempDir()
	ring, err := keys.Create(filepath.Join(dir, "key"), rand.NewChaCha8([32]byte{}))
	if err != nil {
		t.Fatal(err)
	}
	b, err := OpenBadger(t.Context(), BadgerConfig{Dir: filepath.Join(dir, "store"), Keys: ring, Reserve: 1, unsynced: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	})
	return []KV{NewMemory(), b}
}

func mustUpdate(t *testing.T, kv KV, f func(Txn) error) {
	t.Helper()
	if err := kv.Update(t.Context(), f); err != nil {
		t.Fatal(err)
	}
}
