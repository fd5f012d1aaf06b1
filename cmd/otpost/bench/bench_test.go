package bench

import (
	"testing"

	"otpost/gateway"
)

// The store that the bench fills holds what it says: final messages, each under its own id, for many phones.
func TestFill(t *testing.T) {
	dir := t.TempDir()
	const n = 1000
	if err := fill(t.Context(), dir, n); err != nil {
		t.Fatal(err)
	}
	h, err := openHouse(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := h.kv.Close(); err != nil {
			t.Error(err)
		}
	}()
	seen, phones := map[string]bool{}, map[string]bool{}
	for cursor := ""; len(seen) == 0 || cursor != ""; {
		page, next, err := h.queue.Messages(t.Context(), gateway.Filter{Status: gateway.Delivered, Limit: 100, Cursor: cursor})
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range page {
			if !m.Final() || m.Text != "" {
				t.Fatalf("%s is not final: %s", m.ID, m.Status)
			}
			seen[m.ID], phones[m.To] = true, true
		}
		cursor = next
	}
	if len(seen) != n || len(phones) != n {
		t.Errorf("%d messages for %d phones, want %d for as many", len(seen), len(phones), n)
	}
}
