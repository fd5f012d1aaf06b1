package api

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"otpost/api/wire"
	"otpost/gateway"
)

// The overview tells of real traffic, and a phone's messages are found by a name that hides its number.
func TestOverviewAndRecipients(t *testing.T) {
	k := newRealKit(t)
	k.enrolled(t, "client-1", mobile)
	k.enrolled(t, "client-2", "+447400123457")
	k.settle(t)
	get := func(want int, method, target, body string) reply {
		t.Helper()
		r := k.do(method, target, k.tokens[ScopeOps], body)
		if r.StatusCode != want {
			t.Fatalf("%s %s: %d: %s", method, target, r.StatusCode, r.body)
		}
		return r
	}
	o := decode[wire.Overview](t, get(200, "GET", "/v1/overview", ""))
	if r := o.Recent; r.Codes != 2 || r.Verified != 2 || r.Sent.Count != 2 || r.Messages["sent"] != 2 || !r.All || len(o.Lanes) != gateway.Lanes || o.StorageLow {
		t.Errorf("overview: %+v", o)
	}
	n := decode[wire.NamedRecipient](t, get(200, "POST", "/v1/recipients", `{"to":"+44 7400 123456"}`))
	if n.To != masked {
		t.Errorf("named: %+v", n)
	}
	found := decode[wire.Messages](t, get(200, "GET", "/v1/messages?modem=modem1&recipient="+n.Recipient, ""))
	if len(found.Messages) != 1 || found.Messages[0].To != masked || !found.Messages[0].Verified || found.Messages[0].Lane != "enrol" || found.Messages[0].Purpose != "sms.enable" {
		t.Errorf("found: %+v", found)
	}
	if p := get(422, "POST", "/v1/recipients", `{"to":"letters"}`).problem(t); p.Code != "invalid-phone" {
		t.Errorf("no phone: %+v", p)
	}
	get(400, "GET", "/v1/messages?recipient=%2B447400123456", "")
}

func decode[T any](t *testing.T, r reply) T {
	t.Helper()
	var out T
	if err := json.Unmarshal(r.body, &out); err != nil {
		t.Fatalf("%v: %s", err, r.body)
	}
	return out
}

// Percentiles are by the nearest rank, texts are not codes, and what is older than a day does not count.
func TestRecent(t *testing.T) {
	now := time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC)
	var latest []gateway.Message
	for i := range 20 {
		at := now.Add(-time.Duration(i) * time.Minute)
		latest = append(latest, gateway.Message{Kind: gateway.KindCode, Status: gateway.Delivered, CreatedAt: at, SentAt: at.Add(time.Second),
			DeliveredAt: at.Add(time.Duration(i+1) * time.Second), Verified: i%2 == 0})
	}
	latest = append(latest, gateway.Message{Kind: gateway.KindText, Status: gateway.Failed, CreatedAt: now.Add(-time.Hour)},
		gateway.Message{Kind: gateway.KindCode, Status: gateway.Delivered, CreatedAt: now.Add(-25 * time.Hour)})
	want := wire.Recent{Since: now.Add(-time.Hour), All: true, Messages: map[string]int{"delivered": 20, "failed": 1}, Codes: 20, Delivered: 20, Verified: 10,
		Sent: wire.Spread{Count: 20, P50: 1, P95: 1}, Phone: wire.Spread{Count: 20, P50: 10, P95: 19}}
	if diff := cmp.Diff(want, recentOf(latest, now)); diff != "" {
		t.Errorf("recent (-want +got):\n%s", diff)
	}
	if got := recentOf(nil, now); got.Codes != 0 || got.Phone != (wire.Spread{}) {
		t.Errorf("of nothing: %+v", got)
	}
}
