package daemon

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// A misspelt member, a missing one and an unknown call must not compile; if the generated types allowed everything, the
// directives would be superfluous, which is an error as well.
const wrongUses = `import createClient from "openapi-fetch";
import type { paths } from "./otpost.js";

const otpost = createClient<paths>({ baseUrl: "" });
const params = { path: { account: "client-1" } };
// @ts-expect-error
await otpost.PUT("/v1/accounts/{account}/pin", { params, body: { pinn: "739154" } });
// @ts-expect-error
await otpost.POST("/v1/accounts/{account}/sms/enable/verify", { params, body: { code: "123456" } });
// @ts-expect-error
await otpost.GET("/v1/nothing");
`

// The manual's TypeScript example: types from the committed document, checked, and run against a simulated modem. It takes
// npm's registry and most of a minute, and so belongs to the long counts.
func TestTypeScriptExample(t *testing.T) {
	if *soak < 2 {
		t.Skip("installs packages from npm's registry: go test ./cmd/otpost/daemon -run TypeScript -args -soak=2")
	}
	tool(t, "node", "npm")
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS("../../../api/docs/howto/typescript")); err != nil {
		t.Fatal(err)
	}
	document, err := os.ReadFile("../../../api/openapi.json")
	if err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string][]byte{"openapi.json": document, "wrong.ts": []byte(wrongUses)} {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	in := start(t, t.TempDir(), oneModem)
	npm := func(args ...string) string {
		ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
		defer cancel()
		cmd := exec.CommandContext(ctx, "npm", args...)
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), "OTPOST_URL="+in.base, "OTPOST_KEY="+in.token)
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("npm %s: %v\n%s", strings.Join(args, " "), err, out)
		}
		return string(out)
	}
	npm("ci", "--no-audit", "--no-fund", "--ignore-scripts", "--prefer-offline")
	npm("run", "types")
	npm("run", "check")
	if err := os.Remove(filepath.Join(dir, "wrong.ts")); err != nil {
		t.Fatal(err)
	}
	npm("run", "build")
	out := npm("start", "--", "typescript-1", "+447700900250")
	for _, want := range []string{"The code or the PIN is wrong; 4 attempts left.", "SMS codes are enabled; the grade of typescript-1 is 1."} {
		if !strings.Contains(out, want) {
			t.Errorf("the example did not print %q:\n%s", want, out)
		}
	}
	in.must(200, "GET", "/v1/accounts/typescript-1", nil)
}
