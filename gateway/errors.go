package gateway

import (
	"errors"
	"fmt"
	"time"

	"otpost/gateway/store"
)

var (
	// ErrMoot is what a Renderer returns for a message that nobody waits for any more.
	ErrMoot = errors.New("no longer wanted")
	// ErrNotFound is returned for an id that names nothing.
	ErrNotFound = errors.New("no such message")
	// ErrTooLate is returned by Cancel for a message that is already with a modem or final.
	ErrTooLate = errors.New("message is no longer queued")
	// ErrStorageLow is returned by Enqueue while free disk space is below the reserve.
	ErrStorageLow = errors.New("free disk space is below the reserve")
)

// A CapacityError refuses a message that could not be delivered in time.
type CapacityError struct {
	NoModem    bool          // no modem could take it at all (none configured for the prefix, or none up)
	RetryAfter time.Duration // when it is worth asking again, from the measured pace
}

func (e *CapacityError) Error() string {
	if e.NoModem {
		return "no modem can take the message"
	}
	return fmt.Sprintf("queue is too long to deliver in time, try again in %v", e.RetryAfter)
}

func isNotFound(err error) bool { return errors.Is(err, store.ErrNotFound) }
