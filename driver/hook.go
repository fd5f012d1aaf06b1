package driver

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

// runHook runs the operator's command, without a shell, with the modem's name and port in its environment. It is killed,
// with what it started, when it takes longer than limit.
func runHook(ctx context.Context, argv []string, limit time.Duration, name string, s Status) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "OTPOST_MODEM=" + name, "OTPOST_DEVICE=" + s.Device, "OTPOST_IMEI=" + s.IMEI}
	ownGroup(cmd)
	cmd.WaitDelay = time.Second
	err := cmd.Run()
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return fmt.Errorf("%s: killed after %v; a reset hook must end by itself", argv[0], limit)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", argv[0], err)
	}
	return nil
}

// usbPause is how long a device stays off the bus.
const usbPause = 2 * time.Second

// usbReset takes the USB device behind a port off the bus and back on (sysfs `authorized`, Documentation/usb/authorization).
func usbReset(ctx context.Context, sysfs, device string) error {
	switchFile, err := usbSwitch(sysfs, device)
	if err != nil {
		return err
	}
	if err := os.WriteFile(switchFile, []byte("0"), 0o200); err != nil {
		return fmt.Errorf("take modem off the bus: %w; the daemon's user must be able to write it (udev rule)", err)
	}
	_ = pause(ctx, usbPause) // it goes back on in any case
	if err := os.WriteFile(switchFile, []byte("1"), 0o200); err != nil {
		return fmt.Errorf("put modem back on the bus: %w", err)
	}
	return nil
}

// usbSwitch finds the `authorized` file of the USB device behind a tty: the nearest folder above it that has one and an
// idVendor (interfaces have the former only).
func usbSwitch(sysfs, device string) (string, error) {
	tty, err := filepath.EvalSymlinks(device)
	if err != nil {
		return "", fmt.Errorf("usb device of %s: %w", device, err)
	}
	dir, err := filepath.EvalSymlinks(filepath.Join(sysfs, "class/tty", filepath.Base(tty), "device"))
	if err != nil {
		return "", fmt.Errorf("usb device of %s: %w", device, err)
	}
	for ; len(dir) > len(sysfs); dir = filepath.Dir(dir) {
		if exists(filepath.Join(dir, "authorized")) && exists(filepath.Join(dir, "idVendor")) {
			return filepath.Join(dir, "authorized"), nil
		}
	}
	return "", fmt.Errorf("%s is not on USB", device)
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
