package systemd_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// udevScript runs udev's own rules and ours on a made-up /sys, in a mount namespace: $1 is the /sys, $2 the folder of our
// rules, $3 the device.
const udevScript = `set -e
mount --make-rprivate /
mount --bind "$1" /sys
mount -t tmpfs none /run
mount -t tmpfs none /dev
mkdir -p /run/udev/rules.d
cp "$2"/*.rules /run/udev/rules.d/
exec udevadm test --action=add "$3" 2>&1`

// usbPort is a serial port of a made-up USB modem.
type usbPort struct {
	vendor, product, serial string
	iface                   string
	acm                     bool // a CDC ACM port hangs on its interface directly
}

// sysfs makes the part of /sys that udev looks at for the port, and returns the device's path in it.
func (p usbPort) sysfs(t *testing.T, sys string) string {
	t.Helper()
	host := "devices/pci0000:00/0000:00:14.0"
	dev := host + "/usb1/1-2"
	iface := dev + "/1-2:1.2"
	tty := iface + "/ttyUSB2/tty/ttyUSB2"
	if p.acm {
		tty = iface + "/tty/ttyACM0"
	}
	put := func(name, value string) { write(t, filepath.Join(sys, name), value+"\n", 0o644) }
	link := func(name, target string) {
		if err := os.MkdirAll(filepath.Join(sys, target), 0o755); err != nil {
			t.Fatal(err)
		}
		up := strings.Repeat("../", strings.Count(name, "/"))
		if err := os.Symlink(up+target, filepath.Join(sys, name)); err != nil {
			t.Fatal(err)
		}
	}
	put(host+"/uevent", "DRIVER=xhci_hcd")
	link(host+"/subsystem", "bus/pci")
	put(dev+"/uevent", "DEVTYPE=usb_device")
	for name, value := range map[string]string{"idVendor": p.vendor, "idProduct": p.product, "serial": p.serial, "bcdDevice": "0318", "descriptors": ""} {
		if name != "serial" || value != "" {
			put(dev+"/"+name, value)
		}
	}
	link(dev+"/subsystem", "bus/usb")
	put(iface+"/uevent", "DEVTYPE=usb_interface")
	for name, value := range map[string]string{"bInterfaceNumber": p.iface, "bInterfaceClass": "ff", "bInterfaceSubClass": "00", "bInterfaceProtocol": "00"} {
		put(iface+"/"+name, value)
	}
	link(iface+"/subsystem", "bus/usb")
	link(iface+"/driver", "bus/usb/drivers/option")
	if !p.acm {
		put(iface+"/ttyUSB2/uevent", "DRIVER=option1")
		put(iface+"/ttyUSB2/port_number", "0")
		link(iface+"/ttyUSB2/subsystem", "bus/usb-serial")
	}
	put(tty+"/uevent", "MAJOR=188\nMINOR=2\nDEVNAME="+filepath.Base(tty))
	put(tty+"/dev", "188:2")
	link(tty+"/subsystem", "class/tty")
	return "/" + tty
}

// TestUdevRules asks udev what it would do with ports of modems of several makes.
func TestUdevRules(t *testing.T) {
	need(t, "udevadm", "unshare")
	needRoot(t)
	const ignored = "ID_MM_DEVICE_IGNORE=1"
	for _, tc := range []struct {
		name   string
		port   usbPort
		links  []string
		ignore bool
	}{
		{"a stick with a serial number", usbPort{vendor: "2c7c", product: "0125", serial: "0A1B2C3D", iface: "02"},
			[]string{"/dev/otpost/2c7c-0125-0A1B2C3D-if02-port0", "/dev/otpost/at-pci-0000:00:14.0-usb-0:2:1.2-if02-port0"}, true},
		{"a module behind a chip without one", usbPort{vendor: "067b", product: "2303", iface: "00"},
			[]string{"/dev/otpost/at-pci-0000:00:14.0-usb-0:2:1.2-if00-port0"}, true},
		{"a CDC ACM modem of a make not listed", usbPort{vendor: "0e8d", product: "0003", serial: "77", iface: "01", acm: true},
			[]string{"/dev/otpost/0e8d-0003-77-if01", "/dev/otpost/at-pci-0000:00:14.0-usb-0:2:1.2-if01"}, false},
		{"a hostile serial number", usbPort{vendor: "12d1", product: "1506", serial: "../../sda $(id)", iface: "02"},
			[]string{"/dev/otpost/12d1-1506-.._.._sda___id_-if02-port0", "/dev/otpost/at-pci-0000:00:14.0-usb-0:2:1.2-if02-port0"}, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			sys := t.TempDir()
			device := tc.port.sysfs(t, sys)
			rules, err := filepath.Abs("udev")
			if err != nil {
				t.Fatal(err)
			}
			cmd := exec.Command("unshare", "--mount", "sh", "-c", udevScript, "sh", sys, rules, device)
			cmd.Env = append(os.Environ(), "SYSTEMD_DEVICE_VERIFY_SYSFS=0")
			b, err := cmd.CombinedOutput()
			out := string(b)
			if err != nil {
				t.Fatalf("udevadm test: %v\n%s", err, out)
			}
			if diff := cmp.Diff(tc.links, ourLinks(out)); diff != "" {
				t.Errorf("links (-want +got):\n%s\n%s", diff, out)
			}
			if got := strings.Contains(out, ignored); got != tc.ignore {
				t.Errorf("left alone by ModemManager: %t, want %t\n%s", got, tc.ignore, out)
			}
			for _, want := range []string{`70-otpost\.rules:\d+ GROUP 20\n`, `70-otpost\.rules:\d+ MODE 0660\n`} {
				if !regexp.MustCompile(want).MatchString(out) {
					t.Errorf("no %s in\n%s", want, out)
				}
			}
			if strings.Contains(out, "Invalid") {
				t.Errorf("udev does not like a line:\n%s", out)
			}
		})
	}
}

// ourLinks are the names under /dev/otpost that udev gives the port, sorted.
func ourLinks(out string) []string {
	var links []string
	for line := range strings.Lines(out) {
		list, ok := strings.CutPrefix(strings.TrimSpace(line), "DEVLINKS=")
		if !ok {
			continue
		}
		for _, l := range strings.Fields(list) {
			if strings.HasPrefix(l, "/dev/otpost/") {
				links = append(links, l)
			}
		}
	}
	slices.Sort(links)
	return links
}
