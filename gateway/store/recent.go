package store

import "errors"

// recent remembers the records that updates read or wrote lately, and which they looked for and did not find, so that the
// next update about the same thing neither looks through the engine's tables nor opens a seal again. Since nothing but the
// writer changes the store, it is never wrong: what a commit has written goes in with the commit. It belongs to the
// writer; views do not see it.
//
// It has two generations: when the young one is full it becomes the old one, whose records are dropped then, except
// those that were asked for in between.
type recent struct {
	young, old map[string]remembered
	size       int // of young
}

// remembered is a record with its form or else its value, and what it takes of memory, about.
type remembered struct {
	record
	size int
}

const (
	recentSize   = 4 << 20  // of a generation
	recentLarge  = 16 << 10 // larger records are not kept
	recentRecord = 160      // what a record takes beside its key and value
	recentFirst  = 1024     // records that a generation has room for at first
)

func (c *recent) get(key string) (record, bool) {
	if r, ok := c.young[key]; ok {
		return r.record, true
	}
	r, ok := c.old[key]
	if ok {
		c.add(key, r)
	}
	return r.record, ok
}

// wrote takes in what a commit has written. Of what is unknown so far only records that their owners load are worth their
// place: the rest (index entries, events, the audit trail) is written once and read by views.
func (c *recent) wrote(key string, rec record) {
	if rec.form != nil || c.knows(key) {
		c.put(key, rec)
	}
}

func (c *recent) knows(key string) bool {
	if _, ok := c.young[key]; ok {
		return true
	}
	_, ok := c.old[key]
	return ok
}

func (c *recent) put(key string, rec record) {
	if len(rec.value) > recentLarge {
		delete(c.young, key)
		delete(c.old, key)
		return
	}
	size := len(key) + recentRecord + len(rec.value)
	if rec.form != nil { // it takes about twice what its JSON does, and its JSON goes
		size += len(rec.value)
		rec.value = nil
	}
	c.add(key, remembered{rec, size})
}

func (c *recent) add(key string, r remembered) {
	c.size += r.size - c.young[key].size
	if c.young == nil {
		c.young, c.old = make(map[string]remembered, recentFirst), make(map[string]remembered, recentFirst)
	}
	if c.size > recentSize {
		c.old, c.young = c.young, c.old
		clear(c.young) // it keeps the room that it has
		c.size = r.size
	}
	c.young[key] = r
}

// keep adds its form to a record that was got.
func (c *recent) keep(key string, form any) {
	if r, ok := c.young[key]; ok && !r.deleted {
		r.form = form
		c.put(key, r.record)
	}
}

// recentReader is a committed state for the writer.
type recentReader struct {
	*badgerReader
	recent *recent
}

var (
	_ reader = recentReader{}
	_ keeper = recentReader{}
)

// get implements reader.
func (r recentReader) get(key string) (record, error) {
	rec, ok := r.recent.get(key)
	if !ok {
		var err error
		rec, err = r.badgerReader.get(key)
		if err != nil && !errors.Is(err, ErrNotFound) {
			return rec, err
		}
		rec.deleted = err != nil
		r.recent.put(key, rec)
	}
	if rec.deleted {
		return record{}, ErrNotFound
	}
	return rec, nil
}

// keep implements keeper.
func (r recentReader) keep(key string, form any) { r.recent.keep(key, form) }

// whole implements keeper.
func (r recentReader) whole(key string) (record, error) {
	rec, err := r.badgerReader.get(key)
	if err == nil {
		r.recent.put(key, rec)
	}
	return rec, err
}
