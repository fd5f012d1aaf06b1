package gateway

import (
	"testing"

	"otpost/gateway/store/storetest"
)

// What the queue reads back is what it wrote, also where it is kept decoded.
func TestRecordsComeBack(t *testing.T) {
	storetest.RunForm[Message](t)
	storetest.RunForm[queueRecord](t)
	storetest.RunForm[simRecord](t)
	storetest.RunForm[recipientRecord](t)
	storetest.RunForm[refRecord](t)
	storetest.RunForm[earlyRecord](t)
	storetest.RunForm[outRecord](t)
	storetest.RunForm[Conversion](t)
	storetest.RunForm[clockRecord](t)
}
