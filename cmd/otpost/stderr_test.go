package main

import (
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// TestNobodyReadsTheLog: the daemon goes on when the other end of its standard error is closed, as when the journal is gone.
func TestNobodyReadsTheLog(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	port, err := freePort()
	if err != nil {
		t.Fatal(err)
	}
	config := filepath.Join(dir, "otpost.yaml")
	yaml := fmt.Sprintf("listen: 127.0.0.1:%s\nsocket: %s/s\ndata_dir: %s/data\ncountries: [GB]\nlog: {level: debug}\nmodems: [{name: sim0, device: simulator}]\n", port, dir, dir)
	if err := os.WriteFile(config, []byte(yaml), 0o600); err != nil {
		t.Fatal(err)
	}
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	daemon := exec.Command("otpost", "serve", "--config", config)
	daemon.Stderr = write
	if err := daemon.Start(); err != nil {
		t.Fatal(err)
	}
	for _, end := range []*os.File{read, write} {
		if err := end.Close(); err != nil {
			t.Error(err)
		}
	}
	ended := make(chan error, 1)
	go func() { ended <- daemon.Wait() }()
	answered := 0
	for deadline := time.Now().Add(callPatience); answered < 3; <-time.After(10 * time.Millisecond) {
		resp, err := http.Get("http://127.0.0.1:" + port + "/readyz")
		if err == nil {
			if resp.StatusCode == http.StatusOK {
				answered++ // and each left a line that nobody took
			}
			if err := resp.Body.Close(); err != nil {
				t.Error(err)
			}
		}
		select {
		case err := <-ended:
			t.Fatalf("the daemon ended: %v", err)
		default:
		}
		if time.Now().After(deadline) {
			_ = daemon.Process.Kill() // the failure is told below
			t.Fatal("not ready")
		}
	}
	if err := daemon.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; err != nil {
		t.Errorf("told to stop, the daemon ended with %v", err)
	}
}
