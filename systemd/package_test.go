package systemd_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// deb is the package under test, which .ci/package has made: OTPOST_DEB names it.
func deb(t *testing.T) string {
	t.Helper()
	path := os.Getenv("OTPOST_DEB")
	if path == "" {
		t.Skip("OTPOST_DEB does not name the package that .ci/package makes")
	}
	path, err := filepath.Abs(path)
	if err != nil {
		t.Fatal(err)
	}
	return path
}

func TestPackageHasNoLintianErrors(t *testing.T) {
	path := deb(t)
	need(t, "lintian")
	run(t, "lintian", "--allow-root", "--fail-on=error", path)
}

// simulated is the configuration of a daemon whose only modem is the simulator at the other end of a pseudo-terminal.
const simulated = `countries: [GB]
modems:
  - {name: stick, device: /run/modem/tty}
`

// modemUnit is the simulator, as a service beside Otpost: stopping it pulls the plug. The port belongs to dialout, as udev
// would have it.
const modemUnit = `[Service]
RuntimeDirectory=modem
ExecStart=/usr/bin/otpost sim --link /run/modem/tty --report-delay 50ms --http 127.0.0.1:8476
ExecStartPost=/bin/sh -c 'until [ -e /run/modem/tty ]; do sleep 0.05; done; chgrp dialout /run/modem/tty; chmod 660 /run/modem/tty'
`

// TestPackageOnASystem installs the package on a Debian of its own, and runs, breaks, upgrades and purges it there.
func TestPackageOnASystem(t *testing.T) {
	path := deb(t)
	b := boot(t, path+":/otpost.deb", newer(t, path)+":/newer.deb", prometheus()+":/usr/bin/prometheus")
	b.put("etc/systemd/system/modem.service", modemUnit)
	for _, step := range []struct {
		name string
		do   func(*box)
	}{
		{"installed and not running", installed},
		{"a wrong configuration fails once, with the line", wrongConfiguration},
		{"a code goes out through a port of dialout's", firstCode},
		{"an alert fires and resolves", alerts},
		{"the log is found by its fields", logged},
		{"without a journal it goes on", unlogged},
		{"killed, it comes back", killed},
		{"standing still, it is started anew", stoodStill},
		{"it runs without a network", noNetwork},
		{"the key comes as a credential", credential},
		{"an upgrade keeps accounts and a changed configuration", upgraded},
		{"removed, it leaves the store", removed},
		{"purged, it leaves nothing", purged},
	} {
		if !t.Run(step.name, func(t *testing.T) { step.do(b.with(t)) }) {
			t.FailNow()
		}
	}
}

// newer is the same package with a higher version.
func newer(t *testing.T, path string) string {
	t.Helper()
	need(t, "dpkg-deb")
	dir := t.TempDir()
	run(t, "dpkg-deb", "--raw-extract", path, dir+"/x")
	control, err := os.ReadFile(dir + "/x/DEBIAN/control")
	if err != nil {
		t.Fatal(err)
	}
	write(t, dir+"/x/DEBIAN/control", regexp.MustCompile(`(?m)^Version: .*$`).ReplaceAllString(string(control), "Version: 99.0"), 0o644)
	run(t, "dpkg-deb", "--build", "-Zgzip", "--root-owner-group", dir+"/x", dir+"/newer.deb")
	return dir + "/newer.deb"
}

func prometheus() string {
	path, err := exec.LookPath("prometheus")
	if err != nil {
		return "/bin/false" // the step that needs it says so
	}
	return path
}

func installed(b *box) {
	out := b.sh("dpkg --install /otpost.deb 2>&1")
	if !strings.Contains(out, "systemctl enable --now otpost.service") {
		b.t.Errorf("the next step is not told:\n%s", out)
	}
	b.sh("otpost config check && otpost version && id -nG otpost | grep -w dialout && ! systemctl is-active otpost.service")
	for path, want := range map[string]string{
		"/etc/otpost/otpost.yaml": "root root 644", "/etc/otpost/secrets": "root root 700", "/run/otpost": "otpost otpost 750",
		"/usr/bin/otpost": "root root 755",
	} {
		if got := b.sh("stat -c '%U %G %a' " + path); got != want {
			b.t.Errorf("%s is %s, want %s", path, got, want)
		}
	}
	b.sh("zcat /usr/share/doc/otpost/licenses.gz | grep -q badger && test -s /usr/share/doc/otpost/runbook/OtpostDown.md")
}

