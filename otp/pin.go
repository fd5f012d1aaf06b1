package otp

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"fmt"
	"io"
	"slices"
	"strings"

	"golang.org/x/crypto/argon2"
)

// PINChecker asks the keeper of the PINs in mode portal. It is safe for concurrent use. An error means that the keeper
// gave no answer: nothing may be concluded from it.
type PINChecker interface {
	CheckPIN(ctx context.Context, account, pin string) (bool, error)
}

// pinHash is a PIN as it is stored. Its cost is kept with it, so that a changed policy leaves old ones valid.
type pinHash struct {
	Salt      []byte `json:"salt"`
	Hash      []byte `json:"hash"`
	MemoryKiB uint32 `json:"memory_kib"`
	Time      uint32 `json:"time"`
	Threads   uint8  `json:"threads"`
}

// pinHasher computes PIN hashes, no more than two at once: each takes megabytes on a small machine.
type pinHasher struct {
	pepper   []byte
	policy   PINPolicy
	slots    chan struct{}
	computed func() // tests count computations
}

func newPINHasher(pepper []byte, p PINPolicy) *pinHasher {
	return &pinHasher{pepper: pepper, policy: p, slots: make(chan struct{}, 2)}
}

// hash returns a new hash of pin with a fresh salt.
func (h *pinHasher) hash(ctx context.Context, random io.Reader, account, pin string) (*pinHash, error) {
	rec := h.dummy()
	if _, err := io.ReadFull(random, rec.Salt); err != nil {
		return nil, fmt.Errorf("draw a salt: %w", err)
	}
	sum, err := h.compute(ctx, rec, account, pin)
	if err != nil {
		return nil, err
	}
	rec.Hash = sum
	return rec, nil
}

// matches tells whether pin is the one behind rec. Without a rec it computes just as long and says no.
func (h *pinHasher) matches(ctx context.Context, rec *pinHash, account, pin string) (bool, error) {
	known := rec != nil
	if !known {
		rec = h.dummy()
		rec.Hash = make([]byte, 32)
	}
	sum, err := h.compute(ctx, rec, account, pin)
	if err != nil {
		return false, err
	}
	same := subtle.ConstantTimeCompare(sum, rec.Hash) == 1
	return same && known, nil
}

// dummy returns a record of the policy's cost that is nobody's.
func (h *pinHasher) dummy() *pinHash {
	return &pinHash{Salt: make([]byte, 16), MemoryKiB: h.policy.MemoryKiB, Time: h.policy.Time, Threads: h.policy.Threads}
}

func (h *pinHasher) compute(ctx context.Context, rec *pinHash, account, pin string) ([]byte, error) {
	select {
	case h.slots <- struct{}{}:
		defer func() { <-h.slots }()
	case <-ctx.Done():
		return nil, fmt.Errorf("wait to check a pin: %w", ctx.Err())
	}
	if h.computed != nil {
		h.computed()
	}
	mac := hmac.New(sha256.New, h.pepper)
	mac.Write(lengthPrefixed([]byte(account), []byte(pin)))
	return argon2.IDKey(mac.Sum(nil), rec.Salt, rec.Time, rec.MemoryKiB, rec.Threads, 32), nil
}

// parsePIN normalises the digits that a client typed.
func parsePIN(s string) (string, error) {
	if s == "" {
		return "", refuse(InvalidRequest, "pin is required")
	}
	pin, ok := normaliseDigits(s)
	if !ok {
		return "", refuse(InvalidRequest, "a pin is digits only")
	}
	return pin, nil
}

// checkNew applies the policy of new PINs.
func (p PINPolicy) checkNew(pin string) error {
	switch {
	case len(pin) < p.MinDigits || len(pin) > p.MaxDigits:
		return refuse(WeakPIN, "a pin has %d to %d digits", p.MinDigits, p.MaxDigits)
	case trivialPIN(pin):
		return refuse(WeakPIN, "that pin is among the first that anyone would try; choose another")
	}
	return nil
}

// commonPINs lead every published list of PINs in use and follow no simpler rule.
var commonPINs = []string{
	"1004", "2580", "0852", "1313", "6969", "1122", "1221", "2112", "1001", "112233", "159753", "147258", "258369", "147852",
	"123321", "789456", "456789123", "11223344", "147258369", "741852963", "12344321",
}

// trivialPIN tells whether pin is a run (1234, 9876, 7777, 7890) or a short block repeated (1212, 123123), or well known.
func trivialPIN(pin string) bool {
	return isRun(pin) || isRepeated(pin) || slices.Contains(commonPINs, pin)
}

func isRun(pin string) bool {
	for _, step := range []byte{0, 1, 9} {
		run := true
		for i := 1; i < len(pin); i++ {
			run = run && (pin[i-1]-'0'+step)%10 == pin[i]-'0'
		}
		if run {
			return true
		}
	}
	return false
}

func isRepeated(pin string) bool {
	for n := 1; n <= len(pin)/2; n++ {
		if len(pin)%n == 0 && pin == strings.Repeat(pin[:n], len(pin)/n) {
			return true
		}
	}
	return false
}
