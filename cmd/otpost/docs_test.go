package main

import (
	"bytes"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime/debug"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"otpost/api/docs"
)

// What a shell block may be marked with behind its sh, and so is not run here.
var marks = map[string]string{
	"hardware":  "it needs a modem",
	"root":      "it changes the system: packages, services, groups",
	"elsewhere": "it needs another machine, a network or a registry; tests of its own run it",
	"stays":     "it runs until Ctrl-C, or asks somebody to type",
}

var (
	fence    = regexp.MustCompile("(?ms)^ *```sh(?: ([a-z]+))?\n(.*?)^ *```$")
	unfenced = regexp.MustCompile("(?m)^ {4,}(?:[$] )?(?:otpost|curl|sudo|systemctl|apt|go) |^```(?:bash|shell|console|zsh).*$")
)

// blocks are how many shell blocks of each page are run here, and how many are marked. A new block belongs to the first
// kind if at all possible.
var blocks = map[string]struct{ Run, Marked int }{
	"README":                   {7, 4},
	"tutorial/demo":            {1, 1},
	"tutorial/first-modem":     {3, 2},
	"tutorial/portal":          {6, 3},
	"howto/install":            {2, 4},
	"howto/modem":              {0, 5},
	"howto/tls":                {2, 1},
	"howto/keys":               {4, 1},
	"howto/backup":             {2, 1},
	"howto/prometheus":         {2, 1},
	"howto/webhooks":           {3, 1},
	"howto/container":          {0, 3},
	"howto/migrate":            {1, 0},
	"howto/typescript":         {0, 1},
	"howto/identity-providers": {2, 0},
}

// The shell blocks of the README and of the manual run as they stand there, page after page, against one daemon with a
// simulated modem. Only paths and ports are put in, and the code that stands on a phone.
func TestShellBlocks(t *testing.T) {
	if raceDetector() {
		t.Skip("with the race detector each of a hundred commands starts too slowly; without it this test runs")
	}
	for _, tool := range []string{"bash", "curl", "jq", "openssl"} {
		if _, err := exec.LookPath(tool); err != nil && os.Getenv("CI") == "true" {
			t.Fatalf("%s is missing", tool)
		} else if err != nil {
			t.Skipf("%s is missing", tool)
		}
	}
	t.Parallel()
	found := map[string]struct{ Run, Marked int }{}
	root, port := docsRoot(t), ""
	pages := shellPages(t)
	for _, name := range slices.Sorted(maps.Keys(pages)) {
		text := pages[name]
		var run []string
		marked := 0
		for _, m := range fence.FindAllStringSubmatch(text, -1) {
			switch _, known := marks[m[1]]; {
			case m[1] == "":
				run = append(run, m[2])
			case known:
				marked++
			default:
				t.Errorf("%s: no such mark: sh %s", name, m[1])
			}
		}
		if stray := unfenced.FindString(fence.ReplaceAllString(text, "")); stray != "" {
			t.Errorf("%s: a shell block is not in a fence marked sh: %s", name, stray)
		}
		if len(run)+marked > 0 {
			found[name] = struct{ Run, Marked int }{len(run), marked}
		}
		if len(run) > 0 {
			if port == "" {
				port = docsDaemon(t, root)
			}
			t.Run(name, func(t *testing.T) { runBlocks(t, root, port, run) })
		}
	}
	if diff := cmp.Diff(blocks, found); diff != "" {
		t.Errorf("blocks that run and blocks that are marked (-expected +found):\n%s", diff)
	}
}

func raceDetector() bool {
	info, ok := debug.ReadBuildInfo()
	return ok && slices.Contains(info.Settings, debug.BuildSetting{Key: "-race", Value: "true"})
}

func shellPages(t *testing.T) map[string]string {
	t.Helper()
	b, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	pages := map[string]string{"README": string(b)}
	for _, part := range docs.New().Parts() {
		for _, p := range part.Pages {
			name := strings.TrimPrefix(p.Path, "/docs/")
			if text, ok := docs.Markdown(name); ok {
				pages[name] = string(text)
			}
		}
	}
	return pages
}

