package storetest

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"reflect"
	"testing"
	"time"

	"otpost/gateway/store"
)

// RunForm holds records of type T to what the store promises of Load and Save, with values made at random: what is loaded is
// what decoding the record's JSON would give, whether it was written in the same transaction or before, and nobody can
// change it by changing what was saved or loaded.
func RunForm[T any](t *testing.T) {
	t.Helper()
	t.Run(fmt.Sprintf("%T", *new(T)), func(t *testing.T) {
		rnd := rand.New(rand.NewPCG(1, 2))
		for range 200 {
			v := new(T)
			fill(rnd, reflect.ValueOf(v).Elem())
			checkForm(t, rnd, v)
		}
	})
}

func checkForm[T any](t *testing.T, rnd *rand.Rand, v *T) {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	want := new(T)
	if err := json.Unmarshal(b, want); err != nil {
		t.Fatal(err)
	}
	kv := store.NewMemory()
	check := func(when string, tx store.Txn) {
		t.Helper()
		got, err := store.Load[T](tx, "t/form")
		if err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(got, *want) {
			t.Fatalf("%s: got %+v, want %+v", when, got, *want)
		}
		spoil(rnd, reflect.ValueOf(&got).Elem())
	}
	update(t, kv, func(tx store.Txn) error {
		if err := store.Save(tx, "t/form", *v, never); err != nil {
			return err
		}
		spoil(rnd, reflect.ValueOf(v).Elem())
		check("in the transaction", tx)
		check("and again", tx)
		return nil
	})
	update(t, kv, func(tx store.Txn) error {
		check("later", tx)
		check("and again", tx)
		got, err := tx.Get("t/form")
		if string(got) != string(b) {
			t.Fatalf("stored %s, want %s", got, b)
		}
		return err
	})
}

// fill gives v a value at random. Times are read off the clock, with its monotonic part.
func fill(rnd *rand.Rand, v reflect.Value) {
	if v.Type() == reflect.TypeFor[time.Time]() {
		v.Set(reflect.ValueOf(time.Now().UTC().Add(time.Duration(rnd.Int64N(1e15)))))
		return
	}
	if rnd.IntN(4) == 0 { // as a record mostly has some of its members only
		return
	}
	switch v.Kind() {
	case reflect.Bool:
		v.SetBool(rnd.IntN(2) == 0)
	case reflect.String:
		v.SetString(fmt.Sprint("s", rnd.IntN(1000)))
	case reflect.Float64:
		v.SetFloat(rnd.NormFloat64())
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(rnd, v.Elem())
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), rnd.IntN(4), 8)) // empty ones and spare room too
		for i := range v.Len() {
			fill(rnd, v.Index(i))
		}
	case reflect.Struct:
		for i := range v.NumField() {
			fill(rnd, v.Field(i))
		}
	default:
		if v.CanInt() {
			v.SetInt(rnd.Int64N(100))
		} else {
			v.SetUint(rnd.Uint64N(100))
		}
	}
}

// spoil changes whatever of v others might see.
func spoil(rnd *rand.Rand, v reflect.Value) {
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() {
			fill(rnd, v.Elem())
			spoil(rnd, v.Elem())
		}
	case reflect.Slice:
		for i := range v.Len() {
			v.Index(i).SetZero()
		}
		if v.Len() < v.Cap() {
			fill(rnd, reflect.Append(v, reflect.Zero(v.Type().Elem())).Index(v.Len()))
		}
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Field(i).CanSet() {
				spoil(rnd, v.Field(i))
			}
		}
	}
}
