package otp

import (
	"testing"

	"otpost/gateway/store/storetest"
)

// What the rules read back is what they wrote, also where it is kept decoded.
func TestRecordsComeBack(t *testing.T) {
	storetest.RunForm[account](t)
	storetest.RunForm[challenge](t)
	storetest.RunForm[failures](t)
	storetest.RunForm[window](t)
	storetest.RunForm[traffic](t)
	storetest.RunForm[head](t)
	storetest.RunForm[string](t)
}