// prelude makes a shell in which the blocks find the test's daemon, and the codes that its phones got.
const prelude = `set -euo pipefail
otpost() { # finds the configuration by itself where it is installed
  case " $* " in
  *" -c "* | *" --config "* | *" --socket "* | *" --address "* | " version "* | " man "* | " completion "* | " demo "* | " sim "*) command otpost "$@" ;;
  *) command otpost "$@" --config "$ROOT/etc/otpost/otpost.yaml" ;;
  esac
}
newest_code() { # of the newest text with a code that was not asked for before
  local texts after
  for _ in 1 2 3 4 5; do
    after=$(cat "$ROOT/seen" 2>/dev/null || true)
    texts=$(curl -sSf --unix-socket "$ROOT/run/otpost/otpost.sock" "http://otpost/v1/simulator/messages?wait=10s${after:+&after=$after}")
    jq -r '.messages[0].received_at // empty' <<<"$texts" >"$ROOT/seen.new"
    [ ! -s "$ROOT/seen.new" ] || mv "$ROOT/seen.new" "$ROOT/seen"
    texts=$(jq -r '[.messages[] | select(.code != null and .code != "")][0].code // empty' <<<"$texts")
    if [ -n "$texts" ]; then
      echo "$texts"
      return
    fi
  done
  echo "no code came to any phone" >&2
  return 1
}
`

// docsRoot is the folder in which the paths that the blocks name lie.
func docsRoot(t *testing.T) string {
	t.Helper()
	root, err := os.MkdirTemp("", "otpost-docs-") // short: it holds a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(root); err != nil {
			t.Error(err)
		}
	})
	return root
}

// runBlocks runs the blocks of one page in one shell, in a folder of its own.
func runBlocks(t *testing.T, root, port string, blocks []string) {
	script := prelude
	for i, b := range blocks {
		b = strings.NewReplacer("/etc/otpost/", root+"/etc/otpost/", "/run/otpost/", root+"/run/otpost/", "/var/lib/otpost", root+"/var/lib/otpost",
			"127.0.0.1:8475", "127.0.0.1:"+port, "CODE=123456", "CODE=$(newest_code)").Replace(b)
		script += fmt.Sprintf("\necho '== block %d' >&2\n%s", i+1, b)
	}
	cmd := exec.CommandContext(t.Context(), "bash", "-c", script)
	cmd.Dir = t.TempDir()
	cmd.Env = append(os.Environ(), "ROOT="+root, "HOME="+cmd.Dir)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

// docsDaemon runs a daemon with a simulated modem in root, and returns its port when the modem is up.
func docsDaemon(t *testing.T, root string) string {
	t.Helper()
	port, err := freePort()
	if err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{"etc/otpost", "run/otpost", "var/lib/otpost"} {
		if err := os.MkdirAll(filepath.Join(root, dir), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	file := filepath.Join(root, "etc/otpost/otpost.yaml")
	yaml := fmt.Sprintf("listen: 127.0.0.1:%s\nsocket: %[2]s/run/otpost/otpost.sock\ndata_dir: %[2]s/var/lib/otpost\ncountries: [GB, IE]\nmodems: [{name: stick, device: simulator}]\n", port, root)
	if err := os.WriteFile(file, []byte(yaml), 0o600); err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	serve := exec.Command("otpost", "serve", "--config", file)
	serve.Stdout, serve.Stderr = &log, &log
	if err := serve.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		http.DefaultClient.CloseIdleConnections() // the daemon would wait for one that was opened and not used
		if err := serve.Process.Signal(os.Interrupt); err != nil {
			t.Error(err)
		}
		if err := serve.Wait(); err != nil || t.Failed() {
			t.Errorf("the daemon ended with %v:\n%s", err, &log)
		}
	})
	for deadline := time.Now().Add(time.Minute); ; {
		if strings.Contains(scrape("http://127.0.0.1:"+port+"/metrics"), `otpost_modem_up{modem="stick"} 1`) {
			return port
		}
		if time.Now().After(deadline) {
			t.Fatal("the modem is not up after a minute")
		}
		<-time.After(50 * time.Millisecond)
	}
}

// scrape returns a page, or nothing while nobody answers.
func scrape(url string) string {
	resp, err := http.Get(url)
	if err != nil {
		return ""
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		return ""
	}
	return string(b)
}
