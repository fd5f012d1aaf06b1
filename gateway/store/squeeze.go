package store

import (
	_ "embed"
	"fmt"

	"github.com/klauspost/compress/s2"
)

// Most of a record are the names of its fields, and the store writes each byte several times: to its log, to a table, and
// again with each merge. So values are sealed in fewer bytes: as S2 blocks (github.com/klauspost/compress/s2) with a
// dictionary, which costs a microsecond or two and saves more than that. Whoever sees the sealed value sees how long that is, so it
// tells a little about how much of the value is not in the dictionary; no value holds a secret beside text that somebody
// else chose and could have repeat it.

// words is the dictionary: records of each kind, the most frequent last. What was once written with it is read with it,
// so it is never changed: another one would be another version of the seal.
//
//go:embed words.txt
var words []byte

var dictionary = s2.MakeDict(words, nil)

// squeezeFrom is how long a value is at least that is squeezed. Of shorter ones there are many, and little to be saved.
const squeezeFrom = 192

// squeezedAtMost is how many bytes squeeze may need for a value of n.
func squeezedAtMost(n int) int { return max(n, s2.MaxEncodedLen(n)) }

// squeeze appends value to dst, squeezed if that is shorter, and tells whether. If dst has room for squeezedAtMost more, it
// takes no other memory.
func squeeze(dst, value []byte) (_ []byte, squeezed bool) {
	if len(value) >= squeezeFrom {
		if b := dictionary.Encode(dst[len(dst):cap(dst)], value); len(b) < len(value) {
			return append(dst, b...), true // usually it is there already
		}
	}
	return append(dst, value...), false
}

// expand returns what was squeezed to b, which is never more than a commit takes.
func expand(b []byte) ([]byte, error) {
	n, err := s2.DecodedLen(b)
	if err == nil && n > maxCommit {
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
