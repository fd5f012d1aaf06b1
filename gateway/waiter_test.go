package gateway

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
)

// TestLongTextAmongCodes: neither a text longer than the texts' share of a minute nor those behind it wait for a silence that
// never comes, and the codes go on as before.
func TestLongTextAmongCodes(t *testing.T) {
	for _, parts := range []int{7, 8, 9, 10} { // texts have 8 of 10
		t.Run(fmt.Sprint(parts), func(t *testing.T) {
			inBubble(t, limited(func(r *Route) { r.PerMinute = 10 }), func(t *testing.T, b *bench) {
				b.enqueue(code(alice, 5*time.Minute))
				sleep(2 * time.Second)
				long, short := b.enqueue(text(alice, strings.Repeat("x", 153*parts))), b.enqueue(text(bob, "short"))
				for range 20 {
					sleep(30 * time.Second)
					id := b.enqueue(code(alice, 5*time.Minute))
					sleep(5 * time.Second)
					b.wantStatus(id, Sent)
				}
				b.wantStatus(long, Sent)
				b.wantStatus(short, Sent)
			})
		})
	}
}

// TestLongTextIsPassed: while a long text waits for a pace that codes use up, short ones go on.
func TestLongTextIsPassed(t *testing.T) {
	inBubble(t, limited(func(r *Route) { r.PerMinute = 10 }), func(t *testing.T, b *bench) {
		for range 6 {
			b.enqueue(code(alice, 5*time.Minute))
		}
		sleep(10 * time.Second)
		long, short := b.enqueue(text(alice, strings.Repeat("x", 1300))), b.enqueue(text(bob, "short"))
		sleep(2 * time.Second)
		b.wantStatus(long, Queued)
		b.wantStatus(short, Sent)
		for range 60 {
			sleep(12 * time.Second)
			b.enqueue(code(alice, 5*time.Minute))
		}
		short = b.enqueue(text(bob, "short"))
		sleep(4 * time.Minute)
		b.wantStatus(short, Sent)
		b.wantStatus(long, Sent) // no more codes come
	})
}

// TestLongTextDoesNotStarve: a flood of short texts leaves no minute in which a long one fits; it is reserved one.
func TestLongTextDoesNotStarve(t *testing.T) {
	inBubble(t, limited(func(r *Route) { r.PerMinute = 10 }), func(t *testing.T, b *bench) {
		for i := range 300 {
			b.enqueue(text(fmt.Sprintf("+4477009%05d", i), "hello"))
		}
		sleep(30 * time.Second)
		long := b.enqueue(text("+447700900000", strings.Repeat("x", 1200)))
		sleep(36 * time.Minute) // its turn comes behind the 300
		for i := range 300 {
			b.enqueue(text(fmt.Sprintf("+4477009%05d", i+1), "hello"))
		}
		sleep(8 * time.Minute)
		b.wantStatus(long, Sent)
	})
}

// TestNeverSendable: what no SIM could ever send within its quotas is refused at once, and what fits another day does not stop
// what fits today.
func TestNeverSendable(t *testing.T) {
	inBubble(t, limited(func(r *Route) { r.PerDay = 10 }), func(t *testing.T, b *bench) {
		_, err := b.try(text(alice, strings.Repeat("x", 1500))) // 10 parts; texts have 8 of 10
		var invalid *InvalidError
		if !errors.As(err, &invalid) || invalid.Field != "text" {
			t.Fatalf("a text that can never be sent: %v", err)
		}
		first := b.enqueue(text(bob, "short"))
		second := b.enqueue(code(bob, time.Hour))
		third := b.enqueue(code(bob, time.Hour))
		sleep(10 * time.Second)
		d := text(alice, strings.Repeat("x", 1200)) // 8 parts: 11 in all
		d.NotAfter = time.Now().Add(48 * time.Hour)
		long := b.enqueue(d)
		d.To, d.Text = bob, "short"
		short := b.enqueue(d)
		sleep(10 * time.Second)
		for _, id := range []string{first, second, third, short} {
			b.wantStatus(id, Sent)
		}
		b.wantStatus(long, Queued)
		sleep(24 * time.Hour)
		b.wantStatus(long, Sent)
	})
}
