package store

import "testing"

func BenchmarkPseudonym(b *testing.B) {
	s := newSecrets([rootSize]byte{1})
	b.ReportAllocs()
	for b.Loop() {
		s.Pseudonym("otp/account", "client-4711")
	}
}
