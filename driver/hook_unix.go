package driver

import (
	"os/exec"
	"syscall"
)

// ownGroup puts a command into a process group of its own and kills the whole group when its time is over.
func ownGroup(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
}
