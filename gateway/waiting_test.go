package gateway

import (
	"context"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"otpost/driver"
)

// A filter by phone and by modem finds what it should, in the queue and behind it, and a phone's name hides the phone.
func TestFilters(t *testing.T) {
	inBubble(t, modems(1), func(t *testing.T, b *bench) {
		const one, other = "+447700900001", "+447700900002"
		sent := b.enqueue(text(one, "hello"))
		b.enqueue(text(other, "hello"))
		time.Sleep(time.Minute)
		b.modems[0].set(b.g, driver.StateSearching)
		waits := b.enqueue(text(one, "hello again"))
		b.enqueue(text(other, "hello again"))
		name := b.g.RecipientName(one)
		modem := b.modems[0].Name()
		for _, tt := range []struct {
			f    Filter
			want []string
		}{
			{Filter{Recipient: name}, []string{waits, sent}},
			{Filter{Recipient: name, Status: Queued}, []string{waits}},
			{Filter{Recipient: name, Modem: modem}, []string{sent}},
			{Filter{Recipient: name, Modem: "none"}, nil},
			{Filter{Recipient: "rcp_x"}, nil},
		} {
			page, _, err := b.g.Messages(context.Background(), tt.f)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, m := range page {
				got = append(got, m.ID)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("%+v (-want +got):\n%s", tt.f, diff)
			}
		}
		if page, _, err := b.g.Messages(context.Background(), Filter{Modem: modem}); err != nil || len(page) != 2 {
			t.Errorf("of the modem: %d, %v, want 2", len(page), err)
		}
	})
}

// What waits is told by lane, with the age of the oldest.
func TestWaiting(t *testing.T) {
	inBubble(t, modems(1), func(t *testing.T, b *bench) {
		b.modems[0].set(b.g, driver.StateSearching)
		b.enqueue(text("+447700900001", "hello"))
		time.Sleep(20 * time.Second)
		b.enqueue(text("+447700900002", "hello"))
		want := []LaneView{{Lane: LaneWithdrawal}, {Lane: LaneLogin}, {Lane: LaneEnrol}, {Lane: LaneText, Waiting: 2, Oldest: 20 * time.Second}}
		if diff := cmp.Diff(want, b.g.Waiting()); diff != "" {
			t.Errorf("waiting (-want +got):\n%s", diff)
		}
		if b.g.StoreLow() {
			t.Error("the store is called full")
		}
	})
}
