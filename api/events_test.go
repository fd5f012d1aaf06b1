package api

import (
	"testing"
	"time"

	"otpost/api/client"
	"otpost/gateway"
	"otpost/gateway/store"
)

// A stream ends with the key that it was opened with: nothing that happens after the key was revoked is told on it.
func TestEventsEndWithTheKey(t *testing.T) {
	k := newRealKit(t)
	address, _ := k.serve(t)
	made, token, err := k.keys.Create(t.Context(), time.Now(), KeySpec{Name: "leaver", Scopes: []Scope{ScopeOps}})
	if err != nil {
		t.Fatal(err)
	}
	c := must(client.New(client.Options{Address: address, Key: token}))
	t.Cleanup(c.Close)
	k.settle(t)
	s := must(c.OpenEvents(t.Context(), ""))
	t.Cleanup(func() { _ = s.Close() })
	emit := func(round string) {
		t.Helper()
		if err := k.kv.Update(t.Context(), func(tx store.Txn) error {
			return k.queue.Emit(tx, time.Now(), gateway.Event{Type: "challenge.verified", Data: map[string]any{"round": round}})
		}); err != nil {
			t.Fatal(err)
		}
	}
	emit("before")
	if e, err := s.Next(); err != nil || e.Data["round"] != "before" {
		t.Fatalf("got %+v, %v", e, err)
	}
	must(k.keys.Revoke(t.Context(), time.Now(), made.ID))
	emit("after")
	if e, err := s.Next(); err == nil {
		t.Errorf("a revoked key's stream tells %+v", e)
	}
}
