package daemon

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"otpost/cmd/otpost/config"
	"otpost/otp"
)

// The configuration's defaults are the rules' defaults: neither can drift from the other.
func TestPolicyOfDefaults(t *testing.T) {
	cfg := config.Default()
	cfg.Countries = []string{"GB"}
	got, err := PolicyOf(cfg)
	if err != nil {
		t.Fatal(err)
	}
	want := otp.DefaultPolicy()
	want.Countries = []string{"GB"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-rules +configuration:\n%s", diff)
	}
}
