package store

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// maxKey bounds a key's length, well below the engines' own limits.
const maxKey = 512

// ErrTooBig means that one transaction writes more than the engine can commit at once. Nothing was changed.
var ErrTooBig = errors.New("transaction is too big: split it")

// ErrReadOnly is returned by Set and Delete inside View.
var ErrReadOnly = errors.New("transaction is read only: use Update")

// record is a value and the time after which it may be collected. Neither value nor form is ever changed.
type record struct {
	value   []byte // nil: to be encoded from form
	form    any    // a pointer to the value as its owner's type, see shape; nil: to be decoded from value
	collect time.Time
	deleted bool // in a layer: hides what lies below
}

// reader reads a committed state.
type reader interface {
	get(key string) (record, error) // ErrNotFound
	// scan calls f in r's order until it returns false. The value may be kept. A record that does not open is an error.
	scan(r Range, f func(key string, rec record) bool) error
}

// keeper is a reader that remembers the forms of records, and then without their values.
type keeper interface {
	keep(key string, form any)
	whole(key string) (record, error) // is get with the value as it is stored, of which a form may hold only a part
}

// never is the collect time of what is kept.
var never time.Time

// layer is a set of writes above a reader.
type layer map[string]record

// txn is the Txn of every engine: writes of its own above those of earlier functions that are not committed yet (pending),
// above the committed state.
type txn struct {
	own      layer
	pending  [2]layer // of its batch, and of that which is being committed meanwhile; nil in a View
	base     reader
	readOnly bool
	done     []func(committed bool)
}

var _ Txn = (*txn)(nil)

func (t *txn) lookup(key string) (record, error) {
	for _, l := range [...]layer{t.own, t.pending[0], t.pending[1]} {
		if rec, ok := l[key]; ok {
			if rec.deleted {
				return record{}, ErrNotFound
			}
			return rec, nil
		}
	}
	return t.base.get(key)
}

// keep leaves the form of the record at key where it will be found again.
func (t *txn) keep(key string, form any) {
	if rec, ok := t.own[key]; ok {
		if rec.value != nil { // otherwise the form that it has is all there is, and this one may hold only a part
			rec.form = form
			t.own[key] = rec
		}
		return
	}
	if t.awaits(key) {
		return // it is remembered when it is committed
	}
	if k, ok := t.base.(keeper); ok {
		k.keep(key, form)
	}
}

// awaits tells whether an earlier function wrote key and that is not committed yet.
func (t *txn) awaits(key string) bool {
	for _, l := range t.pending {
		if _, ok := l[key]; ok {
			return true
		}
	}
	return false
}

// valued is rec, which lookup found at key, with its value.
func (t *txn) valued(key string, rec record) (record, error) {
	if rec.value != nil {
		return rec, nil
	}
	_, own := t.own[key]
	if k, ok := t.base.(keeper); ok && !own && !t.awaits(key) {
		return k.whole(key)
	}
	err := rec.encode(key)
	return rec, err
}

// Get implements Txn.
func (t *txn) Get(key string) ([]byte, error) {
	if err := checkKey(key); err != nil {
		return nil, err
	}
	rec, err := t.lookup(key)
	if err == nil {
		rec, err = t.valued(key, rec)
	}
	if err != nil {
		return nil, err
	}
	return bytes.Clone(rec.value), nil
}

// encode encodes what was written as forms.
func (t *txn) encode() error {
	for key, rec := range t.own {
		if rec.value != nil || rec.deleted {
			continue
		}
		if err := rec.encode(key); err != nil {
			return err
		}
		t.own[key] = rec
	}
	return nil
}

// Set implements Txn.
func (t *txn) Set(key string, value []byte, collect time.Time) error {
	rec := record{value: bytes.Clone(value), collect: collect}
	if rec.value == nil {
		rec.value = []byte{}
	}
	return t.put(key, rec)
}

// Delete implements Txn.
func (t *txn) Delete(key string) error { return t.put(key, record{deleted: true}) }

func (t *txn) put(key string, rec record) error {
	if t.readOnly {
		return ErrReadOnly
	}
	if err := checkKey(key); err != nil {
		return err
	}
	if t.own == nil {
		t.own = layer{}
	}
	t.own[key] = rec
	return nil
}

