package gateway

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"otpost/driver"
	"otpost/gateway/store"
)

// A long text at the usual pace is not doubted, and so not sent twice.
func TestLongTextIsNotDoubted(t *testing.T) {
	inBubble(t, modems(2), func(t *testing.T, b *bench) {
		for _, m := range b.modems {
			m.plays(func(_ int, s driver.Submit) fakeAct { return accept(time.Duration(Parts(s.Text)) * 7 * time.Second) })
		}
		d := text(alice, strings.Repeat("x", 1500))
		d.Unsure = ResendOnce
		id := b.enqueue(d)
		sleep(65 * time.Second)
		b.wantStatus(id, Sending)
		sleep(10 * time.Minute)
		m := b.wantStatus(id, Sent)
		if n := len(b.net.all()); n != 1 {
			t.Errorf("phone got the text %d times; attempts %+v", n, m.Attempts)
		}
	})
}

// A long text that hangs is doubted all the same, only later.
func TestLongTextThatHangsIsDoubted(t *testing.T) {
	inBubble(t, modems(1), func(t *testing.T, b *bench) {
		b.modems[0].plays(func(int, driver.Submit) fakeAct { return unknown(false, 5*time.Minute) })
		id := b.enqueue(text(alice, strings.Repeat("x", 1500))) // 10 parts at 6 s, three times that
		sleep(3*time.Minute - time.Second)
		b.wantStatus(id, Sending)
		sleep(2 * time.Second)
		b.wantStatus(id, Uncertain)
	})
}

// fullKV is a store on a disk that may be full: what writes anything fails, what only reads does not.
type fullKV struct {
	store.KV
	full atomic.Bool
}

func (f *fullKV) Update(ctx context.Context, fn func(store.Txn) error) error {
	return f.KV.Update(ctx, func(tx store.Txn) error {
		c := &countingTxn{Txn: tx}
		if err := fn(c); err != nil {
			return err
		}
		if c.n > 0 && f.full.Load() {
			return store.ErrFull
		}
		return nil
	})
}

type countingTxn struct {
	store.Txn
	n int
}

func (c *countingTxn) Set(key string, value []byte, collect time.Time) error {
	c.n++
	return c.Txn.Set(key, value, collect)
}

func (c *countingTxn) Delete(key string) error {
	c.n++
	return c.Txn.Delete(key)
}

// onDisk is modems with a disk. What is enqueued by the bench gets in even if that is full.
func onDisk(n int, disk *fullKV) func(*testing.T) *bench {
	return func(t *testing.T) *bench {
		b := newBench(t, n)
		b.config = func(c *Config) { disk.KV, c.KV = c.KV, disk }
		return b
	}
}

// A claim that waits for a full store does not cost its modem anything.
func TestFullStoreKeepsModem(t *testing.T) {
	disk := &fullKV{}
	inBubble(t, onDisk(1, disk), func(t *testing.T, b *bench) {
		disk.full.Store(true)
		id := b.enqueue(code(alice, 2*time.Minute))
		sleep(3 * time.Minute)
		disk.full.Store(false)
		sleep(time.Minute)
		b.wantStatus(id, Expired)
		other := b.enqueue(code(bob, 5*time.Minute))
		sleep(2 * time.Second)
		b.wantStatus(other, Sent)
	})
}

// A hand-over whose claim had to wait long is doubted in its turn.
func TestFullStoreThenHangingModem(t *testing.T) {
	disk := &fullKV{}
	inBubble(t, onDisk(2, disk), func(t *testing.T, b *bench) {
		for _, m := range b.modems {
			m.plays(func(int, driver.Submit) fakeAct { return unknown(false, 5*time.Minute) })
		}
		disk.full.Store(true)
		id := b.enqueue(code(alice, 9*time.Minute))
		sleep(70 * time.Second)
		disk.full.Store(false)
		sleep(2 * time.Minute)
		if m := b.message(id); len(m.Attempts) != 2 || m.Attempts[0].Outcome != driver.Unknown {
			t.Errorf("not doubted: %+v", m.Attempts)
		}
	})
}

// What a modem brings on a full disk is refused at once, so that its loop goes on and brings it again.
func TestFullStoreRefusesWhatComesIn(t *testing.T) {
	disk := &fullKV{}
	inBubble(t, onDisk(1, disk), func(t *testing.T, b *bench) {
		disk.full.Store(true)
		ctx, began := context.Background(), time.Now()
		bring := func() [2]error {
			report := driver.Report{ICCID: "8944m0", Reference: 1, Recipient: alice, At: began}
			inbound := driver.Inbound{ICCID: "8944m0", From: alice, Text: "hello", Sent: began, At: began}
			return [2]error{b.g.Report(ctx, "m0", report), b.g.Inbound(ctx, "m0", inbound)}
		}
		for _, err := range bring() {
			if !errors.Is(err, store.ErrFull) {
				t.Errorf("got %v, want %v", err, store.ErrFull)
			}
		}
		if took := time.Since(began); took != 0 {
			t.Errorf("blocked its caller for %v", took)
		}
		disk.full.Store(false)
		for _, err := range bring() {
			if err != nil {
				t.Error(err)
			}
		}
	})
}

// The gateway ends even if the disk stays full; if it gets room in time, the verdict is written.
func TestFullStoreDoesNotKeepRun(t *testing.T) {
	for name, room := range map[string]bool{"stays full": false, "gets room": true} {
		t.Run(name, func(t *testing.T) {
			disk := &fullKV{}
			inBubble(t, onDisk(1, disk), func(t *testing.T, b *bench) {
				b.modems[0].plays(func(int, driver.Submit) fakeAct { return accept(10 * time.Second) })
				id := b.enqueue(code(alice, 5*time.Minute))
				sleep(5 * time.Second)
				disk.full.Store(true)
				b.stop()
				sleep(10 * time.Second)
				disk.full.Store(!room)
				sleep(time.Minute)
				select {
				case err := <-b.done:
					b.done <- err
				default:
					t.Error("Run has not returned")
				}
				b.wantStatus(id, map[bool]Status{true: Sent, false: Sending}[room])
				disk.full.Store(false)
			})
		})
	}
}
