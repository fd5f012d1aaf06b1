package systemd_test

import (
	"path/filepath"
	"strings"
	"testing"
)

// TestPackageContainerImage builds the image from the context that .ci/package has laid beside the package, and runs the
// program in it.
func TestPackageContainerImage(t *testing.T) {
	path := deb(t)
	need(t, "buildah")
	needRoot(t)
	dir := t.TempDir()
	buildah := func(args ...string) string {
		t.Helper()
		return run(t, "buildah", append([]string{"--storage-driver=vfs", "--root=" + dir + "/root", "--runroot=" + dir + "/run"}, args...)...)
	}
	buildah("build", "--isolation=chroot", "--tag=otpost", filepath.Join(filepath.Dir(path), "image"))
	buildah("from", "--name=box", "localhost/otpost")
	defer buildah("rm", "box")
	if out := buildah("run", "--isolation=chroot", "box", "--", "/otpost", "version"); !strings.HasPrefix(out, "otpost ") {
		t.Errorf("version printed %q", out)
	}
	if out := buildah("run", "--isolation=chroot", "box", "--", "/otpost", "config", "check"); !strings.Contains(out, "/etc/otpost/otpost.yaml is good") {
		t.Errorf("config check printed %q", out)
	}
	if out := buildah("inspect", "--type=image", "--format={{.OCIv1.Config.User}}", "localhost/otpost"); strings.TrimSpace(out) != "8475:8475" {
		t.Errorf("the image runs as %q, want a user of its own", out)
	}
}
