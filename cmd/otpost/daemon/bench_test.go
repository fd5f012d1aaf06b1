package daemon

import (
	"fmt"
	"testing"
	"time"
)

// noLimits lets a benchmark send what a person may not.
const noLimits = oneModem + "\nlimits: {phone_hour: 0, phone_day: 0, account_day: 0, account_phones_day: 0, client_hour: 0, prefix_day: 0, key_hour: 0}"

// BenchmarkSend is one text from the API call to the phone, through the queue, the driver and the pseudo-terminal, with a
// modem that takes no time.
func BenchmarkSend(b *testing.B) {
	in := start(b, b.TempDir(), noLimits)
	in.awaitModem()
	var last time.Time
	for i := 0; b.Loop(); i++ {
		in.must(202, "POST", "/v1/messages", body{"to": canaryPhone, "text": fmt.Sprint("number ", i)})
		last = in.text(canaryPhone, last).ReceivedAt
	}
}

// BenchmarkEnableVerify is the whole of turning SMS codes on: PIN, send, text on the phone, verify. Two argon2id computations
// are in it.
func BenchmarkEnableVerify(b *testing.B) {
	in := start(b, b.TempDir(), noLimits)
	in.awaitModem()
	for i := 0; b.Loop(); i++ {
		in.enable(fmt.Sprint("bench-", i), fmt.Sprintf("+4477001%05d", i%100000), "739154") // not that of awaitModem
	}
}

// BenchmarkLogin is a challenge sent and verified, without a PIN.
func BenchmarkLogin(b *testing.B) {
	in := start(b, b.TempDir(), noLimits)
	in.awaitModem()
	last := in.enable("bench", canaryPhone, "739154")
	for b.Loop() {
		id := in.must(202, "POST", "/v1/challenges", body{"account": "bench", "purpose": "login"})["id"].(string)
		last = in.text(canaryPhone, last.ReceivedAt)
		in.must(200, "POST", "/v1/challenges/"+id+"/verify", body{"code": last.Code})
	}
}

// awaitModem waits until the modem is ready, so that its start is in no figure.
func (in *instance) awaitModem() {
	in.t.Helper()
	in.must(202, "POST", "/v1/messages", body{"to": "+447700900999", "text": "ready?"})
	in.text("+447700900999", time.Time{})
}
