package daemon

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// The canaries: values that stand nowhere else, so that a hit is a leak.
const (
	canaryPhone  = "+447700900987"
	canaryPIN    = "830461957204"
	canaryText   = "canary text 7f3a91c2"
	canaryPayee  = "IE29AIBK93115298765432"
	canaryWrong  = "918273"
	canaryWrong2 = "604937158026" // a wrong PIN
)

// TestInvariant3NoSecretIsWritten plays every flow with canary values and then searches everything that was written: the data
// folder, the log, the metrics and every answer. A planted leak in each place must be found, or the search is no search.
func TestInvariant3NoSecretIsWritten(t *testing.T) {
	in := start(t, t.TempDir(), oneModem)
	codes := playCanaries(in)
	in.call("GET", "/metrics", nil)
	in.stop()

	places := map[string][]byte{"the log": []byte(in.log.String()), "an answer": []byte(in.heard.String())}
	err := filepath.WalkDir(in.dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() {
			return err
		}
		b, err := os.ReadFile(path)
		places[path] = b
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(places) < 5 {
		t.Fatalf("only %d places to search", len(places))
	}
	secrets := append(slices.Clone(codes), canaryPhone[1:], canaryPIN, canaryText, canaryPayee, canaryWrong, canaryWrong2)
	for place, b := range places {
		for _, leak := range leaks(b, secrets) {
			t.Errorf("%s holds a secret: %s", place, leak)
		}
		planted := slices.Concat(b, []byte(` {"x":"`+canaryPIN+`"} `))
		if len(leaks(planted, secrets)) == 0 {
			t.Errorf("the search does not find a secret planted in %s", place)
		}
		planted = slices.Concat(b, []byte(base64.StdEncoding.EncodeToString([]byte(" "+canaryText))))
		if len(leaks(planted, secrets)) == 0 {
			t.Errorf("the search does not find an encoded secret planted in %s", place)
		}
	}
}

// playCanaries goes through enable, login, withdrawal, a plain text and disable, wrong answers included, and returns the codes.
func playCanaries(in *instance) []string {
	text := in.enable("canary-1", canaryPhone, canaryPIN)
	codes := []string{text.Code}
	challenge := func(order body) (verify, code string) {
		id := in.must(202, "POST", "/v1/challenges", order)["id"].(string)
		text = in.text(canaryPhone, text.ReceivedAt)
		codes = append(codes, text.Code)
		return "/v1/challenges/" + id + "/verify", text.Code
	}
	verify, code := challenge(body{"account": "canary-1", "purpose": "login"})
	in.must(422, "POST", verify, body{"code": canaryWrong})
	in.must(200, "POST", verify, body{"code": code})

	payment := body{"amount": "10.00", "currency": "EUR", "payee": canaryPayee}
	order := body{"account": "canary-1", "purpose": "withdrawal", "pin": canaryPIN, "transaction": payment}
	in.must(422, "POST", "/v1/challenges", body{"account": "canary-1", "purpose": "withdrawal", "pin": canaryWrong2, "transaction": payment})
	verify, code = challenge(order)
	in.must(200, "POST", verify, body{"code": code, "transaction": payment})

	in.must(202, "POST", "/v1/messages", body{"to": canaryPhone, "text": canaryText})
	text = in.text(canaryPhone, text.ReceivedAt)
	challenge(body{"account": "canary-1", "purpose": "login"}) // stays live in the store
	in.must(202, "POST", "/v1/accounts/canary-1/sms/disable", body{})
	text = in.text(canaryPhone, text.ReceivedAt)
	codes = append(codes, text.Code)
	for _, path := range []string{"/v1/accounts/canary-1", "/v1/messages", "/v1/modems", "/v1/inbox"} {
		in.must(200, "GET", path, nil)
	}
	return codes
}

// leaks lists which secrets stand in b: as they are, in hex, in base64 at any offset, or in UTF-16. Six digits alone are
// common in logs and files, so a short code counts only where no other digit or letter stands beside it.
func leaks(b []byte, secrets []string) []string {
	var found []string
	for _, s := range secrets {
		for how, form := range forms(s) {
			if at := standsAlone(b, form, len(s) < 8); at >= 0 {
				found = append(found, fmt.Sprintf("%s… %s at byte %d", s[:2], how, at))
			}
		}
	}
	return found
}

func forms(s string) map[string]string {
	m := map[string]string{"as it is": s}
	if len(s) < 8 {
		return m
	}
	m["in hex"], m["in upper-case hex"] = hex.EncodeToString([]byte(s)), strings.ToUpper(hex.EncodeToString([]byte(s)))
	for off := range 3 { // the middle of base64 does not depend on what stands around it
		enc := base64.StdEncoding.EncodeToString([]byte(strings.Repeat(" ", off) + s))
		m[fmt.Sprintf("in base64 at offset %d", off)] = enc[4 : len(enc)-4]
	}
	wide := make([]byte, 0, 2*len(s))
	for _, c := range []byte(s) {
		wide = append(wide, 0, c)
	}
	m["in UTF-16"] = string(wide)
	return m
}

func standsAlone(b []byte, form string, alone bool) int {
	for from := 0; ; {
		i := bytes.Index(b[from:], []byte(form))
		if i < 0 {
			return -1
		}
		i += from
		if !alone || !(wordByte(b, i-1) || wordByte(b, i+len(form))) {
			return i
		}
		from = i + 1
	}
}

func wordByte(b []byte, i int) bool {
	return i >= 0 && i < len(b) && (b[i] >= '0' && b[i] <= '9' || b[i] >= 'a' && b[i] <= 'z' || b[i] >= 'A' && b[i] <= 'Z' || b[i] == '.')
}
