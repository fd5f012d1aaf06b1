package gateway

import (
	"context"
	"testing"
	"time"

	"otpost/gateway/webhook"
)

// A failure is noted once, however often the store wants to be asked.
func TestWebhookFailureCountsOnce(t *testing.T) {
	disk := &fullKV{}
	f := &fakeEndpoint{}
	f.answer = func(_ string, n int) webhook.Result {
		disk.full.Store(n == 0)
		return webhook.Result{Status: 500, Reason: "status"}
	}
	inBubble(t, func(t *testing.T) *bench {
		b := withHook(f)(t)
		hooked := b.config
		b.config = func(c *Config) {
			hooked(c)
			disk.KV, c.KV = c.KV, disk
		}
		return b
	}, func(t *testing.T, b *bench) {
		b.emit("alice", "account.a1")
		sleep(30 * time.Second)
		disk.full.Store(false)
		sleep(time.Second)
		log, err := b.g.WebhookLog(context.Background(), "portal", 1)
		if err != nil || len(log) != 1 || log[0].Attempt != 1 {
			t.Errorf("WebhookLog = %+v, %v, want attempt 1", log, err)
		}
	})
}
