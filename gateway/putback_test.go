package gateway

import (
	"strings"
	"testing"
	"time"
)

// What one phone gets keeps its order, also when the store is full for a while.
func TestFullStoreKeepsOrder(t *testing.T) {
	disk := &fullKV{}
	inBubble(t, onDisk(1, disk), func(t *testing.T, b *bench) {
		for _, s := range []string{"one", "two", "three"} {
			b.enqueue(text(alice, s))
		}
		sleep(500 * time.Millisecond)
		disk.full.Store(true)
		sleep(time.Second)
		disk.full.Store(false)
		sleep(10 * time.Second)
		var got []string
		for _, s := range b.net.all() {
			got = append(got, s.text)
		}
		if want := "one two three"; strings.Join(got, " ") != want {
			t.Errorf("got %q, want %q", got, want)
		}
	})
}

// A code that was picked and put back is still promised its time.
func TestPutBackKeepsPromise(t *testing.T) {
	disk := &fullKV{}
	inBubble(t, onDisk(1, disk), func(t *testing.T, b *bench) {
		b.enqueue(code(alice, 5*time.Minute))
		id := b.enqueue(code(bob, 5*time.Minute))
		sleep(500 * time.Millisecond)
		disk.full.Store(true)
		defer disk.full.Store(false)
		sleep(time.Second)
		u, _ := parseID(messagePrefix, id)
		b.g.mu.Lock()
		defer b.g.mu.Unlock()
		if e := b.g.queue.byID[u]; e == nil || e.bucket == nil || e.spareSlot < 0 {
			t.Errorf("entry %+v has no promise any more", e)
		}
	})
}
