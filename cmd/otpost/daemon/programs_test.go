package daemon

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"otpost/driver/sim"
)

// tool skips without a program that a test drives; under CI its absence is a failure.
func tool(t *testing.T, names ...string) {
	t.Helper()
	for _, name := range names {
		if _, err := exec.LookPath(name); err == nil {
			continue
		}
		if os.Getenv("CI") == "true" {
			t.Fatalf("%s is missing", name)
		}
		t.Skipf("%s is missing", name)
	}
}

const tutorial = "../../../api/docs/tutorial/"

// The tutorial's programs turn SMS codes on, one wrong code on the way included.
func TestTutorialPrograms(t *testing.T) {
	in := start(t, t.TempDir(), oneModem)
	for i, tc := range []struct {
		name  string
		tools []string
		args  []string
	}{
		{"php", []string{"php"}, []string{"php", tutorial + "portal.php"}},
		{"node", []string{"node"}, []string{"node", tutorial + "portal.mjs"}},
		{"go", []string{"go"}, []string{"go", "run", tutorial + "portal.go"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			tool(t, tc.tools...)
			account, phone := "tutorial-"+tc.name, fmt.Sprintf("+44770090020%d", i)
			out := in.portal(t, append(tc.args, account, phone), phone)
			for _, want := range []string{`A code is on its way to \+44\*+0\d, valid until 20\d\d-`, `The code or the PIN is wrong; 4 attempts left\.`,
				"SMS codes are on; the grade of " + account + ` is 1\.`} {
				if !regexp.MustCompile(want).MatchString(out) {
					t.Errorf("the program did not print %s:\n%s", want, out)
				}
			}
			state := in.must(200, "GET", "/v1/accounts/"+account, nil)
			if sms := state["identities"].(map[string]any)["sms"].(map[string]any); sms["status"] != "enabled" {
				t.Errorf("the account's state is %v", sms)
			}
		})
	}
}

// What the programs do with a refusal and with a daemon that is not there: they say so and end with 1.
func TestTutorialProgramsRefused(t *testing.T) {
	in := start(t, t.TempDir(), oneModem)
	for _, args := range [][]string{{"php", tutorial + "portal.php"}, {"node", tutorial + "portal.mjs"}} {
		t.Run(args[0], func(t *testing.T) {
			tool(t, args[0])
			for base, want := range map[string]string{in.base: "invalid-phone", "http://127.0.0.1:1": "no answer from Otpost"} {
				cmd := exec.CommandContext(t.Context(), args[0], append(args[1:], "refused-"+args[0], "+44 12")...)
				cmd.Env = append(os.Environ(), "OTPOST_URL="+base, "OTPOST_KEY="+in.token)
				cmd.Stdin = strings.NewReader("739154\n")
				out, err := cmd.CombinedOutput()
				if cmd.ProcessState.ExitCode() != 1 || !strings.Contains(string(out), want) {
					t.Errorf("%s: %v, want exit 1 and %s: %s", base, err, want, out)
				}
			}
		})
	}
}

// portal runs a program of the tutorial and types for it: a PIN, a wrong code, and the code that came to the phone.
func (in *instance) portal(t *testing.T, args []string, phone string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute) // go run builds
	defer cancel()
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Env = append(os.Environ(), "OTPOST_URL="+in.base, "OTPOST_KEY="+in.token)
	typed, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out := &transcript{}
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	_, err = fmt.Fprintln(typed, "739154")
	if err != nil {
		t.Fatal(err)
	}
	texts, err := in.daemon.Network().Wait(ctx, sim.Filter{To: phone})
	if err != nil || len(texts) == 0 {
		t.Fatalf("no text on %s: %v\n%s", phone, err, out)
	}
	wrong := strings.Map(func(r rune) rune { return '0' + (r-'0'+1)%10 }, texts[0].Code)
	if _, err := fmt.Fprintf(typed, "%s\n%s\n", wrong, texts[0].Code); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if err := cmd.Wait(); err != nil {
		t.Fatalf("%s: %v\n%s", filepath.Base(args[len(args)-3]), err, out)
	}
	return out.String()
}
