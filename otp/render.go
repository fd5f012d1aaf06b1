package otp

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"otpost/gateway"
	"otpost/gateway/store"
)

// reference is what a message carries instead of a code.
func reference(c *challenge) string { return c.ID + "." + strconv.Itoa(c.Generation) }

// Render is the gateway.Renderer for code messages. It runs in the transaction that claims the message, so a challenge
// that has ended, or whose code was replaced, is never sent.
func (s *Service) Render(tx store.Txn, now time.Time, m gateway.Message) (string, error) {
	id, generation, ok := strings.Cut(m.Ref, ".")
	if !ok || !challengeID.MatchString(id) {
		return "", fmt.Errorf("message %s has no challenge", m.ID)
	}
	c, found, err := load[challenge](tx, challengeKey(id))
	switch {
	case err != nil:
		return "", err
	case !found:
		return "", fmt.Errorf("challenge %s is gone: %w", id, gateway.ErrMoot)
	case c.current(now) != Pending:
		return "", fmt.Errorf("challenge %s is %s: %w", id, c.current(now), gateway.ErrMoot)
	case strconv.Itoa(c.Generation) != generation:
		return "", fmt.Errorf("challenge %s has a newer code: %w", id, gateway.ErrMoot)
	case m.To != c.Phone:
		return "", fmt.Errorf("message %s is not for the phone of challenge %s", m.ID, id)
	}
	key, err := s.codeKey(c.KeyID)
	if err != nil {
		return "", fmt.Errorf("code of challenge %s: %w", id, err)
	}
	left := c.ExpiresAt.Sub(now)
	return s.texts.render(c.Locale, c.Purpose, values{
		Code:    deriveCode(key, c.input(), c.Digits),
		Minutes: max(1, int(left.Round(time.Minute)/time.Minute)),
		Tx:      c.Transaction,
	}), nil
}
