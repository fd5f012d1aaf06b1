package store

import (
	"encoding"
	"encoding/json"
	"reflect"
	"strings"
	"sync"
	"time"
)

// A form is a record's value as its owner's type, kept so that neither its next reader decodes nor a second write in the
// same transaction encodes it again. A form is what decoding its JSON gives, and shares no memory with what its owner
// holds: it is copied when it is put in and when it is taken out, and never changed in between.
//
// A shape is how values of one type are copied so. It is made from the type by reflection, so no owner can forget a
// field. Types of which JSON or a copy could lose something (maps, interfaces, hidden or embedded fields, marshalers of
// their own) have none, and their records are decoded each time.
type shape struct {
	fix fixer // nil: a plain copy is enough
}

// fixer makes a plain copy of a value, which it can change, share nothing with the original.
type fixer func(v reflect.Value)

var shapes sync.Map // reflect.Type to *shape or, where there is none, nil: what reflection found out, as encoding/json keeps it

// shapeOf returns T's shape, or nil.
func shapeOf[T any]() *shape {
	t := reflect.TypeFor[T]()
	if known, ok := shapes.Load(t); ok {
		return known.(*shape)
	}
	var s *shape
	if fix, ok := fixerOf(t); ok {
		s = &shape{fix}
	}
	shapes.Store(t, s)
	return s
}

// copyForm returns a copy of *v that shares nothing with it.
func copyForm[T any](s *shape, v *T) *T {
	own := *v
	if s.fix != nil {
		s.fix(reflect.ValueOf(&own).Elem())
	}
	return &own
}

var (
	timeType  = reflect.TypeFor[time.Time]()
	ownCoders = []reflect.Type{
		reflect.TypeFor[json.Marshaler](), reflect.TypeFor[json.Unmarshaler](),
		reflect.TypeFor[encoding.TextMarshaler](), reflect.TypeFor[encoding.TextUnmarshaler](),
	}
)

// fixerOf returns the fixer of t, nil if none is needed; ok tells whether values of t can be kept as forms at all.
func fixerOf(t reflect.Type) (fix fixer, ok bool) {
	if t == timeType {
		return fixTime, true
	}
	for _, c := range ownCoders {
		if t.Implements(c) || reflect.PointerTo(t).Implements(c) {
			return nil, false
		}
	}
	switch t.Kind() {
	case reflect.Bool, reflect.String, reflect.Float64, reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64,
		reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return nil, true
	case reflect.Pointer:
		return pointerFixer(t)
	case reflect.Slice:
		return sliceFixer(t)
	case reflect.Struct:
		return structFixer(t)
	}
	return nil, false
}

// fixTime takes off the reading of the monotonic clock, which a stored time has not.
func fixTime(v reflect.Value) {
	t := v.Addr().Interface().(*time.Time)
	*t = t.Round(0)
}

func pointerFixer(t reflect.Type) (fixer, bool) {
	inner, ok := fixerOf(t.Elem())
	return func(v reflect.Value) {
		if v.IsNil() {
			return
		}
		own := reflect.New(t.Elem())
		own.Elem().Set(v.Elem())
		if inner != nil {
			inner(own.Elem())
		}
		v.Set(own)
	}, ok
}

func sliceFixer(t reflect.Type) (fixer, bool) {
	inner, ok := fixerOf(t.Elem())
	return func(v reflect.Value) {
		if v.IsNil() {
			return
		}
		own := reflect.MakeSlice(t, v.Len(), v.Len())
		reflect.Copy(own, v)
		for i := 0; inner != nil && i < own.Len(); i++ {
			inner(own.Index(i))
		}
		v.Set(own)
	}, ok
}

// structFixer fixes the fields that need it.
func structFixer(t reflect.Type) (fixer, bool) {
	type step struct {
		field int
		fix   fixer
	}
	var steps []step
	for i := range t.NumField() {
		f := t.Field(i)
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		if f.Anonymous || !f.IsExported() {
			return nil, false
		}
		fix, ok := fixerOf(f.Type)
		if name == "-" && options == "" {
			fix, ok = reflect.Value.SetZero, true
		}
		if !ok || strings.Contains(options, "string") {
			return nil, false
		}
		if f.Type.Kind() == reflect.Slice && strings.Contains(options, "omitempty") {
			fix = unlessEmpty(fix)
		}
		if fix != nil {
			steps = append(steps, step{i, fix})
		}
	}
	if steps == nil {
		return nil, true
	}
	return func(v reflect.Value) {
		for _, s := range steps {
			s.fix(v.Field(s.field))
		}
	}, true
}

// unlessEmpty is fix for a slice that is left out of the JSON when it is empty.
func unlessEmpty(fix fixer) fixer {
	return func(v reflect.Value) {
		if v.Len() == 0 {
			v.SetZero()
			return
		}
		fix(v)
	}
}
