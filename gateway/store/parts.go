package store

import "errors"

// InParts calls do with list a part at a time, of most elements at the most, and with fewer when do returns ErrTooBig: for updates
// of which nobody knows how much they write. What was done with an earlier part stays done when a later one fails. It returns do's
// first other error, or ErrTooBig if one element alone is too much.
func InParts[T any](list []T, most int, do func(part []T) error) error {
	for len(list) > 0 {
		most = min(most, len(list))
		switch err := do(list[:most]); {
		case err == nil:
			list = list[most:]
		case errors.Is(err, ErrTooBig) && most > 1:
			most /= 2
		default:
			return err
		}
	}
	return nil
}
