package store

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/dgraph-io/badger/v4"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"otpost/gateway/store/keys"
)

// rotated returns a folder whose store holds n records sealed with a key that is no longer current, the new ring, and the
// key file's path.
func rotated(t *testing.T, n int) (cfg BadgerConfig, path, oldID, pseudonym string) {
	t.Helper()
	return rotatedWith(t, func(b *Badger) { fill(t, b, n) })
}

// rotatedWith is rotated with the records that write leaves.
func rotatedWith(t *testing.T, write func(*Badger)) (cfg BadgerConfig, path, oldID, pseudonym string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "keys")
	first, err := keys.Create(path, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	b := mustOpen(t, BadgerConfig{Dir: dir, Keys: first})
	write(b)
	pseudonym = b.Secrets().Pseudonym("a", "b")
	mustClose(t, b)
	if _, err := keys.Rotate(path, rand.Reader); err != nil {
		t.Fatal(err)
	}
	second, err := keys.Load(path)
	if err != nil {
		t.Fatal(err)
	}
	return BadgerConfig{Dir: dir, Keys: second}, path, first.Current(), pseudonym
}

func inUse(t *testing.T, b *Badger, id string) bool {
	t.Helper()
	used, err := b.InUse(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	return used
}

// Records are sealed anew also where not as many as the sweep takes at a time fit into one commit.
func TestRotationOfLargeRecords(t *testing.T) {
	cfg, _, oldID, _ := rotatedWith(t, func(b *Badger) {
		for i := range 3 * sweepWrite {
			mustUpdate(t, b, func(tx Txn) error { return tx.Set(fmt.Sprintf("t/%d", i), noise(maxCommit/30), never) })
		}
	})
	b := mustOpen(t, cfg)
	for progress := (sweep{}); !progress.over; {
		if err := b.step(t.Context(), &progress); err != nil {
			t.Fatal(err)
		}
	}
	if n := countAll(t, b, "t/"); n != 3*sweepWrite || inUse(t, b, oldID) {
		t.Errorf("%d records, want %d; the old key is in use: %v", n, 3*sweepWrite, inUse(t, b, oldID))
	}
}

// A rotation, start to end: old records are read, sealed anew by Run while updates go on, and then the old key is
// dropped without loss.
func TestRotation(t *testing.T) {
	const n = 250
	cfg, path, oldID, pseudonym := rotated(t, n)
	b := mustOpen(t, cfg)
	if countAll(t, b, "t/") != n || b.Secrets().Pseudonym("a", "b") != pseudonym {
		t.Error("after the rotation not everything is there")
	}
	if !inUse(t, b, oldID) {
		t.Error("the old key is said to be free before the sweep")
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- b.Run(ctx) }()
	for deadline := time.Now().Add(20 * time.Second); inUse(t, b, oldID); {
		if time.Now().After(deadline) {
			t.Fatal("the old key is still in use after 20 s")
		}
		if err := b.Update(t.Context(), func(tx Txn) error { return tx.Set("t/000000", []byte("new"), never) }); err != nil {
			t.Fatal(err)
		}
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	mustClose(t, b)
	if err := keys.Drop(path, oldID); err != nil {
		t.Fatal(err)
	}
	r, err := keys.Load(path)
	if err != nil {
		t.Fatal(err)
	}
	b = mustOpen(t, BadgerConfig{Dir: cfg.Dir, Keys: r})
	err = b.View(t.Context(), func(tx Txn) error {
		v, err := tx.Get("t/000000")
		if string(v) != "new" {
			t.Errorf("the sweep put %q in the place of what was written meanwhile", v)
		}
		return err
	})
	if n2 := countAll(t, b, "t/"); n2 != n || err != nil || b.Secrets().Pseudonym("a", "b") != pseudonym {
		t.Errorf("after the drop: %d records, %v", n2, err)
	}
}

// A step does no more than its share, keeps collect times, and leaves alone what does not open.
func TestSweepSteps(t *testing.T) {
	cfg, _, oldID, _ := rotated(t, sweepWrite+20)
	at := time.Now().Add(time.Hour)
	raw(t, cfg.Dir, func(txn *badger.Txn) error {
		old, err1 := sealedValue(txn, "t/000001")
		item, err2 := txn.Get([]byte("t/000002"))
		expiring, err3 := item.ValueCopy(nil)
		return errors.Join(err1, err2, err3, txn.Set([]byte("t/000000"), old), // another record's: it does not open
			txn.SetEntry(&badger.Entry{Key: []byte("t/000002"), Value: expiring, ExpiresAt: expiry(at)}))
	})
	b := mustOpen(t, cfg)
	s := &sweep{}
	steps := 0
	for ; !s.over; steps++ {
		if err := b.step(t.Context(), s); err != nil {
			t.Fatal(err)
		}
	}
	if n := testutil.ToFloat64(b.metrics.resealed); steps != 2 || n < sweepWrite+20 {
		t.Errorf("%d steps, %v records; want 2 and all", steps, n)
	}
	if !inUse(t, b, oldID) {
		t.Error("the old key is said to be free though a record that does not open names it")
	}
	r := b.newReader()
	defer r.close()
	if rec, err := r.get("t/000002"); err != nil || expiry(rec.collect) != expiry(at) {
		t.Errorf("collected at %v (%v), want %v", rec.collect, err, at)
	}
	if n := countAll(t, b, "t/000003"); n != 1 {
		t.Error("a record is gone")
	}
	if rest, err := b.sealedWithOld(&sweep{}); err != nil || len(rest) != 1 || rest[0] != "t/000000" {
		t.Errorf("still sealed with the old key: %v, %v", rest, err)
	}
}

// What another update has just written, in this batch or in that which is being committed, is not put back to what it was.
func TestRewriteLeavesPending(t *testing.T) {
	m := NewMemory()
	fill(t, m, 1)
	tx := &txn{base: (*memoryReader)(m)}
	written := layer{"t/000000": {value: []byte("new")}}
	for _, tx.pending = range [][2]layer{{written, nil}, {nil, written}} {
		if err := tx.rewrite("t/000000"); err != nil || len(tx.own) != 0 {
			t.Errorf("wrote %v, %v; want nothing", tx.own, err)
		}
	}
	tx.pending = [2]layer{}
	if err := tx.rewrite("t/000000"); err != nil || len(tx.own) != 1 {
		t.Errorf("wrote %v, %v; want the record", tx.own, err)
	}
}
