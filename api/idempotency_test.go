package api

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"otpost/api/wire"
	"otpost/gateway/store"
)

const send = `{"to":"+447400123400","text":"Hello"}`

// post sends a text with the messages key.
func (k *kit) post(body, key string, header ...string) reply {
	k.t.Helper()
	if key != "" {
		header = append(header, "Idempotency-Key: "+key)
	}
	return k.do("POST", "/v1/messages", k.tokens[ScopeMessages], body, header...)
}

// texts is how many messages there are.
func (k *realKit) messages(t testing.TB) int {
	t.Helper()
	ms, _, err := k.queue.Messages(context.Background(), filterAll)
	if err != nil {
		t.Fatal(err)
	}
	return len(ms)
}

func TestIdempotencyKey(t *testing.T) {
	k := newRealKit(t)
	first := k.post(send, "one")
	if first.StatusCode != http.StatusAccepted || first.Header.Get("Idempotency-Replayed") != "" {
		t.Fatalf("first: %d %s", first.StatusCode, first.body)
	}
	again := k.post(send, `"one"`)
	if again.StatusCode != http.StatusAccepted || string(again.body) != string(first.body) || again.Header.Get("Idempotency-Replayed") != "true" ||
		again.Header.Get("Content-Type") != first.Header.Get("Content-Type") || again.Header.Get("X-Request-Id") == first.Header.Get("X-Request-Id") {
		t.Errorf("again: %d %v %s", again.StatusCode, again.Header, again.body)
	}
	if n := k.messages(t); n != 1 {
		t.Errorf("%d messages, want 1", n)
	}
	for name, r := range map[string]reply{
		"another body": k.post(strings.Replace(send, "Hello", "hello", 1), "one"),
		"other spaces": k.post(send+" ", "one"),
	} {
		if p := r.problem(t); p.Code != "idempotency-mismatch" || p.Status != 422 {
			t.Errorf("%s: %+v", name, p)
		}
	}
	if r := k.post(send, "two"); r.StatusCode != http.StatusAccepted || string(r.body) == string(first.body) {
		t.Errorf("another key: %d %s", r.StatusCode, r.body)
	}
	other := k.key(KeySpec{Name: "other", Scopes: []Scope{ScopeMessages}})
	if r := k.do("POST", "/v1/messages", other, send, "Idempotency-Key: one"); r.StatusCode != http.StatusAccepted || string(r.body) == string(first.body) {
		t.Errorf("the same name from another caller: %d %s", r.StatusCode, r.body)
	}
	for _, bad := range []string{`""`, strings.Repeat("x", 256), "é"} {
		if p := k.post(send, bad).problem(t); p.Code != "invalid-request" || p.Errors[0].Location != "header.Idempotency-Key" {
			t.Errorf("key %q: %+v", bad, p)
		}
	}
}

// A server over the same store, as after a restart, gives the same answer; a claim without an answer stays closed.
func TestIdempotencyAcrossRestarts(t *testing.T) {
	k := newRealKit(t)
	first := k.post(send, "one")
	next, err := New(Config{Rules: k.cfg.Rules, Gateway: k.cfg.Gateway, KV: k.kv, Secrets: k.kv.Secrets(), Log: k.cfg.Log})
	if err != nil {
		t.Fatal(err)
	}
	old := k.Server
	k.Server = next
	if again := k.post(send, "one"); string(again.body) != string(first.body) || again.Header.Get("Idempotency-Replayed") != "true" {
		t.Errorf("after a restart: %d %s", again.StatusCode, again.body)
	}
	// The first daemon claims a key and is killed.
	record := "api/idem/" + k.kv.Secrets().Pseudonym("api/idempotency", callerOf(t, k, ScopeMessages)+"\x00killed")
	request := mustRequest("POST", "/v1/messages")
	request.Header.Set("Content-Type", "application/json")
	claim := keptAnswer{Print: old.fingerprint(request, []byte(send)), Boot: old.boot, At: time.Now()}
	if _, err := old.claim(context.Background(), record, claim); err != nil {
		t.Fatal(err)
	}
	if p := k.post(send, "killed").problem(t); p.Code != "idempotency-in-flight" || p.RetryAfter != 0 {
		t.Errorf("a claim of a killed daemon: %+v", p)
	}
	// A day later its name is free.
	claim.At = time.Now().Add(-keptFor)
	if err := k.kv.Update(context.Background(), func(tx store.Txn) error { return store.Save(tx, record, claim, time.Time{}) }); err != nil {
		t.Fatal(err)
	}
	if r := k.post(send, "killed"); r.StatusCode != http.StatusAccepted {
		t.Errorf("after a day: %d %s", r.StatusCode, r.body)
	}
}

