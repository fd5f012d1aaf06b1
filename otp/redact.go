package otp

import "log/slog"

// Requests carry phones, PINs, codes and payments. However they are printed or logged, they say only what they are.

const (
	enableRedacted = "request to enable"
	createRedacted = "request for a challenge"
	verifyRedacted = "answer to a challenge"
	paidRedacted   = "a transaction"
)

// String, GoString and LogValue keep the phone out of logs and errors.
func (EnableRequest) String() string { return enableRedacted }

// GoString is String.
func (EnableRequest) GoString() string { return enableRedacted }

// LogValue is String.
func (EnableRequest) LogValue() slog.Value { return slog.StringValue(enableRedacted) }

// String, GoString and LogValue keep the PIN and the payment out of logs and errors.
func (CreateRequest) String() string { return createRedacted }

// GoString is String.
func (CreateRequest) GoString() string { return createRedacted }

// LogValue is String.
func (CreateRequest) LogValue() slog.Value { return slog.StringValue(createRedacted) }

// String, GoString and LogValue keep the code and the PIN out of logs and errors.
func (VerifyRequest) String() string { return verifyRedacted }

// GoString is String.
func (VerifyRequest) GoString() string { return verifyRedacted }

// LogValue is String.
func (VerifyRequest) LogValue() slog.Value { return slog.StringValue(verifyRedacted) }

// String, GoString and LogValue keep amount and payee out of logs and errors.
func (Transaction) String() string { return paidRedacted }

// GoString is String.
func (Transaction) GoString() string { return paidRedacted }

// LogValue is String.
func (Transaction) LogValue() slog.Value { return slog.StringValue(paidRedacted) }
