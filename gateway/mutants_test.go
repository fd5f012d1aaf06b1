package gateway

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"otpost/gateway/store"
)

// Planted bugs: each is a store that behaves as if the gateway had one, so the gateway's own code stays as it is. The
// simulation has to catch every one, or it proves nothing.

// lossy keeps some writes from being durable: they are seen until the process ends, and gone after that.
type lossy struct {
	store.KV
	mu   sync.Mutex
	lost func(key string, value []byte) bool
	mem  map[string][]byte // what the process believes
}

func (l *lossy) Update(ctx context.Context, f func(store.Txn) error) error {
	return l.KV.Update(ctx, func(tx store.Txn) error { return f(&lossyTxn{tx, l}) })
}

func (l *lossy) View(ctx context.Context, f func(store.Txn) error) error {
	return l.KV.View(ctx, func(tx store.Txn) error { return f(&lossyTxn{tx, l}) })
}

type lossyTxn struct {
	store.Txn
	l *lossy
}

func (t *lossyTxn) Get(key string) ([]byte, error) {
	t.l.mu.Lock()
	defer t.l.mu.Unlock()
	if v, ok := t.l.mem[key]; ok {
		return v, nil
	}
	return t.Txn.Get(key)
}

func (t *lossyTxn) Set(key string, value []byte, collect time.Time) error {
	t.l.mu.Lock()
	defer t.l.mu.Unlock()
	if t.l.lost(key, value) {
		t.l.mem[key] = slices.Clone(value)
		return nil
	}
	delete(t.l.mem, key)
	return t.Txn.Set(key, value, collect)
}

func losing(lost func(key string, value []byte) bool) func(store.KV) store.KV {
	return func(kv store.KV) store.KV { return &lossy{KV: kv, lost: lost, mem: map[string][]byte{}} }
}

// claimNotDurable: that a message is with a modem is only known in memory.
func claimNotDurable(key string, value []byte) bool {
	switch {
	case strings.HasPrefix(key, "gw/msg/"):
		var m Message
		return json.Unmarshal(value, &m) == nil && m.Status == Sending
	case strings.HasPrefix(key, "gw/q/"):
		var q queueRecord
		return json.Unmarshal(value, &q) == nil && q.Sending
	}
	return false
}

// quotaInMemory: what a SIM has sent is only known in memory.
func quotaInMemory(key string, _ []byte) bool { return strings.HasPrefix(key, "gw/sim/") }

// ageless is a store in which no message ever seems to be past its deadline.
type ageless struct{ store.KV }

func (a *ageless) Update(ctx context.Context, f func(store.Txn) error) error {
	return a.KV.Update(ctx, func(tx store.Txn) error { return f(agelessTxn{tx}) })
}

type agelessTxn struct{ store.Txn }

func (t agelessTxn) Get(key string) ([]byte, error) {
	v, err := t.Txn.Get(key)
	var m Message
	if err != nil || !strings.HasPrefix(key, "gw/msg/") || json.Unmarshal(v, &m) != nil {
		return v, err
	}
	m.NotAfter = m.NotAfter.Add(24 * time.Hour)
	return json.Marshal(m)
}

func (t agelessTxn) Set(key string, value []byte, collect time.Time) error {
	var m Message
	var q queueRecord
	switch {
	case strings.HasPrefix(key, "gw/q/") && json.Unmarshal(value, &q) == nil:
		q.NotAfter += 24 * time.Hour.Milliseconds()
		value, _ = json.Marshal(q)
	case strings.HasPrefix(key, "gw/msg/") && json.Unmarshal(value, &m) == nil && len(m.Attempts) > 0:
		m.NotAfter = m.NotAfter.Add(-24 * time.Hour) // Get had added it
		value, _ = json.Marshal(m)
	}
	return t.Txn.Set(key, value, collect)
}

// TestPlantedBugs shows that the simulation is able to fail.
func TestPlantedBugs(t *testing.T) {
	if *oneSeed >= 0 {
		t.Skip("one seed is replayed")
	}
	tests := []struct {
		name  string
		wrap  func(store.KV) store.KV
		check func(*world) []string
	}{
		{"claim not durable", losing(claimNotDurable), checkPromise},
		{"quota in memory", losing(quotaInMemory), checkQuotas},
		{"deadline unchecked", func(kv store.KV) store.KV { return &ageless{kv} }, checkPromise},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if simulate(t, 0, tt.wrap, tt.check) == 0 {
				t.Errorf("none of %d seeds caught the planted bug", *seeds)
			}
		})
	}
}
