package api

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"filippo.io/age"
	"github.com/google/go-cmp/cmp"

	"otpost/api/client"
	"otpost/api/wire"
	"otpost/gateway"
	"otpost/gateway/store"
)

// traffic is what clients did while something else went on: accounts that were enabled, texts that were accepted.
type traffic struct {
	stop chan struct{}
	wg   sync.WaitGroup

	mu       sync.Mutex
	accounts []string // enabled, as their clients know
	texts    []string // accepted
}

func (k *realKit) traffic(t *testing.T, clients int) *traffic {
	tr := &traffic{stop: make(chan struct{})}
	for c := range clients {
		tr.wg.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-tr.stop:
					return
				default:
				}
				account, phone := fmt.Sprintf("client-%d-%d", c, i), fmt.Sprintf("+44740%d%06d", c, i)
				k.enrolled(t, account, phone)
				m := ask[wire.Message](t, k.kit, http.StatusAccepted, "POST", "/v1/messages", fmt.Sprintf(`{"to":%q,"text":"Hello"}`, phone), "Authorization: Bearer "+k.tokens[ScopeAdmin])
				tr.mu.Lock()
				tr.accounts, tr.texts = append(tr.accounts, account), append(tr.texts, m.ID)
				tr.mu.Unlock()
			}
		})
	}
	return tr
}

// wait returns what has been done once n accounts are enabled.
func (tr *traffic) wait(t *testing.T, n int) (accounts, texts []string) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for range tick.C {
		tr.mu.Lock()
		accounts, texts = slices.Clone(tr.accounts), slices.Clone(tr.texts)
		tr.mu.Unlock()
		if len(accounts) >= n {
			break
		}
		if t.Failed() {
			t.FailNow()
		}
	}
	return accounts, texts
}

// A backup is taken through the API while accounts are enabled and texts are sent. Restored, it is one moment of the
// daemon: all that was acknowledged before it began is there, nothing is there that the daemon does not know, and its own
// books agree: the events are the daemon's up to one of them, each message is in the state that the last event about it
// says, and each account that an event calls enabled is.
func TestBackupUnderTraffic(t *testing.T) {
	k := newRealKit(t)
	address, _ := k.serve(t)
	c := must(client.New(client.Options{Address: address, Key: k.tokens[ScopeAdmin]}))
	t.Cleanup(c.Close)
	tr := k.traffic(t, 3)
	accounts, texts := tr.wait(t, 15)
	id := must(age.GenerateX25519Identity())
	var file bytes.Buffer
	if _, err := c.Backup(t.Context(), &file, id.Recipient().String()); err != nil {
		t.Fatal(err)
	}
	tr.wait(t, len(accounts)+6)
	close(tr.stop)
	tr.wg.Wait()
	k.settle(t)

	kv := store.NewMemory()
	if _, err := store.Restore(t.Context(), &file, kv, id); err != nil {
		t.Fatal(err)
	}
	restored := &books{}
	restored.read(t, kv)
	daemon := &books{}
	daemon.read(t, k.kv)
	restored.check(t, daemon)
	for _, id := range texts {
		if restored.messages[id].ID == "" {
			t.Errorf("text %s was acknowledged before the backup and is not in it", id)
		}
	}
	if len(restored.events) == 0 || len(restored.events) == len(daemon.events) {
		t.Errorf("%d of %d events are in the backup: there was no traffic", len(restored.events), len(daemon.events))
	}

	next := newRealKitOn(t, kv)
	next.tokens = k.tokens
	for _, account := range accounts {
		want := ask[wire.Account](t, k.kit, 200, "GET", "/v1/accounts/"+account, "")
		if d := cmp.Diff(want, ask[wire.Account](t, next.kit, 200, "GET", "/v1/accounts/"+account, "")); d != "" {
			t.Errorf("%s (-daemon +restored)\n%s", account, d)
		}
	}
}

// books are the events and messages of a store.
type books struct {
	events   []gateway.Event
	messages map[string]gateway.Message
}

func (b *books) read(t *testing.T, kv store.KV) {
	t.Helper()
	b.messages = map[string]gateway.Message{}
	q := must(gateway.New(gateway.Config{KV: kv, Secrets: store.NewMemory().Secrets(), Render: func(store.Txn, time.Time, gateway.Message) (string, error) { return "", nil }}))
	if err := q.PastEvents(t.Context(), "", func(e gateway.Event) error { b.events = append(b.events, e); return nil }); err != nil {
		t.Fatal(err)
	}
	f := gateway.Filter{Limit: 200}
	for {
		ms, next, err := q.Messages(context.Background(), f)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range ms {
			b.messages[m.ID] = m
		}
		if f.Cursor = next; next == "" {
			return
		}
	}
}

// check holds the books against themselves and against those of the daemon, which has gone on since.
func (b *books) check(t *testing.T, daemon *books) {
	t.Helper()
	for i, e := range b.events {
		if i >= len(daemon.events) || daemon.events[i].ID != e.ID || daemon.events[i].Type != e.Type {
			t.Fatalf("event %d of the backup is %s %s, and not the daemon's", i, e.ID, e.Type)
		}
	}
	said := map[string]string{}
	for _, e := range b.events {
		if id, ok := e.Data["message_id"].(string); ok {
			said[id], _ = e.Data["status"].(string)
		}
	}
	for id, m := range b.messages {
		if daemon.messages[id].ID == "" {
			t.Errorf("message %s is in the backup only", id)
		}
		told := m.Status != gateway.Queued && m.Status != gateway.Sending
		if told != (said[id] != "") || told && said[id] != string(m.Status) {
			t.Errorf("message %s is %s, and the last event about it says %q", id, m.Status, said[id])
		}
	}
}
