package bench

import (
	"context"
	"fmt"
	"net/http"
	"time"
)

// What a verify needs to know is in the store's memory of what was lately read and written, or it must be looked for in
// tables and unsealed. That memory holds what about five hundred codes left, or more. Sixteen modems carry three codes a
// second where a text takes them six seconds, and thirty where it takes half of one; so whoever types a code in within a
// quarter of a minute finds nearly all of it there even at the highest of these rates, and within minutes at the lowest. So
// warm codes are what sites see, and what the goals judge by. Cold ones are what a flood would see that takes more codes
// on than modems can carry.
//
// Warm codes go the whole way through the daemon that judges them, to their delivery reports. It has accounts of their own
// for that, and modems that take no time and are for their phones alone, so that the sends that are measured still go to
// the slow ones. Nothing of it is counted, and the daemon comes to rest before a round begins.
const (
	warmModems   = 4
	warmAccounts = largestRound
	warmPrefix   = "+4477001" // their phones' numbers begin with this
)

func warmName(i int) string  { return fmt.Sprintf("warm-%d", i) }
func warmPhone(i int) string { return fmt.Sprintf(warmPrefix+"%05d", i) }

// freshCodes has a code delivered to each of the first n warm accounts. Those of the last time were typed in.
func (r *rig) freshCodes(ctx context.Context, n int) ([]pending, error) {
	began, codes := time.Now(), make([]pending, n)
	err := each(ctx, 64, n, func(ctx context.Context, i int) error {
		var made struct{ ID string }
		err := r.login(ctx, warmName(i), &made)
		codes[i].id = made.ID
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("ask for warm codes: %w", err)
	}
	return codes, each(ctx, 16, n, func(ctx context.Context, i int) error {
		if err := r.delivered(ctx, codes[i].id); err != nil {
			return err
		}
		text, err := r.text(ctx, warmPhone(i), began)
		codes[i].code = text.Code
		return err
	})
}

// delivered waits until the report of a challenge's message is settled.
func (r *rig) delivered(ctx context.Context, challenge string) error {
	for began := time.Now(); ; {
		var c struct{ Message struct{ Status string } }
		if err := r.call(ctx, http.MethodGet, "/v1/challenges/"+challenge, nil, &c); err != nil {
			return err
		}
		if c.Message.Status == "delivered" {
			return nil
		}
		if time.Since(began) > startPatience {
			return fmt.Errorf("the code of %s is still %s", challenge, c.Message.Status)
		}
		if err := wait(ctx, 20*time.Millisecond); err != nil {
			return err
		}
	}
}
