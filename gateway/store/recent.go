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
	young, old map[string]record
	size       int // of young
}

const (
	recentSize   = 1 << 20  // of a generation
	recentLarge  = 16 << 10 // larger records are not kept
	recentRecord = 128      // what a record takes beside its key and value
	recentFirst  = 1024     // records that a generation has room for at first
)

func (c *recent) get(key string) (record, bool) {
	if rec, ok := c.young[key]; ok {
		return rec, true
	}
	rec, ok := c.old[key]
	if ok {
		c.put(key, rec)
	}
	return rec, ok
}

func (c *recent) put(key string, rec record) {
	if len(rec.value) > recentLarge {
		delete(c.young, key)
		delete(c.old, key)
		return
	}
	if before, ok := c.young[key]; ok {
		c.size -= len(before.value)
	} else {
		c.size += len(key) + recentRecord
	}
	c.size += len(rec.value)
	if c.size > recentSize || c.young == nil {
		c.old, c.young = c.young, make(map[string]record, recentFirst)
		c.size = len(key) + recentRecord + len(rec.value)
	}
	c.young[key] = rec
}

// recentReader is a committed state for the writer.
type recentReader struct {
	*badgerReader
	recent *recent
}

var _ reader = recentReader{}

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
	return rec.clone(), nil
}
