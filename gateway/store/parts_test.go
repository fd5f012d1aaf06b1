package store

import (
	"errors"
	"fmt"
	"slices"
	"testing"
)

// Every element is done once and in order, in parts that are not too big; an error ends it there.
func TestInParts(t *testing.T) {
	list := []int{1, 1, 1, 9, 1, 1, 4, 4, 1}
	bad := errors.New("bad")
	for _, tt := range []struct {
		name       string
		most, fits int
		fails      int // the part that fails; 0: none
		want       []int
		err        error
	}{
		{"all at once", 100, 100, 0, list, nil},
		{"as many as asked for", 2, 100, 0, list, nil},
		{"as many as fit", 100, 9, 0, list, nil},
		{"one is too big", 100, 8, 0, list[:3], ErrTooBig},
		{"another error", 4, 100, 2, list[:4], bad},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var done []int
			calls := 0
			err := InParts(list, tt.most, func(part []int) error {
				sum := 0
				for _, n := range part {
					sum += n
				}
				calls++
				switch {
				case len(part) == 0 || len(part) > tt.most:
					t.Errorf("a part of %d", len(part))
				case calls == tt.fails:
					return bad
				case sum > tt.fits:
					return fmt.Errorf("update: %w", ErrTooBig)
				}
				done = append(done, part...)
				return nil
			})
			if !errors.Is(err, tt.err) || !slices.Equal(done, tt.want) {
				t.Errorf("%v done, %v; want %v, %v", done, err, tt.want, tt.err)
			}
		})
	}
	if err := InParts(nil, 1, func([]int) error { return bad }); err != nil {
		t.Error(err)
	}
}