// OnDone implements Txn.
func (t *txn) OnDone(f func(committed bool)) { t.done = append(t.done, f) }

// Scan implements Txn. It walks the state as it is when Scan is called: what f writes is not met. The store's own records
// are not met either.
func (t *txn) Scan(r Range, f func(key string, value []byte) bool) error {
	if r.From != "" && !strings.HasPrefix(r.From, r.Prefix) {
		return fmt.Errorf("scan of %q: from %q is outside", r.Prefix, r.From)
	}
	over, err := t.over(r)
	if err != nil {
		return err
	}
	more := true
	emit := func(key string, rec record) bool {
		if !rec.deleted && !strings.HasPrefix(key, ownPrefix) {
			more = f(key, rec.value)
		}
		return more
	}
	upTo := func(key string) bool { // emits what the layers have in front of it
		for more && len(over) > 0 && (key == "" || r.before(over[0].key, key)) {
			emit(over[0].key, over[0].rec)
			over = over[1:]
		}
		return more
	}
	hidden := func(key string) (rec record, ok bool) {
		if ok = len(over) > 0 && over[0].key == key; ok {
			rec, over = over[0].rec, over[1:]
		}
		return rec, ok
	}
	for {
		err := t.base.scan(r, func(key string, rec record) bool {
			if !upTo(key) {
				return false
			}
			if upper, ok := hidden(key); ok {
				rec = upper
			}
			return emit(key, rec)
		})
		var bad *CorruptError
		if !errors.As(err, &bad) {
			if err == nil {
				upTo("")
			}
			return err
		}
		if !upTo(bad.Key) {
			return nil
		}
		rec, ok := hidden(bad.Key)
		if !ok {
			return err
		}
		if !emit(bad.Key, rec) { // what does not open is written over
			return nil
		}
		r.From = behind(bad.Key, r.Reverse)
	}
}

type keyed struct {
	key string
	rec record
}

// over returns the layers' records in r, in its order, with copies of the values.
func (t *txn) over(r Range) ([]keyed, error) {
	if len(t.own)+len(t.pending[0])+len(t.pending[1]) == 0 {
		return nil, nil
	}
	found := layer{}
	for _, l := range [...]layer{t.pending[1], t.pending[0], t.own} {
		for key, rec := range l {
			if r.holds(key) {
				found[key] = rec
			}
		}
	}
	list := make([]keyed, 0, len(found))
	for key, rec := range found {
		if err := rec.encode(key); err != nil {
			return nil, err
		}
		rec.value = bytes.Clone(rec.value)
		list = append(list, keyed{key, rec})
	}
	slices.SortFunc(list, func(a, b keyed) int {
		if r.Reverse {
			a, b = b, a
		}
		return cmp.Compare(a.key, b.key)
	})
	return list, nil
}

// finish calls what OnDone registered, in order.
func (t *txn) finish(committed bool) {
	done := t.done
	t.done = nil
	for _, f := range done {
		f(committed)
	}
}

// before tells whether a comes before b in r's order.
func (r Range) before(a, b string) bool {
	if r.Reverse {
		return a > b
	}
	return a < b
}

// holds tells whether key lies in r.
func (r Range) holds(key string) bool {
	return strings.HasPrefix(key, r.Prefix) && (r.From == "" || !r.before(key, r.From))
}

// last returns the highest key that r may hold, or something above it: no key has a byte above '~'.
func (r Range) last() string {
	if r.From != "" && r.Reverse {
		return r.From
	}
	return r.Prefix + "\x7f"
}

// checkKey refuses what is not a path of printable ASCII.
func checkKey(key string) error {
	if key == "" || len(key) > maxKey {
		return fmt.Errorf("key of %d bytes: want 1 to %d", len(key), maxKey)
	}
	for i := range len(key) {
		if key[i] <= ' ' || key[i] > '~' {
			return fmt.Errorf("key %q: want printable ASCII without spaces", key)
		}
	}
	return nil
}

// merge lays upper over l.
func (l layer) merge(upper layer) { maps.Copy(l, upper) }

// roomKept bounds the records of a layer whose room is used again: to empty it takes as long as it is large.
const roomKept = 512

// emptied returns an empty layer, in l's room if that is not much.
func (l layer) emptied() layer {
	if l == nil || len(l) > roomKept {
		return layer{}
	}
	clear(l)
	return l
}
