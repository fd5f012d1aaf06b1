package store

import (
	_ "embed"
	"fmt"

	"github.com/klauspost/compress/s2"
)

// Most of a record are the names of its fields, and the store writes each byte several times: to its log, to a table, and
// again with each merge. So values are sealed in fewer bytes: as S2 blocks (github.com/klauspost/compress/s2) with a
// dictionary, which costs a microsecond or two and saves more than that. Whoever sees the sealed value sees how long that is,
// and so a little of how much of it repeats itself or what is in the dictionary. No code is in any value.

// words is the dictionary: records of each kind, the most frequent last. What was once written with it is read with it,
// so it is never changed: another one would be another version of the seal.
//
//go:embed words.txt
var words []byte

var dictionary = s2.MakeDict(words, nil)

// Values of these lengths are squeezed. Of shorter ones there are many, and little to be saved; longer ones are rare, and the
// library (v1.20.1) can panic at one of more than some kilobytes that was made for that: it runs out of the room that it asked for.
const (
	squeezeFrom = 192
	squeezeMost = 2 << 10
)

// squeezedAtMost is how many bytes squeeze may need for a value of n.
func squeezedAtMost(n int) int { return max(n, s2.MaxEncodedLen(n)) }

// squeeze appends value to dst, squeezed if that is shorter, and tells whether. If dst has room for squeezedAtMost more, it
// takes no other memory.
func squeeze(dst, value []byte) (_ []byte, squeezed bool) {
	if b, ok := encode(dst[len(dst):cap(dst)], value); ok {
		return append(dst, b...), true // usually it is there already
	}
	return append(dst, value...), false
}

// encode returns value squeezed, in room if there is enough; false if that is not worth while.
func encode(room, value []byte) (b []byte, ok bool) {
	if len(value) < squeezeFrom || len(value) > squeezeMost {
		return nil, false
	}
	defer func() {
		if recover() != nil { // it is stored all the same
			b, ok = nil, false
		}
	}()
	b = dictionary.Encode(room, value)
	return b, len(b) < len(value)
}

// expand returns what was squeezed to b.
func expand(b []byte) ([]byte, error) {
	n, err := s2.DecodedLen(b)
	if err == nil && n > squeezeMost {
		err = fmt.Errorf("it claims to have been %d bytes", n)
	}
	var value []byte
	if err == nil {
		value, err = dictionary.Decode(nil, b)
	}
	if err != nil {
		return nil, fmt.Errorf("expand the value: %w", err)
	}
	return value, nil
}
