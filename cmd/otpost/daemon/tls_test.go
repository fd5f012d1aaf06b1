package daemon

import (
	"log/slog"
	"testing"

	"github.com/google/go-cmp/cmp"

	"otpost/api"
	"otpost/cmd/otpost/config"
)

// A configured certificate that cannot be read stops the daemon: it never falls back to plain HTTP.
func TestTLSOf(t *testing.T) {
	log := slog.New(slog.DiscardHandler)
	if c, err := tlsOf(config.TLS{}, log); c != nil || err != nil {
		t.Errorf("without a certificate: %v, %v", c, err)
	}
	if c, err := tlsOf(config.TLS{CertFile: "/nonexistent/crt", KeyFile: "/nonexistent/key"}, log); c != nil || err == nil {
		t.Errorf("with a missing certificate: %v, %v", c, err)
	}
}

func TestClientScopes(t *testing.T) {
	got := clientScopes(map[string][]string{"portal.example": {"portal", "ops"}})
	if d := cmp.Diff(map[string][]api.Scope{"portal.example": {api.ScopePortal, api.ScopeOps}}, got); d != "" {
		t.Error("(-want +got)", d)
	}
}
