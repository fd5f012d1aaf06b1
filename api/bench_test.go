package api

import "testing"

// BenchmarkGetAccount is the cost of a call through all layers of this package, with the store in memory.
func BenchmarkGetAccount(b *testing.B) {
	k := newRealKit(b)
	k.enrolled(b, "a", mobile)
	b.ReportAllocs()
	for b.Loop() {
		if r := k.do("GET", "/v1/accounts/a", k.tokens[ScopePortal], ""); r.StatusCode != 200 {
			b.Fatalf("%d %s", r.StatusCode, r.body)
		}
	}
}

// BenchmarkHealth is the same without key, rules and store.
func BenchmarkHealth(b *testing.B) {
	k := newKit(b)
	b.ReportAllocs()
	for b.Loop() {
		if r := k.do("GET", "/healthz", k.tokens[ScopeOps], ""); r.StatusCode != 200 {
			b.Fatal(r.StatusCode)
		}
	}
}

// BenchmarkIdempotentPost is a repeated POST, answered from what is kept.
func BenchmarkIdempotentPost(b *testing.B) {
	k := newRealKit(b)
	if r := k.post(send, "one"); r.StatusCode != 202 {
		b.Fatalf("%d %s", r.StatusCode, r.body)
	}
	b.ReportAllocs()
	for b.Loop() {
		if r := k.post(send, "one"); r.StatusCode != 202 {
			b.Fatal(r.StatusCode)
		}
	}
}
