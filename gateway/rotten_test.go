package gateway

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"otpost/driver"
	"otpost/gateway/store"
)

func (b *bench) rot(key string) {
	b.t.Helper()
	if err := b.kv.Update(context.Background(), func(tx store.Txn) error { return tx.Set(key, []byte("rot"), time.Time{}) }); err != nil {
		b.t.Fatal(err)
	}
}

func (b *bench) get(key string) string {
	var value []byte
	_ = b.kv.View(context.Background(), func(tx store.Txn) (err error) { // not found: empty
		value, err = tx.Get(key)
		return err
	})
	return string(value)
}

// TestOneRottenRecordStopsNothing: a message that does not open is left out, its record is kept, and the others go on, also
// after a restart.
func TestOneRottenRecordStopsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, 1)
		reg := prometheus.NewRegistry()
		b.config = func(c *Config) { c.Registry = reg }
		b.modems[0].state = driver.StateSearching
		b.start()
		id, other := b.enqueue(text(alice, "hello")), b.enqueue(text(bob, "hello"))
		b.rot(messageKey(id))
		b.modems[0].set(b.g, driver.StateReady)
		sleep(time.Minute)
		b.wantStatus(other, Sent)
		if n := testutil.ToFloat64(b.g.metrics.corrupt); n != 1 {
			t.Errorf("%v messages counted as corrupt, want 1", n)
		}
		b.kill()()
		reg = prometheus.NewRegistry()
		b.start()
		sleep(time.Minute)
		b.wantStatus(b.enqueue(code(bob, 5*time.Minute)), Sending)
		if b.get(messageKey(id)) != "rot" || b.get(queueKey(id)) == "" {
			t.Error("the record was not kept for the next start")
		}
		sleep(25 * time.Hour) // its time is over
		b.kill()()
		reg = prometheus.NewRegistry()
		b.start()
		sleep(time.Second)
		if b.get(messageKey(id)) != "rot" || b.get(queueKey(id)) != "" {
			t.Error("the message is kept, but not queued for ever")
		}
		b.end()
	})
}

// TestRottenQueueRecord: the queue's record is made anew from the message, whether it waited or a modem had it.
func TestRottenQueueRecord(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, 1)
		b.modems[0].script = func(int, driver.Submit) fakeAct { return accept(20 * time.Second) }
		b.start()
		flying := b.enqueue(text(alice, "hello"))
		sleep(time.Second)
		waits, lost := b.enqueue(text(bob, "hello")), b.enqueue(text(bob, "gone"))
		wait := b.kill()
		for _, id := range []string{flying, waits, lost} {
			b.rot(queueKey(id))
		}
		b.rot(messageKey(lost))
		wait()
		b.start()
		b.wantStatus(flying, Uncertain)
		sleep(time.Minute)
		b.wantStatus(waits, Sent)
		if b.get(queueKey(lost)) != "" || b.get(messageKey(lost)) != "rot" {
			t.Error("a message that is lost altogether is still queued, or its record is gone")
		}
		b.end()
	})
}
