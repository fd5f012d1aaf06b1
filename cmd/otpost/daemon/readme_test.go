package daemon

import (
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"time"
)

var (
	shellBlock  = regexp.MustCompile("(?s)```sh\n(.*?)```")
	oneCall     = regexp.MustCompile(`(?ms)^call .*?$(?:\n  .*?$)*`)
	challengeIn = regexp.MustCompile(`chl_[0-9a-z]{26}`)
)

// The README's calls work as they are written, in their order, with the code from the phone put in.
func TestReadmeCalls(t *testing.T) {
	if _, err := exec.LookPath("curl"); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("curl is missing")
		}
		t.Skip("curl is missing")
	}
	b, err := os.ReadFile("../../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, found := strings.Cut(string(b), "## The API by example")
	if !found {
		t.Fatal("README has no section The API by example")
	}
	blocks := shellBlock.FindAllStringSubmatch(section, 2)
	define := regexp.MustCompile(`(?m)^call\(\) .*$`).FindString(blocks[0][1])
	calls := append(oneCall.FindAllString(blocks[0][1], -1), oneCall.FindAllString(blocks[1][1], -1)...)
	if define == "" || len(calls) != 8 {
		t.Fatalf("README defines %q and has %d calls, want 8: %q", define, len(calls), calls)
	}
	in := start(t, t.TempDir(), oneModem)
	const phone = "+447700900124"
	var last time.Time
	id := ""
	for _, call := range calls {
		if strings.Contains(call, `"code":"123456"`) {
			text := in.text(phone, last)
			last = text.ReceivedAt
			call = strings.Replace(call, "123456", text.Code, 1)
		}
		call = strings.Replace(call, "chl_…", id, 1)
		script := "A=" + in.base + "\nK=" + in.token + "\n" + strings.Replace(define, "curl -s", `curl -s -w '\n%{http_code}'`, 1) + "\n" + call
		out, err := exec.Command("bash", "-c", script).CombinedOutput()
		if answer := strings.TrimSpace(string(out)); err != nil || !regexp.MustCompile(`(^|\n)20[024]$`).MatchString(answer) {
			t.Fatalf("%s\n%v: %s", call, err, answer)
		}
		if found := challengeIn.FindString(string(out)); found != "" {
			id = found
		}
	}
	in.must(200, "GET", "/v1/accounts/client-5000", nil)
}