// Of fifty at once one is done; the others get its answer or 409, and nothing is sent twice.
func TestIdempotencyAtOnce(t *testing.T) {
	k := newRealKit(t)
	var wg sync.WaitGroup
	replies := make([]reply, 50)
	for i := range replies {
		wg.Go(func() { replies[i] = k.post(send, "one") })
	}
	wg.Wait()
	answers := map[string]bool{}
	for _, r := range replies {
		switch r.StatusCode {
		case http.StatusAccepted:
			answers[string(r.body)] = true
		case http.StatusConflict:
			if p := r.problem(t); p.Code != "idempotency-in-flight" || p.RetryAfter != 1 {
				t.Errorf("conflict: %+v", p)
			}
		default:
			t.Errorf("%d %s", r.StatusCode, r.body)
		}
	}
	if n := k.messages(t); n != 1 || len(answers) != 1 {
		t.Errorf("%d messages and %d answers, want 1 and 1", n, len(answers))
	}
}

// A refusal before anything was done frees the name; one that counted does not, so a wrong code is counted once.
func TestIdempotencyOfRefusals(t *testing.T) {
	k := newRealKit(t)
	if r := k.post(`{"to":"+447400123456"}`, "one"); r.StatusCode != 400 {
		t.Errorf("without a text: %d", r.StatusCode)
	}
	if r := k.post(send, "one"); r.StatusCode != http.StatusAccepted {
		t.Errorf("corrected: %d %s", r.StatusCode, r.body)
	}
	k.enrolled(t, "a", mobile)
	c := ask[wire.Challenge](t, k.kit, 202, "POST", "/v1/challenges", `{"account":"a","purpose":"login"}`)
	verify := func(key string) wire.Problem {
		code := k.phone.code(t, mobile, k.phone.count(mobile)-1)
		wrong := fmt.Sprintf("%06d", (atoi(code)+1)%1000000)
		return k.do("POST", "/v1/challenges/"+c.ID+"/verify", k.tokens[ScopePortal], `{"code":"`+wrong+`"}`, "Idempotency-Key: "+key).problem(t)
	}
	k.settle(t)
	first, again, other := verify("v1"), verify("v1"), verify("v2")
	if first.Code != "verification-failed" || *again.AttemptsLeft != *first.AttemptsLeft || *other.AttemptsLeft != *first.AttemptsLeft-1 {
		t.Errorf("attempts left: %d, repeated %d, another %d", *first.AttemptsLeft, *again.AttemptsLeft, *other.AttemptsLeft)
	}
}

// Neither code, PIN, text nor phone of a request is in what is kept.
func TestKeptAnswersHoldNoSecrets(t *testing.T) {
	k := newRealKit(t)
	k.post(`{"to":"+447400123456","text":"canary-text"}`, "canary-name")
	err := k.kv.View(context.Background(), func(tx store.Txn) error {
		seen := 0
		err := tx.Scan(store.Range{Prefix: "api/idem/"}, func(name string, value []byte) bool {
			seen++
			for _, secret := range []string{"canary", "7400123456"} {
				if strings.Contains(name+string(value), secret) {
					t.Errorf("%s: %s", name, value)
				}
			}
			return true
		})
		if seen != 1 {
			t.Errorf("%d answers are kept, want 1", seen)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}