func wrongConfiguration(b *box) {
	b.put("etc/otpost/otpost.yaml", "countries: [GB]\nmodems: [{name: stick, device: /run/modem/tty}]\nlimits:\n  phone_hours: 5\n")
	b.sh("! systemctl start otpost.service 2>&1")
	b.sh("systemctl is-failed otpost.service")
	if got := b.sh("systemctl show -P NRestarts otpost.service; systemctl show -P ExecMainStatus otpost.service"); got != "0\n78" {
		b.t.Errorf("restarts and exit status are %q, want 0 and 78\n%s", got, b.journal())
	}
	log := b.sh("journalctl -u otpost.service -o cat --no-pager")
	if !strings.Contains(log, "otpost.yaml:4") || !strings.Contains(log, "phone_hours") {
		b.t.Errorf("the log does not name line and key:\n%s", log)
	}
	b.put("etc/otpost/otpost.yaml", simulated)
	b.sh("systemctl reset-failed otpost.service")
}

// key makes an API key through the socket and returns its token.
func (b *box) key(name, scope string) string {
	b.t.Helper()
	var k struct{ Token string }
	out := b.sh("otpost key create --name " + name + " --scope " + scope + " --json")
	if err := json.Unmarshal([]byte(out), &k); err != nil || k.Token == "" {
		b.t.Fatalf("no token in %s: %v", out, err)
	}
	return k.Token
}

func firstCode(b *box) {
	b.sh("systemctl start modem.service && systemctl enable --now otpost.service")
	b.ready()
	token := b.key("portal", "admin")
	b.put("root/auth", "Authorization: Bearer "+token)
	b.sh(`api() { curl -sSf -H @/root/auth -H 'Content-Type: application/json' "$@"; }
A=http://127.0.0.1:8475/v1/accounts/client-1
api -X PUT $A/pin -d '{"pin":"739154"}'
api -X POST $A/sms/enable -d '{"phone":"+447700900123"}'
curl -sSf 'http://127.0.0.1:8476/v1/simulator/messages?to=%2B447700900123&wait=20s' | grep -o '"code":"[0-9]*"' | tr -dc 0-9 >/root/code
api -X POST $A/sms/enable/verify -d '{"code":"'$(cat /root/code)'","pin":"739154"}' | grep '"grade":1'`)
	if got := b.sh("stat -c '%U %a' /var/lib/otpost /var/lib/otpost/otpost.key"); got != "otpost 700\notpost 600" {
		b.t.Errorf("the state is %q, want it otpost's alone", got)
	}
	b.sh(`! journalctl -o cat --no-pager | grep -F "$(cat /root/code)"`)
}

// logged follows a request's id through the journal: the request, the message, the hand-over.
func logged(b *box) {
	b.sh(`curl -sSf -H @/root/auth -H 'Content-Type: application/json' -H 'X-Request-Id: shop.4711' http://127.0.0.1:8475/v1/messages -d '{"to":"+447700900124","text":"hello"}'`)
	b.until(time.Minute, "journalctl OTPOST_REQUEST_ID=shop.4711 -o cat --no-pager | grep -q 'message .*status=delivered.*modem=stick'")
	b.sh("journalctl OTPOST_REQUEST_ID=shop.4711 OTPOST_ROUTE=/v1/messages -p info -o json --no-pager | grep -q '\"OTPOST_STATUS\":\"202\"'")
}

// unlogged takes the journal away for a while.
func unlogged(b *box) {
	const sockets = "systemd-journald.socket systemd-journald-dev-log.socket"
	before := b.sh("systemctl show -P MainPID otpost.service")
	b.sh("systemctl stop " + sockets + " systemd-journald.service; systemctl kill --signal=KILL systemd-journald.service || true; mv /run/systemd/journal/socket /run/systemd/journal/away 2>/dev/null || true")
	b.sh("for i in 1 2 3 4 5; do curl -sSf -H @/root/auth http://127.0.0.1:8475/v1/accounts/client-1; done | grep '\"grade\":1'")
	b.sh("mv /run/systemd/journal/away /run/systemd/journal/socket 2>/dev/null || true; systemctl start " + sockets + " systemd-journald.service")
	b.enabled()
	if after := b.sh("systemctl show -P MainPID otpost.service"); after != before {
		b.t.Errorf("the daemon stopped when the journal was gone\n%s", b.journal())
	}
	b.sh("curl -sSf -H @/root/auth -H 'X-Request-Id: shop.4712' http://127.0.0.1:8475/v1/accounts/client-1")
	b.until(time.Minute, "journalctl OTPOST_REQUEST_ID=shop.4712 -o cat --no-pager | grep -q request")
}

// ready waits until the daemon answers and its modem is up.
func (b *box) ready() {
	b.t.Helper()
	b.until(time.Minute, "curl -sf http://127.0.0.1:8475/readyz && curl -sf http://127.0.0.1:8475/metrics | grep -q 'otpost_modem_up{.*} 1'")
}

// replug restarts the simulator. Unlike a port, a pseudo-terminal that its other end holds open stays locked by a process
// that was killed.
func (b *box) replug() {
	b.t.Helper()
	b.sh("systemctl restart modem.service")
	b.ready()
}

