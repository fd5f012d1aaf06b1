// Package systemd_test checks the unit files, the users and folders they need, the udev rules and the Debian package, with
// systemd's own tools.
package systemd_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// need skips the test when a tool is missing, which under CI=true is a failure: there everything must be there.
func need(t *testing.T, tools ...string) {
	t.Helper()
	for _, tool := range tools {
		if _, err := exec.LookPath(tool); err != nil {
			lack(t, tool+" is not installed")
		}
	}
}

// needRoot skips the test when it may not mount and chown.
func needRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		lack(t, "needs root")
	}
}

func lack(t *testing.T, why string) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatal(why)
	}
	t.Skip(why)
}

// machine lays out the root folder of a machine with the units installed, and the drop-ins named.
func machine(t *testing.T, dropins ...string) string {
	t.Helper()
	root := t.TempDir()
	copyTo(t, "otpost.service", filepath.Join(root, "usr/lib/systemd/system/otpost.service"))
	copyTo(t, "otpost.socket", filepath.Join(root, "usr/lib/systemd/system/otpost.socket"))
	for _, d := range dropins {
		copyTo(t, "otpost.service.d/"+d, filepath.Join(root, "etc/systemd/system/otpost.service.d", d))
	}
	write(t, filepath.Join(root, "usr/bin/otpost"), "#!/bin/sh\n", 0o755)
	return root
}

func copyTo(t *testing.T, from, to string) {
	t.Helper()
	b, err := os.ReadFile(from)
	if err != nil {
		t.Fatal(err)
	}
	write(t, to, string(b), 0o644)
}

func write(t *testing.T, path, content string, mode os.FileMode) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), mode); err != nil {
		t.Fatal(err)
	}
}

func verify(root string) (string, error) {
	out, err := exec.Command("systemd-analyze", "verify", "--man=no", "--recursive-errors=no", "--root="+root,
		"otpost.service", "otpost.socket").CombinedOutput()
	return string(out), err
}

func TestUnitsVerifyClean(t *testing.T) {
	need(t, "systemd-analyze")
	for _, dropins := range [][]string{nil, {"no-network.conf"}, {"key-credential.conf"}, {"no-network.conf", "key-credential.conf"}} {
		t.Run(fmt.Sprint(dropins), func(t *testing.T) {
			if out, err := verify(machine(t, dropins...)); err != nil || out != "" {
				t.Errorf("systemd-analyze verify: %v\n%s", err, out)
			}
		})
	}
}

// The check itself must be able to fail: a misspelt key is reported.
func TestVerifySeesAMisspeltKey(t *testing.T) {
	need(t, "systemd-analyze")
	root := machine(t)
	write(t, filepath.Join(root, "etc/systemd/system/otpost.service.d/bad.conf"), "[Service]\nRestrt=always\n", 0o644)
	if out, _ := verify(root); !strings.Contains(out, "'Restrt'") {
		t.Errorf("verify let a misspelt key pass:\n%s", out)
	}
}

// TestExposure holds the bars of the hardening: 1.5 with outgoing webhooks, 0.5 without any network.
func TestExposure(t *testing.T) {
	need(t, "systemd-analyze")
	overall := regexp.MustCompile(`Overall exposure level for otpost\.service: ([0-9.]+)`)
	for _, tc := range []struct {
		dropins []string
		most    float64
	}{
		{nil, 1.5},
		{[]string{"key-credential.conf"}, 1.5},
		{[]string{"no-network.conf"}, 0.5},
	} {
		t.Run(fmt.Sprint(tc.dropins), func(t *testing.T) {
			out, err := exec.Command("systemd-analyze", "security", "--offline=true", "--no-pager",
				"--root="+machine(t, tc.dropins...), "otpost.service").CombinedOutput()
			m := overall.FindSubmatch(out)
			if m == nil {
				t.Fatalf("systemd-analyze security: %v\n%s", err, out)
			}
			got, err := strconv.ParseFloat(string(m[1]), 64)
			if err != nil {
				t.Fatal(err)
			}
			t.Logf("exposure %v", got)
			if got > tc.most {
				t.Errorf("exposure is %v, want at most %v\n%s", got, tc.most, out)
			}
		})
	}
}

// TestUserIsMadeWithDialout runs systemd-sysusers as the package does.
func TestUserIsMadeWithDialout(t *testing.T) {
	need(t, "systemd-sysusers")
	needRoot(t)
	root := t.TempDir()
	copyTo(t, "sysusers.conf", filepath.Join(root, "usr/lib/sysusers.d/otpost.conf"))
	write(t, filepath.Join(root, "etc/group"), "root:x:0:\ndialout:x:20:\n", 0o644)
	if out, err := exec.Command("systemd-sysusers", "--root="+root).CombinedOutput(); err != nil {
		t.Fatalf("systemd-sysusers: %v\n%s", err, out)
	}
	passwd := grep(t, filepath.Join(root, "etc/passwd"), "otpost:")
	if want := ":Otpost SMS gateway:/var/lib/otpost:/usr/sbin/nologin"; !strings.HasSuffix(passwd, want) {
		t.Errorf("passwd has %q, want it to end with %q", passwd, want)
	}
	if diff := cmp.Diff("dialout:x:20:otpost", grep(t, filepath.Join(root, "etc/group"), "dialout:")); diff != "" {
		t.Errorf("group (-want +got):\n%s", diff)
	}
}

// TestFoldersAreMade runs systemd-tmpfiles as the package does: the secrets are root's alone.
func TestFoldersAreMade(t *testing.T) {
	need(t, "systemd-tmpfiles")
	needRoot(t)
	root := t.TempDir()
	copyTo(t, "tmpfiles.conf", filepath.Join(root, "usr/lib/tmpfiles.d/otpost.conf"))
	write(t, filepath.Join(root, "etc/passwd"), "root:x:0:0::/root:/bin/sh\notpost:x:991:991::/:/bin/false\n", 0o644)
	write(t, filepath.Join(root, "etc/group"), "root:x:0:\notpost:x:991:\n", 0o644)
	if out, err := exec.Command("systemd-tmpfiles", "--create", "--root="+root).CombinedOutput(); err != nil || len(out) > 0 {
		t.Fatalf("systemd-tmpfiles: %v\n%s", err, out)
	}
	want := map[string]string{"run/otpost": "drwxr-x--- 991 991", "etc/otpost/secrets": "drwx------ 0 0"}
	for path, w := range want {
		if got := ownership(t, filepath.Join(root, path)); got != w {
			t.Errorf("%s is %s, want %s", path, got, w)
		}
	}
}

func ownership(t *testing.T, path string) string {
	t.Helper()
	out, err := exec.Command("stat", "-c", "%A %u %g", path).CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return strings.TrimSpace(string(out))
}

// grep returns the line of a file that begins with prefix.
func grep(t *testing.T, path, prefix string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(b)) {
		if strings.HasPrefix(line, prefix) {
			return strings.TrimSpace(line)
		}
	}
	t.Fatalf("%s has no line %s…:\n%s", path, prefix, b)
	return ""
}
