package api

import (
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestQuota(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newKit(t)
		token := k.key(KeySpec{Name: "slow", Scopes: []Scope{ScopeAdmin}, PerMinute: 3})
		for i, want := range []string{`"requests";r=2;t=60`, `"requests";r=1;t=60`, `"requests";r=0;t=60`} {
			r := k.do("GET", "/v1/keys", token, "")
			if r.StatusCode != 200 || r.Header.Get("RateLimit") != want || r.Header.Get("RateLimit-Policy") != `"requests";q=3;w=60` {
				t.Errorf("request %d: %d, %q, %q", i, r.StatusCode, r.Header.Get("RateLimit"), r.Header.Get("RateLimit-Policy"))
			}
		}
		time.Sleep(20500 * time.Millisecond)
		r := k.do("GET", "/v1/keys", token, "")
		if p := r.problem(t); p.Code != "rate-limited" || p.Limit != "requests" || r.Header.Get("Retry-After") != "40" || r.Header.Get("RateLimit") != `"requests";r=0;t=40` {
			t.Errorf("beyond: %+v %v", p, r.Header)
		}
		if r := k.do("GET", "/v1/keys", k.tokens[ScopeAdmin], ""); r.StatusCode != 200 {
			t.Errorf("another key: %d", r.StatusCode)
		}
		time.Sleep(40 * time.Second)
		if r := k.do("GET", "/v1/keys", token, ""); r.StatusCode != 200 {
			t.Errorf("in the next minute: %d", r.StatusCode)
		}
	})
}

func TestPenalties(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newKit(t)
		wrong := func() reply { return k.do("GET", "/v1/keys", "otp_live_wrong", "") }
		for i := range badKeys {
			if r := wrong(); r.StatusCode != 401 {
				t.Fatalf("wrong key %d: %d", i, r.StatusCode)
			}
		}
		for _, want := range []struct {
			after time.Duration
			retry int
		}{{0, 60}, {59 * time.Second, 1}, {time.Second, 0}} {
			time.Sleep(want.after)
			r := wrong()
			if want.retry == 0 {
				if r.StatusCode != 401 {
					t.Errorf("after the penalty: %d", r.StatusCode)
				}
				continue
			}
			if p := r.problem(t); p.Code != "rate-limited" || p.Limit != "wrong-keys" || p.RetryAfter != want.retry || r.Header.Get("Connection") != "close" {
				t.Errorf("after %v: %+v", want.after, p)
			}
			if r := k.do("GET", "/v1/keys", k.tokens[ScopeAdmin], ""); r.StatusCode != 200 {
				t.Errorf("a good key from the same source: %d", r.StatusCode)
			}
		}
		for range badKeys {
			wrong()
		}
		if p := wrong().problem(t); p.RetryAfter < 115 {
			t.Errorf("the second penalty is not longer: %+v", p)
		}
		if n := strings.Count(k.log.String(), "too many wrong keys"); n != 2 {
			t.Errorf("%d warnings for 2 penalties", n)
		}
	})
}

// However many sources there are, what is remembered is bounded, and IPv6 counts by /64.
func TestPenaltiesAreBounded(t *testing.T) {
	p := penalties{sources: map[netip.Prefix]*culprit{}}
	q := quotas{windows: map[string]*window{}}
	now := time.Now()
	for i := range 2 * maxSources {
		a := netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)})
		p.wrong(now.Add(time.Duration(i)), a)
		q.take(now.Add(time.Duration(i)), a.String(), 1)
	}
	if len(p.sources) > maxSources || len(q.windows) > maxSources {
		t.Errorf("%d sources and %d callers are remembered", len(p.sources), len(q.windows))
	}
	if p.sources[sourceRange(netip.MustParseAddr("10.0.0.0"))] != nil {
		t.Error("the oldest was kept")
	}
	if a, b := sourceRange(netip.MustParseAddr("2001:db8::1")), sourceRange(netip.MustParseAddr("2001:db8::ffff:2")); a != b {
		t.Errorf("%v and %v are two sources", a, b)
	}
}
