package support

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"otpost/api/wire"
	"otpost/cmd/otpost/config"
)

// What names a person or opens a door, planted wherever a bundle is made from.
func planted() []string {
	return []string{"447700900123", "client-4711", "s3cr3t-token", "hunter2", "867567021234567", "8944110068341234567", "--pin"}
}

func TestRedaction(t *testing.T) {
	cfg := config.Default()
	cfg.PIN.URL = "https://user:hunter2@portal.example/pin?key=s3cr3t-token"
	cfg.Webhooks = []config.Webhook{{URL: "https://portal.example/s3cr3t-token", SecretFile: "/etc/otpost/secrets/hook"}}
	cfg.Modems = []config.Modem{{Name: "stick", IMEI: "867567021234567", ResetHook: []string{"/usr/bin/power", "--pin", "hunter2"}, SIMPINFile: "/etc/otpost/secrets/pin"}}
	at := time.Date(2026, 3, 4, 9, 30, 0, 123456789, time.UTC)
	modems := &wire.Modems{Modems: []wire.Modem{{Name: "stick", IMEI: "867567021234567", ICCID: "8944110068341234567", Since: at, LastError: "refused +447700900123"}}}
	events := []wire.Event{{ID: "evt_1", Type: "account.sms_enabled", At: at, Account: "client-4711", Data: map[string]any{"phone": "+447700900123", "status": "sent", "to": "447700900123"}}}
	must := func(f File, err error) File {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return f
	}
	files := []File{must(Config(cfg)), must(Modems(modems)), must(Events(events)), must(JSON("doctor.json", []string{"SIM 8944110068341234567"}))}
	for _, f := range files {
		for _, secret := range planted() {
			if strings.Contains(string(f.Data), secret) {
				t.Errorf("%s holds %s:\n%s", f.Name, secret, f.Data)
			}
		}
	}
	for i, want := range []string{"secret_file: /etc/otpost/secrets/hook", `"since": "2026-03-04T09:30:00Z"`, `"status":"sent"`, "SIM …67"} {
		if !strings.Contains(string(files[i].Data), want) {
			t.Errorf("%s lacks %s:\n%s", files[i].Name, want, files[i].Data)
		}
	}
	if cfg.Modems[0].IMEI == "" || len(cfg.Modems[0].ResetHook) != 3 || !strings.Contains(cfg.Webhooks[0].URL, "token") {
		t.Error("the configuration itself was changed")
	}
}

func TestWrite(t *testing.T) {
	var b bytes.Buffer
	in := []File{{"a.json", []byte("{}")}, {"b.txt", nil}, {"c.txt", bytes.Repeat([]byte("x"), 100_000)}}
	if err := Write(&b, time.Date(2026, 3, 4, 9, 30, 0, 0, time.UTC), in); err != nil {
		t.Fatal(err)
	}
	zip, err := gzip.NewReader(&b)
	if err != nil {
		t.Fatal(err)
	}
	var out []File
	for r := tar.NewReader(zip); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		data, err := io.ReadAll(r)
		if err != nil || h.Mode != 0o600 {
			t.Errorf("%s: mode %o, %v", h.Name, h.Mode, err)
		}
		out = append(out, File{strings.TrimPrefix(h.Name, "otpost-support-20260304-093000/"), data})
	}
	in[1].Data = []byte{}
	if d := cmp.Diff(in, out); d != "" {
		t.Errorf("(-want +got)\n%s", d)
	}
}

// No long number comes through, and nothing else is touched.
func FuzzScrub(f *testing.F) {
	f.Add("call +447700900123 or 0123456")
	f.Fuzz(func(t *testing.T, s string) {
		got := string(Scrub([]byte(s)))
		if longNumber.MatchString(got) {
			t.Errorf("%q became %q", s, got)
		}
		if !longNumber.MatchString(s) && got != s {
			t.Errorf("%q was changed to %q", s, got)
		}
	})
}
