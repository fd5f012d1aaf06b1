package storetest

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"otpost/gateway/store"
)

// serial: a counter raised by many at once counts each, every OnDone comes once, and in the order of the commits.
func serial(t *testing.T, kv store.KV) {
	const workers, rounds = 16, 20
	var done []int // appended to by OnDone only, one at a time
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() {
			for range rounds {
				if err := kv.Update(t.Context(), func(tx store.Txn) error { return count(tx, &done) }); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	want := make([]int, workers*rounds)
	for i := range want {
		want[i] = i + 1
	}
	if !slices.Equal(want, done) {
		t.Errorf("counted %v", done)
	}
}

func count(tx store.Txn, done *[]int) error {
	n, err := store.Load[int](tx, "t/n")
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return err
	}
	n++
	tx.OnDone(func(ok bool) {
		if ok {
			*done = append(*done, n)
		}
	})
	return store.Save(tx, "t/n", n, never)
}

// phantoms: of many that insert a record only if a scan finds none, one does.
func phantoms(t *testing.T, kv store.KV) {
	full := errors.New("taken")
	var won int
	var mu sync.Mutex
	var wg sync.WaitGroup
	for i := range 16 {
		wg.Go(func() {
			err := kv.Update(t.Context(), func(tx store.Txn) error {
				keys, err := list(tx, store.Range{Prefix: "slot/"})
				if err != nil {
					return err
				}
				if len(keys) > 0 {
					return full
				}
				return tx.Set(fmt.Sprintf("slot/%d", i), nil, never)
			})
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				won++
			} else if err != full {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if won != 1 {
		t.Errorf("%d won, want 1", won)
	}
}

func contexts(t *testing.T, kv store.KV) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	ran := false
	f := func(tx store.Txn) error { ran = true; return nil }
	for name, run := range map[string]func(context.Context, func(store.Txn) error) error{"View": kv.View, "Update": kv.Update} {
		if err := run(ctx, f); !errors.Is(err, context.Canceled) || ran {
			t.Errorf("%s with a canceled context: %v, ran: %v", name, err, ran)
		}
	}
	ctx, cancel = context.WithCancel(t.Context())
	err := kv.Update(ctx, func(tx store.Txn) error {
		cancel() // too late: the function runs already
		return tx.Set("t/a", nil, never)
	})
	if _, ok := get(t, kv, "t/a"); !ok || err != nil {
		t.Errorf("canceled while running: %v, written: %v; want the update done", err, ok)
	}
}

// panics: a function's panic reaches its caller, changes nothing and leaves the store usable.
func panics(t *testing.T, kv store.KV) {
	var done []bool
	func() {
		defer func() {
			if p := recover(); p == nil {
				t.Error("the panic did not reach the caller")
			}
		}()
		_ = kv.Update(t.Context(), func(tx store.Txn) error {
			tx.OnDone(func(ok bool) { done = append(done, ok) })
			_ = tx.Set("t/a", nil, never)
			panic("bug")
		})
	}()
	if diff := cmp.Diff([]bool{false}, done); diff != "" {
		t.Errorf("OnDone (-want +got):\n%s", diff)
	}
	var wg sync.WaitGroup
	wg.Go(func() { // a function that ends its goroutine, as t.FailNow does
		_ = kv.Update(context.Background(), func(tx store.Txn) error { goexit(tx); return nil })
		t.Error("the caller's goroutine went on")
	})
	wg.Wait()
	put(t, kv, "t/b")
	if _, ok := get(t, kv, "t/a"); ok {
		t.Error("a function that did not return changed something")
	}
}

// viewOneState: a View sees one state while updates go on, and is not held up by them.
func viewOneState(t *testing.T, kv store.KV) {
	move := func(n int) {
		update(t, kv, func(tx store.Txn) error {
			return errors.Join(store.Save(tx, "t/x", n, never), store.Save(tx, "t/y", -n, never))
		})
	}
	move(0)
	stop := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		for i := 1; ; i++ {
			select {
			case <-stop:
				return
			default:
				move(i)
			}
		}
	})
	for range 200 {
		err := kv.View(t.Context(), func(tx store.Txn) error {
			x, err1 := store.Load[int](tx, "t/x")
			y, err2 := store.Load[int](tx, "t/y")
			if x+y != 0 {
				t.Errorf("saw %d and %d, a state that never was", x, y)
			}
			return errors.Join(err1, err2)
		})
		if err != nil {
			t.Error(err)
		}
	}
	close(stop)
	wg.Wait()
}

func goexit(tx store.Txn) {
	_ = tx.Set("t/a", nil, never) // thrown away
	runtime.Goexit()
}
