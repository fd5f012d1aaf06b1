package api

import (
	"fmt"
	"testing"

	"otpost/api/wire"
)

// An operator sees why an account is blocked, what a modem says, and the latest entries of the audit trail.
func TestInsight(t *testing.T) {
	k := newRealKit(t, func(c *Config) { c.Modems = fakeModems{} })
	k.enrolled(t, "client-1", mobile)
	ch := ask[wire.Challenge](t, k.kit, 202, "POST", "/v1/challenges", `{"account":"client-1","purpose":"login"}`)
	right := k.phone.code(t, mobile, 1)
	for range 5 {
		ask[wire.Problem](t, k.kit, 422, "POST", "/v1/challenges/"+ch.ID+"/verify", fmt.Sprintf(`{"code":%q}`, right[1:]+string('0'+(right[0]-'0'+1)%10)))
	}
	blocked := map[string]bool{}
	for _, c := range ask[wire.FailureCounters](t, k.kit, 200, "GET", "/v1/accounts/client-1/failures", "").Counters {
		blocked[c.Of] = c.Failures == 5 && c.BlockedFor > 800 && c.Left == 0 && !c.LastAt.IsZero()
	}
	if !blocked["account"] || !blocked["phone"] || blocked["pin"] {
		t.Errorf("blocked: %v", blocked)
	}
	ask[wire.Problem](t, k.kit, 404, "GET", "/v1/accounts/client-2/failures", "")

	lines := decode[wire.Trace](t, k.do("GET", "/v1/modems/modem1/trace", k.tokens[ScopeOps], "")).Lines
	if len(lines) != 1 || lines[0].Direction != "to-modem" || lines[0].At.IsZero() {
		t.Errorf("trace: %+v", lines)
	}
	if r := k.do("GET", "/v1/modems/other/trace", k.tokens[ScopeOps], ""); r.StatusCode != 404 {
		t.Errorf("trace of a modem that is not there: %d", r.StatusCode)
	}

	all := decode[wire.Audit](t, k.do("GET", "/v1/audit", k.tokens[ScopeAdmin], ""))
	tail := decode[wire.Audit](t, k.do("GET", "/v1/audit?tail=true&limit=2", k.tokens[ScopeAdmin], ""))
	n := len(all.Entries)
	if len(tail.Entries) != 2 || tail.Next != 0 || tail.Last != uint64(n) || tail.Entries[1].Hash != all.Entries[n-1].Hash || all.Last != tail.Last {
		t.Errorf("the tail of %d entries: %+v", n, tail)
	}
	whole := decode[wire.Audit](t, k.do("GET", "/v1/audit?tail=true&limit=1000", k.tokens[ScopeAdmin], ""))
	if len(whole.Entries) != n || whole.Entries[0].Seq != 1 {
		t.Errorf("a tail longer than the trail has %d entries, want %d", len(whole.Entries), n)
	}
}
