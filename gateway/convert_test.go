package gateway

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"otpost/gateway/store"
)

// TestConversionByPrefix: codes that come back are counted by modem and range of numbers, once each, across a restart; texts are
// not, and a record that does not open holds up no verdict.
func TestConversionByPrefix(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, 1)
		b.start()
		var ids []string
		for _, to := range []string{"+447700900001", "+447700900002", "+353861234567"} {
			d := code(to, 5*time.Minute)
			if to[1] == '3' {
				d.Country = "IE"
			}
			ids = append(ids, b.enqueue(d))
			sleep(2 * time.Second)
		}
		b.enqueue(text("+447700900003", "hello"))
		sleep(2 * time.Second)
		b.kill()()
		b.start()
		for range 2 {
			if err := b.kv.Update(context.Background(), func(tx store.Txn) error { return b.g.Converted(tx, time.Now(), ids[0]) }); err != nil {
				t.Fatal(err)
			}
		}
		want := []Conversion{
			{Modem: "m0", Prefix: "+35386", Country: "IE", Sent: 1},
			{Modem: "m0", Prefix: "+44770", Country: "GB", Sent: 1.99, Verified: 1},
		}
		got, err := b.g.Conversions(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got, cmpopts.EquateApprox(0, 1e-9)); diff != "" {
			t.Errorf("Conversions (-want +got):\n%s", diff)
		}
		b.rot("gw/conv/m0/44770")
		id := b.enqueue(code("+447700900004", 5*time.Minute))
		sleep(2 * time.Second)
		b.wantStatus(id, Sent)
		b.end()
	})
}
