package daemon

import (
	"bytes"
	"crypto/rand"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"

	"otpost/api/wire"
	"otpost/driver"
	"otpost/gateway"
	"otpost/gateway/store/keys"
	"otpost/gateway/webhook"
	"otpost/otp"
)

// TestSecretsAreRedactedByType logs and prints every type that holds a code, PIN, key, text or number, and finds none of them.
func TestSecretsAreRedactedByType(t *testing.T) {
	path := filepath.Join(t.TempDir(), "key")
	ring, err := keys.Create(path, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	hook, err := webhook.ParseSecret("whsec_Y2FuYXJ5LWtleS1jYW5hcnkta2V5LWNhbmFyeS1rZXk=")
	if err != nil {
		t.Fatal(err)
	}
	payment := otp.Transaction{Amount: "10.00", Currency: "EUR", Payee: canaryPayee}
	for _, v := range []any{
		gateway.Message{ID: "msg_1", To: canaryPhone, Text: canaryText, Account: "canary-account"},
		gateway.Draft{To: canaryPhone, Text: canaryText, Account: "canary-account"},
		gateway.InboxItem{From: canaryPhone, Text: canaryText},
		driver.Submit{To: canaryPhone, Text: canaryText},
		driver.Inbound{From: canaryPhone, Text: canaryText},
		otp.EnableRequest{Phone: canaryPhone},
		otp.CreateRequest{PIN: canaryPIN, Transaction: &payment},
		otp.VerifyRequest{Code: canaryWrong, PIN: canaryPIN, ClientSecret: "canary-secret", Transaction: &payment},
		payment, &payment,
		wire.Secret(canaryPIN), hook, ring, *ring,
	} {
		t.Run(fmt.Sprintf("%T", v), func(t *testing.T) {
			var out bytes.Buffer
			for _, h := range []slog.Handler{slog.NewTextHandler(&out, nil), slog.NewJSONHandler(&out, nil)} {
				slog.New(h).Info("test", "value", v)
				slog.New(h).With("value", v).Info("test")
			}
			fmt.Fprintf(&out, "%v %+v %#v %s %q", v, v, v, v, v)
			secrets := []string{canaryPhone[1:], canaryText, canaryPIN, canaryWrong, canaryPayee, "canary-secret", "canary-account", "canary-key", "Y2FuYXJ5"}
			for _, leak := range leaks(out.Bytes(), secrets) {
				t.Errorf("%s is printed: %s", leak, out.String())
			}
			if !strings.Contains(out.String(), " value") {
				t.Errorf("nothing was logged: %s", out.String())
			}
		})
	}
}
