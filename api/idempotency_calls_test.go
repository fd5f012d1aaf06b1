package api

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"otpost/api/wire"
	"otpost/gateway/store"
)

// The POSTs without Idempotency-Key, and why.
var repeatable = map[string]string{
	"POST /v1/backup":           "it reads",
	"POST /v1/simulator/texts":  "no real text is sent",
	"POST /v1/simulator/faults": "nothing but the simulator changes",
}

// Every POST that sends or changes takes Idempotency-Key and keeps to it: the same answer again, over a restart too, 422
// for another body or path, 409 while the first is in flight, a name for each caller, and a day of life.
func TestIdempotencyOfEveryCall(t *testing.T) {
	k := newRealKit(t, func(c *Config) { c.Modems = fakeModems{} })
	k.enrolled(t, "client-4711", mobile)
	k.settle(t)
	key, _, err := k.keys.Create(t.Context(), time.Now(), KeySpec{Name: "rotated", Scopes: []Scope{ScopeOps}})
	if err != nil {
		t.Fatal(err)
	}
	ids := strings.NewReplacer("{account}", "client-4711", "{name}", "modem1", "/keys/{id}", "/keys/"+key.ID, "{id}", "chl_00000000000000000000000000")
	other := k.key(KeySpec{Name: "another admin", Scopes: []Scope{ScopeAdmin}})
	seen, good := 0, 0
	for _, o := range newGenerator(k.OpenAPI(), 1).ops { // in order: a phone gets only so many texts in an hour
		method, path, op := o.method, o.path, o.op
		documented := slices.ContainsFunc(op.Parameters, func(p *huma.Param) bool { return p.Name == idempotencyHeader && p.In == "header" })
		if why, ok := repeatable[method+" "+path]; ok || method != "POST" {
			if documented {
				t.Errorf("%s %s has the header (%s)", method, path, why)
			}
			continue
		}
		seen++
		if !documented {
			t.Errorf("%s %s: the document does not have the header", method, path)
			continue
		}
		t.Run(op.OperationID, func(t *testing.T) {
			c := idempotentCall{realKit: k, t: t, target: ids.Replace(path), name: "name of " + op.OperationID, other: other}
			if op.RequestBody != nil {
				c.body = string(must(json.Marshal(op.RequestBody.Content["application/json"].Example)))
			}
			if first := c.check(); first.StatusCode < 300 {
				good++
			}
			if err := k.queue.Resume(t.Context(), "modem1"); err != nil { // it may have been the call to pause it
				t.Error(err)
			}
		})
	}
	if seen < 15 || good < 10 {
		t.Errorf("%d calls take the header, %d of them worked", seen, good)
	}
}

type idempotentCall struct {
	*realKit
	t                         *testing.T
	target, body, name, other string
}

func (c idempotentCall) post(target, body, token, name string) reply {
	return c.do("POST", target, token, body, "Idempotency-Key: "+name)
}

func (c idempotentCall) check() (first reply) {
	t, admin := c.t, c.tokens[ScopeAdmin]
	first = c.post(c.target, c.body, admin, c.name)
	if (&heldAnswer{status: first.StatusCode}).nothingDone() {
		t.Fatalf("the call was refused before it was made: %d %s", first.StatusCode, first.body)
	}
	same := func(when string, r reply) {
		if r.StatusCode != first.StatusCode || string(r.body) != string(first.body) || r.Header.Get("Idempotency-Replayed") != "true" {
			t.Errorf("%s: %d %s, want %d %s", when, r.StatusCode, r.body, first.StatusCode, first.body)
		}
	}
	refused := func(when string, r reply, want string) {
		if p := r.problem(t); p.Code != want {
			t.Errorf("%s: %d %s, want %s", when, p.Status, p.Code, want)
		}
	}
	same("again", c.post(c.target, c.body, admin, c.name))
	old := c.Server
	c.Server = must(New(Config{Rules: c.cfg.Rules, Gateway: c.cfg.Gateway, KV: c.realKit.kv, Secrets: c.cfg.Secrets, Log: c.cfg.Log, Modems: c.cfg.Modems}))
	same("after a restart", c.post(c.target, c.body, admin, c.name))
	c.Server = old

	refused("another path", c.post(c.target+"?x=1", c.body, admin, c.name), "idempotency-mismatch")
	if c.body != "" {
		refused("another body", c.post(c.target, c.body+" ", admin, c.name), "idempotency-mismatch")
	}
	if r := c.post(c.target, c.body, c.other, c.name); r.Header.Get("Idempotency-Replayed") != "" {
		t.Errorf("another caller got the answer: %s", r.body)
	}
	record := c.change(func(k *keptAnswer) { k.Status = 0 })
	refused("in flight", c.post(c.target, c.body, admin, c.name), "idempotency-in-flight")
	c.change(func(k *keptAnswer) { k.Status, k.At = 200, time.Now().Add(-keptFor) })
	if r := c.post(c.target, c.body, admin, c.name); r.Header.Get("Idempotency-Replayed") != "" {
		t.Errorf("%s: after a day the answer is still given: %s", record, r.body)
	}
	return first
}

// change rewrites what is kept for the admin's key and the name.
func (c idempotentCall) change(f func(*keptAnswer)) string {
	c.t.Helper()
	claim := must(c.claimName(callerOf(c.t, c.realKit, ScopeAdmin), c.name))
	err := c.realKit.kv.Update(context.Background(), func(tx store.Txn) error {
		kept, err := store.Load[keptAnswer](tx, claim.record)
		if err != nil {
			return err
		}
		f(&kept)
		return store.Save(tx, claim.record, kept, time.Time{})
	})
	if err != nil {
		c.t.Fatalf("%s: %v", claim.record, err)
	}
	return claim.record
}

// A new key's token is given again for the same Idempotency-Key, and is not to be read in the store without it, even by
// whoever has the key file.
func TestKeptTokenIsSealedToItsName(t *testing.T) {
	k := newRealKit(t)
	create := func() wire.CreatedKey {
		r := k.do("POST", "/v1/keys", k.tokens[ScopeAdmin], `{"name":"n","scopes":["ops"]}`, "Idempotency-Key: 8e03978e-40d5-43dd")
		var out wire.CreatedKey
		if err := json.Unmarshal(r.body, &out); err != nil || r.StatusCode != 201 {
			t.Fatalf("%d %s", r.StatusCode, r.body)
		}
		return out
	}
	first, again := create(), create()
	if first.Token != again.Token || first.Key.ID != again.Key.ID {
		t.Errorf("%+v, then %+v", first.Key, again.Key)
	}
	keys := must(k.keys.List(t.Context()))
	if n := len(keys); n != len(Scopes())+1 {
		t.Errorf("%d keys", n)
	}
	err := k.kv.View(t.Context(), func(tx store.Txn) error {
		return tx.Scan(store.Range{}, func(name string, value []byte) bool {
			if all := name + string(value); strings.Contains(all, first.Token) || strings.Contains(all, "8e03978e") {
				t.Errorf("%s: %s", name, value)
			}
			return true
		})
	})
	if err != nil {
		t.Error(err)
	}
	var kept keptAnswer
	record := must(k.claimName(callerOf(t, k, ScopeAdmin), "8e03978e-40d5-43dd")).record
	if err := k.kv.View(t.Context(), func(tx store.Txn) (err error) { kept, err = store.Load[keptAnswer](tx, record); return err }); err != nil {
		t.Fatal(err)
	}
	if _, err := must(k.claimName("key_another", "8e03978e-40d5-43dd")).open(&kept); err == nil {
		t.Error("another caller's name opens the answer")
	}
}