// enabled checks that the account of the first code is still what it was.
func (b *box) enabled() {
	b.t.Helper()
	b.until(time.Minute, "curl -sSf -H @/root/auth http://127.0.0.1:8475/v1/accounts/client-1 | grep '\"grade\":1'")
}

func killed(b *box) {
	b.sh("systemctl kill --signal=KILL --kill-whom=main otpost.service")
	b.until(time.Minute, "test \"$(systemctl show -P NRestarts otpost.service)\" = 1 && systemctl is-active otpost.service")
	b.replug()
	b.enabled()
}

func stoodStill(b *box) {
	b.put("etc/systemd/system/otpost.service.d/fast.conf", "[Service]\nWatchdogSec=4\nRestartSec=1\n")
	b.sh("systemctl daemon-reload && systemctl restart otpost.service")
	b.ready()
	b.sh("for i in $(seq 10); do systemctl is-active otpost.service; sleep 1; done; test $(systemctl show -P NRestarts otpost.service) = 0")
	b.sh("systemctl kill --signal=STOP --kill-whom=main otpost.service")
	b.until(time.Minute, "journalctl -u otpost.service -o cat --no-pager | grep -q 'Watchdog timeout' && test $(systemctl show -P NRestarts otpost.service) = 1 && systemctl is-active otpost.service")
	b.replug()
	b.sh("rm /etc/systemd/system/otpost.service.d/fast.conf")
}

func noNetwork(b *box) {
	b.sh(`install -D -m 644 /usr/share/doc/otpost/examples/no-network.conf /etc/systemd/system/otpost.service.d/no-network.conf
systemctl daemon-reload && systemctl stop otpost.service && systemctl enable --now otpost.socket && systemctl restart otpost.service`)
	b.ready()
	b.enabled()
	b.sh("otpost modem list | grep stick") // over the socket that systemd made
	pid := b.sh("systemctl show -P MainPID otpost.service")
	if got := b.sh("nsenter -t " + pid + " -n cat /proc/net/dev | grep -c :"); got != "1" {
		b.t.Errorf("the daemon sees %s network interfaces, want only its own loopback", got)
	}
	b.sh("systemctl restart otpost.service && test -S /run/otpost/otpost.sock")
	b.ready()
	b.sh(`systemctl disable --now otpost.socket; rm /etc/systemd/system/otpost.service.d/no-network.conf
systemctl daemon-reload && systemctl restart otpost.service`)
	b.ready()
}

func credential(b *box) {
	b.sh(`systemctl stop otpost.service
mkdir -p /etc/credstore.encrypted && systemd-creds encrypt --with-key=host --name=otpost.key /var/lib/otpost/otpost.key /etc/credstore.encrypted/otpost.key
install -D -m 644 /usr/share/doc/otpost/examples/key-credential.conf /etc/systemd/system/otpost.service.d/key-credential.conf
mv /var/lib/otpost/otpost.key /root/otpost.key
systemctl daemon-reload && systemctl start otpost.service`)
	b.ready()
	b.enabled()
	b.sh(`test ! -e /var/lib/otpost/otpost.key
systemctl stop otpost.service && mv /root/otpost.key /var/lib/otpost/otpost.key
rm /etc/systemd/system/otpost.service.d/key-credential.conf
systemctl daemon-reload && systemctl start otpost.service`)
	b.ready()
}

func upgraded(b *box) {
	before := b.sh("systemctl show -P MainPID otpost.service")
	b.sh("dpkg --force-confdef --install /newer.deb 2>&1")
	b.ready()
	if after := b.sh("systemctl show -P MainPID otpost.service"); after == before {
		b.t.Error("the old program still runs")
	}
	b.enabled()
	b.sh("grep -q /run/modem/tty /etc/otpost/otpost.yaml && systemctl is-enabled otpost.service")
}

func removed(b *box) {
	b.sh("dpkg --remove otpost 2>&1")
	b.sh("! systemctl is-active otpost.service && test -e /var/lib/otpost/otpost.key && test -e /etc/otpost/otpost.yaml && ! test -e /usr/bin/otpost")
}

func purged(b *box) {
	b.sh("systemctl stop modem.service; dpkg --purge otpost 2>&1; systemctl daemon-reload")
	left := b.sh("find / -xdev \\( -path /proc -o -path /sys -o -path /var/log -o -path /usr/share/lintian \\) -prune -o -name '*otpost*' -print; ls /etc/systemd/system | grep otpost || true")
	for line := range strings.Lines(left) {
		switch line = strings.TrimSpace(line); {
		case line == "", strings.HasPrefix(line, "/otpost.deb"), strings.HasPrefix(line, "/newer.deb"), strings.HasPrefix(line, "/etc/credstore.encrypted/"):
		default:
			b.t.Errorf("purge left %s", line)
		}
	}
}
